"""Models that read and propose: providers of the Messages API, and the `claude` command."""
