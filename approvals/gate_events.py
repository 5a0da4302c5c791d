"""What the gate writes into the ledger, and where a run leaves execution and incident."""

from __future__ import annotations

from approvals.model import Decision, GateRefusal
from approvals.ports import GateCase
from bot.domain.audit import GateRefused, IncidentMoved, PolicyDecided
from bot.domain.ids import IncidentId, RequestId
from bot.domain.incident import IncidentState
from bot.domain.outcome import ExecutionResult, ExecutionState


def state_after(result: ExecutionResult, *, known: bool) -> tuple[ExecutionState, IncidentState]:
    if not known:
        return ExecutionState.UNKNOWN, IncidentState.OUTCOME_UNKNOWN
    if result.ok:
        return ExecutionState.SUCCEEDED, IncidentState.VERIFYING
    return ExecutionState.FAILED, IncidentState.FAILED


def refusal_event(incident_id: IncidentId | None, request_id: RequestId, refusal: GateRefusal) -> GateRefused:
    return GateRefused(
        incident_id=incident_id,
        causation_id=request_id,
        request_id=request_id,
        check=refusal.check,
        reason=refusal.reason.value,
        detail=refusal.detail,
    )


def policy_event(case: GateCase, decision: Decision) -> PolicyDecided:
    return PolicyDecided(
        incident_id=case.incident.id,
        causation_id=case.request.id,
        proposal_id=case.request.proposal_id,
        stage="dispatch",
        decision=decision.kind.value,
        rules=decision.rules,
        reasons=decision.reasons,
        policy_hash=decision.policy_hash,
    )


def move_event(case: GateCase, to: IncidentState, reason: str) -> IncidentMoved:
    return IncidentMoved(
        incident_id=case.incident.id,
        causation_id=case.request.id,
        before=case.incident.state.value,
        after=to.value,
        reason=reason,
    )
