"""The whole service with a configured model behind a real HTTP API: what it reads, what it proposes, what its
failures leave."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.bot.app.conftest import ANA, World, alert
from tests.servers.messages_api import FAULTS, KEY, Fault, MessagesApi, Says, call, says

LINE = "ERROR cart: cache is full, nothing is evicted"
CANARY = "hunter2-the-canary"
WALL = 4


@pytest.fixture
def sleeper() -> Iterator[int]:
    """The pid of a process that does nothing, so that only its log says that something is wrong."""
    process = subprocess.Popen(["sleep", "600"])
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def prepared(world: World, api: MessagesApi, process: int) -> None:
    """A process of this machine with a log, and a model on the local server."""
    log, pid = world.directory / "cart.log", world.directory / "watched.pid"
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    log.write_text(f"{now} {LINE}\n{now} ERROR cart: db password={CANARY} refused\n")
    pid.write_text(f"{process}\n")
    world.really = True
    world.extra = f"""
evidence:
  deadline: 5s
  host:
    processes: [{{name: cart, match: {{service: cart}}, pid_file: {pid}, log_file: {log}}}]
model:
  base_url: {api.url}
  api_key: {KEY}
  budget: {{wall: {WALL}s}}
"""


def fired(name: str = "CartErrors", severity: str = "critical", **more: str) -> dict[str, Any]:
    started = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    return alert(name, starts_at=started, severity=severity, **more)


def told(body: Mapping[str, Any]) -> str:
    """Everything that a request says, as text."""
    return json.dumps(body["messages"], ensure_ascii=False)


def envelopes(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for message in body["messages"]:
        blocks = message["content"]
        for block in [{"text": blocks}] if isinstance(blocks, str) else blocks:
            content = block.get("text") or block.get("content") or ""
            parts = [content] if isinstance(content, str) else [one.get("text", "") for one in content]
            for line in "\n".join(parts).splitlines():
                if line.startswith("{"):
                    yield json.loads(line)


def evidence_with(body: Mapping[str, Any], words: str) -> str:
    return next(
        str(one["evidence_id"])
        for one in envelopes(body)
        if "evidence_id" in one and words in json.dumps(one["untrusted_data"], ensure_ascii=False)
    )


def diagnosed(quotes: Sequence[tuple[str, str]], **more: Any) -> Says:
    document = {
        "status": "diagnosed",
        "summary": "The cache of cart is full.",
        "root_cause": {
            "object": "cart",
            "object_kind": "process",
            "fault": "memory_growth",
            "statement": "its cache never evicts",
        },
        "evidence": [{"evidence_id": one, "quote": quote, "finding": "so it says"} for one, quote in quotes],
        "ruled_out": [],
        "missing_info": [],
        "alternatives": [],
        "actions": [],
        **more,
    }
    return says(json.dumps(document))


def is_critic(body: Mapping[str, Any]) -> bool:
    return "Your work is to refute" in json.dumps(body["system"])


AGREES = says(json.dumps({"verdict": "agrees", "refuting": [], "reason": "it holds"}))
RESTART = {
    "action": "process.restart",
    "target": "cart",
    "params": [{"name": "process", "value": "cart"}],
    "reason": "it empties the cache",
}


def reading(process: int, **more: Any) -> Callable[[dict[str, Any], int], Says]:
    """Asks the host for its processes with a tool, then quotes what that and the log said."""

    def script(body: dict[str, Any], number: int) -> Says:
        if is_critic(body):
            return AGREES
        if not any(message["role"] == "assistant" for message in body["messages"]):
            return Says(content=[call("host_read", {"part": "processes"}, "toolu_1")])
        seen = f"cart (pid {process})"
        return diagnosed([(evidence_with(body, LINE), LINE), (evidence_with(body, seen), seen)], **more)

    return script


async def test_what_a_model_read_over_the_wire_becomes_a_card_that_a_person_approves(
    world: World, sleeper: int
) -> None:
    async with MessagesApi(reading(sleeper, actions=[RESTART])) as api:
        prepared(world, api, sleeper)
        async with world.running() as app:
            await world.send(fired(severity="warning"))
            reply = await world.says("Diagnosis of")
            assert "Written by the model claude-opus-5-5" in reply.text
            assert f"quoted: {LINE} (an outsider can write this)" in reply.text
            assert " USD" in reply.text
            card = await world.card()
            assert "it empties the cache" not in card.text, "a card is never rendered from a model's prose"
            assert world.target.runs() == []
            world.room.react(card.id, "✅", ANA)
            await world.says("Done")
            metrics = app.metrics.render().decode()
        assert len(world.target.runs()) == 1
    assert api.refused == []
    assert 'assent_model_requests_total{model="claude-opus-5-5",result="ok"}' in metrics
    assert not any(CANARY in told(body) for body in api.requests)
    assert not any(CANARY in message.text for message in world.room.bot_messages())
    assert not any(KEY in message.text for message in world.room.bot_messages())
    assert world.errors == []


@pytest.mark.parametrize("name", FAULTS)
async def test_every_fault_of_the_api_ends_in_a_posted_diagnosis_in_time(
    world: World, sleeper: int, name: str
) -> None:
    async with MessagesApi(lambda body, number: FAULTS[name]) as api:
        prepared(world, api, sleeper)
        async with world.running():
            loop = asyncio.get_running_loop()
            began = loop.time()
            await world.send(fired())
            reply = await world.says("Diagnosis of")
            assert loop.time() - began < WALL + 8
    assert api.requests, "the model was asked"
    assert "By rules only: the model claude-opus-5-5 gave no answer" in reply.text
    assert LINE in reply.text, "what the rules found is posted"
    assert KEY not in reply.text
    assert world.errors == []


async def test_questions_in_the_thread_go_to_the_model_and_its_words_are_quoted(
    world: World, sleeper: int
) -> None:
    def script(body: dict[str, Any], number: int) -> Says | Fault:
        if "follow-up question" not in json.dumps(body["system"]):
            return FAULTS["refusal"]
        document = {
            "status": "answered",
            "answer": "Since its cache filled up.",
            "evidence": [{"evidence_id": evidence_with(body, LINE), "quote": LINE, "finding": "it says so"}],
            "missing_info": [],
            "action": None,
        }
        return says(json.dumps(document))

    async with MessagesApi(script) as api:
        prepared(world, api, sleeper)
        async with world.running():
            await world.send(fired())
            reply = await world.says("Diagnosis of")
            world.room.command(f"ask since when? password={CANARY}", ANA, reply.thread)
            answer = await world.says("Since its cache filled up.")
            assert LINE in answer.text
    assert api.refused == []
    assert not any(CANARY in told(body) for body in api.requests)
    assert world.errors == []


async def test_with_the_days_money_gone_the_rules_go_on_and_the_room_is_told_once(
    world: World, sleeper: int
) -> None:
    dear = {"input_tokens": 100, "output_tokens": 7_000}
    nothing = replace(diagnosed([], status="inconclusive", root_cause=None), usage=dear)
    async with MessagesApi(lambda body, number: nothing) as api:
        prepared(world, api, sleeper)
        world.extra = world.extra.replace("wall: 4s", "wall: 4s, investigation_usd: 0.2, day_usd: 0.2")
        async with world.running():
            for number in range(3):
                one = fired(f"Alert{number}", fingerprint=f"f{number}", namespace=f"n{number}")
                await world.send(one, group=f"g{number}")
                await world.room.until(
                    lambda ms, wanted=number + 1: sum("Diagnosis of" in one.text for one in ms) == wanted
                )
            await world.says("money for models is spent")
        said = [one.text for one in world.room.bot_messages()]
    assert len(api.requests) == 1
    assert sum("money for models is spent" in text for text in said) == 1
    assert world.errors == []
