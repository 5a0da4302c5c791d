"""The gate: the one place that holds executors, and eleven numbered checks before it uses one.

1.  The kill switch is off and no freeze is on.
2.  The ledger is intact.
3.  The approval's envelope verifies under a trusted key.
4.  The statement's subject equals the digest recomputed from the stored canonical bytes.
5.  The request is approved and unexpired; quorum and strength hold, recounted from its signed reviews.
6.  The proposal is not older than its limit, and the target is still the same one (uid).
7.  Policy, asked again, may only stop.
8.  A fresh dry run passes.
9.  Claim: the idempotency key is inserted and ``execution:claimed`` is written in one transaction.
10. The executor runs the typed action, as parsed from the stored canonical bytes.
11. Result and ledger entry are stored in one transaction.

A refusal ends the request; only a lost claim (9) does not, because then somebody else has it. The time is the
later of the clock's and the newest stored time, so that a clock that was set back reopens nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from approvals.blast import with_dependents
from approvals.canonical import BoundAction, digest
from approvals.document import FreezeWindow
from approvals.gate_events import move_event, policy_event, refusal_event, state_after
from approvals.model import Decision, DecisionKind, Directory, GateRefusal, Refusal, Requirement
from approvals.policy import PolicyGuard, PolicyQuestion, RiskSettings, compute_risk, stricter
from approvals.ports import EnvelopeVerifier, Executor, GateCase, GateStore, Inspector
from approvals.proof import Proof, Refused, may_count, prove, unexpired
from approvals.review import counted
from approvals.signed import ApprovalStatement
from bot.domain.audit import (
    AuditEvent,
    ExecutionClaimed,
    ExecutionFinished,
    ExecutionUnknown,
    IncidentMoved,
)
from bot.domain.clock import Clock
from bot.domain.errors import AssentError, InputError, IntegrityError, Unavailable
from bot.domain.graph import EDGE_LIFE
from bot.domain.ids import ExecutionId, RandomToken, RequestId, new_id
from bot.domain.incident import IncidentState
from bot.domain.outcome import Execution, ExecutionResult, ExecutionState
from bot.domain.proposal import ActionSpec, Target
from bot.domain.redaction import clean

_HOUR = timedelta(hours=1)
_OUTPUT_LIMIT = 64 * 1024
_SUMMARY_LIMIT = 600
_NO_VERSION = 0
"""A version no stored request has: a refusal with it is written to the ledger and ends nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """Limits of the gate. ``execution_timeout`` bounds one run, ``inspect_timeout`` one look or dry run."""

    execution_timeout: timedelta = timedelta(seconds=30)
    inspect_timeout: timedelta = timedelta(seconds=30)
    freezes: tuple[FreezeWindow, ...] = ()
    risk: RiskSettings = field(default_factory=RiskSettings)


