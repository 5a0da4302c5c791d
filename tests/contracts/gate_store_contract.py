"""What every GateStore promises; each store's tests subclass this and give a world with one approved request.

The world holds ``tests.approvals.world``'s incident ``inc_1`` awaiting approval, its proposal and the request
``req_1`` in the state approved, one signed review and an approval envelope (any bytes).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from approvals.model import ApprovalRequest, RequestState
from approvals.ports import GateStore, Switch
from bot.domain.audit import AuditEvent, ExecutionClaimed, ExecutionFinished, GateRefused
from bot.domain.errors import StaleWrite
from bot.domain.ids import ExecutionId, RequestId
from bot.domain.incident import Incident, IncidentState
from bot.domain.outcome import Execution, ExecutionResult, ExecutionState
from tests.approvals.world import START

REQUEST = RequestId("req_1")


class GateStoreWorld(ABC):
    """One store and the eyes a test needs."""

    store: GateStore

    @abstractmethod
    async def incident(self) -> Incident: ...

    @abstractmethod
    async def request(self) -> ApprovalRequest: ...

    @abstractmethod
    async def save_request(self, request: ApprovalRequest) -> None:
        """Change the stored request as the workflow would: by compare-and-swap, with the next version."""

    @abstractmethod
    async def execution(self, execution_id: ExecutionId) -> Execution | None: ...

    @abstractmethod
    async def tags(self) -> Sequence[str]:
        """The tags of all ledger entries since the world was made, oldest first."""

    @abstractmethod
    async def turn(self, switch: Switch) -> None: ...

    async def claimed_execution(self, **changes: object) -> Execution:
        """An execution for the world's request, as the gate would claim it."""
        request = await self.request()
        base = Execution(
            id=ExecutionId("exe_1"),
            incident_id=request.incident_id,
            proposal_id=request.proposal_id,
            request_id=request.id,
            digest=request.proposal_digest,
            idempotency_key="key-1",
            state=ExecutionState.CLAIMED,
            claimed_at=START + timedelta(minutes=2),
            inspect="ps",
        )
        return replace(base, **changes)  # type: ignore[arg-type]


def claimed(execution: Execution) -> AuditEvent:
    return ExecutionClaimed(
        incident_id=execution.incident_id,
        execution_id=execution.id,
        request_id=execution.request_id,
        digest=execution.digest,
        idempotency_key=execution.idempotency_key,
        executor="process",
        policy_hash="p",
    )


def finished(execution: Execution) -> AuditEvent:
    return ExecutionFinished(
        incident_id=execution.incident_id, execution_id=execution.id, ok=True, summary="done"
    )


def refused() -> AuditEvent:
    return GateRefused(request_id=REQUEST, check=8, reason="dry_run_failed", detail="no")


def result(ok: bool = True) -> ExecutionResult:
    return ExecutionResult(
        ok=ok,
        summary="done",
        output="output",
        started_at=START + timedelta(minutes=2),
        finished_at=START + timedelta(minutes=3),
        new_uid="new" if ok else None,
    )


