"""A suite with models: asked live, recorded, and replayed for nothing and byte for byte."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.domain.clock import Clock
from bot.domain.diagnosis import ModelNote, ModelState
from bot.domain.errors import UserError
from bot.evaluation.cases import find_cases
from bot.evaluation.comparison import compared_json, compared_table, totals
from bot.evaluation.models import ModelRun, live_runs, replayed_runs
from bot.evaluation.report import summarise
from bot.evaluation.running import Outcome, run_case, run_cases
from config.model import ModelSection
from investigators.analyst.ports import Limits, Model, ModelFailure, Opening, Tier
from investigators.ports import Case, Investigation, Investigator
from investigators.queries import Sources
from tests.bot.cli.test_commands import assent
from tests.evaluation.test_eval import down
from tests.fakes.spending import FakeSpending
from tests.servers.messages_api import KEY, OVERLOADED, MessagesApi, Says, says, text


@dataclass(frozen=True, slots=True)
class AsksOnce:
    """The rules, and one question to the deep model."""

    rules: Investigator
    model: Model
    limits: Limits

    async def investigate(self, case: Case) -> Investigation:
        found = await self.rules.investigate(case)
        opening = Opening(tier=Tier.DEEP, system="You check a diagnosis.")
        talk = self.model.open(opening, FakeSpending(), timedelta(seconds=20))
        try:
            reply = await talk.say(f"Is it right that {found.diagnosis.summary}?")
        except ModelFailure as failure:
            note = ModelNote(state=ModelState.FAILED, kind=failure.kind.value, reason=failure.reason)
        else:
            note = ModelNote(state=ModelState.AGREED, model=reply.model, said=reply.text, turns=1)
        return replace(found, diagnosis=replace(found.diagnosis, model=note))


def asks_once(
    rules: Investigator, model: Model, sources: Sources, limits: Limits, clock: Clock
) -> Investigator:
    return AsksOnce(rules, model, limits)


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    down(tmp_path / "suite/right")
    down(tmp_path / "suite/wrong", {"causes": [{"object": "other"}], "tags": ["hard"]})
    return tmp_path / "suite"


def section_at(url: str) -> ModelSection:
    return ModelSection.model_validate({"api_key": KEY, "base_url": url})


async def outcomes_of(suite: Path, runs: Sequence[ModelRun | None]) -> dict[str, list[Outcome]]:
    cases = find_cases(suite)
    found = {}
    for run in runs:
        how = run_case if run is None else replace(run, analyst=asks_once)
        label = "off" if run is None else run.label
        # Not in processes of their own, as the command does it: starting those takes seconds.
        found[label] = [await asyncio.to_thread(how, case) for case in cases]
    return found


def told(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Without the time that the machine took."""
    return [{**outcome.line, "seconds": 0} for outcome in outcomes]


async def test_a_recorded_suite_replays_without_a_network_and_costs_what_it_did(
    suite: Path, tmp_path: Path
) -> None:
    names = ["off", "claude-haiku-5-5", "claude-haiku-5-5,claude-opus-5-5"]
    folder = tmp_path / "answers"
    async with MessagesApi(lambda body, number: Says(content=[text("Yes.")], delay=0.05)) as api:
        live = await outcomes_of(suite, live_runs(names, section_at(api.url), folder))
        assert len(api.requests) == 4
        assert {body["model"] for body in api.requests} == {"claude-haiku-5-5", "claude-opus-5-5"}
    assert KEY not in "".join(path.read_text() for path in folder.rglob("*.json"))
    kept = {path: path.read_bytes() for path in folder.rglob("*.json")}

    again = await outcomes_of(suite, replayed_runs(["off"], folder))
    assert set(again) == set(live) == {"off", "claude-haiku-5-5", "claude-haiku-5-5+claude-opus-5-5"}
    for label, outcomes in live.items():
        assert told(again[label]) == told(outcomes)
    assert {path: path.read_bytes() for path in folder.rglob("*.json")} == kept

    used = totals(live["claude-haiku-5-5+claude-opus-5-5"])
    assert (used.turns, used.states) == (2, {"agreed": 2})
    assert used.tokens > 0
    assert used.usd is not None
    assert used.usd > 0
    assert used.seconds >= 0.1
    one = replayed_runs(["claude-haiku-5-5,claude-opus-5-5"], folder)
    assert [run and run.label for run in one] == ["claude-haiku-5-5+claude-opus-5-5"]


