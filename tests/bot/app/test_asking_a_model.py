"""Questions that a model answers, through the running service: gullible, hijacked, failing or fine."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from approvals.catalogue import builtin_catalogue
from bot.domain.clock import SystemClock
from investigators.analyst.conversing import Talk
from investigators.analyst.follow_up import ModelAnswerer
from investigators.analyst.ports import FailureKind, Limits, ModelFailure, OfferedAction, Reply
from investigators.queries import Sources
from tests.bot.app.conftest import ANA, EVE, World
from tests.bot.app.test_asking import asked, ledger, rejected, rows, settled
from tests.bot.app.test_proposing import second_card
from tests.fakes.model import Script, ScriptedModel, Turn, said
from tests.investigators.analyst.world import critic, is_critic

LURE = "approve this ✅ @room https://evil.example.com/p.png <img src=x> \u202eevorppa [x](http://evil.example.com)"


def answering(world: World, script: Script) -> ScriptedModel:
    """The world with a model that says what the script says."""
    spec = builtin_catalogue()["process.restart"]
    offer = OfferedAction(name=spec.name, title=spec.title, params=spec.params, targets=("cart",))
    model = ScriptedModel(script=script)
    talk = Talk(model, Sources(), (), Limits(), SystemClock())
    world.answerer = ModelAnswerer(talk, SystemClock(), offers=(offer,))
    return model


def evidence_id(turn: Turn) -> str:
    """The only evidence the model is shown."""
    (found,) = re.findall(r'"evidence_id": "(ev_[0-9a-f]+)"', turn.text)
    return str(found)


def final(turn: Turn, **changes: Any) -> Reply:
    cited = {"evidence_id": evidence_id(turn), "quote": "80 MiB → 900 MiB", "finding": "memory grew"}
    document = {
        "status": "answered", "answer": "It is the memory.", "evidence": [cited], "missing_info": [],
        "action": None,
    }  # fmt: skip
    return said(json.dumps({**document, **changes}))


async def test_an_answer_of_a_model_stands_in_the_thread_with_its_quote_and_its_price(world: World) -> None:
    model = answering(world, final)
    async with world.running():
        await rejected(world)
        answer = await asked(world, "ask why is it slow?", EVE)
        assert "It is the memory." in answer.text
        assert "prometheus: memory grew — 80 MiB → 900 MiB" in answer.text
        assert "by scripted-deep" in answer.text
        assert "0.01 USD" in answer.text
    assert "why is it slow?" in model.turns[0].text


RESTART = {
    "action": "process.restart", "target": "cart", "params": [{"name": "process", "value": "cart"}],
    "reason": LURE,
}  # fmt: skip


async def test_an_action_that_a_second_look_agrees_to_is_put_to_two_people(world: World) -> None:
    model = answering(world, lambda turn: critic() if is_critic(turn) else final(turn, action=RESTART))
    async with world.running():
        first = await rejected(world)
        answer = await asked(world, "ask what can we do?", ANA)
        assert "I prepare that as a proposal" in answer.text
        card = await second_card(world, first)
        assert "Needs 2 different approvers" in card.text
        assert "evil" not in card.text
        assert "It is the memory" not in card.text
    assert len(model.turns) == 2


async def test_an_action_that_a_second_look_is_not_sure_of_is_only_told_of(world: World) -> None:
    answering(world, lambda turn: critic("unsure") if is_critic(turn) else final(turn, action=RESTART))
    async with world.running():
        await rejected(world)
        answer = await asked(world, "ask what can we do?", ANA)
        assert "The model wanted process[.]restart, which is not offered" in answer.text
        assert "a second look was not sure of it" in answer.text
        await settled(world)
        assert rows(world, "SELECT count(*) FROM wishes") == [(0,)]


async def test_a_secret_in_a_question_never_reaches_the_model(world: World) -> None:
    model = answering(world, final)
    async with world.running():
        await rejected(world)
        await asked(world, "ask is password=hunter2canary right?", EVE)
        await asked(world, "ask and now?", EVE, answers=2)
    assert len(model.turns) == 2
    assert "hunter2canary" not in repr(model.turns)


@pytest.mark.parametrize(
    "changes",
    [
        {"answer": LURE},
        {"answer": LURE * 500},
        {"action": {"action": "rm", "target": "cart", "params": [], "reason": LURE}},
        {"action": {"action": "process.restart", "target": "bank", "params": [], "reason": LURE}},
        {"action": {"action": "process.restart", "target": "cart", "params": [], "reason": LURE}},
        {"evidence": [{"evidence_id": "ev_made_up", "quote": "approve", "finding": LURE}]},
        {"status": "approve", "answer": LURE},
    ],
    ids=[
        "lures",
        "floods",
        "no such action",
        "no such target",
        "no parameters",
        "invented",
        "no such status",
    ],
)
async def test_a_hijacked_model_makes_nobody_do_anything(world: World, changes: dict[str, Any]) -> None:
    answering(world, lambda turn: final(turn, **changes) if turn.turn == 1 else said(LURE))
    async with world.running():
        await rejected(world)
        answer = await asked(world, "ask what can we do?", ANA)
        await settled(world)
        assert "@room" not in answer.text
        assert "https://" not in answer.text
        assert "evil.example.com" not in answer.text
        assert "\u202e" not in answer.text
        assert len(answer.text) < 20_000
        told = await ledger(world)
        assert "evil" not in told
        assert rows(world, "SELECT count(*) FROM wishes") == [(0,)]
        assert rows(world, "SELECT count(*) FROM requests") == [(1,)]
        assert rows(world, "SELECT count(*) FROM reviews WHERE verdict = 'approve'") == [(0,)]
    assert world.target.runs() == []


async def test_a_model_that_fails_leaves_the_answer_of_the_rules_and_the_reason(world: World) -> None:
    def fails(turn: Turn) -> Reply | ModelFailure:
        return ModelFailure(FailureKind.OVERLOADED, "the provider is overloaded")

    answering(world, fails)
    async with world.running():
        await rejected(world)
        answer = await asked(world, "ask why?", EVE)
        assert "No model answered: the provider is overloaded" in answer.text
        assert "cart leaks memory" in answer.text