class Gate:
    """Opens for one signed approval at a time, once."""

    def __init__(
        self,
        *,
        store: GateStore,
        verifier: EnvelopeVerifier,
        policy: PolicyGuard,
        directory: Directory,
        catalogue: Mapping[str, ActionSpec],
        inspectors: Mapping[str, Inspector],
        executors: Mapping[str, Executor],
        clock: Clock,
        token: RandomToken,
        settings: GateSettings,
    ) -> None:
        self._store = store
        self._verifier = verifier
        self._policy = policy
        self._directory = directory
        self._catalogue = catalogue
        self._inspectors = inspectors
        self._executors = executors
        self._clock = clock
        self._token = token
        self._settings = settings

    async def open(self, request_id: RequestId) -> Execution | GateRefusal:
        """Run the action that this request approves, or say why not.

        Returns the finished execution, whatever came of it: a run that did not come back in time is
        ``unknown``, because it may have acted. Every refusal is in the ledger. A cancellation once the claim
        is made waits for the run to end. Raises Unavailable when the store does not answer; after a claim
        that leaves the execution claimed, which a restart turns into ``unknown``.
        """
        try:
            case = await self._store.gate_case(request_id)
        except IntegrityError as error:
            refusal = GateRefusal(check=4, reason=Refusal.DIGEST_MISMATCH, detail=str(error))
            return await self._refuse_unread(request_id, refusal)
        if case is None:
            refusal = GateRefusal(
                check=5, reason=Refusal.REQUEST_NOT_APPROVED, detail="there is no such request"
            )
            return await self._refuse_unread(request_id, refusal)
        try:
            proof, target, decision = await self._check(case)
        except Refused as refused:
            return await self._refuse(case, refused.refusal)
        return await _uncancelled(self._claim_and_run(case, proof, target, decision))

    async def _check(self, case: GateCase) -> tuple[Proof, Target, Decision]:
        """Checks 1 to 8."""
        if case.claimed:
            raise Refused(9, Refusal.ALREADY_CLAIMED, "this approval has been used")
        await self._switches(case)  # (1)
        if (problem := await self._store.ledger_problem()) is not None:  # (2)
            raise Refused(2, Refusal.LEDGER_BROKEN, f"the ledger is not intact: {problem}")
        proof = prove(  # (3) (4) (5)
            case,
            verifier=self._verifier,
            directory=self._directory,
            catalogue=self._catalogue,
            now=self._now(case),
        )
        target = await self._look(case, proof)  # (6)
        decision = await self._ask_policy(case, proof, target)  # (7)
        await self._try(proof, target)  # (8)
        # Looking and trying may have taken a while.
        await self._switches(case)
        unexpired(proof.statement, self._now(case))
        return proof, target, decision

    async def _claim_and_run(
        self, case: GateCase, proof: Proof, target: Target, decision: Decision
    ) -> Execution | GateRefusal:
        try:
            execution = await self._claim(case, proof, target, decision)  # (9)
        except Refused as refused:
            return await self._refuse(case, refused.refusal)
        return await self._run(execution, proof.bound, target)  # (10) (11)

    def _now(self, case: GateCase) -> datetime:
        stored = [
            case.proposal.created_at,
            case.request.created_at,
            case.request.ended_at,
            case.incident.updated_at,
            case.evidence_taken_at,
            *(review.at for review in case.reviews),
            *(review.withdrawn_at for review in case.reviews),
        ]
        return max(self._clock.now(), *(moment for moment in stored if moment is not None))

    async def _switches(self, case: GateCase) -> None:
        """(1)"""
        switch = await self._store.switch()
        if switch.paused:
            who = f" by {switch.actor}" if switch.actor else ""
            why = f": {switch.reason}" if switch.reason else ""
            raise Refused(1, Refusal.KILL_SWITCH, f"execution is paused{who}{why}")
        now = self._now(case)
        for window in self._settings.freezes:
            if window.covers(now):
                raise Refused(1, Refusal.FREEZE, f"nothing is changed during the freeze: {window.reason}")

    async def _look(self, case: GateCase, proof: Proof) -> Target:
        """(6)"""
        now = self._now(case)
        limit = min(proof.statement.proposal_expires_at, case.proposal.created_at + case.proposal.max_age)
        if now >= limit:
            raise Refused(6, Refusal.PROPOSAL_TOO_OLD, "the proposal is older than its limit")
        bound = proof.bound
        name = bound.action.executor
        inspector = self._inspectors.get(name)
        if inspector is None or name not in self._executors:
            raise Refused(6, Refusal.EXECUTOR_MISSING, f"no executor {name} is configured")
        try:
            async with asyncio.timeout(self._settings.inspect_timeout.total_seconds()):
                target = await inspector.locate(bound.action)
        except (TimeoutError, InputError, Unavailable) as error:
            raise Refused(6, Refusal.TARGET_CHANGED, f"the target cannot be seen: {_said(error)}") from None
        seen = (target.kind, target.name, target.uid)
        if seen != (bound.target_kind, bound.target_name, bound.target_uid):
            raise Refused(
                6,
                Refusal.TARGET_CHANGED,
                f"{bound.target_kind} {bound.target_name} is not the approved one: its identity changed",
            )
        return target

    async def _ask_policy(self, case: GateCase, proof: Proof, target: Target) -> Decision:
        """(7)"""
        now = self._now(case)
        taken = case.evidence_taken_at
        # What was seen to depend on the target since it was proposed counts too.
        target = with_dependents(target, await self._store.edges(now - EDGE_LIFE))
        decision = await self._policy.decide(
            PolicyQuestion(
                spec=proof.spec,
                action=proof.bound.action,
                target=target,
                incident=case.incident,
                risk=compute_risk(proof.spec, target, case.incident, self._settings.risk),
                band=case.band,
                evidence_age=None if taken is None else (now - taken).total_seconds(),
                recent_executions=await self._store.recent_executions(target.name, now - _HOUR),
                requester=proof.statement.requested_by,
                stage="dispatch",
                at=now,
            )
        )
        if decision.kind is DecisionKind.DENY:
            raise Refused(7, Refusal.POLICY_DENIED, "; ".join(decision.reasons), decision)
        if decision.requirement is not None:
            self._still_enough(proof, decision, decision.requirement)
        return decision

    def _still_enough(self, proof: Proof, decision: Decision, asked: Requirement) -> None:
        """(7) Policy may have come to ask for more than was given."""
        both = stricter([proof.statement.requirement, asked])
        if both is None:
            raise Refused(7, Refusal.POLICY_DENIED, "policy now asks for other roles", decision)
        given = counted(
            [
                review
                for review in proof.approvals
                if may_count(review, both, proof.action_class, self._directory)
            ],
            both,
        )
        if given.count < both.count:
            why = "; ".join(decision.reasons)
            raise Refused(
                7,
                Refusal.POLICY_DENIED,
                f"policy now asks for {both.count} approvals by {both.strength.label} or stronger and "
                f"{given.count} were given ({why})",
                decision,
            )

    async def _try(self, proof: Proof, target: Target) -> None:
        """(8)"""
        if not proof.spec.dry_run:
            return
        inspector = self._inspectors[proof.bound.action.executor]
        try:
            async with asyncio.timeout(self._settings.inspect_timeout.total_seconds()):
                dry_run = await inspector.dry_run(proof.bound.action, target)
        except (TimeoutError, InputError, Unavailable) as error:
            raise Refused(8, Refusal.DRY_RUN_FAILED, f"it cannot be tried: {_said(error)}") from None
        if not dry_run.ok:
            raise Refused(8, Refusal.DRY_RUN_FAILED, dry_run.summary)

    async def _claim(self, case: GateCase, proof: Proof, target: Target, decision: Decision) -> Execution:
        """(9)"""
        request, bound = case.request, proof.bound
        execution = Execution(
            id=ExecutionId(new_id("exe", self._token)),
            incident_id=case.incident.id,
            proposal_id=request.proposal_id,
            request_id=request.id,
            digest=proof.statement.digest,
            idempotency_key=idempotency_key(proof.statement),
            state=ExecutionState.CLAIMED,
            claimed_at=self._now(case),
            inspect=self._inspectors[bound.action.executor].inspect_hint(bound.action, target),
        )
        events: list[AuditEvent] = [
            policy_event(case, decision),
            ExecutionClaimed(
                incident_id=case.incident.id,
                causation_id=request.id,
                execution_id=execution.id,
                request_id=request.id,
                digest=execution.digest,
                idempotency_key=execution.idempotency_key,
                executor=bound.action.executor,
                policy_hash=decision.policy_hash,
            ),
            move_event(case, IncidentState.EXECUTING, "the approved action runs"),
        ]
        if not await self._store.claim(execution, request.version, events):
            raise Refused(
                9,
                Refusal.ALREADY_CLAIMED,
                "it was claimed already, or the request changed at the last moment",
            )
        return execution

    async def _run(self, execution: Execution, bound: BoundAction, target: Target) -> Execution:
        """(10) (11)"""
        started = self._clock.now()
        executor = self._executors[bound.action.executor]
        known = True
        try:
            async with asyncio.timeout(self._settings.execution_timeout.total_seconds()):
                result = await executor.run(bound.action, target, execution.idempotency_key)  # (10)
        except TimeoutError:
            known = False
            limit = self._settings.execution_timeout.total_seconds()
            summary = f"no result within {limit:g} s; it may have acted"
            result = self._no_result(summary, started)
        except Exception as error:  # noqa: BLE001 - an executor that broke may have acted: that must be stored
            known = False
            result = self._no_result(f"the executor broke off: {_said(error)}; it may have acted", started)
        result = replace(
            result,
            summary=clean(result.summary, limit=_SUMMARY_LIMIT),
            output=clean(result.output, limit=_OUTPUT_LIMIT),
        )
        state, to = state_after(result, known=known)
        finished: AuditEvent = (
            ExecutionFinished(
                incident_id=execution.incident_id,
                causation_id=execution.id,
                execution_id=execution.id,
                ok=result.ok,
                summary=result.summary,
            )
            if known
            else ExecutionUnknown(
                incident_id=execution.incident_id,
                causation_id=execution.id,
                execution_id=execution.id,
                inspect=execution.inspect,
            )
        )
        moved = IncidentMoved(
            incident_id=execution.incident_id,
            causation_id=execution.id,
            before=IncidentState.EXECUTING.value,
            after=to.value,
            reason=result.summary,
        )
        await self._store.finish(execution.id, result, to, [finished, moved])  # (11)
        return replace(execution, state=state, result=result)

    def _no_result(self, summary: str, started: datetime) -> ExecutionResult:
        return ExecutionResult(
            ok=False, summary=summary, output="", started_at=started, finished_at=self._clock.now()
        )

    async def _refuse_unread(self, request_id: RequestId, refusal: GateRefusal) -> GateRefusal:
        """Rows that cannot be read cannot be ended either; the ledger still says what happened."""
        await self._store.refuse(
            request_id, _NO_VERSION, refusal.detail, [refusal_event(None, request_id, refusal)]
        )
        return refusal

    async def _refuse(self, case: GateCase, refusal: GateRefusal) -> GateRefusal:
        events: list[AuditEvent] = []
        if refusal.policy is not None:
            events.append(policy_event(case, refusal.policy))
        events.append(refusal_event(case.incident.id, case.request.id, refusal))
        ends = refusal.reason is not Refusal.ALREADY_CLAIMED
        version = case.request.version if ends else _NO_VERSION
        await self._store.refuse(case.request.id, version, f"gate: {refusal.detail}", events)
        return refusal


def idempotency_key(statement: ApprovalStatement) -> str:
    """One approval, one key, for ever: SHA-256 over request, nonce and action digest."""
    return digest("\n".join((statement.request_id, statement.nonce, statement.digest)).encode())


def _said(error: BaseException) -> str:
    """What an error says to people: our own errors in full, others by name, as they may quote secrets."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) if isinstance(error, AssentError) else type(error).__name__


async def _uncancelled(run: Coroutine[None, None, Execution | GateRefusal]) -> Execution | GateRefusal:
    """Let a run end even when whoever waits for it is cancelled, however often; then pass that on."""
    task = asyncio.create_task(run)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled from (None if task.cancelled() else task.exception())
    return task.result()
