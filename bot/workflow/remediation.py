"""A diagnosis with a known fix → a typed proposal → policy → an approval request.

Nothing here can run anything: it holds inspectors, which only read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from approvals.blast import with_dependents
from approvals.catalogue import build_proposal
from approvals.model import ApprovalRequest, Decision, DecisionKind, RequestState, Requirement
from approvals.policy import PolicyGuard, PolicyQuestion, RiskSettings, compute_risk
from approvals.ports import Inspector, Signer
from approvals.statement import sign_request
from bot.domain.audit import PolicyDecided, ProposalCreated, RequestOpened
from bot.domain.clock import Clock, to_rfc3339
from bot.domain.diagnosis import Diagnosis, SuggestedAction
from bot.domain.errors import InputError, Unavailable
from bot.domain.evidence import Evidence
from bot.domain.graph import EDGE_LIFE
from bot.domain.ids import Digest, IncidentId, PersonId, ProposalId, RandomToken, RequestId, new_id
from bot.domain.incident import Incident, IncidentState
from bot.domain.outcome import ExecutionResult
from bot.domain.proposal import (
    Action,
    ActionSpec,
    Proposal,
    Remediation,
    RemediationKind,
    Risk,
    Target,
)
from bot.messages.words import CALIBRATION
from bot.ports import IncidentStore, Job, JobKind, Reading, Transaction
from bot.workflow.investigation import evidence_digest
from bot.workflow.moving import move
from bot.workflow.own_alerts import MANUAL_SOURCE, REQUESTED_BY

_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalSettings:
    """Time to decide by risk, reminders in percent of it, and how old a proposal may grow."""

    timeouts: Mapping[Risk, timedelta]
    reminders: tuple[int, ...]
    per_person_per_hour: int
    proposal_max_age: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """A proposal with policy's word on it."""

    proposal: Proposal
    decision: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """Something to decide about; without a suggestion the decision is that there is nothing to propose."""

    suggestion: SuggestedAction | None


