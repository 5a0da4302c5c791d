"""Rules: pure functions from evidence to facts, one module per family; see docs/faults.md."""
