"""Every revision upgrades a filled database of every earlier one, and loses nothing."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from adapters.storage import open_store
from adapters.storage.asked_tables import questions
from adapters.storage.schema import REVISIONS
from bot.domain.errors import IntegrityError
from bot.domain.ids import ExecutionId, IncidentId, ProposalId, RequestId
from bot.ports import JobKind
from tests.contracts.store_nouns import (
    ENVELOPE,
    NOW,
    StillClock,
    Woken,
    alert,
    event,
    proposal,
    review,
)
from tests.migrations.filling import fill
from tests.migrations.harness import counts_of, migrate, restore, sampled, schema_of

HEAD = REVISIONS[-1]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "assent.db"


def test_the_release_knows_exactly_the_revisions_it_ships() -> None:
    scripts = ScriptDirectory(str(files("adapters.storage") / "migrations"))
    shipped = [script.revision for script in scripts.walk_revisions()]
    assert tuple(reversed(shipped)) == REVISIONS


def test_every_revision_has_a_filled_sample() -> None:
    assert sampled() == list(REVISIONS)


@pytest.mark.parametrize("revision", sampled())
def test_a_sample_has_rows_in_every_table(revision: str, path: Path) -> None:
    restore(revision, path)
    assert [table for table, count in counts_of(path).items() if not count] == []


@pytest.mark.parametrize("revision", sampled())
def test_a_revision_is_reached_from_nothing_as_its_sample_says(
    revision: str, path: Path, tmp_path: Path
) -> None:
    restore(revision, path)
    fresh = tmp_path / "fresh.db"
    migrate(fresh, revision)
    assert schema_of(fresh) == schema_of(path)


@pytest.mark.parametrize("revision", sampled())
def test_a_filled_database_of_any_revision_reaches_the_newest_with_all_its_rows(
    revision: str, path: Path, tmp_path: Path
) -> None:
    restore(revision, path)
    before = counts_of(path)
    migrate(path, HEAD)
    fresh = tmp_path / "fresh.db"
    migrate(fresh, HEAD)
    assert schema_of(path) == schema_of(fresh)
    after = counts_of(path)
    assert {table: after.get(table) for table in before} == before
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    db.close()


@pytest.mark.parametrize("revision", sampled())
async def test_the_store_reads_what_any_revision_wrote_and_goes_on(revision: str, path: Path) -> None:
    restore(revision, path)
    async with open_store(path, clock=StillClock(), wake=Woken()) as store:
        async with store.reading() as rows:
            one = await rows.incident(IncidentId("inc_1"))
            assert one is not None
            assert len(await rows.current_alerts(one.id, 9)) == 2
            assert [s.alert for s in await rows.pending_alerts(9)] == [alert("waiting")]
            assert await rows.proposal(ProposalId("pro_1")) == proposal()
            assert list(await rows.reviews_of(RequestId("req_1"))) == [review()]
            assert (ran := await rows.execution(ExecutionId("exe_1"))) is not None
            assert ran.result is not None
            assert len(await rows.outcomes_of(ran.id)) == 1
            assert await rows.latest_diagnosis(one.id) is not None
            assert await rows.remediation_of(one.id) is not None
            assert len(await rows.evidence_of(one.id, 1)) == 2
            assert len(await rows.pending_inbound(9)) == 1
            assert len(await rows.due_deliveries(NOW, 9)) == 1
            assert dict(await rows.heartbeats()) == {"Watchdog": NOW}
        assert (await store.switch()).paused
        assert await store.position("matrix") == "s1"
        case = await store.gate_case(RequestId("req_1"))
        assert case is not None
        assert (case.envelope, case.canonical_bytes) == (ENVELOPE, proposal().canonical_bytes)
        assert {JobKind.VERIFY, JobKind.INTAKE} <= {p.job.kind for p in await store.pending_work()}
        assert len(await store.checkpoints()) == 1
        head = await store.head()
        async with store.transaction() as tx:
            await tx.record(event("after the upgrade"))
        entries = [entry async for batch in store.entries(after=head.size) for entry in batch]
        assert [entry.prev_hash for entry in entries] == [head.hash]


def test_the_newest_revision_is_what_the_tables_say(path: Path) -> None:
    migrate(path, HEAD)
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    with engine.connect() as connection:
        difference = compare_metadata(MigrationContext.configure(connection), questions.metadata)
    engine.dispose()
    assert difference == []


def test_upgrading_twice_changes_nothing(path: Path) -> None:
    migrate(path, HEAD)
    before = path.read_bytes()
    migrate(path, HEAD)
    assert path.read_bytes() == before


NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "next"
down_revision = "{head}"


def upgrade() -> None:
    op.add_column("incidents", sa.Column("owner", sa.Text(), nullable=True))
    {then}
"""


@pytest.fixture
def next_release(tmp_path: Path) -> Callable[[str], Path]:
    """A migrations folder with one more revision that does what it is told."""

    def make(then: str) -> Path:
        scripts = tmp_path / "migrations"
        with as_file(files("adapters.storage") / "migrations") as packaged:
            shutil.copytree(packaged, scripts, ignore=shutil.ignore_patterns("__pycache__"))
        (scripts / "versions" / "next.py").write_text(NEXT.format(head=HEAD, then=then))
        return scripts

    return make


def test_a_later_revision_is_applied_to_a_filled_database(
    path: Path, next_release: Callable[[str], Path]
) -> None:
    restore(HEAD, path)
    scripts = next_release("op.execute(\"UPDATE incidents SET owner = 'ada'\")")
    migrate(path, revisions=[*REVISIONS, "next"], scripts=scripts)
    db = sqlite3.connect(path)
    assert db.execute("SELECT DISTINCT owner FROM incidents").fetchall() == [("ada",)]
    assert db.execute("SELECT version_num FROM alembic_version").fetchall() == [("next",)]
    db.close()


@pytest.mark.parametrize(
    ("then", "error"),
    [
        ("op.execute('DELETE FROM proposals')", IntegrityError),
        ("raise ZeroDivisionError", ZeroDivisionError),
    ],
)
def test_an_upgrade_that_fails_is_undone_as_a_whole(
    path: Path, next_release: Callable[[str], Path], then: str, error: type[Exception]
) -> None:
    restore(HEAD, path)
    schema, counts = schema_of(path), counts_of(path)
    with pytest.raises(error):
        migrate(path, revisions=[*REVISIONS, "next"], scripts=next_release(then))
    assert (schema_of(path), counts_of(path)) == (schema, counts)


async def test_filling_the_current_release_leaves_no_table_empty(path: Path) -> None:
    """Keeps the sample of the next revision honest: a new table has to be filled too."""
    await fill(path)
    assert [table for table, count in counts_of(path).items() if not count] == []
