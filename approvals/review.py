"""The rules of review, as pure functions over one request and the reviews it has.

Times: ``now`` and ``Review.at`` are our own clock's. Expiry is judged by the latest time already stored, so a
clock that was set back gives nobody more time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from approvals.model import (
    ApprovalRequest,
    Person,
    RequestState,
    Requirement,
    Review,
    ReviewVerdict,
    Strength,
)
from bot.domain.ids import PersonId


class EffectKind(StrEnum):
    """What a review did. Only ``approved`` and ``rejected`` end a request."""

    APPROVED = "approved"
    REJECTED = "rejected"
    RECORDED = "recorded"
    LATE = "late"
    REFUSED = "refused"
    DUPLICATE = "duplicate"
    WITHDRAWN = "withdrawn"


class RefusedReason(StrEnum):
    """Codes of ``Effect.reason`` for a refused review."""

    BOT = "bot"
    UNKNOWN_IDENTITY = "unknown_identity"
    WRONG_REVIEWER = "wrong_reviewer"
    WRONG_REQUEST = "wrong_request"
    NOT_AUTHORISED = "not_authorised"
    OWN_REQUEST = "own_request"
    TOO_WEAK = "strength_too_low"
    RATE_LIMITED = "rate_limited"


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What came of a review: ``reason`` is a code, ``hint`` one sentence for the reviewer alone,
    ``approvals`` how many distinct people's approvals count now."""

    kind: EffectKind
    reason: str | None = None
    hint: str | None = None
    approvals: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The first standing decision of each person: ``approvals`` count towards the quorum."""

    approvals: tuple[Review, ...]
    rejections: tuple[Review, ...]

    @property
    def count(self) -> int:
        return len(self.approvals)


def counted(
    reviews: Sequence[Review],
    requirement: Requirement,
    *,
    requested_by: PersonId | None = None,
    expires_at: datetime | None = None,
) -> Tally:
    """Count each person's first standing decision, in the order given.

    Not counted: withdrawn reviews, the requester's, those given at or after ``expires_at``, and approvals by
    means weaker than the requirement. A rejection counts by whatever means: saying no needs no proof.
    """
    seen: set[PersonId] = set()
    approvals: list[Review] = []
    rejections: list[Review] = []
    for review in reviews:
        if review.withdrawn_at is not None or review.reviewer in seen or review.reviewer == requested_by:
            continue
        if expires_at is not None and review.at >= expires_at:
            continue
        if review.verdict is ReviewVerdict.REJECT:
            seen.add(review.reviewer)
            rejections.append(review)
        elif review.strength >= requirement.strength:
            seen.add(review.reviewer)
            approvals.append(review)
    return Tally(approvals=tuple(approvals), rejections=tuple(rejections))


def may_review(person: Person, requirement: Requirement, action_class: str) -> bool:
    """True when the person approves this class of action and holds one of the roles policy asks for.

    ``approver:*`` stands for every ``approver:<class>``. No roles asked for means nobody, not everybody.
    """
    if not {"approver:*", f"approver:{action_class}"} & person.roles:
        return False
    return any(
        role in person.roles or (role.startswith("approver:") and "approver:*" in person.roles)
        for role in requirement.roles
    )


def apply_review(
    request: ApprovalRequest,
    review: Review,
    *,
    earlier: Sequence[Review],
    reviewer: Person | None,
    is_bot: bool,
    recent_approvals: int,
    hourly_limit: int,
    action_class: str,
    opened: bool,
    now: datetime,
    short_id: str = "<id>",
) -> tuple[ApprovalRequest, Effect]:
    """Return the request as the review leaves it, and what the review did.

    ``earlier`` are the request's stored reviews in the order they were recorded, withdrawn ones included;
    ``reviewer`` is who the configuration says the identity is, ``recent_approvals`` how many approvals that
    person gave in the last hour, ``opened`` whether the gate has claimed the approval. ``short_id`` is what
    people type for the incident, for the hint.

    An approval of an approved request that the gate has not opened yet is recorded, and a rejection of it
    wins; after the gate opened every review is late. The caller stores reviews whose effect is approved,
    rejected, recorded or late, signed; and takes the signed approval away when an approved request is left
    in another state.
    """
    standing = counted(
        earlier, request.requirement, requested_by=request.requested_by, expires_at=request.expires_at
    )
    refusal = _refusal(request, review, reviewer, is_bot=is_bot, action_class=action_class)
    if refusal is not None:
        return request, replace(refusal, approvals=standing.count)
    if any(_same_event(review, other) for other in earlier):
        return request, Effect(kind=EffectKind.DUPLICATE, reason="same_event", approvals=standing.count)
    if _ended(request, opened=opened) or _latest(now, request, earlier) >= request.expires_at:
        return request, Effect(
            kind=EffectKind.LATE, reason=_why_late(request, opened), approvals=standing.count
        )
    if any(other.reviewer == review.reviewer and other.withdrawn_at is None for other in earlier):
        hint = "Your first decision stands. Take it back by removing your reaction, then decide again."
        return request, Effect(
            kind=EffectKind.DUPLICATE, reason="decided_already", hint=hint, approvals=standing.count
        )
    if review.verdict is ReviewVerdict.REJECT:
        rejected = replace(
            request,
            state=RequestState.REJECTED,
            ended_at=now,
            ended_reason=f"rejected by {review.reviewer}",
        )
        return rejected, Effect(kind=EffectKind.REJECTED, approvals=standing.count)
    if review.strength < request.requirement.strength:
        return request, Effect(
            kind=EffectKind.REFUSED,
            reason=RefusedReason.TOO_WEAK,
            hint=_how_to_approve(request.requirement.strength, short_id),
            approvals=standing.count,
        )
    if recent_approvals >= hourly_limit:
        hint = f"You gave {recent_approvals} approvals in the last hour; the limit is {hourly_limit}."
        return request, Effect(
            kind=EffectKind.REFUSED, reason=RefusedReason.RATE_LIMITED, hint=hint, approvals=standing.count
        )
    approvals = standing.count + 1
    if request.state is RequestState.PENDING and approvals >= request.requirement.count:
        approved = replace(
            request, state=RequestState.APPROVED, ended_at=now, ended_reason=f"{approvals} approved"
        )
        return approved, Effect(kind=EffectKind.APPROVED, approvals=approvals)
    return request, Effect(kind=EffectKind.RECORDED, approvals=approvals)


def withdraw_review(
    request: ApprovalRequest,
    review: Review,
    *,
    remaining: Sequence[Review],
    opened: bool,
    now: datetime,
) -> tuple[ApprovalRequest, Effect]:
    """Take back one stored review. ``remaining`` are the request's other reviews, in recorded order.

    Only before the gate opened. An approved request is pending again, whoever else approved it: its signed
    approval names the withdrawn review and must be taken away. A rejection is final.
    """
    tally = counted(
        [other for other in remaining if other.id != review.id],
        request.requirement,
        requested_by=request.requested_by,
        expires_at=request.expires_at,
    )
    if review.withdrawn_at is not None:
        return request, Effect(kind=EffectKind.DUPLICATE, reason="withdrawn_already", approvals=tally.count)
    late = _latest(now, request, [review, *remaining]) >= request.expires_at
    if _ended(request, opened=opened) or (late and request.state is RequestState.PENDING):
        return request, Effect(kind=EffectKind.LATE, reason=_why_late(request, opened), approvals=tally.count)
    effect = Effect(kind=EffectKind.WITHDRAWN, approvals=tally.count)
    if request.state is RequestState.APPROVED and review.verdict is ReviewVerdict.APPROVE:
        return replace(request, state=RequestState.PENDING, ended_at=None, ended_reason=None), effect
    return request, effect


def expire(request: ApprovalRequest, now: datetime) -> ApprovalRequest | None:
    """Return the request as expired when it is pending and its time is over, else None."""
    if request.state is not RequestState.PENDING or now < request.expires_at:
        return None
    return replace(request, state=RequestState.EXPIRED, ended_at=now, ended_reason="nobody decided in time")


def _refusal(
    request: ApprovalRequest, review: Review, reviewer: Person | None, *, is_bot: bool, action_class: str
) -> Effect | None:
    if is_bot:
        return _refused(RefusedReason.BOT, "A bot cannot review.")
    if reviewer is None:
        return _refused(
            RefusedReason.UNKNOWN_IDENTITY,
            "The configuration does not know you; an operator can add you under `people`.",
        )
    # The caller resolves who it is; a review that names somebody else is never counted for them.
    if reviewer.id != review.reviewer or review.identity not in reviewer.identities:
        return _refused(RefusedReason.WRONG_REVIEWER, "This review does not belong to your account.")
    if review.request_id != request.id:
        return _refused(RefusedReason.WRONG_REQUEST, "This review belongs to another request.")
    if not may_review(reviewer, request.requirement, action_class):
        needed = " or ".join(request.requirement.roles) or f"approver:{action_class}"
        return _refused(RefusedReason.NOT_AUTHORISED, f"You need the role {needed} to decide this.")
    if reviewer.id == request.requested_by:
        return _refused(RefusedReason.OWN_REQUEST, "You asked for this; somebody else has to decide.")
    return None


def _refused(reason: RefusedReason, hint: str) -> Effect:
    return Effect(kind=EffectKind.REFUSED, reason=reason, hint=hint)


def _same_event(review: Review, other: Review) -> bool:
    return review.id == other.id or (review.identity.platform, review.platform_event_id) == (
        other.identity.platform,
        other.platform_event_id,
    )


def _ended(request: ApprovalRequest, *, opened: bool) -> bool:
    return opened or request.state not in (RequestState.PENDING, RequestState.APPROVED)


def _why_late(request: ApprovalRequest, opened: bool) -> str:
    if opened:
        return "opened"
    return "expired" if request.state is RequestState.PENDING else request.state.value


def _latest(now: datetime, request: ApprovalRequest, reviews: Sequence[Review]) -> datetime:
    stored = [request.created_at, *(review.at for review in reviews)]
    return max(now, *stored)


def _how_to_approve(needed: Strength, short_id: str) -> str:
    command = f"`!assent approve {short_id}`"
    if needed is Strength.COMMAND:
        return f"A reaction is not enough for this. Approve with the command {command}."
    if needed is Strength.DEVICE_VERIFIED:
        return f"Approve with the command {command} in an encrypted room, from a device you have verified."
    return f"This needs a second factor: approve with the command {command} followed by your one-time code."
