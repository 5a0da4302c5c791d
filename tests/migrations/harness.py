"""A filled database at every revision, made by SQL alone, and a way to bring one to another revision.

``samples/<revision>.sql`` holds a database as that revision left it, with rows in every table. To add one
for a new revision: migrate, fill, and write ``dump(connection)`` to the file. From then on every later
revision is tested against it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from adapters.storage.schema import REVISIONS, upgrade

SAMPLES = Path(__file__).with_name("samples")


def sampled() -> list[str]:
    """Revisions with a sample, oldest first."""
    return sorted(path.stem for path in SAMPLES.glob("*.sql"))


def restore(revision: str, path: Path) -> None:
    """Write the sample of a revision to ``path``."""
    db = sqlite3.connect(path)
    try:
        db.executescript((SAMPLES / f"{revision}.sql").read_text())
        db.commit()
    finally:
        db.close()


def migrate(
    path: Path, to: str | None = None, *, revisions: Sequence[str] = REVISIONS, scripts: Path | None = None
) -> None:
    """Upgrade with the package's own code, on a connection that never begins by itself."""
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    try:
        with engine.connect() as connection:
            raw = connection.connection.driver_connection
            assert raw is not None
            raw.isolation_level = None
            upgrade(connection, to, revisions=revisions, scripts=scripts)
    finally:
        engine.dispose()


def dump(db: sqlite3.Connection) -> str:
    """SQL that makes the same database again."""
    return "\n".join(db.iterdump()) + "\n"


def schema_of(path: Path) -> set[str]:
    """Every table, index and trigger, with blanks made equal."""
    db = sqlite3.connect(path)
    try:
        found = db.execute(
            "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name <> 'sqlite_sequence'"
        )
        return {" ".join(sql.replace('"', "").split()) for (sql,) in found}
    finally:
        db.close()


def counts_of(path: Path) -> dict[str, int]:
    """How many rows each table holds."""
    db = sqlite3.connect(path)
    try:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: db.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names}
    finally:
        db.close()
