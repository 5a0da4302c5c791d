"""Clusters that are written, not run."""