class Remediating:
    """Turns the suggestion of a diagnosis into a proposal, once per run; and offers to undo an action that
    verification found not to have helped."""

    def __init__(
        self,
        store: IncidentStore,
        catalogue: Mapping[str, ActionSpec],
        inspectors: Mapping[str, Inspector],
        policy: PolicyGuard,
        risk: RiskSettings,
        settings: ApprovalSettings,
        signer: Callable[[], Signer],
        clock: Clock,
        token: RandomToken,
        *,
        execution_enabled: bool,
        calibration: bool = False,
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._inspectors = inspectors
        self._policy = policy
        self._risk = risk
        self._settings = settings
        self._signer = signer
        self._clock = clock
        self._token = token
        self._execution_enabled = execution_enabled
        self._calibration = calibration

    async def run(self, subject: str) -> None:
        if self._calibration:
            await self._offer_nothing(IncidentId(subject))
            return
        async with self._store.reading() as rows:
            incident = await rows.incident(IncidentId(subject))
            diagnosis = await rows.latest_diagnosis(IncidentId(subject))
            if incident is None or diagnosis is None:
                return
            wanted = await self._wanted(rows, incident, diagnosis)
            if wanted is None:
                return
            evidence = tuple(await rows.evidence_of(incident.id, incident.run))
            requester = await _requester(rows, incident)
        prepared = await self._prepare(incident, diagnosis, wanted.suggestion, evidence, requester)
        async with self._store.transaction() as tx:
            current = await tx.incident(incident.id)
            if current is None or current.state is not incident.state or current.run != incident.run:
                return
            if isinstance(prepared, Remediation):
                await tx.add_remediation(prepared)
            else:
                await self._store_proposal(tx, current, prepared)

    async def _offer_nothing(self, incident_id: IncidentId) -> None:
        """Settle the run's remediation without looking at what it would be. An action of before that failed
        stays as it is: what would undo it may be offered once calibration is over."""
        async with self._store.transaction() as tx:
            incident = await tx.incident(incident_id)
            if incident is None or incident.state is not IncidentState.DIAGNOSED:
                return
            done = await tx.remediation_of(incident_id)
            if done is None or done.run < incident.run:
                await tx.add_remediation(self._remediation(incident, RemediationKind.NONE, CALIBRATION))

    async def _wanted(self, rows: Reading, incident: Incident, diagnosis: Diagnosis) -> _Wanted | None:
        """What this incident wants done that no remediation has dealt with; None where that is nothing."""
        done = await rows.remediation_of(incident.id)
        if incident.state is IncidentState.DIAGNOSED:
            if done is not None and done.run == incident.run:
                return None
            return _Wanted(suggestion=diagnosis.suggestion)
        if incident.state is not IncidentState.FAILED:
            return None
        executions = await rows.executions_of(incident.id)
        if not executions or executions[-1].result is None:
            return None
        last, result = executions[-1], executions[-1].result
        outcomes = await rows.outcomes_of(last.id)
        proposal = await rows.proposal(last.proposal_id)
        if not outcomes or proposal is None or (done is not None and done.at > outcomes[-1].at):
            return None
        undo = self._undo(proposal, result)
        return None if undo is None else _Wanted(suggestion=undo)

    def _undo(self, proposal: Proposal, result: ExecutionResult) -> SuggestedAction | None:
        inspector = self._inspectors.get(proposal.action.executor)
        action = inspector.compensation(proposal.action, result) if inspector is not None else None
        if action is None or action.name != self._catalogue[proposal.action.name].compensating:
            return None
        return SuggestedAction(
            action=action.name,
            params=action.params,
            target=proposal.target.name,
            why=f"{proposal.action.name} did not help ({result.summary}); this undoes it",
            evidence_ids=proposal.rationale_evidence_ids,
        )

    def _remediation(
        self, incident: Incident, kind: RemediationKind, *reasons: str, command: str | None = None
    ) -> Remediation:
        return Remediation(
            incident_id=incident.id,
            run=incident.run,
            kind=kind,
            at=self._clock.now(),
            command=command,
            reasons=reasons,
        )

    async def _prepare(
        self,
        incident: Incident,
        diagnosis: Diagnosis,
        suggestion: SuggestedAction | None,
        evidence: tuple[Evidence, ...],
        requester: PersonId | None,
    ) -> _Prepared | Remediation:
        if suggestion is None:
            return self._remediation(incident, RemediationKind.NONE)
        spec = self._catalogue.get(suggestion.action)
        if spec is None:
            return self._remediation(
                incident, RemediationKind.UNAVAILABLE, f"{suggestion.action} is not in the catalogue"
            )
        inspector = self._inspectors.get(spec.executor)
        if inspector is None:
            return self._remediation(
                incident,
                RemediationKind.ADVISORY,
                f"no executor “{spec.executor}” is configured, so this is advice only",
                command=_described(suggestion),
            )
        try:
            action = Action(
                name=spec.name, executor=spec.executor, params=spec.check_params(suggestion.params)
            )
            target = await self._with_dependents(await inspector.locate(action))
            dry_run = await inspector.dry_run(action, target)
        except (InputError, Unavailable) as error:
            return self._remediation(incident, RemediationKind.UNAVAILABLE, str(error))
        command = inspector.human_command(action)
        if not self._execution_enabled:
            return self._remediation(
                incident,
                RemediationKind.ADVISORY,
                "execution is not enabled, so this is advice only",
                command=command,
            )
        if not dry_run.ok:
            return self._remediation(
                incident, RemediationKind.UNAVAILABLE, f"dry run: {dry_run.summary}", command=command
            )
        if incident.quiet:
            reason = (
                f"the alert is for the digest, so nobody is asked; to be asked: rerun {incident.short_id}"
            )
            return self._remediation(incident, RemediationKind.ADVISORY, reason, command=command)
        now = self._clock.now()
        proposal = build_proposal(
            id=ProposalId(new_id("pro", self._token)),
            spec=spec,
            params=action.params,
            target=target,
            dry_run=dry_run,
            incident=incident,
            rationale=suggestion.why,
            evidence_ids=suggestion.evidence_ids,
            evidence_digest=Digest(evidence_digest(evidence)),
            requested_by=requester,
            risk=compute_risk(spec, target, incident, self._risk),
            now=now,
            max_age=self._settings.proposal_max_age,
        )
        return _Prepared(
            proposal=proposal,
            decision=await self._decide(incident, diagnosis, spec, action, target, proposal, now),
        )

    async def _with_dependents(self, target: Target) -> Target:
        async with self._store.reading() as rows:
            return with_dependents(target, await rows.edges(self._clock.now() - EDGE_LIFE))

    async def _decide(
        self,
        incident: Incident,
        diagnosis: Diagnosis,
        spec: ActionSpec,
        action: Action,
        target: Target,
        proposal: Proposal,
        now: datetime,
    ) -> Decision:
        async with self._store.reading() as rows:
            recent = await rows.recent_executions(target.name, now - _HOUR)
        return await self._policy.decide(
            PolicyQuestion(
                spec=spec,
                action=action,
                target=target,
                incident=incident,
                risk=proposal.risk,
                band=diagnosis.band.value,
                evidence_age=(now - diagnosis.at).total_seconds(),
                recent_executions=recent,
                requester=proposal.requested_by,
                stage="proposal",
                at=now,
            )
        )

    async def _store_proposal(self, tx: Transaction, incident: Incident, prepared: _Prepared) -> None:
        proposal, decision = prepared.proposal, prepared.decision
        now = proposal.created_at
        await tx.add_proposal(proposal)
        await tx.record(
            ProposalCreated(
                incident_id=incident.id,
                proposal_id=proposal.id,
                action=proposal.action.name,
                target=proposal.target.name,
                target_uid=proposal.target.uid,
                risk=proposal.risk.value,
                digest=proposal.digest,
                dry_run_ok=proposal.dry_run.ok,
            ),
            PolicyDecided(
                incident_id=incident.id,
                proposal_id=proposal.id,
                stage="proposal",
                decision=decision.kind.value,
                rules=decision.rules,
                reasons=decision.reasons,
                policy_hash=decision.policy_hash,
            ),
        )
        denied = decision.kind is not DecisionKind.REQUIRE_REVIEW or decision.requirement is None
        await tx.add_remediation(
            Remediation(
                incident_id=incident.id,
                run=incident.run,
                kind=RemediationKind.DENIED if denied else RemediationKind.PROPOSED,
                at=now,
                proposal_id=proposal.id,
                command=self._inspectors[proposal.action.executor].human_command(proposal.action),
                reasons=decision.reasons,
                rules=decision.rules,
            )
        )
        if decision.requirement is not None and not denied:
            await self._open_request(tx, incident, proposal, decision, decision.requirement)

    async def _open_request(
        self,
        tx: Transaction,
        incident: Incident,
        proposal: Proposal,
        decision: Decision,
        requirement: Requirement,
    ) -> None:
        now = proposal.created_at
        request = ApprovalRequest(
            id=RequestId(new_id("req", self._token)),
            incident_id=incident.id,
            proposal_id=proposal.id,
            proposal_digest=proposal.digest,
            state=RequestState.PENDING,
            requirement=requirement,
            created_at=now,
            expires_at=now + self._settings.timeouts[proposal.risk],
            nonce=self._token(16),
            policy_hash=decision.policy_hash,
            evidence_digest=proposal.evidence_digest,
            target_uid=proposal.target.uid,
            requested_by=proposal.requested_by,
        )
        request = replace(request, envelope=sign_request(self._signer(), request))
        await tx.add_request(request)
        await tx.record(
            RequestOpened(
                incident_id=incident.id,
                request_id=request.id,
                proposal_id=proposal.id,
                digest=proposal.digest,
                count=requirement.count,
                roles=requirement.roles,
                strength=requirement.strength.label,
                expires_at=to_rfc3339(request.expires_at),
                nonce=request.nonce,
            )
        )
        reason = f"{proposal.action.name} is proposed"
        await move(tx, incident, IncidentState.AWAITING_APPROVAL, reason, now)
        await tx.enqueue(Job(kind=JobKind.EXPIRE, subject=request.id), request.expires_at)
        for percent in self._settings.reminders:
            await tx.enqueue(Job(kind=JobKind.REMIND, subject=request.id), reminder_at(request, percent))


def reminder_at(request: ApprovalRequest, percent: int) -> datetime:
    """When ``percent`` of the time to decide has passed."""
    return request.created_at + (request.expires_at - request.created_at) * percent / 100


def _described(suggestion: SuggestedAction) -> str:
    params = " ".join(f"{name}={value}" for name, value in sorted(suggestion.params.items()))
    return f"{suggestion.action} {params}".strip()


async def _requester(rows: Reading, incident: Incident) -> PersonId | None:
    """Who asked for the investigation by hand: that person may not approve what comes of it."""
    if incident.source != MANUAL_SOURCE:
        return None
    alerts = await rows.current_alerts(incident.id, 1)
    return PersonId(alerts[0].alert.labels[REQUESTED_BY]) if alerts else None
