"""hosts/HOST/TABLE.json: osquery rows, and what a host source makes of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from adapters.evidence.build import Record
from adapters.evidence.snapshot.files import Folder, Malformed, text_of
from bot.domain.redaction import redact_field, strip_invisible

_MAX_ROWS = 5_000
_STEP = 10_000
_MAX_STEPS = 1_000
"""Ten million instructions of SQLite's machine: about a second."""


class Hosts:
    """The tables of every host, each read when it is asked for."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self.names = tuple(folder.folders("hosts"))

    def has(self, host: str, table: str) -> bool:
        return host in self.names and _plain(table) and self._folder.has(f"hosts/{host}/{table}.json")

    def rows(self, host: str, table: str) -> list[Record]:
        """Raises Malformed, also when there is no such table."""
        name = f"hosts/{host}/{table}.json"
        if not self.has(host, table):
            raise Malformed(f"{self._folder.where(name)}: not in the snapshot")
        value = self._folder.json(name)
        rows = value.get("rows") if isinstance(value, dict) else value
        if not isinstance(rows, list):
            raise Malformed(f"{self._folder.where(name)}: not a list of rows")
        found: list[Record] = []
        for number, row in enumerate(rows, 1):
            if not isinstance(row, dict):
                raise Malformed(f"{self._folder.where(name)}: row {number} is not an object")
            found.append({str(key): _value(str(key), row) for key in row})
        return found

    def select(self, host: str, sql: str) -> list[Record]:
        """What one SELECT finds in the host's tables. Raises Malformed for anything else, and for a table
        that is not there."""
        with closing(sqlite3.connect(":memory:")) as database:
            for path in self._folder.names(f"hosts/{host}", ".json"):
                table = path.rpartition("/")[2].removesuffix(".json")
                _fill(database, table, self.rows(host, table))
            database.set_authorizer(_only_reading)
            steps = iter(range(_MAX_STEPS))
            database.set_progress_handler(lambda: next(steps, None) is None, _STEP)
            try:
                cursor = database.execute(sql)
                if cursor.description is None:
                    raise Malformed(f"hosts/{host}: not a SELECT")
                columns = [column[0] for column in cursor.description]
                found = cursor.fetchmany(_MAX_ROWS + 1)
            except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
                raise Malformed(f"hosts/{host}: {error}") from None
        if len(found) > _MAX_ROWS:
            raise Malformed(f"hosts/{host}: more than {_MAX_ROWS} rows")
        return [dict(zip(columns, row, strict=True)) for row in found]


def _fill(database: sqlite3.Connection, table: str, rows: Sequence[Record]) -> None:
    columns = list(dict.fromkeys(column for row in rows for column in row)) or ["empty"]
    names = ", ".join(_name(column) for column in columns)
    database.execute(f"CREATE TABLE {_name(table)} ({names})")
    marks = ", ".join("?" for _ in columns)
    database.executemany(
        f"INSERT INTO {_name(table)} VALUES ({marks})",  # noqa: S608 - quoted by _name
        [[row.get(column) for column in columns] for row in rows],
    )


def _name(text: str) -> str:
    quoted = text.replace('"', '""')
    return f'"{quoted}"'


def _only_reading(
    action: int, first: str | None, second: str | None, database: str | None, inner: str | None
) -> int:
    allowed = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE)
    refused = action not in allowed or "load_extension" in (first, second)
    return sqlite3.SQLITE_DENY if refused else sqlite3.SQLITE_OK


def _plain(name: str) -> bool:
    return bool(name) and "/" not in name and not name.startswith(".")


def _value(key: str, row: Mapping[str, Any]) -> str | int | float | bool | None:
    value = row[key]
    if value is None or isinstance(value, bool | int | float):
        return value
    return strip_invisible(redact_field(key, text_of(row, key)))


def number(row: Record, *keys: str) -> float | None:
    """The first of these columns that holds a number; osquery prints numbers as text."""
    for key in keys:
        value = row.get(key)
        try:
            if value is not None and value != "":
                return float(value)
        except ValueError:
            continue
    return None


def whole(row: Record, *keys: str) -> int | None:
    value = number(row, *keys)
    return None if value is None else int(value)