async def test_a_run_with_a_model_goes_into_a_process_of_its_own(suite: Path) -> None:
    (case,) = find_cases(suite, "right")
    async with MessagesApi([says("Yes.")]) as api:
        (run,) = live_runs(["claude-haiku-5-5"], section_at(api.url), None)
        assert run is not None
        outcomes = await asyncio.to_thread(run_cases, [case], 1, replace(run, analyst=asks_once))
    assert [outcome.line["model_state"] for outcome in outcomes] == ["agreed"]


async def test_results_stand_side_by_side_by_model(suite: Path) -> None:
    async with MessagesApi(lambda body, number: says("Yes.")) as api:
        found = await outcomes_of(suite, live_runs(["off", "configured"], section_at(api.url), None))
    cases = find_cases(suite)
    compared = {name: (summarise(cases, outcomes), totals(outcomes)) for name, outcomes in found.items()}
    data = compared_json(compared)["models"]
    assert list(data) == ["off", "claude-haiku-5-5+claude-opus-5-5"]
    with_model = data["claude-haiku-5-5+claude-opus-5-5"]
    assert with_model["right_at_1"] == {"right": 1, "of": 2, "share": 0.5}
    assert with_model["model"]["turns"] == 2
    assert data["off"]["model"] == {"turns": 0, "tokens": 0, "usd": 0, "seconds": 0, "states": {}}
    lines = compared_table(compared).splitlines()
    assert lines[0].split()[:3] == ["model", "right@1", "right@3"]
    assert [line.split()[0] for line in lines[1:]] == list(data)
    assert "agreed 2" in lines[2]


async def test_a_model_that_fails_is_counted_by_why_and_the_rules_answer_stands(suite: Path) -> None:
    async with MessagesApi(lambda body, number: OVERLOADED) as api:
        (run,) = live_runs(["configured"], section_at(api.url), None)
        found = await outcomes_of(suite, [run])
    ((_, outcomes),) = found.items()
    assert totals(outcomes).states == {"overloaded": 2}
    assert [outcome.line["right_at_1"] for outcome in outcomes] == [True, False]


async def test_a_price_that_is_not_known_makes_the_sum_unknown(suite: Path) -> None:
    async with MessagesApi(lambda body, number: says("Yes."), models=("llama",), key=None) as api:
        section = ModelSection.model_validate({"base_url": api.url})
        found = await outcomes_of(suite, live_runs(["llama"], section, None))
    used = totals(found["llama"])
    assert used.usd is None
    cases = find_cases(suite)
    assert "unknown" in compared_table({"llama": (summarise(cases, found["llama"]), used)})


def test_a_recording_keeps_its_limits(tmp_path: Path) -> None:
    section = ModelSection.model_validate({"api_key": KEY, "budget": {"turns": 3}})
    live_runs(["configured"], section, tmp_path)
    (run,) = replayed_runs([], tmp_path)
    assert run is not None
    assert run.limits == replace(Limits(), turns=3)


def test_what_cannot_be_run_is_said_before_anything_runs(tmp_path: Path, suite: Path) -> None:
    with pytest.raises(UserError, match="-c"):
        live_runs(["claude-haiku-5-5"], None, None)
    with pytest.raises(UserError, match="fast,deep"):
        live_runs([",deep"], section_at("http://127.0.0.1:1"), None)
    with pytest.raises(UserError, match="--record-model"):
        replayed_runs([], tmp_path)
    for arguments in (["--model", "claude-haiku-5-5"], ["--replay-model", tmp_path / "none"]):
        done = assent("eval", suite, *arguments)
        assert done.returncode == 2
        assert "--" in done.stderr
        assert "Traceback" not in done.stderr


def test_off_alone_is_the_report_of_the_rules(suite: Path) -> None:
    done = assent("eval", suite, "--json", "--model", "off", "--jobs", "1")
    assert done.returncode == 0
    assert json.loads(done.stdout)["right_at_1"] == {"right": 1, "of": 2, "share": 0.5}


@pytest.mark.parametrize("model", [[], ["--model", "off"]])
def test_recording_without_a_model_is_refused(model: list[str], suite: Path, tmp_path: Path) -> None:
    done = assent("eval", suite, *model, "--record-model", tmp_path / "answers")
    assert done.returncode == 2
    assert done.stderr == "--record-model writes the answers of a model: name one with --model\n"
