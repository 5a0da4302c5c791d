"""Opening the file: who may, what is refused, and that what was written is found again."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import sys
from pathlib import Path

import pytest

from adapters.storage import open_ledger, open_store
from bot.domain.errors import ConfigError, IntegrityError
from bot.domain.ids import IncidentId
from tests.contracts.store_nouns import StillClock, Woken, all_entries, event, incident

HOLDING = """
import asyncio, sys
from pathlib import Path
from adapters.storage import open_store
from bot.domain.clock import SystemClock

async def main():
    async with open_store(Path(sys.argv[1]), clock=SystemClock(), wake=lambda job, at: None):
        print("open", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


FULL_DURABILITY = {"journal_mode": [("wal",)], "synchronous": [(2,)], "foreign_keys": [(1,)]}


async def open_once(path: Path) -> None:
    async with open_store(path, clock=StillClock(), wake=Woken()):
        pass


async def read_ledger(path: Path) -> None:
    async with open_ledger(path):
        pass


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "assent store.db"


async def test_what_was_committed_is_there_after_reopening(path: Path) -> None:
    async with open_store(path, clock=StillClock(), wake=Woken()) as store:
        async with store.transaction() as tx:
            await tx.add_incident(incident())
            await tx.record(event("one"))
        head = await store.head()
    async with open_store(path, clock=StillClock(), wake=Woken()) as store:
        async with store.reading() as rows:
            assert await rows.incident(IncidentId("inc_1")) == incident()
        assert await store.head() == head
        async with store.transaction() as tx:
            await tx.record(event("two"))
        entries = [entry async for batch in store.entries() for entry in batch]
        assert [entry.seq for entry in entries] == [1, 2]
        assert entries[1].prev_hash == head.hash


async def test_two_processes_never_have_one_store_open(path: Path) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        HOLDING,
        str(path),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": "."},
    )
    assert child.stdout is not None
    try:
        assert await child.stdout.readline() == b"open\n"
        with pytest.raises(ConfigError, match=rf"another process \(pid {child.pid}\)"):
            await open_once(path)
    finally:
        child.kill()
        await child.wait()
    await open_once(path)


async def test_one_process_does_not_open_a_store_twice(path: Path) -> None:
    async with open_store(path, clock=StillClock(), wake=Woken()):
        with pytest.raises(ConfigError, match="another process"):
            await open_once(path)


async def test_a_store_of_a_newer_release_is_refused_and_left_alone(path: Path) -> None:
    await open_once(path)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
    db.close()
    before = path.read_bytes()
    for opening in (open_once, read_ledger):
        with pytest.raises(ConfigError, match=r"newer Assent.*9999"):
            await opening(path)
    assert path.read_bytes() == before


async def test_a_database_of_something_else_is_refused_and_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE recipes (name TEXT)")
    db.close()
    with pytest.raises(ConfigError, match="recipes"):
        await open_once(path)
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("recipes",)]
    db.close()


async def test_a_file_that_is_no_database_is_an_integrity_error(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 500)
    for opening in (open_once, read_ledger):
        with pytest.raises(IntegrityError, match="not a database"):
            await opening(path)


async def test_a_missing_folder_is_a_configuration_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="create the folder"):
        await open_once(tmp_path / "no" / "such" / "folder.db")


async def test_only_the_owner_can_read_the_files(path: Path) -> None:
    mask = os.umask(0)
    try:
        async with open_store(path, clock=StillClock(), wake=Woken()) as store:
            async with store.transaction() as tx:
                await tx.record(event())
            modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    finally:
        os.umask(mask)
    assert len(modes) == 4
    assert set(modes.values()) == {0o600}


async def test_every_commit_reaches_the_disk_before_it_counts(path: Path) -> None:
    async with open_store(path, clock=StillClock(), wake=Woken()) as store:
        async with store.transaction() as tx:
            found = {name: await tx.rows.query(f"PRAGMA {name}") for name in FULL_DURABILITY}
    assert found == FULL_DURABILITY


async def test_a_transaction_inside_a_transaction_is_refused_instead_of_waiting_for_ever(path: Path) -> None:
    async with open_store(path, clock=StillClock(), wake=Woken()) as store:

        async def nest() -> None:
            async with store.transaction():
                async with store.transaction():
                    pass

        with pytest.raises(RuntimeError, match="inside a transaction"):
            await nest()
        async with store.transaction() as tx:
            await tx.record(event())


async def test_a_transaction_cannot_be_used_once_it_is_over(path: Path) -> None:
    async with open_store(path, clock=StillClock(), wake=Woken()) as store:
        async with store.transaction() as tx:
            pass
        with pytest.raises(RuntimeError, match="over"):
            await tx.add_incident(incident())
        async with store.transaction():
            with pytest.raises(RuntimeError, match="over"):
                await tx.add_incident(incident())
        async with store.reading() as rows:
            pass
        with pytest.raises(RuntimeError, match="over"):
            await rows.heartbeats()
        async with store.reading() as rows:
            assert await rows.incident(IncidentId("inc_1")) is None


class TestReadingTheLedgerBesideTheService:
    async def test_it_sees_what_the_service_commits(self, path: Path) -> None:
        async with open_store(path, clock=StillClock(), wake=Woken()) as store:
            async with open_ledger(path) as ledger:
                assert (await ledger.head()).size == 0
                async with store.transaction() as tx:
                    await tx.record(event("seen"))
                assert await ledger.head() == await store.head()
                assert len(await all_entries(ledger)) == 1

    async def test_it_reads_a_store_whose_service_is_stopped(self, path: Path) -> None:
        await open_once(path)
        async with open_ledger(path) as ledger:
            assert await all_entries(ledger) == []
            assert list(await ledger.checkpoints()) == []

    async def test_it_does_not_create_a_store(self, path: Path) -> None:
        with pytest.raises(ConfigError, match="no store at"):
            await read_ledger(path)
        assert not path.exists()

    async def test_it_does_not_upgrade_a_store(self, path: Path) -> None:
        sqlite3.connect(path).close()
        path.touch()
        with pytest.raises(ConfigError, match="start the service once"):
            await read_ledger(path)
