"""The store: every port that rows stand behind, on one SQLite file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import func, select, text

from adapters.storage.chat_rows import HandedOut
from adapters.storage.codec import Codec
from adapters.storage.engine import Connections, open_connections
from adapters.storage.gate_rows import GateRows
from adapters.storage.inbox import SqlInbox
from adapters.storage.ingest import Ingest
from adapters.storage.ledger_rows import Chain, stored_head
from adapters.storage.pending import implied_work
from adapters.storage.rows import Rows, uninterrupted
from adapters.storage.spend_rows import SqlPurse
from adapters.storage.tables import incidents, outbox
from adapters.storage.transaction import SqlReading, SqlTransaction
from approvals.ledger import Checkpoint, Entry, Head
from approvals.ports import GateCase, Switch
from bot.domain.alert import Alert, IngestResult
from bot.domain.audit import AuditEvent
from bot.domain.chat import Inbound
from bot.domain.clock import Clock
from bot.domain.errors import Unavailable
from bot.domain.graph import Edge
from bot.domain.ids import ExecutionId, RequestId
from bot.domain.incident import IncidentState
from bot.domain.outcome import Execution, ExecutionResult
from bot.domain.past import PastIncident
from bot.ports import Job, PendingJob

Wake = Callable[[Job, datetime | None], None]
OnEntries = Callable[[Sequence[Entry]], None]


def _nobody_listens(entries: Sequence[Entry]) -> None:
    """The default of ``on_entries``."""


_LAST_DELIVERY = select(func.max(outbox.c.sequence))
_LIVE_INCIDENTS = select(func.count()).select_from(incidents).where(text("incidents.live = 1"))
_PENDING_DELIVERIES = select(func.count()).select_from(outbox).where(outbox.c.sent_at.is_(None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """See :meth:`SqlStore.counts`."""

    live_incidents: int
    pending_deliveries: int


class SqlStore:
    """IncidentStore, PastMemory, KnownEdges, AlertSink, Inbox, GateStore and LedgerRows; ``purse`` is the
    day's money for models. Made by :func:`open_store`."""

    def __init__(
        self,
        connections: Connections,
        clock: Clock,
        wake: Wake,
        head: Head,
        handed_out: HandedOut,
        on_entries: OnEntries,
    ) -> None:
        self._connections = connections
        self._clock = clock
        self._wake = wake
        self._on_entries = on_entries
        self._codec = Codec()
        self._handed_out = handed_out
        self._chain = Chain(connections, head)
        self._inbox = SqlInbox(connections, self._codec, wake)
        self._gate = GateRows(connections, self._codec, clock, self._reading_on, self.transaction)
        self.ingestion = Ingest(connections, self._codec, wake)
        self.purse = SqlPurse(connections, clock)

    # IncidentStore

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[SqlTransaction]:
        """One atomic change; whoever comes later waits. Leaving the block commits, an exception or a
        cancellation rolls back. Raises Unavailable when the disk refuses: then nothing was written."""
        async with self._connections.writing() as rows:
            tx = SqlTransaction(rows, self._codec, self._handed_out, self._clock, self._chain.known)
            yield tx
            if tx.head != self._chain.known:
                await self._chain.watch(rows)
            tx.flush()
            await rows.commit(then=lambda: self._committed(tx))

    def _committed(self, tx: SqlTransaction) -> None:
        self._chain.known = tx.head
        if tx.entries:
            self._on_entries(tx.entries)
        for sequence in tx.sent:
            self._handed_out.forget(sequence)
        for job, at in tx.wakes():
            self._wake(job, at)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[SqlReading]:
        """One consistent snapshot, beside whatever is being written."""
        async with self._connections.reading() as rows:
            yield self._reading_on(rows)

    def _reading_on(self, rows: Rows) -> SqlReading:
        return SqlReading(rows, self._codec, self._handed_out)

    async def pending_work(self) -> Sequence[PendingJob]:
        async with self._connections.reading() as rows:
            return await implied_work(rows)

    async def healthy(self) -> str | None:
        """None while a write could begin now, else one sentence why not."""
        try:
            async with self._connections.writing() as rows:
                await rows.query("SELECT 1")
                return None
        except Unavailable as error:
            return error.reason

    async def counts(self) -> Counts:
        """What operators watch: live incidents, and messages not delivered yet."""
        async with self._connections.reading() as rows:
            return Counts(
                live_incidents=int(await rows.value(_LIVE_INCIDENTS) or 0),
                pending_deliveries=int(await rows.value(_PENDING_DELIVERIES) or 0),
            )

    # PastMemory

    async def past_incidents(self, limit: int, before: datetime) -> Sequence[PastIncident]:
        async with self.reading() as rows:
            return await rows.past_incidents(limit, before)

    # KnownEdges, and GateStore's

    async def edges(self, seen_after: datetime) -> Sequence[Edge]:
        async with self.reading() as rows:
            return await rows.edges(seen_after)

    # AlertSink

    async def ingest(self, alerts: Sequence[Alert]) -> Sequence[IngestResult]:
        return await self.ingestion.ingest(alerts)

    # Inbox

    async def position(self, platform: str) -> str | None:
        return await self._inbox.position(platform)

    async def store(self, platform: str, events: Sequence[Inbound], position: str | None) -> None:
        await self._inbox.store(platform, events, position)

    # GateStore

    async def switch(self) -> Switch:
        async with self.reading() as rows:
            return await rows.switch()

    async def ledger_problem(self) -> str | None:
        return await self._chain.problem_now()

    def set_ledger_problem(self, problem: str | None) -> None:
        """What the last full verification found; None once it finds nothing."""
        self._chain.problem = problem

    async def recent_executions(self, target: str, since: datetime) -> int:
        async with self.reading() as rows:
            return await rows.recent_executions(target, since)

    async def gate_case(self, request_id: RequestId) -> GateCase | None:
        return await self._gate.gate_case(request_id)

    async def claim(self, execution: Execution, request_version: int, events: Sequence[AuditEvent]) -> bool:
        return await self._gate.claim(execution, request_version, events)

    async def finish(
        self,
        execution_id: ExecutionId,
        result: ExecutionResult,
        incident_to: IncidentState,
        events: Sequence[AuditEvent],
    ) -> None:
        await self._gate.finish(execution_id, result, incident_to, events)

    async def refuse(
        self, request_id: RequestId, request_version: int, reason: str, events: Sequence[AuditEvent]
    ) -> bool:
        return await self._gate.refuse(request_id, request_version, reason, events)

    # LedgerRows

    async def head(self) -> Head:
        return await self._chain.head()

    def entries(self, after: int = 0) -> AsyncIterator[Sequence[Entry]]:
        return self._chain.entries(after)

    async def checkpoints(self) -> Sequence[Checkpoint]:
        return await self._chain.checkpoints()

    async def add_checkpoint(self, checkpoint: Checkpoint) -> None:
        await self._chain.add_checkpoint(checkpoint)


@asynccontextmanager
async def open_store(
    path: Path, *, clock: Clock, wake: Wake, on_entries: OnEntries = _nobody_listens
) -> AsyncIterator[SqlStore]:
    """Open (or create) the database and bring its schema up to date.

    ``wake`` is called after every commit that made work: with (job, when), None meaning now;
    ``on_entries`` with the ledger entries of every commit that added some.
    Leaving waits for alerts that were taken to be written.

    Raises ConfigError when the path cannot be used, another process has it open, or a newer Assent wrote it;
    IntegrityError when the file is damaged; Unavailable when the disk refuses.
    """
    async with open_connections(path) as connections:
        async with connections.reading() as rows:
            head = await stored_head(rows)
            last_delivery = int(await rows.value(_LAST_DELIVERY) or 0)
        store = SqlStore(connections, clock, wake, head, HandedOut(last_delivery), on_entries)
        writer = asyncio.create_task(store.ingestion.run(), name="store-ingest")
        try:
            yield store
        finally:
            store.ingestion.close()
            await uninterrupted(_ended(writer))


async def _ended(task: asyncio.Task[None]) -> None:
    await task
