"""The stored chain: guarded against change, and whole after any sequence of commits and failures."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.storage import SqlStore, open_store
from approvals.ledger import GENESIS_HASH, Checkpoint, Entry, Head
from bot.domain.audit import SwitchTurned
from bot.domain.errors import IntegrityError
from tests.contracts.store_nouns import NOW, StillClock, Woken, all_entries, event, request


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "assent.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqlStore]:
    async with open_store(path, clock=StillClock(), wake=Woken()) as opened:
        yield opened


async def record(store: SqlStore, *texts: str) -> None:
    async with store.transaction() as tx:
        await tx.record(*(event(text) for text in texts))


def from_outside(path: Path, *statements: str) -> None:
    """Somebody with the file and the sqlite3 shell."""
    db = sqlite3.connect(path)
    try:
        for statement in statements:
            db.execute(statement)
        db.commit()
    finally:
        db.close()


@pytest.mark.parametrize("table", ["ledger", "checkpoints"])
@pytest.mark.parametrize("change", ["UPDATE {} SET rowid = rowid + 100", "DELETE FROM {}"])
async def test_rows_of_the_ledger_cannot_be_changed_in_passing(
    store: SqlStore, path: Path, table: str, change: str
) -> None:
    await record(store, "one")
    await store.add_checkpoint(Checkpoint(size=1, head_hash=bytes(32), at=NOW, envelope=b"{}"))
    with pytest.raises(sqlite3.IntegrityError, match="never changed"):
        from_outside(path, change.format(table))
    assert len(await all_entries(store)) == 1
    assert len(await store.checkpoints()) == 1


@pytest.mark.parametrize(
    ("tampering", "told"),
    [
        ("DELETE FROM ledger WHERE seq = 3", "ended with entry 3, now with entry 2"),
        ("DELETE FROM ledger", "now with entry 0"),
        ("UPDATE ledger SET entry_hash = zeroblob(32) WHERE seq = 3", "of another hash"),
        ("INSERT INTO ledger SELECT 4, prev_hash, entry_hash, body FROM ledger WHERE seq = 3", "entry 4"),
    ],
)
async def test_a_changed_end_is_noticed_while_running(
    store: SqlStore, path: Path, tampering: str, told: str
) -> None:
    await record(store, "one", "two", "three")
    assert await store.ledger_problem() is None
    from_outside(path, "DROP TRIGGER ledger_no_update", "DROP TRIGGER ledger_no_delete", tampering)
    assert told in (await store.ledger_problem() or "")


async def test_a_changed_end_stays_noticed_when_more_is_recorded(store: SqlStore, path: Path) -> None:
    await record(store, "one", "two")
    from_outside(
        path,
        "DROP TRIGGER ledger_no_update",
        "UPDATE ledger SET entry_hash = zeroblob(32) WHERE seq = 2",
    )
    await record(store, "three")
    assert "entry 2 of another hash" in (await store.ledger_problem() or "")


async def test_entries_come_as_they_stand_in_the_rows(store: SqlStore, path: Path) -> None:
    await record(store, "one")
    from_outside(path, "DROP TRIGGER ledger_no_update", "UPDATE ledger SET body = CAST(body || ' ' AS BLOB)")
    assert (await all_entries(store))[0].endswith(b"} ")


STEP = st.tuples(
    st.lists(
        st.builds(
            SwitchTurned,
            paused=st.booleans(),
            actor=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
            reason=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
            incident_id=st.none() | st.just("inc_1"),
        ),
        max_size=4,
    ),
    st.sampled_from(["commit", "raise", "refused row", "cancel"]),
)


async def attempt(store: SqlStore, events: list[SwitchTurned], end: str) -> None:
    async with store.transaction() as tx:
        await tx.record(*events)
        if end == "raise":
            raise ZeroDivisionError
        if end == "refused row":
            await tx.add_request(request())
        if end == "cancel":
            asyncio.get_running_loop().call_soon(asyncio.current_task().cancel)  # type: ignore[union-attr]  # a task runs this
            await asyncio.sleep(1)


async def chain_of(store: SqlStore) -> list[Entry]:
    return [entry async for batch in store.entries() for entry in batch]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, max_size=8))
async def test_any_sequence_of_commits_and_failures_leaves_a_valid_chain(
    store: SqlStore, steps: list[tuple[list[SwitchTurned], str]]
) -> None:
    """The store lives on from example to example, as it does from day to day."""
    before = len(await chain_of(store))
    expected = []
    for events, end in steps:
        task = asyncio.create_task(attempt(store, events, end))
        await asyncio.wait({task})
        if end == "commit":
            expected.extend(events)
            await task
        elif end == "cancel":
            assert task.cancelled()
        else:
            assert isinstance(task.exception(), (ZeroDivisionError, IntegrityError))
    chain = await chain_of(store)
    assert [entry.seq for entry in chain] == list(range(1, before + len(expected) + 1))
    previous = GENESIS_HASH
    for entry in chain:
        assert entry.prev_hash == previous
        previous = hashlib.sha256(previous + entry.body).digest()
        assert entry.entry_hash == previous
    assert await store.head() == Head(size=len(chain), hash=previous)
    assert await store.ledger_problem() is None
