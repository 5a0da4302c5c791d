"""The `assent` command line: each command is a coroutine that returns the exit code."""
