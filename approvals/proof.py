"""Checks 3 to 5 of the gate (:mod:`approvals.gate`): what the stored rows prove about an approval. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from approvals.canonical import BoundAction, digest, parse_action_bytes
from approvals.catalogue import action_class
from approvals.model import (
    ApprovalRequest,
    Decision,
    Directory,
    GateRefusal,
    Refusal,
    RequestState,
    Requirement,
    Review,
    ReviewVerdict,
)
from approvals.ports import EnvelopeVerifier, GateCase
from approvals.review import counted, may_review
from approvals.signed import ApprovalStatement
from approvals.statement import parse_approval, parse_review
from bot.domain.errors import InputError, IntegrityError
from bot.domain.proposal import ActionSpec


class Refused(Exception):
    """A check said no. The gate turns it into its answer; it never leaves the approval engine."""

    def __init__(self, check: int, reason: Refusal, detail: str, policy: Decision | None = None) -> None:
        self.refusal = GateRefusal(check=check, reason=reason, detail=detail, policy=policy)
        super().__init__(detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What was proven: the signed statement, the action in its bytes, and the approvals that count."""

    statement: ApprovalStatement
    bound: BoundAction
    spec: ActionSpec
    approvals: tuple[Review, ...]

    @property
    def action_class(self) -> str:
        return action_class(self.bound.action.name)


def prove(
    case: GateCase,
    *,
    verifier: EnvelopeVerifier,
    directory: Directory,
    catalogue: Mapping[str, ActionSpec],
    now: datetime,
) -> Proof:
    """Run checks 3, 4 and 5. Raises Refused."""
    if case.envelope is None:
        raise Refused(3, Refusal.ENVELOPE_INVALID, "there is no signed approval")
    try:
        statement = parse_approval(verifier, case.envelope)  # (3)
    except IntegrityError as error:
        raise Refused(3, Refusal.ENVELOPE_INVALID, str(error)) from None
    bound, spec = _bind(case, statement, catalogue)  # (4)
    request = case.request  # (5)
    if request.state is not RequestState.APPROVED:
        raise Refused(5, Refusal.REQUEST_NOT_APPROVED, f"the request is {request.state.value}")
    if not statement.matches(request):
        raise Refused(5, Refusal.REQUEST_NOT_APPROVED, "the stored request is not the one that was signed")
    unexpired(statement, now)
    approvals = _recount(case, statement, action_class(bound.action.name), verifier, directory)
    return Proof(statement=statement, bound=bound, spec=spec, approvals=approvals)


def unexpired(statement: ApprovalStatement, now: datetime) -> None:
    """(5) Raises Refused once the signed expiry has come."""
    if now >= statement.expires_at:
        raise Refused(5, Refusal.REQUEST_EXPIRED, "the approval's time is over")


def may_count(review: Review, requirement: Requirement, class_name: str, directory: Directory) -> bool:
    """True while the configuration knows the reviewer, by this very identity and with a fitting role."""
    person = directory.person(review.identity)
    return (
        person is not None
        and person.id == review.reviewer
        and not directory.is_bot(review.identity)
        and may_review(person, requirement, class_name)
    )


def _bind(
    case: GateCase, statement: ApprovalStatement, catalogue: Mapping[str, ActionSpec]
) -> tuple[BoundAction, ActionSpec]:
    """(4)"""
    recomputed = digest(case.canonical_bytes)
    if recomputed != statement.digest:
        raise Refused(
            4,
            Refusal.DIGEST_MISMATCH,
            f"the stored action ({recomputed[:8]}) is not the approved one ({statement.digest[:8]})",
        )
    try:
        bound = parse_action_bytes(case.canonical_bytes)
    except IntegrityError as error:
        raise Refused(4, Refusal.DIGEST_MISMATCH, str(error)) from None
    if (bound.incident_id, bound.target_uid) != (statement.incident_id, statement.target_uid):
        raise Refused(4, Refusal.DIGEST_MISMATCH, "the approved action is for another incident or target")
    spec = catalogue.get(bound.action.name)
    try:
        if spec is None or spec.executor != bound.action.executor:
            raise InputError(f"{bound.action.name} is not in the catalogue")
        spec.check_params(bound.action.params)
    except InputError as error:
        raise Refused(4, Refusal.DIGEST_MISMATCH, str(error)) from None
    return bound, spec


def _recount(
    case: GateCase,
    statement: ApprovalStatement,
    class_name: str,
    verifier: EnvelopeVerifier,
    directory: Directory,
) -> tuple[Review, ...]:
    """(5)"""
    requirement = statement.requirement
    tally = counted(
        [
            review
            for review in case.reviews
            if may_count(review, requirement, class_name, directory)
            # A no needs no proof; a yes counts only with its own valid signature.
            and (review.verdict is ReviewVerdict.REJECT or _is_signed(review, case.request, verifier))
        ],
        requirement,
        requested_by=statement.requested_by,
        expires_at=statement.expires_at,
    )
    if tally.rejections:
        detail = f"{tally.rejections[0].reviewer} rejected the request"
        raise Refused(5, Refusal.REQUEST_NOT_APPROVED, detail)
    if tally.count < requirement.count:
        detail = f"{tally.count} of {requirement.count} needed approvals are proven"
        raise Refused(5, Refusal.QUORUM_NOT_MET, detail)
    return tally.approvals


def _is_signed(review: Review, request: ApprovalRequest, verifier: EnvelopeVerifier) -> bool:
    try:
        return parse_review(verifier, review.envelope).matches(review, request)
    except IntegrityError:
        return False
