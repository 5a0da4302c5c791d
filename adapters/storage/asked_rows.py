"""What people ask of an incident: questions, and actions of their own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Integer, bindparam, func, select, text, update
from sqlalchemy.dialects.sqlite import insert as upsert

from adapters.storage.asked_tables import questions, wishes
from adapters.storage.changes import Changes
from adapters.storage.codec import Codec
from adapters.storage.rows import Rows
from bot.domain.clock import to_rfc3339
from bot.domain.errors import StaleWrite
from bot.domain.ids import IncidentId, PersonId, QuestionId, WishId
from bot.domain.question import StoredQuestion, Wish

_QUESTION = select(questions.c.body).where(questions.c.id == bindparam("id"))
_QUESTIONS_OF = (
    select(questions.c.body)
    .where(questions.c.incident_id == bindparam("incident"))
    .order_by(questions.c.seq.desc())
    .limit(bindparam("limit", type_=Integer))
)
_since = questions.c.asked_at >= bindparam("since")
_QUESTIONS_BY = (
    select(func.count()).select_from(questions).where(questions.c.asked_by == bindparam("person"), _since)
)
_QUESTIONS_ABOUT = (
    select(func.count())
    .select_from(questions)
    .where(questions.c.incident_id == bindparam("incident"), _since)
)
_ADD_QUESTION = (
    upsert(questions)
    .values(
        {
            name: bindparam(name)
            for name in (
                "id", "incident_id", "asked_by", "platform", "event_id", "state", "asked_at", "body",
            )
        }
    )
    .on_conflict_do_nothing()
    .returning(questions.c.seq)
)  # fmt: skip
_END_QUESTION = (
    update(questions)
    .where(questions.c.id == bindparam("question"), questions.c.state == "pending")
    .values(state=bindparam("to_state"), body=bindparam("new_body"))
    .returning(questions.c.seq)
)
_WISH = select(wishes.c.body).where(wishes.c.id == bindparam("id"))
_OPEN_WISHES = (
    select(wishes.c.body)
    # Written out, not bound: SQLite uses a partial index only when it can read its condition.
    .where(wishes.c.incident_id == bindparam("incident"), text("wishes.state = 'open'"))
    .order_by(wishes.c.seq)
)
_WISHES_BY = (
    select(func.count())
    .select_from(wishes)
    .where(wishes.c.requested_by == bindparam("person"), wishes.c.asked_at >= bindparam("since"))
)
_ADD_WISH = (
    upsert(wishes)
    .values(
        {
            name: bindparam(name)
            for name in (
                "id", "incident_id", "requested_by", "platform", "event_id", "state", "asked_at", "body",
            )
        }
    )
    .on_conflict_do_nothing()
    .returning(wishes.c.seq)
)  # fmt: skip
_END_WISH = (
    update(wishes)
    .where(wishes.c.id == bindparam("wish"), wishes.c.state == "open")
    .values(state=bindparam("to_state"), body=bindparam("new_body"))
    .returning(wishes.c.seq)
)


class AskedRows:
    """The part of a reading that is about what people ask."""

    _rows: Rows
    _codec: Codec

    async def question(self, question_id: QuestionId) -> StoredQuestion | None:
        body = await self._rows.value(_QUESTION, id=question_id)
        return None if body is None else self._codec.decode(StoredQuestion, body)

    async def questions_of(self, incident_id: IncidentId, limit: int) -> Sequence[StoredQuestion]:
        found = await self._rows.all(_QUESTIONS_OF, incident=incident_id, limit=limit)
        return [self._codec.decode(StoredQuestion, row[0]) for row in reversed(found)]

    async def questions_by(self, person: PersonId, since: datetime) -> int:
        return int(await self._rows.value(_QUESTIONS_BY, person=person, since=to_rfc3339(since)))

    async def questions_about(self, incident_id: IncidentId, since: datetime) -> int:
        return int(await self._rows.value(_QUESTIONS_ABOUT, incident=incident_id, since=to_rfc3339(since)))

    async def wish(self, wish_id: WishId) -> Wish | None:
        body = await self._rows.value(_WISH, id=wish_id)
        return None if body is None else self._codec.decode(Wish, body)

    async def open_wishes(self, incident_id: IncidentId) -> Sequence[Wish]:
        found = await self._rows.all(_OPEN_WISHES, incident=incident_id)
        return [self._codec.decode(Wish, row[0]) for row in found]

    async def wishes_by(self, person: PersonId, since: datetime) -> int:
        return int(await self._rows.value(_WISHES_BY, person=person, since=to_rfc3339(since)))


class AskedChanges(Changes):
    """The part of a transaction that is about what people ask."""

    async def add_question(self, question: StoredQuestion) -> bool:
        added = await self._rows.first(
            _ADD_QUESTION,
            id=question.id,
            incident_id=question.incident_id,
            asked_by=question.asked_by,
            platform=question.platform,
            event_id=question.event_id,
            state=question.state.value,
            asked_at=to_rfc3339(question.asked_at),
            body=self._codec.encode(question),
        )
        return added is not None

    async def end_question(self, question: StoredQuestion) -> None:
        ended = await self._rows.first(
            _END_QUESTION,
            question=question.id,
            to_state=question.state.value,
            new_body=self._codec.encode(question),
        )
        if ended is None:
            raise StaleWrite(f"question {question.id} is not pending")
        if question.answer is not None and question.answer.cost.usd != 0:
            # What the incident's card says of the cost is not true any more.
            self.touch(question.incident_id)

    async def add_wish(self, wish: Wish) -> bool:
        added = await self._rows.first(
            _ADD_WISH,
            id=wish.id,
            incident_id=wish.incident_id,
            requested_by=wish.requested_by,
            platform=wish.platform,
            event_id=wish.event_id,
            state=wish.state.value,
            asked_at=to_rfc3339(wish.asked_at),
            body=self._codec.encode(wish),
        )
        return added is not None

    async def end_wish(self, wish: Wish) -> None:
        ended = await self._rows.first(
            _END_WISH, wish=wish.id, to_state=wish.state.value, new_body=self._codec.encode(wish)
        )
        if ended is None:
            raise StaleWrite(f"wish {wish.id} is not open")
