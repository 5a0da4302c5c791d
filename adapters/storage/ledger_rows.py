"""The stored chain: its head, its entries as they stand in the rows, its checkpoints."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import Integer, bindparam, insert, select

from adapters.storage.engine import Connections, Readers, open_readers
from adapters.storage.rows import Rows
from adapters.storage.tables import checkpoints, ledger
from approvals.ledger import Checkpoint, Entry, Head
from bot.domain.clock import from_rfc3339, to_rfc3339
from bot.domain.errors import Unavailable

_BATCH = 1000

_LAST = select(ledger.c.seq, ledger.c.entry_hash).order_by(ledger.c.seq.desc()).limit(1)
_ENTRIES = (
    select(ledger.c.seq, ledger.c.prev_hash, ledger.c.entry_hash, ledger.c.body)
    .where(ledger.c.seq > bindparam("after", type_=Integer))
    .order_by(ledger.c.seq)
    .limit(_BATCH)
)
_CHECKPOINTS = select(
    checkpoints.c.size, checkpoints.c.head_hash, checkpoints.c.at, checkpoints.c.envelope
).order_by(checkpoints.c.seq)
_ADD_CHECKPOINT = insert(checkpoints).values(
    {name: bindparam(name) for name in ("size", "head_hash", "at", "envelope")}
)


async def stored_head(rows: Rows) -> Head:
    """What the last row says."""
    row = await rows.first(_LAST)
    return Head() if row is None else Head(size=row[0], hash=bytes(row[1]))


def _as_bytes(value: object) -> bytes:
    """What stands in the row, also where somebody has put text or a number: verification judges it."""
    return value if isinstance(value, bytes) else str(value).encode()


class StoredLedger:
    """LedgerRows over read-only connections; adding a checkpoint is for whoever owns the file."""

    def __init__(self, connections: Readers) -> None:
        self._readers = connections

    async def head(self) -> Head:
        """As the rows say, which is what has to be proved."""
        async with self._readers.reading() as rows:
            return await stored_head(rows)

    async def entries(self, after: int = 0) -> AsyncIterator[Sequence[Entry]]:
        """Batches of at most 1,000, each read on its own: rows are only ever added."""
        while True:
            async with self._readers.reading() as rows:
                found = await rows.all(_ENTRIES, after=after)
            if not found:
                return
            batch = [
                Entry(seq=seq, prev_hash=_as_bytes(prev), entry_hash=_as_bytes(digest), body=_as_bytes(body))
                for seq, prev, digest, body in found
            ]
            after = batch[-1].seq
            yield batch

    async def checkpoints(self) -> Sequence[Checkpoint]:
        async with self._readers.reading() as rows:
            found = await rows.all(_CHECKPOINTS)
        return [
            Checkpoint(size=size, head_hash=bytes(head), at=from_rfc3339(at), envelope=bytes(envelope))
            for size, head, at, envelope in found
        ]


class Chain(StoredLedger):
    """The ledger of the process that writes it. ``known`` is the head it last committed."""

    def __init__(self, connections: Connections, head: Head) -> None:
        super().__init__(connections)
        self._connections = connections
        self.known = head
        self.problem: str | None = None

    async def problem_now(self) -> str | None:
        """What verification found, or that the last row is not the one this process wrote last."""
        if self.problem is not None:
            return self.problem
        async with self._connections.reading() as rows:
            stored = await stored_head(rows)
        if stored == self.known:
            return None
        # A commit may have come between the row and the head; with the writer in hand none can.
        async with self._connections.writing() as rows:
            stored = await stored_head(rows)
            if stored == self.known:
                return None
        return self._changed(stored)

    async def watch(self, rows: Rows) -> None:
        """Look before entries are appended: afterwards the end would look right again.

        What was found stays a problem until the whole chain is verified anew.
        """
        stored = await stored_head(rows)
        if stored != self.known and self.problem is None:
            self.problem = self._changed(stored)

    def _changed(self, stored: Head) -> str:
        how = "" if stored.size != self.known.size else " of another hash"
        return (
            f"the ledger was changed from outside: it ended with entry {self.known.size}, "
            f"now with entry {stored.size}{how}"
        )

    async def add_checkpoint(self, checkpoint: Checkpoint) -> None:
        async with self._connections.writing() as rows:
            rows.later(
                _ADD_CHECKPOINT,
                size=checkpoint.size,
                head_hash=checkpoint.head_hash,
                at=to_rfc3339(checkpoint.at),
                envelope=checkpoint.envelope,
            )
            await rows.commit()


class ReadOnlyLedger(StoredLedger):
    """The ledger beside a running service."""

    async def add_checkpoint(self, checkpoint: Checkpoint) -> None:
        raise Unavailable("store", "it was opened for reading only: only the service adds checkpoints")


@asynccontextmanager
async def open_ledger(path: Path) -> AsyncIterator[ReadOnlyLedger]:
    """Read the ledger of a store that a service may have open; changes nothing.

    Raises ConfigError when there is no store or its schema is not this release's, IntegrityError when the
    file is damaged.
    """
    async with open_readers(path) as readers:
        yield ReadOnlyLedger(readers)
