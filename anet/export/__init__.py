"""From a trained torch network to a model bundle that runs without torch."""
