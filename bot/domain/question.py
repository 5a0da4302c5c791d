"""What people ask of an incident that was looked at: a question, or another action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

from bot.domain.chat import MessageRef
from bot.domain.diagnosis import Citation, Cost, ModelNote, SuggestedAction
from bot.domain.ids import EvidenceId, IncidentId, PersonId, ProposalId, QuestionId, WishId

QUESTION_LENGTH = 1_000
"""Characters of one question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where somebody is answered: in ``thread`` of the configured room, or alone where there is none.

    ``incident_id`` is set where that thread is the incident's own: then the answer keeps its turn there.
    """

    platform: str
    room: str
    person: str
    thread: MessageRef | None = None
    incident_id: IncidentId | None = None


class QuestionState(StrEnum):
    PENDING = "pending"
    ANSWERED = "answered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """``text`` is in lines. ``note`` says what became of the model, None where none is configured;
    ``evidence_ids`` name what was looked at anew; ``suggestion`` is a thought, not a proposal."""

    text: str
    citations: tuple[Citation, ...] = ()
    evidence_ids: tuple[EvidenceId, ...] = ()
    suggestion: SuggestedAction | None = None
    note: ModelNote | None = None
    cost: Cost = field(default_factory=lambda: Cost(seconds=0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredQuestion:
    """One question of one person, redacted. ``run`` is the investigation that it follows."""

    id: QuestionId
    incident_id: IncidentId
    run: int
    asked_by: PersonId
    platform: str
    event_id: str
    text: str
    asked_at: datetime
    place: Place
    state: QuestionState = QuestionState.PENDING
    answer: Answer | None = None
    ended_at: datetime | None = None


class WishState(StrEnum):
    """``proposed``: people are asked to approve it; ``declined``: it came to nothing, and why was said."""

    OPEN = "open"
    PROPOSED = "proposed"
    DECLINED = "declined"


class WishOrigin(StrEnum):
    COMMAND = "command"
    ANSWER = "answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """An action that a person asks for. Nothing is bound by it: it becomes a proposal the way every one does.

    ``event_id`` is the platform's, or the question's whose answer named the action; ``target`` what that was
    checked for, empty where a person wrote it and its parameters say what it is about.
    """

    id: WishId
    incident_id: IncidentId
    requested_by: PersonId
    platform: str
    event_id: str
    origin: WishOrigin
    action: str
    params: Mapping[str, str | int]
    asked_at: datetime
    place: Place
    target: str = ""
    evidence_ids: tuple[EvidenceId, ...] = ()
    state: WishState = WishState.OPEN
    proposal_id: ProposalId | None = None
    reasons: tuple[str, ...] = ()
    ended_at: datetime | None = None


def question_id(platform: str, event_id: str) -> QuestionId:
    """The same for the same event, however often it is told."""
    return QuestionId(f"qst_{_digits(platform, event_id)}")


def wish_id(platform: str, event_id: str) -> WishId:
    """The same for the same event, however often it is told."""
    return WishId(f"wsh_{_digits(platform, event_id)}")


def _digits(platform: str, event_id: str) -> str:
    return sha256(f"{platform}\0{event_id}".encode()).hexdigest()[:24]
