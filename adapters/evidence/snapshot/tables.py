"""hosts/HOST/TABLE.json: osquery rows, and what a host source makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.evidence.build import Record
from adapters.evidence.snapshot.files import Folder, Malformed, text_of
from bot.domain.redaction import redact_field, strip_invisible


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
