"""Read-only reasoning: an incident in, a cited diagnosis out. Cannot act, cannot approve."""
