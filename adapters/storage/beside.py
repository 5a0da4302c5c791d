"""A store beside the service that owns it: what an investigation of one's own needs, and pays for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from adapters.storage.chat_rows import HandedOut
from adapters.storage.codec import Codec
from adapters.storage.engine import Connections, open_connections_beside
from adapters.storage.spend_rows import SqlPurse
from adapters.storage.transaction import SqlReading
from bot.domain.clock import Clock
from bot.domain.graph import Edge
from bot.domain.past import PastIncident


class StoreBeside:
    """PastMemory and KnownEdges, and the same ``purse`` as the service's; nothing else is written. Made by
    :func:`open_store_beside`."""

    def __init__(self, connections: Connections, clock: Clock) -> None:
        self._connections = connections
        self._codec = Codec()
        self.purse = SqlPurse(connections, clock)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[SqlReading]:
        async with self._connections.reading() as rows:
            yield SqlReading(rows, self._codec, HandedOut(0))

    async def past_incidents(self, limit: int, before: datetime) -> Sequence[PastIncident]:
        async with self.reading() as rows:
            return await rows.past_incidents(limit, before)

    async def edges(self, seen_after: datetime) -> Sequence[Edge]:
        async with self.reading() as rows:
            return await rows.edges(seen_after)


@asynccontextmanager
async def open_store_beside(path: Path, clock: Clock) -> AsyncIterator[StoreBeside]:
    """Whether a service has it open or not; the schema is left as it is.

    Raises ConfigError when there is no store or its schema is not this release's, IntegrityError when it is
    damaged, Unavailable when it cannot be opened or is not ours to write.
    """
    async with open_connections_beside(path) as connections:
        yield StoreBeside(connections, clock)
