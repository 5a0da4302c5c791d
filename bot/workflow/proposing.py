"""A typed action for an incident → dry run, risk, policy → a proposal and its approval request.

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
from bot.domain.diagnosis import Band, Diagnosis, DiagnosisVerdict, SuggestedAction
from bot.domain.errors import InputError, Unavailable
from bot.domain.evidence import Evidence
from bot.domain.graph import EDGE_LIFE
from bot.domain.ids import Digest, PersonId, ProposalId, RandomToken, RequestId, new_id
from bot.domain.incident import Incident, IncidentState
from bot.domain.proposal import Action, ActionSpec, Proposal, Remediation, RemediationKind, Risk, Target
from bot.ports import IncidentStore, Job, JobKind, Transaction
from bot.workflow.investigation import evidence_digest
from bot.workflow.moving import move

_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalSettings:
    """Time to decide by risk, reminders in percent of it, and how old a proposal may grow."""

    timeouts: Mapping[Risk, timedelta]
    reminders: tuple[int, ...]
    per_person_per_hour: int
    proposal_max_age: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A proposal with policy's word on it."""

    proposal: Proposal
    decision: Decision

    @property
    def allowed(self) -> bool:
        """Whether people may be asked."""
        return self.decision.kind is DecisionKind.REQUIRE_REVIEW and self.decision.requirement is not None


class Proposing:
    """Prepares proposals and stores them with their requests, whoever wants them."""

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

    def remediation(
        self, incident: Incident, kind: RemediationKind, *reasons: str, command: str | None = None
    ) -> Remediation:
        """How the search for a fix ended, for the incident's present run."""
        return Remediation(
            incident_id=incident.id,
            run=incident.run,
            kind=kind,
            at=self._clock.now(),
            command=command,
            reasons=reasons,
        )

    async def prepare(
        self,
        incident: Incident,
        diagnosis: Diagnosis,
        suggestion: SuggestedAction | None,
        evidence: tuple[Evidence, ...],
        requester: PersonId | None,
    ) -> Prepared | Remediation:
        if suggestion is None:
            return self.remediation(incident, RemediationKind.NONE)
        spec = self._catalogue.get(suggestion.action)
        if spec is None:
            return self.remediation(
                incident, RemediationKind.UNAVAILABLE, f"{suggestion.action} is not in the catalogue"
            )
        inspector = self._inspectors.get(spec.executor)
        if inspector is None:
            return self.remediation(
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
            return self.remediation(incident, RemediationKind.UNAVAILABLE, str(error))
        command = inspector.human_command(action)
        if not self._execution_enabled:
            return self.remediation(
                incident,
                RemediationKind.ADVISORY,
                "execution is not enabled, so this is advice only",
                command=command,
            )
        if not dry_run.ok:
            return self.remediation(
                incident, RemediationKind.UNAVAILABLE, f"dry run: {dry_run.summary}", command=command
            )
        if incident.quiet:
            reason = (
                f"the alert is for the digest, so nobody is asked; to be asked: rerun {incident.short_id}"
            )
            return self.remediation(incident, RemediationKind.ADVISORY, reason, command=command)
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
        return Prepared(
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
                band=_band(diagnosis).value,
                evidence_age=(now - diagnosis.at).total_seconds(),
                recent_executions=recent,
                requester=proposal.requested_by,
                stage="proposal",
                at=now,
            )
        )

    async def store(self, tx: Transaction, incident: Incident, prepared: Prepared) -> Remediation:
        """Store the proposal and, where policy allows it, the request; return what came of it, not stored."""
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
        if prepared.allowed and decision.requirement is not None:
            await self._open_request(tx, incident, proposal, decision, decision.requirement)
        return Remediation(
            incident_id=incident.id,
            run=incident.run,
            kind=RemediationKind.PROPOSED if prepared.allowed else RemediationKind.DENIED,
            at=now,
            proposal_id=proposal.id,
            command=self._inspectors[proposal.action.executor].human_command(proposal.action),
            reasons=decision.reasons,
            rules=decision.rules,
        )

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


def _band(diagnosis: Diagnosis) -> Band:
    """How sure we are that it is worth acting: where no cause was found, not at all."""
    return Band.LOW if diagnosis.verdict is DiagnosisVerdict.INCONCLUSIVE else diagnosis.band


def reminder_at(request: ApprovalRequest, percent: int) -> datetime:
    """When ``percent`` of the time to decide has passed."""
    return request.created_at + (request.expires_at - request.created_at) * percent / 100


def _described(suggestion: SuggestedAction) -> str:
    params = " ".join(f"{name}={value}" for name, value in sorted(suggestion.params.items()))
    return f"{suggestion.action} {params}".strip()
