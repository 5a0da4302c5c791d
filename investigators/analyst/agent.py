"""The turns of one conversation: ask, run the read-only tools it wants, until there is an answer."""
