"""The embedded store: SQLAlchemy Core on SQLite, with its migrations inside the package."""

from adapters.storage.ledger_rows import open_ledger
from adapters.storage.store import SqlStore, open_store

__all__ = ["SqlStore", "open_ledger", "open_store"]
