"""A stored question → an answer in the thread, once, with what it cites and what was looked at anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import structlog

from approvals.canonical import canonicalize, digest
from bot.domain.audit import QuestionEnded
from bot.domain.clock import Clock
from bot.domain.diagnosis import ModelState, SuggestedAction
from bot.domain.errors import InputError
from bot.domain.evidence import Evidence, kept
from bot.domain.ids import QuestionId
from bot.domain.incident import Incident
from bot.domain.message import Message
from bot.domain.proposal import ActionSpec
from bot.domain.question import (
    Answer,
    QuestionState,
    StoredQuestion,
    Wish,
    WishOrigin,
    wish_id,
)
from bot.messages.answers import question_answer, question_failed
from bot.ports import IncidentStore, Reading, Transaction
from bot.workflow.investigation import evidence_entry
from bot.workflow.places import answer_at
from bot.workflow.requests import UNDECIDED
from bot.workflow.wishing import WISHES_PER_HOUR, MayPropose, add_wish, may_wish
from investigators.ports import Answered, Answerer, Case, Exchange, Question

_ALERTS_SHOWN = 50
_EARLIER = 5
"""Questions of before that an answerer is told."""
_HOUR = timedelta(hours=1)
_GRACE = timedelta(seconds=10)
"""Beyond the answerer's own deadline, for a source that ignores cancellation."""

_log = structlog.stdlib.get_logger(__name__)


