"""One reading, and one atomic change, put together from their parts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import bindparam, insert, update

from adapters.storage.approval_changes import ApprovalChanges
from adapters.storage.approval_rows import ApprovalRows
from adapters.storage.asked_rows import AskedChanges, AskedRows
from adapters.storage.chat_rows import ChatRows, HandedOut
from adapters.storage.codec import Codec
from adapters.storage.cost_rows import CostRows
from adapters.storage.graph_rows import GraphChanges, GraphRows
from adapters.storage.incident_changes import IncidentChanges
from adapters.storage.incident_rows import IncidentRows
from adapters.storage.memory_rows import MemoryChanges, MemoryRows
from adapters.storage.outbox_changes import OutboxChanges
from adapters.storage.rows import Rows
from adapters.storage.summary_rows import SummaryChanges, SummaryRows
from adapters.storage.tables import incidents, ledger
from approvals.ledger import Entry, Head, append
from bot.domain.audit import AuditEvent
from bot.domain.clock import Clock
from bot.domain.ids import IncidentId
from bot.ports import Job, JobKind

_COUNT_CHANGE = (
    update(incidents).where(incidents.c.id == bindparam("incident")).values(change=incidents.c.change + 1)
)
_APPEND = insert(ledger).values(
    {name: bindparam(name) for name in ("seq", "prev_hash", "entry_hash", "body")}
)


class SqlReading(
    IncidentRows, MemoryRows, SummaryRows, GraphRows, AskedRows, CostRows, ApprovalRows, ChatRows
):
    """Queries over the snapshot of one connection's transaction."""

    def __init__(self, rows: Rows, codec: Codec, handed_out: HandedOut) -> None:
        self._rows = rows
        self._codec = codec
        self._handed_out = handed_out


class SqlTransaction(
    IncidentChanges,
    MemoryChanges,
    SummaryChanges,
    GraphChanges,
    AskedChanges,
    ApprovalChanges,
    OutboxChanges,
    IncidentRows,
    MemoryRows,
    SummaryRows,
    GraphRows,
    AskedRows,
    CostRows,
    ApprovalRows,
    ChatRows,
):
    """Changes on the writer's connection. Valid only inside ``SqlStore.transaction()``."""

    def __init__(self, rows: Rows, codec: Codec, handed_out: HandedOut, clock: Clock, head: Head) -> None:
        super().__init__(rows, codec, handed_out, clock)
        self.head = head
        self.entries: list[Entry] = []

    async def change_of(self, incident_id: IncidentId) -> int:
        if incident_id in self.touched:
            # Counted at the end of the transaction, whatever else still happens to it.
            return await super().change_of(incident_id) + 1
        return await super().change_of(incident_id)

    async def record(self, *events: AuditEvent) -> None:
        self.head, entries = append(self.head, events, self._clock.now())
        self.entries.extend(entries)

    async def enqueue(self, job: Job, at: datetime | None = None) -> None:
        self.enqueued.append((job, at))

    def flush(self) -> None:
        """Write what was collected; the last thing before the commit."""
        if self.entries:
            self._rows.many_later(
                _APPEND,
                [
                    {
                        "seq": entry.seq,
                        "prev_hash": entry.prev_hash,
                        "entry_hash": entry.entry_hash,
                        "body": entry.body,
                    }
                    for entry in self.entries
                ],
            )
        if self.touched:
            self._rows.many_later(_COUNT_CHANGE, [{"incident": touched} for touched in self.touched])

    def wakes(self) -> Iterator[tuple[Job, datetime | None]]:
        """Whom to wake now that it is committed."""
        yield from self.enqueued
        for touched in self.touched:
            yield Job(kind=JobKind.ANNOUNCE, subject=touched), None
        if self.outbox_grew:
            yield Job(kind=JobKind.DELIVER), None
