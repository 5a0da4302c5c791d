"""Policy → request → review → approval → gate. No I/O of its own, no model."""
