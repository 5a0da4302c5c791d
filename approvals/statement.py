"""Signed statements: in-toto Statement v1 in a DSSE envelope, with predicate types of our own.

Sources: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md and
https://github.com/secure-systems-lab/dsse/blob/master/envelope.md. The subject of a review and of an approval
is the digest of the proposal's canonical bytes; the subject of a checkpoint is the ledger's head.
Every parser verifies the signature first and raises IntegrityError for anything it does not expect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from approvals.canonical import canonicalize, digest, integer, mapping, members, strict_json, text
from approvals.ledger import Checkpoint, Head
from approvals.model import ApprovalRequest, Identity, Means, Requirement, Review, ReviewVerdict, Strength
from approvals.ports import EnvelopeVerifier, Signer
from approvals.signed import ApprovalStatement, CheckpointStatement, CountedReview, ReviewStatement
from bot.domain.clock import from_rfc3339, to_rfc3339
from bot.domain.errors import IntegrityError
from bot.domain.ids import Digest, IncidentId, PersonId, ProposalId, RequestId, ReviewId
from bot.domain.proposal import Proposal

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
REQUEST_TYPE = "urn:assent:request/v1"
REVIEW_TYPE = "urn:assent:review/v1"
APPROVAL_TYPE = "urn:assent:approval/v1"
CHECKPOINT_TYPE = "urn:assent:checkpoint/v1"

_Word = TypeVar("_Word", Means, ReviewVerdict)


def sign_request(signer: Signer, request: ApprovalRequest) -> bytes:
    """Return the DSSE envelope over the question as it is put to people."""
    return _sign(
        signer,
        REQUEST_TYPE,
        f"proposal:{request.proposal_id}",
        request.proposal_digest,
        {**_request_fields(request), **_terms(request)},
    )


def check_request(verifier: EnvelopeVerifier, request: ApprovalRequest) -> None:
    """Raise IntegrityError unless the stored request is the one that was signed when it was opened.

    State, version and reminders change during its life and are not part of it.
    """
    subject, body = _open(verifier, request.envelope, REQUEST_TYPE)
    if subject != request.proposal_digest or body != {**_request_fields(request), **_terms(request)}:
        raise IntegrityError("the stored request is not the one that was opened")


def sign_review(signer: Signer, review: Review, request: ApprovalRequest) -> bytes:
    """Return the DSSE envelope (JSON bytes) over one accepted review."""
    predicate = {
        **_request_fields(request),
        "review_id": review.id,
        "reviewer": review.reviewer,
        "platform": review.identity.platform,
        "user_id": review.identity.user_id,
        "verdict": review.verdict.value,
        "means": review.means.value,
        "strength": review.strength.label,
        "platform_event_id": review.platform_event_id,
        "at": to_rfc3339(review.at),
        "reason": review.reason,
    }
    return _sign(signer, REVIEW_TYPE, f"proposal:{request.proposal_id}", request.proposal_digest, predicate)


def sign_approval(
    signer: Signer, request: ApprovalRequest, proposal: Proposal, reviews: Sequence[Review], at: datetime
) -> bytes:
    """Return the DSSE envelope over an approved request and the signed reviews that made its quorum."""
    predicate = {
        **_request_fields(request),
        "action": proposal.action.name,
        "target": f"{proposal.target.kind}:{proposal.target.name}",
        **_terms(request),
        "proposed_at": to_rfc3339(proposal.created_at),
        "proposal_expires_at": to_rfc3339(proposal.created_at + proposal.max_age),
        "at": to_rfc3339(at),
        "reviews": [
            {
                "review_id": review.id,
                "reviewer": review.reviewer,
                "platform": review.identity.platform,
                "user_id": review.identity.user_id,
                "means": review.means.value,
                "platform_event_id": review.platform_event_id,
                "at": to_rfc3339(review.at),
                "envelope_sha256": digest(review.envelope),
            }
            for review in reviews
        ],
    }
    return _sign(signer, APPROVAL_TYPE, f"proposal:{request.proposal_id}", request.proposal_digest, predicate)


def sign_checkpoint(signer: Signer, head: Head, at: datetime) -> Checkpoint:
    """Return a signed checkpoint of the ledger as it stands."""
    envelope = _sign(
        signer, CHECKPOINT_TYPE, "ledger", Digest(head.hash.hex()), {"size": head.size, "at": to_rfc3339(at)}
    )
    return Checkpoint(size=head.size, head_hash=head.hash, at=at, envelope=envelope)


def parse_review(verifier: EnvelopeVerifier, envelope: bytes) -> ReviewStatement:
    """Verify and read a review. Raises IntegrityError."""
    subject, body = _open(verifier, envelope, REVIEW_TYPE)
    names = {*_REQUEST_FIELDS, "review_id", "reviewer", "platform", "user_id", "verdict", "means"}
    where = "review"
    body = members(body, {*names, "strength", "platform_event_id", "at", "reason"}, where)
    means = _word(Means, body, "means", where)
    if text(body, "strength", where) != means.strength.label:
        raise IntegrityError("review.strength: does not belong to its means")
    return ReviewStatement(
        digest=subject,
        review_id=ReviewId(text(body, "review_id", where)),
        request_id=RequestId(text(body, "request_id", where)),
        proposal_id=ProposalId(text(body, "proposal_id", where)),
        incident_id=IncidentId(text(body, "incident_id", where)),
        nonce=text(body, "nonce", where),
        policy_hash=text(body, "policy_hash", where),
        evidence_digest=text(body, "evidence_digest", where),
        target_uid=text(body, "target_uid", where),
        expires_at=_time(body, "expires_at", where),
        reviewer=PersonId(text(body, "reviewer", where)),
        identity=Identity(platform=text(body, "platform", where), user_id=text(body, "user_id", where)),
        verdict=_word(ReviewVerdict, body, "verdict", where),
        means=means,
        platform_event_id=text(body, "platform_event_id", where),
        at=_time(body, "at", where),
        reason=_optional(body, "reason", where),
    )


def parse_approval(verifier: EnvelopeVerifier, envelope: bytes) -> ApprovalStatement:
    """Verify and read an approval. Raises IntegrityError."""
    subject, body = _open(verifier, envelope, APPROVAL_TYPE)
    where = "approval"
    names = {*_REQUEST_FIELDS, "action", "target", "requirement", "requested_by", "created_at", "proposed_at"}
    body = members(body, {*names, "proposal_expires_at", "at", "reviews"}, where)
    return ApprovalStatement(
        digest=subject,
        request_id=RequestId(text(body, "request_id", where)),
        proposal_id=ProposalId(text(body, "proposal_id", where)),
        incident_id=IncidentId(text(body, "incident_id", where)),
        nonce=text(body, "nonce", where),
        policy_hash=text(body, "policy_hash", where),
        evidence_digest=text(body, "evidence_digest", where),
        target_uid=text(body, "target_uid", where),
        requirement=_requirement(body["requirement"]),
        requested_by=_person(_optional(body, "requested_by", where)),
        created_at=_time(body, "created_at", where),
        expires_at=_time(body, "expires_at", where),
        proposed_at=_time(body, "proposed_at", where),
        proposal_expires_at=_time(body, "proposal_expires_at", where),
        at=_time(body, "at", where),
        reviews=tuple(_counted_review(item) for item in _array(body, "reviews", where)),
    )


def parse_checkpoint(verifier: EnvelopeVerifier, envelope: bytes) -> CheckpointStatement:
    """Verify and read a checkpoint. Raises IntegrityError."""
    subject, body = _open(verifier, envelope, CHECKPOINT_TYPE)
    body = members(body, {"size", "at"}, "checkpoint")
    size = integer(body, "size", "checkpoint")
    if size < 0:
        raise IntegrityError("checkpoint.size: must not be negative")
    return CheckpointStatement(
        size=size, head_hash=bytes.fromhex(subject), at=_time(body, "at", "checkpoint")
    )


_REQUEST_FIELDS = (
    "request_id",
    "proposal_id",
    "incident_id",
    "nonce",
    "policy_hash",
    "evidence_digest",
    "target_uid",
    "expires_at",
)


def _request_fields(request: ApprovalRequest) -> dict[str, Any]:
    return {
        "request_id": request.id,
        "proposal_id": request.proposal_id,
        "incident_id": request.incident_id,
        "nonce": request.nonce,
        "policy_hash": request.policy_hash,
        "evidence_digest": request.evidence_digest,
        "target_uid": request.target_uid,
        "expires_at": to_rfc3339(request.expires_at),
    }


def _terms(request: ApprovalRequest) -> dict[str, Any]:
    return {
        "requirement": {
            "count": request.requirement.count,
            "roles": list(request.requirement.roles),
            "strength": request.requirement.strength.label,
        },
        "requested_by": request.requested_by,
        "created_at": to_rfc3339(request.created_at),
    }


def _sign(signer: Signer, kind: str, name: str, subject: Digest, predicate: Mapping[str, Any]) -> bytes:
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": subject}}],
        "predicateType": kind,
        "predicate": dict(predicate),
    }
    return signer.sign(PAYLOAD_TYPE, canonicalize(statement))


def _open(verifier: EnvelopeVerifier, envelope: bytes, kind: str) -> tuple[Digest, Mapping[str, Any]]:
    payload = verifier.verify(PAYLOAD_TYPE, envelope)
    top = members(
        strict_json(payload, "statement"), {"_type", "subject", "predicateType", "predicate"}, "statement"
    )
    if top["_type"] != STATEMENT_TYPE:
        raise IntegrityError(f"statement._type: is not {STATEMENT_TYPE}")
    # A review must never pass for an approval, whatever else it says.
    if top["predicateType"] != kind:
        raise IntegrityError(f"statement.predicateType: is not {kind}")
    subjects = _array(top, "subject", "statement")
    if len(subjects) != 1:
        raise IntegrityError("statement.subject: exactly one is needed")
    subject = members(subjects[0], {"name", "digest"}, "statement.subject")
    digests = members(subject["digest"], {"sha256"}, "statement.subject.digest")
    value = text(digests, "sha256", "statement.subject.digest")
    if len(value) != 64 or not set(value) <= set("0123456789abcdef"):
        raise IntegrityError("statement.subject.digest.sha256: must be 64 lower-case hex digits")
    return Digest(value), mapping(top["predicate"], "statement.predicate")


def _array(value: Mapping[str, Any], name: str, where: str) -> list[Any]:
    found = value[name]
    if not isinstance(found, list):
        raise IntegrityError(f"{where}.{name}: must be an array")
    return found


def _optional(value: Mapping[str, Any], name: str, where: str) -> str | None:
    return None if value[name] is None else text(value, name, where)


def _person(value: str | None) -> PersonId | None:
    return None if value is None else PersonId(value)


def _time(value: Mapping[str, Any], name: str, where: str) -> datetime:
    try:
        return from_rfc3339(text(value, name, where))
    except ValueError:
        raise IntegrityError(f"{where}.{name}: must be an RFC 3339 time") from None


def _word(kind: type[_Word], value: Mapping[str, Any], name: str, where: str) -> _Word:
    try:
        return kind(text(value, name, where))
    except ValueError:
        raise IntegrityError(f"{where}.{name}: unknown word") from None


def _requirement(value: Any) -> Requirement:
    where = "approval.requirement"
    found = members(value, {"count", "roles", "strength"}, where)
    roles = _array(found, "roles", where)
    if not all(isinstance(role, str) for role in roles):
        raise IntegrityError(f"{where}.roles: must be texts")
    try:
        strength = Strength.parse(text(found, "strength", where))
    except KeyError:
        raise IntegrityError(f"{where}.strength: unknown word") from None
    count = integer(found, "count", where)
    if count < 1:
        raise IntegrityError(f"{where}.count: must be at least 1")
    return Requirement(count=count, roles=tuple(roles), strength=strength)


def _counted_review(value: Any) -> CountedReview:
    where = "approval.reviews[]"
    names = {"review_id", "reviewer", "platform", "user_id", "means", "platform_event_id", "at"}
    found = members(value, {*names, "envelope_sha256"}, where)
    return CountedReview(
        review_id=ReviewId(text(found, "review_id", where)),
        reviewer=PersonId(text(found, "reviewer", where)),
        identity=Identity(platform=text(found, "platform", where), user_id=text(found, "user_id", where)),
        means=_word(Means, found, "means", where),
        platform_event_id=text(found, "platform_event_id", where),
        at=_time(found, "at", where),
        envelope_digest=Digest(text(found, "envelope_sha256", where)),
    )
