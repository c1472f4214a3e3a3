"""The paper's printed numbers, how they come about, and its tables and figures from measured results."""
