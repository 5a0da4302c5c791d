"""What was acknowledged survives: SIGKILL, a disk that refuses, a cancelled caller."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import resource
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapters.storage import SqlStore, open_store
from adapters.storage.transaction import SqlTransaction
from bot.domain.chat import DeliveryOp
from bot.domain.errors import Unavailable
from bot.domain.ids import IncidentId
from tests.contracts.store_nouns import (
    StillClock,
    Woken,
    alert,
    all_entries,
    delivery,
    event,
    incident,
    posted,
)

INGESTING = """
import asyncio, sys
from pathlib import Path
from adapters.storage import open_store
from bot.domain.clock import SystemClock
from tests.contracts.store_nouns import alert

async def send(store, caller):
    number = 0
    while True:
        [result] = await store.ingest([alert(f"{caller}-{number}")])
        sys.stdout.write(f"{result.alert_id} {caller}-{number}\\n")
        sys.stdout.flush()
        number += 1

async def main():
    async with open_store(Path(sys.argv[1]), clock=SystemClock(), wake=lambda job, at: None) as store:
        await asyncio.gather(*(send(store, caller) for caller in range(16)))

asyncio.run(main())
"""


@pytest.mark.crash
@pytest.mark.parametrize("seed", range(5))
async def test_every_acknowledged_alert_survives_sigkill(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "assent.db"
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        INGESTING,
        str(path),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": "."},
    )
    assert child.stdout is not None
    wanted = random.Random(seed).randrange(50, 1500)
    lines = [(await child.stdout.readline()).split() for _ in range(wanted)]
    child.send_signal(signal.SIGKILL)
    lines += [
        line.split() for line in (await child.stdout.read()).splitlines(keepends=True) if line.endswith(b"\n")
    ]
    assert await child.wait() == -signal.SIGKILL
    acknowledged = {(identity.decode(), fingerprint.decode()) for identity, fingerprint in lines}
    async with open_store(path, clock=StillClock(), wake=Woken()) as store, store.reading() as rows:
        stored = {(s.id, s.alert.fingerprint) for s in await rows.pending_alerts(100_000)}
    assert len(acknowledged) >= wanted
    assert acknowledged <= stored


@contextmanager
def disk_refuses_to_grow_files_beyond(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_alerts_a_full_disk_refuses_are_refused_and_none_is_half_stored(tmp_path: Path) -> None:
    woken = Woken()
    async with open_store(tmp_path / "assent.db", clock=StillClock(), wake=woken) as store:
        await store.ingest([alert("before")])
        with disk_refuses_to_grow_files_beyond(4096):
            answers = await asyncio.gather(
                *(store.ingest([alert(f"{n}-{m}") for m in range(20)]) for n in range(50)),
                return_exceptions=True,
            )
        assert {type(answer) for answer in answers} == {Unavailable}
        async with store.reading() as rows:
            assert [s.alert.fingerprint for s in await rows.pending_alerts(9999)] == ["before"]
        await store.ingest([alert("after")])
        async with store.reading() as rows:
            assert [s.alert.fingerprint for s in await rows.pending_alerts(9999)] == ["before", "after"]


async def test_a_transaction_a_full_disk_refuses_leaves_nothing_and_the_next_works(tmp_path: Path) -> None:
    woken = Woken()
    async with open_store(tmp_path / "assent.db", clock=StillClock(), wake=woken) as store:

        async def change(text: str) -> None:
            async with store.transaction() as tx:
                await tx.add_incident(incident())
                await tx.record(event(text))

        with disk_refuses_to_grow_files_beyond(4096):
            with pytest.raises(Unavailable):
                await change("refused")
        assert woken.take() == []
        assert await all_entries(store) == []
        await change("taken")
        assert [b"taken" in entry for entry in await all_entries(store)] == [True]
        assert await store.ledger_problem() is None


async def test_going_on_after_a_refused_statement_commits_nothing(tmp_path: Path) -> None:
    """SQLite may end the transaction by itself; what follows must not commit statement by statement."""
    async with open_store(tmp_path / "assent.db", clock=StillClock(), wake=Woken()) as store:

        async def fill_the_disk(tx: SqlTransaction) -> None:
            for number in range(2000):
                await tx.put(delivery(f"d{number}", number=None, text="x" * 20_000))

        async def carry_on() -> None:
            async with store.transaction() as tx:
                with disk_refuses_to_grow_files_beyond(4096), pytest.raises(Unavailable):
                    await fill_the_disk(tx)
                await tx.add_incident(incident())

        with pytest.raises(Unavailable):
            await carry_on()
        async with store.reading() as rows:
            assert await rows.incident(IncidentId("inc_1")) is None
            assert list(await rows.due_deliveries(StillClock().now(), 9)) == []


async def test_content_replaced_after_a_crash_is_sent_again_under_another_key(tmp_path: Path) -> None:
    """The killed process may have sent it, and then the platform ignores everything else under its key."""
    path, clock = tmp_path / "assent.db", StillClock()
    async with open_store(path, clock=clock, wake=Woken()) as store:
        async with store.transaction() as tx:
            await tx.add_incident(incident())
            await tx.put(delivery("a1", DeliveryOp.OPEN_THREAD, text="old"))
            await tx.due_deliveries(clock.now(), 9)
    async with open_store(path, clock=clock, wake=Woken()) as store:
        async with store.transaction() as tx:
            await tx.project([delivery("a2", DeliveryOp.UPDATE_ROOT, text="new")])
            [again] = await tx.due_deliveries(clock.now(), 9)
            assert (again.delivery.key, again.delivery.message.title) == ("a1", "new")
            await tx.mark_sent(again.sequence, posted("$root"), clock.now())
            [edit] = await tx.due_deliveries(clock.now(), 9)
    assert (edit.delivery.op, edit.delivery.message.title) == (DeliveryOp.UPDATE_ROOT, "new")
    assert edit.delivery.key != "a1"


class TestCancellation:
    """Hundreds of transactions, each cancelled at some moment or not."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "assent.db"

    async def change(self, store: SqlStore, number: int) -> None:
        async with store.transaction() as tx:
            await tx.add_incident(incident(number, short_id=f"S{number}"))
            await tx.put(delivery(f"d{number}", number=number))
            await tx.record(event(f"change {number}."))

    @pytest.mark.parametrize("seed", range(4))
    async def test_no_cancelled_transaction_stays_open_or_is_half_written(
        self, path: Path, seed: int
    ) -> None:
        rng = random.Random(seed)
        total = 300
        async with open_store(path, clock=StillClock(), wake=Woken()) as store:

            async def cancelled_somewhere(number: int) -> None:
                task = asyncio.create_task(self.change(store, number))
                # Both by time and by steps of the loop, to hit every await of a transaction.
                if number % 2:
                    await asyncio.sleep(rng.random() * 0.004)
                else:
                    for _ in range(rng.randrange(40)):
                        await asyncio.sleep(0)
                task.cancel()
                # Some are cancelled again and again, while they roll back as well.
                stubborn = rng.random() < 0.3
                while stubborn and not task.done():
                    await asyncio.sleep(0)
                    task.cancel()
                await asyncio.wait({task})
                if not task.cancelled():
                    await task

            for start in range(0, total, 3):
                await asyncio.gather(*(cancelled_somewhere(start + each) for each in range(3)))
            other = sqlite3.connect(path, timeout=0, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            other.execute("ROLLBACK")
            other.close()
            await self.change(store, total)
            entries = await all_entries(store)
            ledger = {n for n in range(total + 1) if any(f"change {n}.".encode() in e for e in entries)}
            async with store.reading() as rows:
                incidents = {i.id for i in await rows.incidents(live_only=False, limit=9999)}
                due = await rows.due_deliveries(StillClock().now(), 9999)
            assert {f"inc_{n}" for n in ledger} == incidents
            assert {f"d{n}" for n in ledger} == {pending.delivery.key for pending in due}
            assert len(entries) == len(ledger)
            assert 5 < len(ledger) < total - 5
            assert await store.ledger_problem() is None

    async def test_a_transaction_with_an_interrupted_statement_is_not_committed(self, path: Path) -> None:
        """Whoever caught the interruption cannot know whether the statement ran."""
        async with open_store(path, clock=StillClock(), wake=Woken()) as store:

            async def carry_on() -> None:
                async with store.transaction() as tx:
                    await tx.add_incident(incident(1))
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(0):
                            await tx.add_incident(incident(2))

            with pytest.raises(Unavailable, match="interrupted"):
                await carry_on()
            async with store.reading() as rows:
                assert list(await rows.incidents(live_only=False, limit=9)) == []

    async def test_cancelled_readings_give_their_connections_back(self, path: Path) -> None:
        rng = random.Random(7)
        async with open_store(path, clock=StillClock(), wake=Woken()) as store:

            async def read() -> None:
                async with store.reading() as rows:
                    await rows.incidents(live_only=True, limit=9)
                    await rows.heartbeats()

            for _ in range(300):
                task = asyncio.create_task(read())
                for _ in range(rng.randrange(25)):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait({task})
            async with asyncio.timeout(10):
                await asyncio.gather(*(read() for _ in range(20)))

    async def test_a_cancelled_caller_does_not_take_others_alerts_down(self, path: Path) -> None:
        async with open_store(path, clock=StillClock(), wake=Woken()) as store:
            callers = [asyncio.create_task(store.ingest([alert(f"fp{n}")])) for n in range(60)]
            for number in range(0, 60, 3):
                await asyncio.sleep(0)
                callers[number].cancel()
            answers = await asyncio.gather(*callers, return_exceptions=True)
            async with store.reading() as rows:
                stored = {s.alert.fingerprint for s in await rows.pending_alerts(999)}
        kept = {f"fp{n}" for n, answer in enumerate(answers) if not isinstance(answer, BaseException)}
        assert kept <= stored
        assert len(kept) >= 40
