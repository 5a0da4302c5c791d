"""An Inbox in one SQLite file: survives the death of its process, and can be told to refuse."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import fields
from datetime import datetime
from pathlib import Path

from bot.domain.chat import CommandReceived, Inbound, ReactionAdded, ReactionRemoved
from bot.domain.errors import Unavailable

_KINDS: dict[str, type[Inbound]] = {
    kind.__name__: kind for kind in (ReactionAdded, ReactionRemoved, CommandReceived)
}


def _dump(event: Inbound) -> str:
    values = {field.name: getattr(event, field.name) for field in fields(event)}
    values["at"] = event.at.isoformat()
    return json.dumps({"kind": type(event).__name__, "values": values})


def _load(text: str) -> Inbound:
    document = json.loads(text)
    values = document["values"]
    values["at"] = datetime.fromisoformat(values["at"])
    return _KINDS[document["kind"]](**values)


class SqliteInbox:
    """Keeps events and the position in one transaction, as the port demands.

    ``refusing`` decides whether a call fails as a store does that is down, before anything is written;
    ``refused`` holds what such calls carried.
    """

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, timeout=10)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("CREATE TABLE IF NOT EXISTS position (platform TEXT PRIMARY KEY, value TEXT)")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS inbound (n INTEGER PRIMARY KEY, platform TEXT, event_id TEXT,"
            " event TEXT, UNIQUE (platform, event_id))"
        )
        self._changed = asyncio.Condition()
        self.refusing: Callable[[Sequence[Inbound]], bool] = lambda events: False
        self.refused: list[Inbound] = []

    async def position(self, platform: str) -> str | None:
        row = self._db.execute("SELECT value FROM position WHERE platform = ?", (platform,)).fetchone()
        return None if row is None else str(row[0])

    async def store(self, platform: str, events: Sequence[Inbound], position: str | None) -> None:
        if self.refusing(events):
            self.refused.extend(events)
            async with self._changed:
                self._changed.notify_all()
            raise Unavailable("inbox", "told to refuse")
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany(
                "INSERT OR IGNORE INTO inbound (platform, event_id, event) VALUES (?, ?, ?)",
                [(platform, event.event_id, _dump(event)) for event in events],
            )
            if position is not None:
                self._db.execute("INSERT OR REPLACE INTO position VALUES (?, ?)", (platform, position))
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        async with self._changed:
            self._changed.notify_all()

    def events(self) -> list[Inbound]:
        """Everything stored, in order of arrival."""
        return [_load(row[0]) for row in self._db.execute("SELECT event FROM inbound ORDER BY n")]

    async def until(self, holds: Callable[[list[Inbound]], bool], *, seconds: float = 20) -> list[Inbound]:
        """Wait until the stored events satisfy ``holds`` and return them."""
        return await self._wait(self.events, holds, seconds)

    async def until_refused(self, count: int = 1, *, seconds: float = 20) -> list[Inbound]:
        return await self._wait(lambda: list(self.refused), lambda seen: len(seen) >= count, seconds)

    async def _wait(
        self, read: Callable[[], list[Inbound]], holds: Callable[[list[Inbound]], bool], seconds: float
    ) -> list[Inbound]:
        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(lambda: holds(read()))
        except TimeoutError:
            raise AssertionError(f"did not arrive in {seconds} s; inbox holds {read()}") from None
        return read()

    def close(self) -> None:
        self._db.close()
