"""One module per step of an incident's life. Every step reads rows, changes rows, and may be woken twice."""
