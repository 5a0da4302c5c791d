"""What a store promises about what people ask of an incident: questions, and actions of their own."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from bot.domain.chat import MessageRef
from bot.domain.diagnosis import Citation, Cost, ModelCost, ModelNote, ModelState, SuggestedAction
from bot.domain.errors import StaleWrite
from bot.domain.ids import EvidenceId, IncidentId, PersonId, ProposalId, QuestionId
from bot.domain.question import (
    Answer,
    Place,
    QuestionState,
    StoredQuestion,
    Wish,
    WishOrigin,
    WishState,
    question_id,
    wish_id,
)
from bot.ports import JobKind
from tests.contracts.store_nouns import NOW, ROOM, AnyStore, add_incident, diagnosis, incident, summary

INC = IncidentId("inc_1")
ADA, BOB = PersonId("ada"), PersonId("bob")
MINUTE = timedelta(minutes=1)
PLACE = Place(
    platform="matrix",
    room=ROOM,
    person="@ada:test",
    thread=MessageRef(platform="matrix", room="!room:test", message_id="$root"),
    incident_id=INC,
)


def question(number: int = 1, **changes: object) -> StoredQuestion:
    made = StoredQuestion(
        id=question_id("matrix", f"$q{number}"),
        incident_id=INC,
        run=1,
        asked_by=ADA,
        platform="matrix",
        event_id=f"$q{number}",
        text="why not the database?\n\u202e ü 🔥",
        asked_at=NOW + number * MINUTE,
        place=PLACE,
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # the tests name fields of StoredQuestion


def wish(number: int = 1, **changes: object) -> Wish:
    made = Wish(
        id=wish_id("matrix", f"$w{number}"),
        incident_id=INC,
        requested_by=ADA,
        platform="matrix",
        event_id=f"$w{number}",
        origin=WishOrigin.COMMAND,
        action="process.restart",
        params={"process": "leaky", "grace": 5},
        asked_at=NOW + number * MINUTE,
        place=PLACE,
        evidence_ids=(EvidenceId("ev_1"),),
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # the tests name fields of Wish


ANSWERED = question(
    state=QuestionState.ANSWERED,
    answer=Answer(
        text="because it answers\nwithin 3 ms",
        citations=(
            Citation(
                evidence_id=EvidenceId("ev_1"), source="loki", finding="f", quote="q", outsider_writable=True
            ),
        ),
        evidence_ids=(EvidenceId("ev_9"),),
        suggestion=SuggestedAction(
            action="process.restart", params={"process": "leaky"}, target="leaky", why="w", evidence_ids=()
        ),
        note=ModelNote(state=ModelState.VERIFIED, model="m", turns=2),
        cost=Cost(seconds=1.5, usd=None),
    ),
    ended_at=NOW + 2 * MINUTE,
)


async def _change(store: AnyStore) -> int:
    async with store.reading() as rows:
        return await rows.change_of(INC)


class AskedContract:
    async def test_a_question_is_read_back_as_it_was_asked_and_as_it_was_answered(
        self, store: AnyStore
    ) -> None:
        await add_incident(store, incident())
        async with store.transaction() as tx:
            assert await tx.add_question(question())
            assert await tx.question(question().id) == question()
        async with store.transaction() as tx:
            await tx.end_question(ANSWERED)
        async with store.reading() as rows:
            assert await rows.question(question().id) == ANSWERED
            assert await rows.question(QuestionId("qst_unknown")) is None

    async def test_what_models_have_cost_is_of_every_run_answer_and_summary(self, store: AnyStore) -> None:
        def cents(number: int) -> Cost:
            return Cost(seconds=1, usd=Decimal(number) / 100)

        note = ModelNote(state=ModelState.VERIFIED, model="m")
        skipped = ModelNote(state=ModelState.SKIPPED)
        await add_incident(store, incident())
        await add_incident(store, incident(2))
        async with store.transaction() as tx:
            await tx.add_diagnosis(diagnosis(run=1))
            await tx.add_diagnosis(replace(diagnosis(run=2), model=skipped))
            assert await tx.add_question(question())
            assert await tx.model_cost_of(INC) is None
            await tx.add_diagnosis(replace(diagnosis(run=3), model=note, cost=cents(20)))
            await tx.add_diagnosis(replace(diagnosis(run=4), model=note, cost=cents(3)))
            await tx.add_diagnosis(replace(diagnosis(2), model=note, cost=cents(99)))
        before = await _change(store)
        answer = Answer(text="a", note=note, cost=cents(5))
        async with store.transaction() as tx:
            await tx.end_question(question(state=QuestionState.ANSWERED, answer=answer))
        assert await _change(store) > before, "the card shows the cost"
        async with store.transaction() as tx:
            await tx.plan_summary(INC, 0)
            await tx.add_summary(summary(note=note, cost=cents(1)))
        async with store.transaction() as tx:
            assert await tx.model_cost_of(INC) == ModelCost(usd=Decimal("0.29"))
            assert await tx.add_question(question(2))
            await tx.end_question(replace(ANSWERED, id=question(2).id))
            assert await tx.model_cost_of(INC) == ModelCost(usd=Decimal("0.29"), whole=False)

    async def test_one_platform_event_asks_once(self, store: AnyStore) -> None:
        await add_incident(store, incident())
        async with store.transaction() as tx:
            assert await tx.add_question(question())
            assert not await tx.add_question(question(text="again"))
            assert not await tx.add_question(question(id=QuestionId("qst_other"), text="again"))
        async with store.reading() as rows:
            assert list(await rows.questions_of(INC, 9)) == [question()]

    async def test_a_question_ends_once(self, store: AnyStore) -> None:
        await add_incident(store, incident())
        async with store.transaction() as tx:
            await tx.add_question(question())
            await tx.end_question(ANSWERED)
        with pytest.raises(StaleWrite):
            async with store.transaction() as tx:
                await tx.end_question(replace(ANSWERED, state=QuestionState.FAILED))
        async with store.reading() as rows:
            assert await rows.question(question().id) == ANSWERED

    async def test_the_newest_questions_of_an_incident_are_given_oldest_first(self, store: AnyStore) -> None:
        await add_incident(store, incident())
        await add_incident(store, incident(2))
        async with store.transaction() as tx:
            for number in (1, 2, 3):
                await tx.add_question(question(number))
            await tx.add_question(question(4, incident_id=IncidentId("inc_2")))
        async with store.reading() as rows:
            assert list(await rows.questions_of(INC, 2)) == [question(2), question(3)]

    async def test_questions_are_counted_by_person_and_by_incident_since_a_time(
        self, store: AnyStore
    ) -> None:
        await add_incident(store, incident())
        await add_incident(store, incident(2))
        async with store.transaction() as tx:
            await tx.add_question(question(1))
            await tx.add_question(question(2, asked_by=BOB))
            await tx.add_question(question(3, incident_id=IncidentId("inc_2")))
        async with store.reading() as rows:
            assert await rows.questions_by(ADA, NOW) == 2
            assert await rows.questions_by(ADA, NOW + 2 * MINUTE) == 1
            assert await rows.questions_about(INC, NOW) == 2
            assert await rows.questions_about(INC, NOW + 3 * MINUTE) == 0

    async def test_a_question_is_work_until_it_ends(self, store: AnyStore) -> None:
        await add_incident(store, incident())
        async with store.transaction() as tx:
            await tx.add_question(question())
        assert await _work(store, JobKind.ASK) == [question().id]
        async with store.transaction() as tx:
            await tx.end_question(ANSWERED)
        assert await _work(store, JobKind.ASK) == []

    async def test_a_wish_is_read_back_and_open_until_it_ends_once(self, store: AnyStore) -> None:
        await add_incident(store, incident())
        async with store.transaction() as tx:
            assert await tx.add_wish(wish())
            assert not await tx.add_wish(wish(action="other"))
            assert await tx.add_wish(wish(2))
        assert await _work(store, JobKind.REMEDIATE) == [INC, INC]
        ended = wish(
            state=WishState.PROPOSED, proposal_id=ProposalId("pro_1"), reasons=("because",), ended_at=NOW
        )
        async with store.transaction() as tx:
            assert list(await tx.open_wishes(INC)) == [wish(), wish(2)]
            await tx.end_wish(ended)
        with pytest.raises(StaleWrite):
            async with store.transaction() as tx:
                await tx.end_wish(replace(ended, state=WishState.DECLINED))
        async with store.reading() as rows:
            assert await rows.wish(ended.id) == ended
            assert list(await rows.open_wishes(INC)) == [wish(2)]
            assert await rows.wishes_by(ADA, NOW + 2 * MINUTE) == 1
            assert await rows.wishes_by(BOB, NOW) == 0
        assert await _work(store, JobKind.REMEDIATE) == [INC]


async def _work(store: AnyStore, kind: JobKind) -> list[str]:
    return [item.job.subject for item in await store.pending_work() if item.job.kind is kind]
