"""Work queues: what wakes the steps of the workflow."""