class AnsweringQuestions:
    """Works on questions that are pending, and again on those a crash interrupted."""

    def __init__(
        self,
        store: IncidentStore,
        answerer: Answerer,
        catalogue: Mapping[str, ActionSpec],
        clock: Clock,
        deadline: timedelta,
        on_error: Callable[[Exception], None],
        may_propose: MayPropose,
        *,
        calibration: bool = False,
        wishes_per_hour: int = WISHES_PER_HOUR,
    ) -> None:
        self._store = store
        self._answerer = answerer
        self._catalogue = catalogue
        self._clock = clock
        self._deadline = deadline + _GRACE
        self._on_error = on_error
        self._may_propose = may_propose
        self._calibration = calibration
        self._wishes_per_hour = wishes_per_hour

    async def run(self, subject: str) -> None:
        async with self._store.reading() as rows:
            question = await rows.question(QuestionId(subject))
            if question is None or question.state is not QuestionState.PENDING:
                return
            incident = await rows.incident(question.incident_id)
            if incident is None:
                return
            posed = await self._posed(rows, incident, question)
        with structlog.contextvars.bound_contextvars(incident=incident.short_id, question=question.id):
            answered = await self._ask(posed)
        if isinstance(answered, Answered):
            try:
                await self._answered(question, posed, answered)
                return
            except (TypeError, ValueError) as error:
                # What was answered has no place in a row, and would have none the next time either.
                _log.exception("answer_not_stored", question=question.id)
                self._on_error(error)
                answered = f"internal error ({type(error).__name__}), see the log"
        await self._failed(question, answered)

    async def _posed(self, rows: Reading, incident: Incident, question: StoredQuestion) -> Question:
        diagnosis = await rows.latest_diagnosis(incident.id)
        run = incident.run if diagnosis is None else diagnosis.run
        now = self._clock.now()
        earlier = [
            Exchange(question=one.text, answer=one.answer.text)
            for one in await rows.questions_of(incident.id, _EARLIER + 1)
            if one.id != question.id and one.answer is not None
        ]
        return Question(
            case=Case(
                incident=incident,
                alerts=tuple(
                    stored.alert for stored in await rows.current_alerts(incident.id, _ALERTS_SHOWN)
                ),
                run=run,
                now=now,
                recurrence=await rows.recurrence_of(incident, now),
            ),
            text=question.text,
            evidence=tuple(await rows.evidence_of(incident.id, run)),
            diagnosis=diagnosis,
            earlier=tuple(earlier[-_EARLIER:]),
        )

    async def _ask(self, posed: Question) -> Answered | str:
        # The boundary between reasoning and the person who waits: whatever goes wrong inside, they are told.
        try:
            async with asyncio.timeout(self._deadline.total_seconds()):
                return await self._answerer.answer(posed)
        except TimeoutError as error:
            self._on_error(error)
            return f"it took longer than {self._deadline.total_seconds():g} s"
        except Exception as error:  # noqa: BLE001
            _log.exception("question_failed")
            self._on_error(error)
            return f"internal error ({type(error).__name__}), see the log"

    async def _answered(self, question: StoredQuestion, posed: Question, answered: Answered) -> None:
        known = {one.id for one in posed.evidence}
        taken = tuple(kept(one) for one in answered.evidence if one.id not in known)
        citable = known | {one.id for one in taken}
        answer = Answer(
            text=answered.text,
            # A claim that stands on nothing that is stored is no citation, whoever says so.
            citations=tuple(one for one in answered.citations if one.evidence_id in citable),
            evidence_ids=tuple(one.id for one in taken),
            suggestion=self._offered(answered),
            note=answered.note,
            cost=answered.cost,
        )
        async with self._store.transaction() as tx:
            incident = await tx.incident(question.incident_id)
            if incident is None or not await _still_pending(tx, question):
                return
            stored = {one.id for one in await tx.evidence_of(incident.id, posed.case.run)}
            new = [one for one in taken if one.id not in stored]
            await tx.add_evidence(incident.id, posed.case.run, new)
            wish = await self._wish(tx, incident, question, answer.suggestion)
            await self._end(
                tx,
                incident,
                replace(question, state=QuestionState.ANSWERED, answer=answer, ended_at=self._clock.now()),
                question_answer(incident, question, answer, follows=wish is not None),
                new,
            )
            if wish is not None:
                await add_wish(tx, wish)

    def _offered(self, answered: Answered) -> SuggestedAction | None:
        """An action may only be named by an answer whose words were verified, and only one of the catalogue
        with parameters that it takes."""
        suggestion = answered.suggestion
        if suggestion is None or self._calibration:
            return None
        spec = self._catalogue.get(suggestion.action)
        if spec is None or answered.note is None or answered.note.state is not ModelState.VERIFIED:
            return None
        try:
            return replace(suggestion, params=spec.check_params(suggestion.params))
        except InputError:
            return None

    async def _wish(
        self,
        tx: Transaction,
        incident: Incident,
        question: StoredQuestion,
        suggestion: SuggestedAction | None,
    ) -> Wish | None:
        """The suggestion as the asker's wish, where they might have written it themselves, now and of their
        own. It never takes the place of what waits for approval: for that somebody has to write it."""
        if suggestion is None or not self._may_propose(question.asked_by):
            return None
        if await may_wish(tx, incident, calibration=self._calibration) is not None:
            return None
        if any(one.state in UNDECIDED for one in await tx.requests_of(incident.id)):
            return None
        now = self._clock.now()
        if await tx.wishes_by(question.asked_by, now - _HOUR) >= self._wishes_per_hour:
            return None
        return Wish(
            id=wish_id(question.platform, question.id),
            incident_id=incident.id,
            requested_by=question.asked_by,
            platform=question.platform,
            event_id=question.id,
            origin=WishOrigin.ANSWER,
            action=suggestion.action,
            params=suggestion.params,
            asked_at=now,
            place=question.place,
            target=suggestion.target,
            evidence_ids=suggestion.evidence_ids,
        )

    async def _failed(self, question: StoredQuestion, reason: str) -> None:
        async with self._store.transaction() as tx:
            incident = await tx.incident(question.incident_id)
            if incident is None or not await _still_pending(tx, question):
                return
            ended = replace(question, state=QuestionState.FAILED, ended_at=self._clock.now())
            await self._end(tx, incident, ended, question_failed(incident, question, reason), ())

    async def _end(
        self,
        tx: Transaction,
        incident: Incident,
        question: StoredQuestion,
        message: Message,
        taken: Sequence[Evidence],
    ) -> None:
        await tx.end_question(question)
        await tx.put(answer_at(question.place, f"question:{question.id}", message))
        answer = question.answer
        await tx.record(
            QuestionEnded(
                incident_id=incident.id,
                question_id=question.id,
                state=question.state.value,
                answer_digest="" if answer is None else digest(canonicalize(answer.text)),
                evidence_ids=() if answer is None else tuple(one.evidence_id for one in answer.citations),
                items=tuple(evidence_entry(one) for one in taken),
                model="" if answer is None or answer.note is None else answer.note.state.value,
            )
        )


async def _still_pending(tx: Transaction, question: StoredQuestion) -> bool:
    now = await tx.question(question.id)
    return now is not None and now.state is QuestionState.PENDING
