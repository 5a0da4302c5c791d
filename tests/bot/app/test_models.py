"""The configured model: opened only where there is one, within its limits, and asked by `check`."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bot.app.models import limits_of, open_model, probe_model
from bot.cli.checking import check
from bot.domain.clock import SystemClock
from bot.domain.errors import ConfigError, Unavailable
from config.model import ModelSection
from investigators.analyst.ports import Limits, ModelFailure, Tier
from tests.architecture.source import ROOT
from tests.contracts.model_contract import OPENING
from tests.fakes.spending import FakeSpending
from tests.servers.claude_command import ClaudeStandIn
from tests.servers.messages_api import KEY, MessagesApi, says

CLOCK = SystemClock()

_BUILD = """
import asyncio, json, sys
from pathlib import Path
from bot.app.build import build
from config.loader import loads

async def main():
    config = loads(sys.stdin.read(), {}, base=Path(sys.argv[1]))
    async with build(config) as app:
        assert app.port
    libraries = ("anthropic", "httpx2", "genai_prices", "mcp")
    print(json.dumps([name for name in libraries if name in sys.modules]))

asyncio.run(main())
"""
_CONFIG = """
version: 1
data_dir: data
listen: {port: 0}
sources: [{name: a, kind: generic, auth: {bearer: 0123456789abcdef0123}}]
chat: {console: {}, rooms: [{name: ops, console: true}], default_rooms: [ops]}
people: [{id: ada, console: ada, roles: [viewer]}]
"""


def test_without_a_model_the_service_loads_no_library_of_one(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _BUILD, str(tmp_path)],
        input=_CONFIG,
        cwd=tmp_path,
        env={
            "PYTHONPATH": str(ROOT),
            "PATH": "",
            "ANTHROPIC_API_KEY": "a key in the environment is no section",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.splitlines()[-1]) == []


async def test_without_a_section_there_is_no_model() -> None:
    async with open_model(None, CLOCK) as model:
        assert model is None


async def test_a_section_opens_what_it_names_and_closes_it_at_the_end() -> None:
    async with MessagesApi([says("ok")]) as api:
        section = ModelSection.model_validate(
            {"api_key": KEY, "base_url": api.url, "fast": "claude-haiku-5-5"}
        )
        async with open_model(section, CLOCK) as model:
            assert model is not None
            assert (model.name, model.name_of(Tier.FAST)) == ("anthropic", "claude-haiku-5-5")
            talk = model.open(OPENING, FakeSpending(), timedelta(seconds=10))
            assert (await talk.say("?")).text == "ok"
        with pytest.raises(ModelFailure):
            await model.open(OPENING, FakeSpending(), timedelta(seconds=10)).say("?")
    command = ModelSection(provider="claude-cli")
    async with open_model(command, CLOCK) as model:
        assert model is not None
        assert model.name == "claude-cli"


def test_the_default_limits_are_those_of_the_port() -> None:
    assert limits_of(ModelSection.model_validate({"api_key": KEY})) == Limits()
    budget = {
        "investigation_usd": 0.25,
        "day_usd": "5",
        "turns": 3,
        "tool_calls": 4,
        "tokens": 5,
        "wall": "1m",
    }
    assert limits_of(ModelSection.model_validate({"api_key": KEY, "budget": budget})) == Limits(
        turns=3,
        tool_calls=4,
        tokens=5,
        usd=Decimal("0.25"),
        usd_per_day=Decimal(5),
        wall=timedelta(minutes=1),
    )


async def test_a_server_of_ones_own_is_probed_with_one_small_question_per_model() -> None:
    async with MessagesApi([says("ok")] * 2) as api:
        section = ModelSection.model_validate({"api_key": KEY, "base_url": api.url})
        said = await probe_model(section, CLOCK)
    assert said.startswith("claude-haiku-5-5 and claude-opus-5-5 answered; the question cost ")
    assert "USD" in said
    assert [body["max_tokens"] for body in api.requests] == [16, 16]


async def test_an_unknown_price_is_said_to_be_unknown() -> None:
    async with MessagesApi([says("ok")], models=("llama",), key=None) as api:
        section = ModelSection.model_validate({"base_url": api.url, "fast": "llama", "deep": "llama"})
        said = await probe_model(section, CLOCK)
    assert said.endswith("an unknown price")
    assert len(api.requests) == 1


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "key": ({"api_key": "another"}, "does not accept the key"),
    "model": ({"deep": "claude-nobody"}, "does not know the model claude-nobody"),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_what_is_wrong_is_said_and_the_key_is_not(name: str) -> None:
    changes, words = BROKEN[name]
    async with MessagesApi([says("ok")] * 2) as api:
        section = ModelSection.model_validate({"api_key": KEY, "base_url": api.url, **changes})
        with pytest.raises(Unavailable) as caught:
            await probe_model(section, CLOCK)
    assert words in caught.value.reason
    assert KEY not in str(caught.value)


async def test_check_asks_the_model_and_fails_when_it_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "assent.yaml"
    async with MessagesApi([says("ok")] * 2) as api:
        path.write_text(f"{_CONFIG}\nmodel: {{base_url: '{api.url}', api_key: {KEY}}}\n")
        assert await check(path, as_json=False, dump=False) == 0
        assert "✔ model anthropic: claude-haiku-5-5 and claude-opus-5-5 answered" in capsys.readouterr().out
    assert await check(path, as_json=True, dump=False) == 1
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)["checks"]}
    assert not found["model anthropic"]["ok"]
    assert "model.base_url" in found["model anthropic"]["detail"]


async def test_the_command_is_probed_by_its_version(tmp_path: Path) -> None:
    command = ClaudeStandIn.install(tmp_path / "claude")
    section = ModelSection(provider="claude-cli", command=str(command.program))
    said = await probe_model(section, CLOCK)
    assert said.startswith("2.4.0 (Claude Code);")
    assert command.asked() == []
    with pytest.raises(Unavailable, match=r"model\.command"):
        await probe_model(ModelSection(provider="claude-cli", command="no-such-program"), CLOCK)


@pytest.mark.parametrize("provider", ["anthropic", "claude-cli"])
async def test_a_missing_library_is_named_with_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, provider: str
) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    section = ModelSection.model_validate({"provider": provider, "api_key": KEY})
    for attempt in (open_model(section, CLOCK).__aenter__(), probe_model(section, CLOCK)):
        with pytest.raises(ConfigError, match=r"genai_prices is not installed; .*assent\[claude\]"):
            await attempt
