"""The nouns of approval: requirement, request, review, decision, and why the gate said no."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum

from bot.domain.ids import Digest, IncidentId, PersonId, ProposalId, RequestId, ReviewId


class Strength(IntEnum):
    """How hard a review is to forge. A reaction is the homeserver's word and nothing more."""

    REACTION = 1
    COMMAND = 2
    DEVICE_VERIFIED = 3
    SECOND_FACTOR = 4

    @property
    def label(self) -> str:
        return self.name.lower()

    @classmethod
    def parse(cls, text: str) -> Strength:
        """Inverse of :attr:`label`. Raises KeyError on an unknown word."""
        return cls[text.upper()]


class Means(StrEnum):
    """By which gesture a review was given."""

    REACTION = "reaction"
    BUTTON = "button"
    COMMAND = "command"
    DEVICE_VERIFIED_COMMAND = "device_verified_command"
    SECOND_FACTOR = "second_factor"

    @property
    def strength(self) -> Strength:
        return _STRENGTH[self]


_STRENGTH = {
    Means.REACTION: Strength.REACTION,
    Means.BUTTON: Strength.COMMAND,
    Means.COMMAND: Strength.COMMAND,
    Means.DEVICE_VERIFIED_COMMAND: Strength.DEVICE_VERIFIED,
    Means.SECOND_FACTOR: Strength.SECOND_FACTOR,
}


class ReviewVerdict(StrEnum):
    APPROVE = "approve"
    REJECT = "reject"


class RequestState(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """How many distinct people, holding one of which roles, by means at least how strong."""

    count: int
    roles: tuple[str, ...]
    strength: Strength


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A platform's immutable user id."""

    platform: str
    user_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A human with their identities on every platform: two accounts of one person are one vote."""

    id: PersonId
    identities: frozenset[Identity]
    roles: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """Everyone the configuration knows. Nobody else has any authority.

    ``bots`` are identities that can never review, the bot's own among them.
    """

    people: tuple[Person, ...] = ()
    bots: frozenset[Identity] = frozenset()

    def person(self, identity: Identity) -> Person | None:
        return next((person for person in self.people if identity in person.identities), None)

    def is_bot(self, identity: Identity) -> bool:
        return identity in self.bots


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """One person's verdict on one request, as it was given.

    ``envelope`` is the DSSE envelope (JSON bytes) that the bot signed when it accepted the review;
    the gate counts only reviews whose envelope verifies and says the same.
    """

    id: ReviewId
    request_id: RequestId
    reviewer: PersonId
    identity: Identity
    verdict: ReviewVerdict
    means: Means
    platform_event_id: str
    at: datetime
    reason: str | None = None
    withdrawn_at: datetime | None = None
    envelope: bytes = b""

    @property
    def strength(self) -> Strength:
        return self.means.strength


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRequest:
    """A question put to people: may exactly this digest run?

    ``nonce`` makes two requests for the same action distinct. ``version`` is the compare-and-swap
    token; ``reminded`` the highest percentage of its time at which a reminder was sent. ``envelope`` is the
    DSSE envelope (JSON bytes) signed when the request was opened: what people were asked.
    """

    id: RequestId
    incident_id: IncidentId
    proposal_id: ProposalId
    proposal_digest: Digest
    state: RequestState
    requirement: Requirement
    created_at: datetime
    expires_at: datetime
    nonce: str
    policy_hash: str
    evidence_digest: Digest
    target_uid: str
    requested_by: PersonId | None = None
    ended_at: datetime | None = None
    ended_reason: str | None = None
    reminded: int = 0
    version: int = 1
    envelope: bytes = b""


class DecisionKind(StrEnum):
    ALLOW = "allow"
    REQUIRE_REVIEW = "require_review"
    DENY = "deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What policy says about one action now: never a bare yes or no."""

    kind: DecisionKind
    rules: tuple[str, ...]
    reasons: tuple[str, ...]
    policy_hash: str
    requirement: Requirement | None = None


class Refusal(StrEnum):
    """Why the gate stayed shut, by check number."""

    KILL_SWITCH = "kill_switch"  # 1
    FREEZE = "freeze"  # 1
    LEDGER_BROKEN = "ledger_broken"  # 2
    ENVELOPE_INVALID = "envelope_invalid"  # 3
    DIGEST_MISMATCH = "digest_mismatch"  # 4
    REQUEST_NOT_APPROVED = "request_not_approved"  # 5
    REQUEST_EXPIRED = "request_expired"  # 5
    QUORUM_NOT_MET = "quorum_not_met"  # 5
    PROPOSAL_TOO_OLD = "proposal_too_old"  # 6
    TARGET_CHANGED = "target_changed"  # 6
    POLICY_DENIED = "policy_denied"  # 7
    DRY_RUN_FAILED = "dry_run_failed"  # 8
    ALREADY_CLAIMED = "already_claimed"  # 9
    EXECUTOR_MISSING = "executor_missing"  # 6: nobody can look at the target


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRefusal:
    """A refusal with the number of the check, a reason code, and one sentence for people."""

    check: int
    reason: Refusal
    detail: str
    policy: Decision | None = field(default=None)
