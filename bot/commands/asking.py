"""Questions about an incident, and actions that people ask for: checked, stored, and worked on by others."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from approvals.canonical import canonicalize, digest
from approvals.model import Identity, Person
from bot.commands.model import Ask, Propose
from bot.domain.audit import QuestionAsked
from bot.domain.chat import CommandReceived
from bot.domain.clock import Clock
from bot.domain.errors import InputError
from bot.domain.ids import IncidentId
from bot.domain.incident import Incident
from bot.domain.message import Message
from bot.domain.proposal import ActionSpec, ParamKind, ParamValue
from bot.domain.question import (
    QUESTION_LENGTH,
    Place,
    StoredQuestion,
    Wish,
    WishOrigin,
    question_id,
    wish_id,
)
from bot.domain.redaction import clean
from bot.messages import answers, replies
from bot.ports import Job, JobKind, Transaction
from bot.workflow.wishing import WISHES_PER_HOUR, add_wish, may_wish

_INTEGER = re.compile(r"-?\d{1,12}")
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskLimits:
    """How much people may ask within an hour: of everything by one person, of one incident by all."""

    questions_per_person: int = 20
    questions_per_incident: int = 40
    wishes_per_person: int = WISHES_PER_HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class From:
    """Who asks, by which event, and where the answer goes."""

    event: CommandReceived
    identity: Identity
    person: Person
    place: Place
    thread_incident: IncidentId | None


class Asking:
    """Stores what is asked, once for each event, inside the caller's transaction."""

    def __init__(
        self,
        catalogue: Mapping[str, ActionSpec],
        clock: Clock,
        limits: AskLimits | None = None,
        *,
        calibration: bool = False,
    ) -> None:
        self._catalogue = catalogue
        self._clock = clock
        self._limits = limits or AskLimits()
        self._calibration = calibration

    async def ask(self, tx: Transaction, who: From, command: Ask) -> Message:
        name, text = command.incident, command.text
        incident = await _incident(tx, who, name)
        if incident is None and name is not None and who.thread_incident is not None:
            # In a thread, a word in capitals that is no incident's ID is a word of the question.
            incident, text = await tx.incident(who.thread_incident), f"{name} {text}"
        if incident is None:
            return replies.no_such_incident(name)
        now = self._clock.now()
        limits = self._limits
        if await tx.questions_by(who.person.id, now - _HOUR) >= limits.questions_per_person:
            return _too_many("ask", f"you have asked {limits.questions_per_person} questions within an hour")
        if await tx.questions_about(incident.id, now - _HOUR) >= limits.questions_per_incident:
            return _too_many(
                "ask",
                f"{incident.short_id} was asked {limits.questions_per_incident} questions within an hour",
            )
        diagnosis = await tx.latest_diagnosis(incident.id)
        question = StoredQuestion(
            id=question_id(who.event.platform, who.event.event_id),
            incident_id=incident.id,
            run=incident.run if diagnosis is None else diagnosis.run,
            asked_by=who.person.id,
            platform=who.event.platform,
            event_id=who.event.event_id,
            text=clean(text, limit=QUESTION_LENGTH),
            asked_at=now,
            place=who.place,
        )
        if await tx.add_question(question):
            await tx.record(
                QuestionAsked(
                    incident_id=incident.id,
                    question_id=question.id,
                    person=question.asked_by,
                    platform=who.identity.platform,
                    user_id=who.identity.user_id,
                    text_digest=digest(canonicalize(question.text)),
                    causation_id=who.event.event_id,
                )
            )
            await tx.enqueue(Job(kind=JobKind.ASK, subject=question.id))
        return answers.question_received(incident, question)

    async def propose(self, tx: Transaction, who: From, command: Propose) -> Message:
        spec = self._catalogue.get(command.action)
        if spec is None:
            near = difflib.get_close_matches(command.action, self._catalogue, n=1, cutoff=0.5)
            return answers.unknown_action(command.action, next(iter(near), None), sorted(self._catalogue))
        try:
            params = _checked(spec, dict(command.params))
        except InputError as error:
            return answers.wrong_parameters(spec, str(error).split("; "))
        incident = await _incident(tx, who, command.incident)
        if incident is None:
            return replies.no_such_incident(command.incident)
        reason = await may_wish(tx, incident, calibration=self._calibration)
        if reason is not None:
            return replies.refused("propose", reason)
        now = self._clock.now()
        if await tx.wishes_by(who.person.id, now - _HOUR) >= self._limits.wishes_per_person:
            return _too_many(
                "propose", f"you have asked for {self._limits.wishes_per_person} actions within an hour"
            )
        wish = Wish(
            id=wish_id(who.event.platform, who.event.event_id),
            incident_id=incident.id,
            requested_by=who.person.id,
            platform=who.event.platform,
            event_id=who.event.event_id,
            origin=WishOrigin.COMMAND,
            action=spec.name,
            params=params,
            asked_at=now,
            place=who.place,
        )
        await add_wish(tx, wish)
        return answers.wish_received(incident, wish)


def _too_many(what: str, reason: str) -> Message:
    return replies.refused(what, f"{reason}; that is as many as may be. Later it is possible again.")


async def _incident(tx: Transaction, who: From, name: str | None) -> Incident | None:
    if name is not None:
        return await tx.incident_by_short_id(name)
    return None if who.thread_incident is None else await tx.incident(who.thread_incident)


def _checked(spec: ActionSpec, written: Mapping[str, str]) -> dict[str, ParamValue]:
    """The typed parameters. Raises InputError that names every one that is missing or wrong."""
    integers = {one.name for one in spec.params if one.kind is ParamKind.INTEGER}
    return spec.check_params(
        {
            name: int(value) if name in integers and _INTEGER.fullmatch(value) else value
            for name, value in written.items()
        }
    )
