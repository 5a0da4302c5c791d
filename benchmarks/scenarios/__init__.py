"""World snapshots of our own: recorded from real servers that are really broken, and generated clusters."""
