"""What was recorded is found again by the same words and by no others."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.model.recording import RecordingModel, ReplayedModel, write_about
from investigators.analyst.ports import (
    FailureKind,
    ModelFailure,
    Opening,
    Reply,
    Tier,
    ToolCall,
    ToolResult,
)
from tests.contracts.model_contract import OPENING, TIMEOUT, failure_of
from tests.fakes.model import ScriptedModel, Turn, asked, said
from tests.fakes.spending import FakeSpending


def look_then_answer(turn: Turn) -> Reply:
    if turn.turn == 1:
        return asked(ToolCall(id="c1", name="look", arguments={"at": "disk"}), text="Hm.")
    return said(f"answer to {turn.text}")


async def talk(
    model: RecordingModel | ReplayedModel,
    opening: Opening = OPENING,
    *,
    first: str = "What is wrong?",
    result: str = "{}",
    failed: bool = False,
    last: bool = True,
) -> list[Reply]:
    conversation = model.open(opening, FakeSpending(), TIMEOUT)
    one = await conversation.say(first)
    results = [ToolResult(call_id="c1", text=result, failed=failed)]
    return [one, await conversation.give(results, "Go on.", may_use_tools=not last)]


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "answers"
    model = ScriptedModel(look_then_answer)
    write_about(model, folder)
    await talk(RecordingModel(model, folder))
    return folder


async def test_the_same_words_find_the_same_answers(folder: Path, tmp_path: Path) -> None:
    heard: list[tuple[Reply, float]] = []
    replayed = await talk(ReplayedModel(folder, lambda reply, seconds: heard.append((reply, seconds))))
    live = await talk(RecordingModel(ScriptedModel(look_then_answer), tmp_path))
    assert replayed == live == [reply for reply, _ in heard]


DESCRIBED = replace(OPENING.tools[0], description="Looks elsewhere.")
CHANGES = {
    "system": lambda model: talk(model, replace(OPENING, system="You find who is to blame.")),
    "tier": lambda model: talk(model, replace(OPENING, tier=Tier.FAST)),
    "tools": lambda model: talk(model, replace(OPENING, tools=())),
    "description": lambda model: talk(
        model, replace(OPENING, tools=(replace(OPENING.tools[0], description="."),))
    ),
    "schema": lambda model: talk(model, replace(OPENING, answer_schema=None)),
    "first words": lambda model: talk(model, first="What is wrong ?"),
}
LATER_CHANGES = {
    "result": lambda model: talk(model, result="{ }"),
    "failed": lambda model: talk(model, failed=True),
    "tools allowed": lambda model: talk(model, last=False),
}


@pytest.mark.parametrize("change", [*CHANGES, *LATER_CHANGES])
async def test_other_words_find_none_and_it_says_how_to_record_them(folder: Path, change: str) -> None:
    turn = 1 if change in CHANGES else 2
    failure = await failure_of((CHANGES | LATER_CHANGES)[change](ReplayedModel(folder)))
    assert failure.kind is FailureKind.UNREACHABLE
    assert f"turn {turn} of this conversation" in failure.reason
    assert "--record-model" in failure.reason


async def test_another_model_finds_none(folder: Path) -> None:
    path = folder / "about.json"
    about = json.loads(path.read_text())
    about["ids"]["deep"] = "another"
    path.write_text(json.dumps(about))
    assert (await failure_of(talk(ReplayedModel(folder)))).kind is FailureKind.UNREACHABLE


@pytest.mark.parametrize("content", [b"", b"{", b"null", b'{"format": 1}'])
async def test_a_broken_recording_is_none(folder: Path, content: bytes) -> None:
    for path in folder.glob("[0-9a-f]*.json"):
        if path.name != "about.json":
            path.write_bytes(content)
    failure = await failure_of(talk(ReplayedModel(folder)))
    assert (failure.kind, "record it anew" in failure.reason) == (FailureKind.UNREACHABLE, True)


async def test_a_recording_of_another_format_is_refused(folder: Path) -> None:
    for path in folder.glob("[0-9a-f]*.json"):
        path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    assert "format 2" in (await failure_of(talk(ReplayedModel(folder)))).reason


def test_a_folder_without_recordings_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelFailure, match="--record-model"):
        ReplayedModel(tmp_path)


def test_answers_of_two_models_do_not_mix(tmp_path: Path) -> None:
    write_about(ScriptedModel(look_then_answer), tmp_path)
    write_about(ScriptedModel(look_then_answer), tmp_path)
    with pytest.raises(ModelFailure, match="answers of another model"):
        write_about(ScriptedModel(look_then_answer, name="another"), tmp_path)


async def test_failures_are_not_what_a_model_said(tmp_path: Path) -> None:
    model = ScriptedModel(lambda turn: ModelFailure(FailureKind.OVERLOADED, "busy"))
    write_about(model, tmp_path)
    await failure_of(RecordingModel(model, tmp_path).open(OPENING, FakeSpending(), TIMEOUT).say("?"))
    assert [path.name for path in tmp_path.iterdir()] == ["about.json"]
    again = ReplayedModel(tmp_path).open(OPENING, FakeSpending(), timedelta(seconds=1))
    assert (await failure_of(again.say("?"))).kind is FailureKind.UNREACHABLE


async def test_a_budget_that_ran_out_when_recording_and_no_longer_does_says_so(tmp_path: Path) -> None:
    model = ScriptedModel(look_then_answer)
    write_about(model, tmp_path)
    poor = RecordingModel(model, tmp_path).open(OPENING, FakeSpending(refuses=0), TIMEOUT)
    assert (await failure_of(poor.say("?"))).kind is FailureKind.BUDGET
    again = ReplayedModel(tmp_path).open(OPENING, FakeSpending(refuses=0), TIMEOUT)
    assert (await failure_of(again.say("?"))).kind is FailureKind.BUDGET
    rich = ReplayedModel(tmp_path).open(OPENING, FakeSpending(), TIMEOUT)
    assert "may spend" in (await failure_of(rich.say("?"))).reason


async def test_the_same_words_told_twice_get_both_answers_in_their_order(tmp_path: Path) -> None:
    model = ScriptedModel(lambda turn: said(f"answer {turn.number}"))
    write_about(model, tmp_path)
    recording = RecordingModel(model, tmp_path)
    for number in (1, 2):
        reply = await recording.open(OPENING, FakeSpending(), TIMEOUT).say("?")
        assert reply.text == f"answer {number}"
    replayed = ReplayedModel(tmp_path)
    heard = [(await replayed.open(OPENING, FakeSpending(), TIMEOUT).say("?")).text for _ in range(3)]
    assert heard == ["answer 1", "answer 2", "answer 2"]
