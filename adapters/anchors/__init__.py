"""Where the ledger's signed heads are kept outside the store."""

from adapters.anchors.file import FileAnchors

__all__ = ["FileAnchors"]
