"""Studies: plans of many trainings, worked through on any machine into the ledger of results."""
