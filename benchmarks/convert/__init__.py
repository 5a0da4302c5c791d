"""Public datasets → the snapshot format; each module runs by itself (``python -m benchmarks.convert.…``)."""
