"""What people wrote down of their services as a source of evidence."""

from adapters.evidence.declared.source import DeclaredServices, declared_edges

__all__ = ["DeclaredServices", "declared_edges"]
