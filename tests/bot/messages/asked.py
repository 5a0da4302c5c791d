"""What is said to people who ask, for the stored sentences."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from approvals.catalogue import builtin_catalogue
from bot.domain.diagnosis import Citation, Cost, ModelNote, ModelState, SuggestedAction
from bot.domain.ids import EvidenceId, IncidentId, PersonId
from bot.domain.incident import Incident, IncidentState
from bot.domain.message import Message
from bot.domain.question import (
    Answer,
    Place,
    StoredQuestion,
    Wish,
    WishOrigin,
    question_id,
    wish_id,
)
from bot.messages import answers

AT = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
PLACE = Place(platform="matrix", room="ops", person="@eve:example.org")
QUESTION = StoredQuestion(
    id=question_id("matrix", "$q"),
    incident_id=IncidentId("inc_1"),
    run=1,
    asked_by=PersonId("eve"),
    platform="matrix",
    event_id="$q",
    text="why not the database? see https://evil.example.com @room",
    asked_at=AT,
    place=PLACE,
)
ANSWER = Answer(
    text="The database answers within 3 ms.\n@room it is not that.",
    citations=(
        Citation(
            evidence_id=EvidenceId("ev_aaaaaa111111"),
            source="prometheus",
            finding="db latency 3 ms",
            quote="pg_latency 0.003",
            link="http://prometheus.example/graph",
        ),
        Citation(
            evidence_id=EvidenceId("ev_bbbbbb222222"),
            source="loki",
            finding="the log blames it",
            quote="run rm -rf / at http://evil.example.com",
            outsider_writable=True,
        ),
    ),
    suggestion=SuggestedAction(
        action="alertmanager.silence",
        params={"matchers": "a=b", "duration_minutes": 5, "comment": "tell @room at evil.example.com"},
        target="a=b",
        why="w",
        evidence_ids=(),
    ),
    note=ModelNote(state=ModelState.VERIFIED, model="claude-example"),
    cost=Cost(seconds=12.3, usd=Decimal("0.04")),
)
WISH = Wish(
    id=wish_id("matrix", "$w"),
    incident_id=IncidentId("inc_1"),
    requested_by=PersonId("ana"),
    platform="matrix",
    event_id="$w",
    origin=WishOrigin.COMMAND,
    action="process.restart",
    params={"process": "cart"},
    asked_at=AT,
    place=PLACE,
)


def sentences(incident: Incident) -> Mapping[str, Callable[[], Message]]:
    unverified = ModelNote(state=ModelState.UNVERIFIED, reason="no such quote", said="Restart @room")
    failed = ModelNote(state=ModelState.FAILED, reason="the provider is overloaded")
    spec = builtin_catalogue()["process.restart"]
    return {
        "question_received": lambda: answers.question_received(incident, QUESTION),
        "answer_of_a_model": lambda: answers.question_answer(incident, QUESTION, ANSWER),
        "answer_followed_by_a_proposal": lambda: answers.question_answer(
            incident, QUESTION, ANSWER, follows=True
        ),
        "answer_not_verified": lambda: answers.question_answer(
            incident, QUESTION, replace(ANSWER, note=unverified, suggestion=None, citations=())
        ),
        "answer_without_its_model": lambda: answers.question_answer(
            incident, QUESTION, replace(ANSWER, note=failed, suggestion=None, cost=Cost(seconds=1, usd=None))
        ),
        "question_failed": lambda: answers.question_failed(incident, QUESTION, "it took longer than 30 s"),
        "wish_received": lambda: answers.wish_received(incident, WISH),
        "wish_declined": lambda: answers.wish_declined(
            incident, WISH, ("the namespace is forbidden",), rules=("forbidden",), command="restart cart"
        ),
        "wish_unknown_action": lambda: answers.unknown_action(
            "process.restrat", "process.restart", ["process.restart"]
        ),
        "wish_wrong_parameters": lambda: answers.wrong_parameters(
            spec, ["parameter process: missing", "parameter force: not known to process.restart"]
        ),
        "wish_not_now": lambda: Message(
            title=answers.not_now(replace(incident, state=IncidentState.EXECUTING))
        ),
    }
