"""Rules with their zones and reasons: from defects to accept, warn or reject."""
