"""Somebody with the file changes rows: the store says so, or stays on the safe side."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.storage import SqlStore, open_store
from bot.domain.errors import IntegrityError
from bot.domain.ids import IncidentId, ProposalId, RequestId
from tests.contracts.store_nouns import (
    StillClock,
    Woken,
    execution,
    proposal,
    ready_for_the_gate,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "assent.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqlStore]:
    async with open_store(path, clock=StillClock(), wake=Woken()) as opened:
        yield opened


def from_outside(path: Path, statement: str) -> None:
    db = sqlite3.connect(path)
    try:
        assert db.execute(statement).rowcount == 1
        db.commit()
    finally:
        db.close()


async def test_without_the_row_of_the_kill_switch_nothing_may_run(store: SqlStore, path: Path) -> None:
    from_outside(path, "DELETE FROM switches")
    switch = await store.switch()
    assert switch.paused
    assert "missing" in (switch.reason or "")


async def test_a_noun_that_cannot_be_read_names_itself_and_shows_no_content(
    store: SqlStore, path: Path
) -> None:
    await ready_for_the_gate(store)
    from_outside(
        path, "UPDATE proposals SET body = json_remove(json_set(body, '$.rationale', 's3cret'), '$.risk')"
    )
    async with store.reading() as rows:
        with pytest.raises(IntegrityError, match="stored Proposal cannot be read: risk") as caught:
            await rows.proposal(ProposalId("pro_1"))
    assert "s3cret" not in str(caught.value)
    from_outside(path, "UPDATE incidents SET body = 'no json'")
    async with store.reading() as rows:
        with pytest.raises(IntegrityError, match="stored Incident cannot be read"):
            await rows.incident(IncidentId("inc_1"))


async def test_the_gate_is_given_altered_bytes_as_they_stand(store: SqlStore, path: Path) -> None:
    """It recomputes the digest from them; a store that repaired them would hide the attack."""
    await ready_for_the_gate(store)
    from_outside(path, "UPDATE proposals SET canonical_bytes = x'7b7d'")
    from_outside(path, "UPDATE approvals SET envelope = x'00ff'")
    case = await store.gate_case(RequestId("req_1"))
    assert case is not None
    assert (case.canonical_bytes, case.proposal.canonical_bytes, case.envelope) == (b"{}", b"{}", b"\x00\xff")
    assert case.proposal.digest == proposal().digest


async def test_a_request_made_approved_by_hand_has_no_approval_to_claim(store: SqlStore, path: Path) -> None:
    version = await ready_for_the_gate(store)
    from_outside(path, "DELETE FROM approvals")
    assert not await store.claim(execution(), version, [])


async def test_a_second_execution_row_for_a_request_cannot_exist(store: SqlStore, path: Path) -> None:
    await store.claim(execution(), await ready_for_the_gate(store), [])
    columns = "incident_id, proposal_id, request_id, state, target, claimed_at, body"
    with pytest.raises(sqlite3.IntegrityError, match=r"executions\.request_id"):
        from_outside(
            path,
            f"INSERT INTO executions (id, idempotency_key, {columns})"
            f" SELECT 'exe_2', 'key_2', {columns} FROM executions",
        )