class GateStoreContract:
    @pytest.fixture
    def world(self) -> GateStoreWorld:
        raise AssertionError("the store's tests give a world")

    async def claim(self, world: GateStoreWorld, **changes: object) -> Execution:
        execution = await world.claimed_execution(**changes)
        request = await world.request()
        assert await world.store.claim(execution, request.version, [claimed(execution)])
        return execution

    async def test_a_case_is_everything_stored_about_a_request(self, world: GateStoreWorld) -> None:
        case = await world.store.gate_case(REQUEST)
        assert case is not None
        assert case.request == await world.request()
        assert case.incident == await world.incident()
        assert case.canonical_bytes == case.proposal.canonical_bytes
        assert case.request.proposal_digest == case.proposal.digest
        assert [review.request_id for review in case.reviews] == [REQUEST]
        assert case.envelope
        assert not case.claimed

    async def test_an_unknown_request_has_no_case(self, world: GateStoreWorld) -> None:
        assert await world.store.gate_case(RequestId("req_unknown")) is None

    async def test_the_switch_is_read_as_it_was_turned(self, world: GateStoreWorld) -> None:
        assert not (await world.store.switch()).paused
        turned = Switch(paused=True, actor="ana", reason="look first")
        await world.turn(turned)
        assert await world.store.switch() == turned

    async def test_an_intact_ledger_has_no_problem(self, world: GateStoreWorld) -> None:
        assert await world.store.ledger_problem() is None

    async def test_a_claim_moves_the_incident_and_is_in_the_ledger(self, world: GateStoreWorld) -> None:
        execution = await self.claim(world)
        assert await world.execution(execution.id) == execution
        assert (await world.incident()).state is IncidentState.EXECUTING
        assert "execution:claimed" in await world.tags()
        case = await world.store.gate_case(REQUEST)
        assert case is not None
        assert case.claimed

    async def test_a_request_is_claimed_once_and_the_loser_writes_nothing(
        self, world: GateStoreWorld
    ) -> None:
        await self.claim(world)
        tags = await world.tags()
        request = await world.request()
        for changes in ({}, {"idempotency_key": "key-2"}):
            second = await world.claimed_execution(id=ExecutionId("exe_2"), **changes)
            assert not await world.store.claim(second, request.version, [claimed(second)])
            assert await world.execution(second.id) is None
        assert await world.tags() == tags

    async def test_a_request_that_changed_meanwhile_is_not_claimed(self, world: GateStoreWorld) -> None:
        before = await world.request()
        await world.save_request(replace(before, reminded=80))
        execution = await world.claimed_execution()
        assert not await world.store.claim(execution, before.version, [claimed(execution)])
        assert (await world.incident()).state is IncidentState.AWAITING_APPROVAL
        assert "execution:claimed" not in await world.tags()

    @pytest.mark.parametrize("state", [state for state in RequestState if state is not RequestState.APPROVED])
    async def test_only_an_approved_request_is_claimed(
        self, world: GateStoreWorld, state: RequestState
    ) -> None:
        await world.save_request(replace(await world.request(), state=state))
        request = await world.request()
        execution = await world.claimed_execution()
        assert not await world.store.claim(execution, request.version, [claimed(execution)])
        assert await world.execution(execution.id) is None

    @pytest.mark.parametrize(
        ("ok", "to", "state"),
        [
            (True, IncidentState.VERIFYING, ExecutionState.SUCCEEDED),
            (False, IncidentState.FAILED, ExecutionState.FAILED),
            (False, IncidentState.OUTCOME_UNKNOWN, ExecutionState.UNKNOWN),
        ],
    )
    async def test_finishing_stores_result_state_and_entry_together(
        self, world: GateStoreWorld, ok: bool, to: IncidentState, state: ExecutionState
    ) -> None:
        execution = await self.claim(world)
        await world.store.finish(execution.id, result(ok), to, [finished(execution)])
        stored = await world.execution(execution.id)
        assert stored == replace(execution, state=state, result=result(ok))
        assert (await world.incident()).state is to
        assert (await world.tags())[-1] == "execution:finished"

    async def test_an_execution_is_finished_once(self, world: GateStoreWorld) -> None:
        execution = await self.claim(world)
        await world.store.finish(execution.id, result(), IncidentState.OUTCOME_UNKNOWN, [finished(execution)])
        tags = await world.tags()
        with pytest.raises(StaleWrite):
            await world.store.finish(execution.id, result(), IncidentState.VERIFYING, [finished(execution)])
        assert await world.tags() == tags
        assert (await world.incident()).state is IncidentState.OUTCOME_UNKNOWN

    async def test_a_refusal_ends_the_request_and_gives_the_incident_back(
        self, world: GateStoreWorld
    ) -> None:
        request = await world.request()
        assert await world.store.refuse(REQUEST, request.version, "gate: no", [refused()])
        ended = await world.request()
        assert (ended.state, ended.ended_reason) == (RequestState.CANCELLED, "gate: no")
        assert ended.ended_at is not None
        assert ended.version > request.version
        assert (await world.incident()).state is IncidentState.DIAGNOSED
        assert "gate:refused" in await world.tags()

    async def test_a_refusal_of_a_request_that_changed_is_only_written_down(
        self, world: GateStoreWorld
    ) -> None:
        before = await world.request()
        await world.save_request(replace(before, reminded=80))
        assert not await world.store.refuse(REQUEST, before.version, "gate: no", [refused()])
        assert (await world.request()).state is RequestState.APPROVED
        assert (await world.incident()).state is IncidentState.AWAITING_APPROVAL
        assert "gate:refused" in await world.tags()

    async def test_a_refusal_never_ends_what_another_gate_has_claimed(self, world: GateStoreWorld) -> None:
        await self.claim(world)
        request = await world.request()
        assert not await world.store.refuse(REQUEST, request.version, "gate: no", [refused()])
        assert (await world.request()).state is RequestState.APPROVED
        assert (await world.incident()).state is IncidentState.EXECUTING
        assert "gate:refused" in await world.tags()

    async def test_a_refusal_of_an_unknown_request_is_written_down(self, world: GateStoreWorld) -> None:
        assert not await world.store.refuse(RequestId("req_unknown"), 0, "gate: no", [refused()])
        assert "gate:refused" in await world.tags()

    async def test_executions_on_a_target_are_counted_from_a_moment_on(self, world: GateStoreWorld) -> None:
        execution = await self.claim(world)
        case = await world.store.gate_case(REQUEST)
        assert case is not None
        name, at = case.proposal.target.name, execution.claimed_at
        assert await world.store.recent_executions(name, at) == 1
        assert await world.store.recent_executions(name, at + timedelta(microseconds=1)) == 0
        assert await world.store.recent_executions("another", at) == 0
