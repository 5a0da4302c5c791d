"""The embedded store: SQLAlchemy Core on SQLite, with its migrations inside the package."""

from adapters.storage.beside import StoreBeside, open_store_beside
from adapters.storage.ledger_rows import open_ledger
from adapters.storage.store import SqlStore, open_store

__all__ = ["SqlStore", "StoreBeside", "open_ledger", "open_store", "open_store_beside"]
