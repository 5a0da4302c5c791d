"""Group commit: alerts that arrive together become durable together."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import bindparam, func, insert, select

from adapters.storage.codec import Codec
from adapters.storage.engine import Connections
from adapters.storage.rows import Row
from adapters.storage.tables import alerts
from bot.domain.alert import Alert, AlertStatus, IngestResult, IngestStatus, delivery_key
from bot.domain.clock import to_rfc3339
from bot.domain.errors import Unavailable
from bot.domain.ids import AlertId, new_id
from bot.ports import Job, JobKind

GROUP = 1000
"""Alerts per commit at most, so that a storm does not keep other transactions waiting for long."""

_ASKED_AT_ONCE = 12_000

_KNOWN = select(alerts.c.delivery_key, alerts.c.id).where(
    alerts.c.delivery_key.in_(select(func.json_each(bindparam("keys")).table_valued("value").c.value))
)
_INSERT = insert(alerts).values(
    {
        name: bindparam(name)
        for name in (
            "id",
            "delivery_key",
            "source",
            "fingerprint",
            "status",
            "effective_at",
            "body",
        )
    }
)


def effective_at(alert: Alert) -> datetime:
    """From when the alert's state holds: a firing from its start, a resolve from its end.

    Comparing these, not the order of arrival, decides which delivery is an alert's last known state: a
    firing delivered late does not bring back what has ended since, and a resolve that covers a later
    start (the sender merged two firings) does end it.
    """
    if alert.status is AlertStatus.FIRING:
        return alert.starts_at
    return max(alert.starts_at, alert.ends_at or alert.received_at)


class _Randomness:
    """Random hex digits as ``secrets.token_hex`` gives them, but the kernel is asked for 1,000 at a time: the
    call costs more than all else about an identity."""

    def __init__(self) -> None:
        self._digits = ""
        self._used = 0

    def token(self, count: int) -> str:
        first, self._used = self._used, self._used + 2 * count
        if self._used > len(self._digits):
            self._digits = os.urandom(max(count, _ASKED_AT_ONCE)).hex()
            first, self._used = 0, 2 * count
        return self._digits[first : self._used]


@dataclass(slots=True)
class _Batch:
    """What one caller waits for. ``rows`` are (key, row), ``places`` their positions in the answer."""

    answer: list[IngestResult]
    stored: asyncio.Future[list[IngestResult]]
    rows: list[tuple[str, Row]] = field(default_factory=list)
    places: list[int] = field(default_factory=list)


class Ingest:
    """Takes alerts from many callers; one task writes whatever waits in one transaction."""

    def __init__(
        self, connections: Connections, codec: Codec, wake: Callable[[Job, datetime | None], None]
    ) -> None:
        self._connections = connections
        self._codec = codec
        self._wake = wake
        self._randomness = _Randomness()
        self.waiting: deque[_Batch] = deque()
        self._arrived = asyncio.Event()
        self._closed = False

    async def ingest(self, alerts: Sequence[Alert]) -> Sequence[IngestResult]:
        """Return when every alert is on disk. An alert whose text is no Unicode is REJECTED by itself."""
        batch = _Batch(answer=[], stored=asyncio.get_running_loop().create_future())
        for index, alert in enumerate(alerts):
            self._add(batch, index, alert)
        if not batch.rows:
            return batch.answer
        if self._closed:
            raise Unavailable("store", "it is closing")
        self.waiting.append(batch)
        self._arrived.set()
        return await batch.stored

    def _add(self, batch: _Batch, index: int, alert: Alert) -> None:
        identity = AlertId(new_id("alr", self._randomness.token))
        started = to_rfc3339(alert.starts_at)
        firing = alert.status is AlertStatus.FIRING
        try:
            key = delivery_key(alert.source, alert.fingerprint, alert.status, started)
            row = (
                identity,
                key,
                alert.source,
                alert.fingerprint,
                alert.status.value,
                started if firing else to_rfc3339(effective_at(alert)),
                self._codec.encode(alert),
            )
        except ValueError:
            batch.answer.append(
                IngestResult(
                    index=index,
                    status=IngestStatus.REJECTED,
                    reason="the alert holds text that is not valid Unicode: send it as UTF-8",
                )
            )
            return
        batch.places.append(index)
        batch.rows.append((key, row))
        batch.answer.append(
            IngestResult(
                index=index,
                status=IngestStatus.ACCEPTED,
                fingerprint=alert.fingerprint,
                alert_id=identity,
            )
        )

    async def run(self) -> None:
        """Write whatever arrives; return once closed, with everything written that was taken."""
        while not self._closed:
            await self._arrived.wait()
            self._arrived.clear()
            while self.waiting:
                await self._write_group()

    def close(self) -> None:
        """Take no more."""
        self._closed = True
        self._arrived.set()

    async def _write_group(self) -> None:
        batches: list[_Batch] = []
        try:
            async with self._connections.writing() as rows:
                batches = self._take()
                given = [each for batch in batches for each in batch.rows]
                if not given:
                    return
                known, insert_one = rows.sql(_KNOWN), rows.sql(_INSERT)
                keys = self._codec.json_list([key for key, _ in given])
                owners, fresh = await rows.whole(
                    lambda connection: _store(connection, known, insert_one, keys, given)
                )
        except Exception as error:  # noqa: BLE001 - not swallowed: every caller of the group raises it
            for batch in batches or self._take():
                if not batch.stored.done():
                    batch.stored.set_exception(error)
            return
        except asyncio.CancelledError:
            for batch in batches:
                if not batch.stored.done():
                    batch.stored.set_exception(Unavailable("store", "it is closing"))
            raise
        if fresh < len(given):
            _mark_duplicates(batches, owners)
        for batch in batches:
            if not batch.stored.done():
                batch.stored.set_result(batch.answer)
        if fresh:
            self._wake(Job(kind=JobKind.INTAKE), None)

    def _take(self) -> list[_Batch]:
        """As many whole batches as fit a group, at least one."""
        taken: list[_Batch] = []
        size = 0
        while self.waiting and (not taken or size + len(self.waiting[0].rows) <= GROUP):
            batch = self.waiting.popleft()
            if batch.stored.done():
                # Its caller was cancelled before anything was promised.
                continue
            size += len(batch.rows)
            taken.append(batch)
        return taken


def _store(
    connection: sqlite3.Connection, known: str, insert_one: str, keys: str, given: Sequence[tuple[str, Row]]
) -> tuple[dict[str, str], int]:
    """Insert the rows whose key is new. Returns which id each key belongs to, and how many were new."""
    owners: dict[str, str] = dict(connection.execute(known, (keys,)).fetchall())
    fresh = [row for key, row in given if owners.setdefault(key, row[0]) is row[0]]
    connection.executemany(insert_one, fresh).close()
    return owners, len(fresh)


def _mark_duplicates(batches: Sequence[_Batch], owners: Mapping[str, str]) -> None:
    for batch in batches:
        for place, (key, row) in zip(batch.places, batch.rows, strict=True):
            if owners[key] != row[0]:
                batch.answer[place] = replace(
                    batch.answer[place], status=IngestStatus.DUPLICATE, alert_id=AlertId(owners[key])
                )
