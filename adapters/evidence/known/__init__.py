"""What earlier investigations saw of the service graph as a source of evidence."""

from adapters.evidence.known.source import KnownGraph

__all__ = ["KnownGraph"]
