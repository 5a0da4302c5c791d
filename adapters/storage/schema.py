"""Bringing a database file to the newest schema, and refusing one from a newer Assent."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from bot.domain.errors import ConfigError, IntegrityError

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006")
"""Every revision this release knows, oldest first. Alembic is loaded only when one has to be applied:
importing it would be a fifth of a cold start."""


def current_revision(connection: Connection) -> str | None:
    """The revision the file is at; None for an empty file. Raises ConfigError where this is no store."""
    tables = inspect(connection).get_table_names()
    if "alembic_version" not in tables:
        if tables:
            raise ConfigError(
                [
                    f"the store's file has tables ({', '.join(sorted(tables)[:3])} …) but none of Assent's: "
                    "choose another file for the store"
                ]
            )
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def upgrade(
    connection: Connection,
    to: str | None = None,
    *,
    revisions: Sequence[str] = REVISIONS,
    scripts: Path | None = None,
) -> bool:
    """Apply what is missing, in one transaction; True when anything was. The connection autocommits.

    ``to`` is the newest revision unless given; ``scripts`` the folder of the migrations that make them, the
    package's own unless given.

    Raises ConfigError for a file of a newer release, IntegrityError when rows do not fit the new schema.
    """
    at = current_revision(connection)
    to = to or revisions[-1]
    if at == to:
        return False
    _refuse_newer(at, revisions)
    connection.rollback()
    connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    try:
        with as_file(files("adapters.storage") / "migrations") as packaged:
            _run_alembic(connection, to, scripts or packaged)
        if broken := connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall():
            raise IntegrityError(
                f"the upgrade to schema {to} was undone: {len(broken)} rows point at rows that are gone, "
                f"the first in table {broken[0][0]}; restore a backup"
            )
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    finally:
        connection.exec_driver_sql("PRAGMA foreign_keys=ON")
        connection.rollback()
    return True


def refuse_other_schema(connection: Connection) -> None:
    """For a reader that must not change the file. Raises ConfigError unless it is at the newest revision."""
    at = current_revision(connection)
    _refuse_newer(at, REVISIONS)
    if at != REVISIONS[-1]:
        raise ConfigError(
            [f"the store has schema {at}, not yet {REVISIONS[-1]}: start the service once to upgrade it"]
        )
    connection.rollback()


def _refuse_newer(at: str | None, revisions: Sequence[str]) -> None:
    if at is not None and at not in revisions:
        raise ConfigError(
            [
                f"the store was written by a newer Assent (schema {at}, this release knows up to "
                f"{revisions[-1]}): install that release again, or restore a backup made before the upgrade"
            ]
        )


def _run_alembic(connection: Connection, to: str, scripts: Path) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, to)
