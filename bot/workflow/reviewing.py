"""A person's gesture → a review → perhaps a signed approval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from approvals.canonical import digest
from approvals.catalogue import action_class
from approvals.model import (
    ApprovalRequest,
    Directory,
    Identity,
    Means,
    RequestState,
    Review,
    ReviewVerdict,
)
from approvals.ports import EnvelopeVerifier, Signer
from approvals.review import Effect, EffectKind, apply_review, withdraw_review
from approvals.statement import check_request, sign_approval, sign_review
from bot.domain.audit import (
    ApprovalSigned,
    RequestEnded,
    ReviewRecorded,
    ReviewRefused,
    ReviewWithdrawn,
)
from bot.domain.clock import Clock
from bot.domain.errors import IntegrityError
from bot.domain.ids import PersonId, RandomToken, ReviewId, new_id
from bot.domain.incident import IncidentState
from bot.domain.proposal import Proposal
from bot.ports import Job, JobKind, Transaction
from bot.telemetry import Metrics
from bot.workflow.moving import move
from bot.workflow.proposing import ApprovalSettings

_HOUR = timedelta(hours=1)

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gesture:
    """What somebody did: who, by what means, on which platform event."""

    identity: Identity
    verdict: ReviewVerdict
    means: Means
    platform_event_id: str
    reason: str | None = None


class Reviewing:
    """Applies gestures to requests inside the caller's transaction."""

    def __init__(
        self,
        directory: Directory,
        signer: Callable[[], Signer],
        verifier: EnvelopeVerifier,
        settings: ApprovalSettings,
        clock: Clock,
        token: RandomToken,
        metrics: Metrics,
    ) -> None:
        self._directory = directory
        self._signer = signer
        self._verifier = verifier
        self._settings = settings
        self._clock = clock
        self._token = token
        self._metrics = metrics

    async def review(self, tx: Transaction, request: ApprovalRequest, gesture: Gesture) -> Effect:
        """Apply one gesture and return its effect. Raises StaleWrite when somebody else was first."""
        now = self._clock.now()
        proposal = await tx.proposal(request.proposal_id)
        if proposal is None:
            raise IntegrityError(f"request {request.id} has no stored proposal")
        if gesture.verdict is ReviewVerdict.APPROVE and (why := self._altered(request, proposal)):
            _log.critical("request_altered", request=request.id, reason=why)
            effect = Effect(kind=EffectKind.REFUSED, reason="request_altered", hint=why)
            await tx.record(self._refused(request, gesture, effect))
            return effect
        person = self._directory.person(gesture.identity)
        review = Review(
            id=ReviewId(new_id("rev", self._token)),
            request_id=request.id,
            reviewer=person.id if person is not None else PersonId(""),
            identity=gesture.identity,
            verdict=gesture.verdict,
            means=gesture.means,
            platform_event_id=gesture.platform_event_id,
            at=now,
            reason=gesture.reason,
        )
        earlier = await tx.reviews_of(request.id)
        incident = await tx.incident(request.incident_id)
        opened = any(e.request_id == request.id for e in await tx.executions_of(request.incident_id))
        recent = await tx.approvals_by(person.id, now - _HOUR) if person is not None else 0
        changed, effect = apply_review(
            request,
            review,
            earlier=earlier,
            reviewer=person,
            is_bot=self._directory.is_bot(gesture.identity),
            recent_approvals=recent,
            hourly_limit=self._settings.per_person_per_hour,
            action_class=action_class(proposal.action.name),
            opened=opened,
            now=now,
            short_id=incident.short_id if incident is not None else "",
        )
        if effect.kind in (EffectKind.REFUSED, EffectKind.DUPLICATE):
            await tx.record(self._refused(request, gesture, effect))
            return effect
        signed = replace(review, envelope=sign_review(self._signer(), review, request))
        if not await tx.add_review(signed):
            return Effect(
                kind=EffectKind.DUPLICATE, reason="same_event", hint=None, approvals=effect.approvals
            )
        await tx.record(self._recorded(request, signed, effect))
        if changed != request:
            await tx.save_request(changed)
            if request.state is RequestState.APPROVED:
                await tx.remove_approval(request.id)
        self._metrics.approvals.labels(decision=gesture.verdict.value, means=gesture.means.value).inc()
        match effect.kind:
            case EffectKind.APPROVED:
                standing = [review for review in earlier if review.withdrawn_at is None]
                await self._approved(tx, changed, proposal, [*standing, signed], now)
            case EffectKind.REJECTED:
                await self._rejected(tx, changed, now)
            case _:
                pass
        return effect

    async def withdraw(self, tx: Transaction, review: Review, platform_event_id: str) -> Effect | None:
        """Take back a review whose reaction was removed; None where that request has gone."""
        now = self._clock.now()
        request = await tx.request(review.request_id)
        if request is None or review.withdrawn_at is not None:
            return None
        opened = any(e.request_id == request.id for e in await tx.executions_of(request.incident_id))
        remaining = [r for r in await tx.reviews_of(request.id) if r.id != review.id]
        changed, effect = withdraw_review(request, review, remaining=remaining, opened=opened, now=now)
        await tx.record(
            ReviewWithdrawn(
                incident_id=request.incident_id,
                request_id=request.id,
                review_id=review.id,
                person=review.reviewer,
                platform_event_id=platform_event_id,
                effect=effect.kind.value,
            )
        )
        if effect.kind is not EffectKind.WITHDRAWN:
            return effect
        await tx.withdraw_review(review.id, now)
        # Saved even when the state stays: a gate that is about to claim must see another version.
        await tx.save_request(changed)
        if request.state is RequestState.APPROVED:
            await tx.remove_approval(request.id)
            await tx.enqueue(Job(kind=JobKind.EXPIRE, subject=request.id), request.expires_at)
        return effect

    def _altered(self, request: ApprovalRequest, proposal: Proposal) -> str | None:
        """Why the stored rows are not what people were asked about; None while they are."""
        try:
            check_request(self._verifier, request)
        except IntegrityError as error:
            return f"The store was tampered with: {error}. Nothing can be approved here."
        if digest(proposal.canonical_bytes) != request.proposal_digest:
            return "The store was tampered with: the stored action is not the one on the card."
        return None

    async def _approved(
        self,
        tx: Transaction,
        request: ApprovalRequest,
        proposal: Proposal,
        reviews: list[Review],
        now: datetime,
    ) -> None:
        signer = self._signer()
        envelope = sign_approval(signer, request, proposal, reviews, now)
        await tx.add_approval(request.id, envelope)
        await tx.record(
            RequestEnded(
                incident_id=request.incident_id, request_id=request.id, state="approved", reason="quorum"
            ),
            ApprovalSigned(
                incident_id=request.incident_id,
                request_id=request.id,
                digest=request.proposal_digest,
                key_id=signer.key_id,
                envelope_digest=digest(envelope),
                reviewers=tuple(sorted({r.reviewer for r in reviews if r.verdict is ReviewVerdict.APPROVE})),
            ),
        )
        await tx.enqueue(Job(kind=JobKind.EXECUTE, subject=request.id))
        self._metrics.approval_wait_seconds.observe((now - request.created_at).total_seconds())

    async def _rejected(self, tx: Transaction, request: ApprovalRequest, now: datetime) -> None:
        await tx.record(
            RequestEnded(
                incident_id=request.incident_id,
                request_id=request.id,
                state="rejected",
                reason=request.ended_reason or "",
            )
        )
        incident = await tx.incident(request.incident_id)
        if incident is not None and incident.state is IncidentState.AWAITING_APPROVAL:
            await move(tx, incident, IncidentState.REJECTED, "an approver rejected the proposal", now)

    def _refused(self, request: ApprovalRequest, gesture: Gesture, effect: Effect) -> ReviewRefused:
        return ReviewRefused(
            incident_id=request.incident_id,
            request_id=request.id,
            platform=gesture.identity.platform,
            user_id=gesture.identity.user_id,
            verdict=gesture.verdict.value,
            reason=effect.reason or effect.kind.value,
            platform_event_id=gesture.platform_event_id,
        )

    def _recorded(self, request: ApprovalRequest, review: Review, effect: Effect) -> ReviewRecorded:
        return ReviewRecorded(
            incident_id=request.incident_id,
            request_id=request.id,
            review_id=review.id,
            person=review.reviewer,
            platform=review.identity.platform,
            user_id=review.identity.user_id,
            verdict=review.verdict.value,
            means=review.means.value,
            strength=review.strength.label,
            platform_event_id=review.platform_event_id,
            effect=effect.kind.value,
        )
