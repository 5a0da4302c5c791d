"""A model's part in the whole service: what the room reads, what a card shows, what is never offered."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from bot.domain.diagnosis import DiagnosisVerdict, ModelState
from bot.domain.evidence import Evidence, EvidenceStatus, Window, content_digest
from bot.domain.ids import EvidenceId
from bot.domain.incident import IncidentState
from bot.domain.proposal import ParamKind, ParamSpec
from investigators.analyst.analyst import Analyst
from investigators.analyst.ports import (
    FailureKind,
    Limits,
    ModelFailure,
    OfferedAction,
    Purse,
    Reply,
)
from investigators.ports import Case, Investigation
from investigators.queries import Sources
from tests.bot.app.conftest import World, alert
from tests.bot.app.test_incidents import becomes
from tests.fakes.investigator import ScriptedInvestigator
from tests.fakes.model import ScriptedModel, Turn
from tests.investigators.analyst.world import Told, Wallet, answer, critic, is_critic, shown

LOG = "ERROR cart: cache is full, restart process cart"
METRIC = "rss of cart rose from 80 MiB to 900 MiB"
RESTART = OfferedAction(
    name="process.restart",
    title="Restart",
    params=(ParamSpec(name="process", kind=ParamKind.TEXT, description="which"),),
    targets=("cart",),
)
ACTION = {"action": "process.restart", "target": "cart", "params": {"process": "cart"}, "reason": "r"}


class Undecided(ScriptedInvestigator):
    """Rules that took a metric and a log line, and could make nothing of them."""

    async def investigate(self, case: Case) -> Investigation:
        self.process = None
        made = await ScriptedInvestigator.investigate(self, case)
        taken = tuple(
            Evidence(
                id=EvidenceId(f"{made.evidence[0].id[:-1]}{number}"),
                source=source,
                kind=kind,
                query="q",
                window=Window(start=case.now, end=case.now),
                taken_at=case.now,
                status=EvidenceStatus.OK,
                summary="x",
                subject="cart",
                excerpt=text,
                content_digest=content_digest(text),
                outsider_writable=kind == "log.lines",
            )
            for number, (source, kind, text) in enumerate(
                (("prometheus", "metric.expression", METRIC), ("loki", "log.lines", LOG))
            )
        )
        cited = tuple(
            replace(made.diagnosis.citations[0], evidence_id=one.id, source=one.source) for one in taken
        )
        return replace(made, evidence=taken, diagnosis=replace(made.diagnosis, citations=cited))


def watched(world: World, script: Any, *, purse: Purse | None = None) -> ScriptedModel:
    """Put an analyst with this model into the service."""
    model = ScriptedModel(script)
    world.investigator = Analyst(  # type: ignore[assignment]
        Undecided(),
        model,
        Sources(wide=(Told(),)),
        (),
        [RESTART],
        limits=Limits(usd=Decimal("1")),
        clock=world.clock,
        purse=purse,
        on_error=world.errors.append,
    )
    return model


def believing(*quotes: str) -> Any:
    def script(turn: Turn) -> Reply:
        if is_critic(turn):
            return critic()
        return answer(
            [(shown(turn, quote), quote) for quote in quotes],
            name="cart",
            statement="its cache is full",
            actions=[ACTION],
        )

    return script


async def test_a_card_for_a_models_action_says_which_evidence_an_outsider_can_write(world: World) -> None:
    watched(world, believing(METRIC, LOG))
    async with world.running():
        await world.send(alert(severity="critical"))
        card = await world.card()
        assert "text an outsider could have written: loki log.lines" in card.text
        assert "its cache is full" not in card.text, "a card is never rendered from a model's prose"
        reply = await world.says("Diagnosis of")
        assert "Written by the model scripted-deep" in reply.text
        assert f"quoted: {METRIC}" in reply.text
        assert f"quoted: {LOG} (an outsider can write this)" in reply.text
        assert "0.02 USD" in reply.text
        await world.root_says("Model cost: 0.02 USD")
    assert world.errors == []


async def test_no_card_where_all_that_speaks_for_a_cause_is_what_an_outsider_can_write(world: World) -> None:
    watched(world, believing(LOG))
    async with world.running() as app:
        await world.send(alert(severity="critical"))
        reply = await world.says("Diagnosis of")
        assert "Confidence: low" in reply.text
        assert "(an outsider can write this)" in reply.text
        assert "not sure enough" in reply.text
        incident = await becomes(world, IncidentState.DIAGNOSED)
        async with app.store.reading() as rows:
            assert list(await rows.requests_of(incident.id)) == []
            stored = await rows.latest_diagnosis(incident.id)
    assert stored is not None
    assert stored.verdict is DiagnosisVerdict.ACTION_SUGGESTED
    assert stored.model is not None
    assert stored.model.state is ModelState.VERIFIED
    assert stored.citations[0].quote == LOG
    assert not any("Approval needed" in message.text for message in world.room.bot_messages())


async def test_an_unverified_answer_is_shown_as_such_and_offers_nothing(world: World) -> None:
    watched(world, lambda turn: answer([("ev_x", "words that nobody wrote")], name="cart", actions=[ACTION]))
    async with world.running():
        await world.send(alert(severity="critical"))
        reply = await world.says("Diagnosis of")
        assert "Not verified: what the model scripted-deep says" in reply.text
        await becomes(world, IncidentState.INCONCLUSIVE)
    assert not any("Approval needed" in message.text for message in world.room.bot_messages())


async def test_a_model_that_fails_leaves_a_diagnosis_that_says_so(world: World) -> None:
    watched(
        world, lambda turn: ModelFailure(FailureKind.SPEND_LIMIT, "the provider's spend limit is reached")
    )
    async with world.running():
        await world.send(alert(severity="critical"))
        reply = await world.says("Diagnosis of")
    assert "By rules only: the model scripted-deep gave no answer" in reply.text
    assert "spend limit is reached" in reply.text


async def test_the_room_is_told_once_a_day_that_the_money_is_gone(world: World) -> None:
    watched(world, believing(METRIC), purse=Wallet("0"))
    async with world.running():
        for number in range(3):
            labels = {"service": f"s{number}", "fingerprint": f"f{number}"}
            await world.send(alert(f"Alert{number}", severity="critical", **labels), group=f"g{number}")
        await world.room.until(lambda ms: sum("Diagnosis of" in one.text for one in ms) == 3)
        await world.says("money for models is spent")
    told = [one for one in world.room.bot_messages() if "money for models is spent" in one.text]
    assert len(told) == 1
    replies = [one.text for one in world.room.bot_messages() if "Diagnosis of" in one.text]
    assert all("USD a day is reached" in text for text in replies)


async def test_what_only_an_outsiders_words_speak_for_is_not_learnt_from(world: World) -> None:
    model = watched(world, believing(LOG))
    async with world.running() as app:
        await world.send(alert(severity="critical"))
        await becomes(world, IncidentState.DIAGNOSED)
        assert model.turns
        await world.send(alert(severity="critical", status="resolved"), status="resolved")
        await becomes(world, IncidentState.RESOLVED)
        async with app.store.reading() as rows:
            past = await rows.past_incidents(10, world.clock.now() + timedelta(minutes=1))
    assert not [one for one in past if one.offered]
