"""Every model keeps the promises of the port: a scripted one, the Messages API, the command, a replay."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from adapters.model.anthropic import open_anthropic
from adapters.model.claude_cli import ClaudeCommand
from adapters.model.recording import RecordingModel, ReplayedModel, write_about
from config.model import ModelSection
from investigators.analyst.ports import FailureKind, ModelFailure, Reply, Stop, ToolCall
from tests.contracts.model_contract import (
    Answers,
    Asks,
    Breaks,
    FailingModelContract,
    ModelContract,
    Run,
    SlowModelContract,
    Step,
    World,
)
from tests.contracts.store_nouns import StillClock
from tests.fakes.model import ScriptedModel, Turn, asked, said
from tests.servers.claude_command import ClaudeStandIn
from tests.servers.messages_api import KEY, SERVER_ERROR, SLOW, MessagesApi, Says, call, text, thinking
from tests.servers.messages_api import Turn as ApiTurn

Test = Callable[[Run], Awaitable[None]]
CLOCK = StillClock(datetime(2026, 11, 25, 12, tzinfo=UTC))


def scripted(script: Sequence[Step]) -> ScriptedModel:
    steps, ids = iter(script), count(1)

    def next_one(turn: Turn) -> Reply | ModelFailure:
        match next(steps):
            case Answers(text=words, stop=stop):
                return said(words, stop=stop)
            case Asks(at=places):
                return asked(
                    *(ToolCall(id=f"c{next(ids)}", name="look", arguments={"at": at}) for at in places)
                )
            case Breaks():
                return ModelFailure(FailureKind.SERVER_ERROR, "broken")

    return ScriptedModel(next_one)


class Scripted:
    async def play(self, script: Sequence[Step], test: Test) -> None:
        model = scripted(script)
        await test(Run(model=model, asked=lambda: len(model.turns)))


class TestScriptedModel(ModelContract, FailingModelContract):
    @pytest.fixture
    def world(self) -> World:
        return Scripted()


class MessagesWorld:
    def __init__(self, section: Mapping[str, Any]) -> None:
        self._section = section

    async def play(self, script: Sequence[Step], test: Test) -> None:
        ids = count(1)
        # What breaks breaks for good: the SDK tries again.
        turns: list[ApiTurn] = []
        for step in script:
            match step:
                case Answers(text=words, stop=stop):
                    blocks = [text(words)] if words else []
                    turns.append(Says(content=blocks, stop="refusal" if stop is Stop.REFUSED else None))
                case Asks(at=places):
                    looks = [call("look", {"at": at}, f"toolu_{next(ids)}") for at in places]
                    turns.append(Says(content=[thinking("Hm."), *looks]))
                case Breaks(hangs=True):
                    turns.append(SLOW)
                case Breaks():
                    turns += [SERVER_ERROR] * 3
        async with MessagesApi(turns) as api:
            section = ModelSection.model_validate({"api_key": KEY, "base_url": api.url, **self._section})
            async with open_anthropic(section, CLOCK) as model:
                await test(Run(model=model, asked=lambda: len(api.requests)))
            assert api.refused == []


EVERYTHING = {"structured_outputs": True, "cache": True, "effort": True, "thinking": True}


class TestAnthropicModel(ModelContract, FailingModelContract, SlowModelContract):
    @pytest.fixture(params=["everything", "plain messages"])
    def world(self, request: pytest.FixtureRequest) -> World:
        return MessagesWorld({"capabilities": EVERYTHING} if request.param == "everything" else {})


class CommandWorld:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def play(self, script: Sequence[Step], test: Test) -> None:
        command = ClaudeStandIn.install(self._folder)
        for step in script:
            match step:
                case Answers(text=words, stop=stop):
                    told = json.dumps({"answer": json.loads(words)}) if words else ""
                    command.will_say(told, stop="refusal" if stop is Stop.REFUSED else "end_turn", usd=0.01)
                case Asks(at=places):
                    calls = [{"name": "look", "arguments": {"at": at}} for at in places]
                    command.will_say(json.dumps({"calls": calls}))
                case Breaks(hangs=True):
                    command.will_be_slow()
                case Breaks():
                    command.will_fail("API Error: 500 Internal server error")
        section = ModelSection(provider="claude-cli", command=str(command.program))
        await test(Run(model=ClaudeCommand(section, CLOCK, {}), asked=lambda: len(command.asked())))


class TestClaudeCommand(ModelContract, FailingModelContract, SlowModelContract):
    @pytest.fixture
    def world(self, tmp_path: Path) -> World:
        return CommandWorld(tmp_path / "claude")


class Replays:
    """Each test runs twice: while its answers are recorded, and on what was recorded."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def play(self, script: Sequence[Step], test: Test) -> None:
        model = scripted(script)
        write_about(model, self._folder)
        recording = RecordingModel(model, self._folder)
        await test(Run(model=recording, asked=lambda: len(model.turns)))
        before = {path.name: path.read_bytes() for path in self._folder.iterdir()}
        await test(Run(model=ReplayedModel(self._folder), asked=lambda: 0))
        assert {path.name: path.read_bytes() for path in self._folder.iterdir()} == before


class TestReplayedModel(ModelContract):
    @pytest.fixture
    def world(self, tmp_path: Path) -> World:
        return Replays(tmp_path / "answers")
