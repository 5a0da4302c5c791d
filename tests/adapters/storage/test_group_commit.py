"""Alerts that arrive together are written together, and nobody waits for a timer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.storage import SqlStore, open_store
from adapters.storage.ingest import GROUP
from bot.domain.alert import IngestStatus
from bot.domain.errors import Unavailable
from bot.domain.ids import AlertId
from tests.contracts.store_nouns import StillClock, Woken, alert, event, incident


@pytest.fixture
def woken() -> Woken:
    return Woken()


@pytest.fixture
async def store(tmp_path: Path, woken: Woken) -> AsyncIterator[SqlStore]:
    async with open_store(tmp_path / "assent.db", clock=StillClock(), wake=woken) as opened:
        yield opened


async def test_what_waits_while_the_writer_is_busy_becomes_one_commit(store: SqlStore, woken: Woken) -> None:
    async with store.transaction():
        callers = [asyncio.create_task(store.ingest([alert(f"fp{n}")])) for n in range(300)]
        while len(store.ingestion.waiting) < 300:
            await asyncio.sleep(0)
        assert not any(caller.done() for caller in callers)
    answers = await asyncio.gather(*callers)
    assert {answer[0].status for answer in answers} == {IngestStatus.ACCEPTED}
    # One wake-up per commit that stored something.
    assert len(woken.take()) == 1


async def test_more_than_one_commit_holds_is_written_without_another_arrival(
    store: SqlStore, woken: Woken
) -> None:
    async with store.transaction():
        callers = [
            asyncio.create_task(store.ingest([alert(f"{n}-{m}") for m in range(GROUP * 2 // 3)]))
            for n in range(4)
        ]
        while len(store.ingestion.waiting) < 4:
            await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await asyncio.gather(*callers)
    assert len(woken.take()) == 4


async def test_duplicates_are_told_apart_across_the_batches_of_one_commit(
    store: SqlStore, woken: Woken
) -> None:
    known = (await store.ingest([alert("known")]))[0].alert_id
    async with store.transaction():
        callers = [
            asyncio.create_task(store.ingest([alert("known"), alert("new"), alert(f"own{n}"), alert("new")]))
            for n in range(3)
        ]
        while len(store.ingestion.waiting) < 3:
            await asyncio.sleep(0)
    answers = await asyncio.gather(*callers)
    A, D = IngestStatus.ACCEPTED, IngestStatus.DUPLICATE
    assert [[r.status for r in answer] for answer in answers] == [[D, A, A, D], [D, D, A, D], [D, D, A, D]]
    new = answers[0][1].alert_id
    for answer in answers:
        assert [answer[0].alert_id, answer[1].alert_id, answer[3].alert_id] == [known, new, new]
        assert [result.index for result in answer] == [0, 1, 2, 3]


async def test_a_storm_does_not_lock_other_transactions_out(store: SqlStore) -> None:
    stop = asyncio.Event()

    async def storm(caller: int) -> None:
        number = 0
        while not stop.is_set():
            await store.ingest([alert(f"{caller}-{number}-{m}") for m in range(10)])
            number += 1

    storms = [asyncio.create_task(storm(caller)) for caller in range(100)]
    async with asyncio.timeout(20):
        for number in range(30):
            async with store.transaction() as tx:
                await tx.add_incident(incident(number))
                await tx.record(event())
    stop.set()
    await asyncio.gather(*storms)


async def test_alerts_are_not_locked_out_by_transactions(store: SqlStore) -> None:
    stop = asyncio.Event()

    async def change() -> None:
        while not stop.is_set():
            async with store.transaction() as tx:
                await tx.record(event())

    changes = [asyncio.create_task(change()) for _ in range(20)]
    async with asyncio.timeout(20):
        for number in range(30):
            await store.ingest([alert(f"fp{number}")])
    stop.set()
    await asyncio.gather(*changes)


async def test_one_alert_that_is_no_unicode_is_rejected_by_itself(store: SqlStore) -> None:
    broken = replace(alert("bad"), annotations={"summary": "half a surrogate \ud800"})
    also = replace(alert("bad \udfff"))
    results = await store.ingest([alert("a"), broken, also, alert("b")])
    assert [result.status for result in results] == [
        IngestStatus.ACCEPTED,
        IngestStatus.REJECTED,
        IngestStatus.REJECTED,
        IngestStatus.ACCEPTED,
    ]
    assert "UTF-8" in (results[1].reason or "")
    async with store.reading() as rows:
        stored = await rows.pending_alerts(9)
    assert [s.id for s in stored] == [results[0].alert_id, results[3].alert_id]
    assert [result.status for result in await store.ingest([broken])] == [IngestStatus.REJECTED]


async def test_nothing_is_written_for_an_empty_delivery(store: SqlStore, woken: Woken) -> None:
    assert list(await store.ingest([])) == []
    assert woken.take() == []


async def test_closing_writes_what_was_taken_and_refuses_what_comes_later(
    tmp_path: Path, woken: Woken
) -> None:
    path = tmp_path / "closing.db"
    async with open_store(path, clock=StillClock(), wake=woken) as closing:
        callers = [asyncio.create_task(closing.ingest([alert(f"fp{n}")])) for n in range(50)]
        await asyncio.sleep(0)
    answers = await asyncio.gather(*callers)
    with pytest.raises(Unavailable):
        await closing.ingest([alert("late")])
    with pytest.raises(Unavailable):
        async with closing.transaction():
            pass
    with pytest.raises(Unavailable):
        async with closing.reading():
            pass
    async with open_store(path, clock=StillClock(), wake=woken) as again, again.reading() as rows:
        stored = {found.id for found in await rows.pending_alerts(999)}
    assert stored == {AlertId(str(answer[0].alert_id)) for answer in answers}
