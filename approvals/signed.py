"""What was signed, as it is read back from a verified envelope."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from approvals.model import ApprovalRequest, Identity, Means, Requirement, Review, ReviewVerdict
from bot.domain.ids import Digest, IncidentId, PersonId, ProposalId, RequestId, ReviewId


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewStatement:
    """What the bot signed when it accepted one person's verdict."""

    digest: Digest
    review_id: ReviewId
    request_id: RequestId
    proposal_id: ProposalId
    incident_id: IncidentId
    nonce: str
    policy_hash: str
    evidence_digest: str
    target_uid: str
    expires_at: datetime
    reviewer: PersonId
    identity: Identity
    verdict: ReviewVerdict
    means: Means
    platform_event_id: str
    at: datetime
    reason: str | None

    def matches(self, review: Review, request: ApprovalRequest) -> bool:
        """True when the row says exactly what was signed, for exactly this request."""
        return (
            self.review_id == review.id
            and self.request_id == review.request_id
            and self.reviewer == review.reviewer
            and self.identity == review.identity
            and self.verdict == review.verdict
            and self.means == review.means
            and self.platform_event_id == review.platform_event_id
            and self.at == review.at
            and self.reason == review.reason
            and self.request_id == request.id
            and self.digest == request.proposal_digest
            and self.proposal_id == request.proposal_id
            and self.incident_id == request.incident_id
            and self.nonce == request.nonce
            and self.policy_hash == request.policy_hash
            and self.evidence_digest == request.evidence_digest
            and self.target_uid == request.target_uid
            and self.expires_at == request.expires_at
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedReview:
    """One review as the approval lists it; ``envelope_digest`` is the SHA-256 of its own envelope."""

    review_id: ReviewId
    reviewer: PersonId
    identity: Identity
    means: Means
    platform_event_id: str
    at: datetime
    envelope_digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalStatement:
    """What the bot signed when the quorum was there: the only thing that can open the gate."""

    digest: Digest
    request_id: RequestId
    proposal_id: ProposalId
    incident_id: IncidentId
    nonce: str
    policy_hash: str
    evidence_digest: str
    target_uid: str
    requirement: Requirement
    requested_by: PersonId | None
    created_at: datetime
    expires_at: datetime
    proposed_at: datetime
    proposal_expires_at: datetime
    at: datetime
    reviews: tuple[CountedReview, ...]

    def matches(self, request: ApprovalRequest) -> bool:
        """True when the stored request is the one that was signed, field by field."""
        return (
            self.request_id == request.id
            and self.digest == request.proposal_digest
            and self.proposal_id == request.proposal_id
            and self.incident_id == request.incident_id
            and self.nonce == request.nonce
            and self.policy_hash == request.policy_hash
            and self.evidence_digest == request.evidence_digest
            and self.target_uid == request.target_uid
            and self.requirement == request.requirement
            and self.requested_by == request.requested_by
            and self.created_at == request.created_at
            and self.expires_at == request.expires_at
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointStatement:
    """The ledger's size and head hash at a moment."""

    size: int
    head_hash: bytes
    at: datetime
