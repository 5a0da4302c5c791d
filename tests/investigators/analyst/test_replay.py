"""An investigation with a model is replayed to the byte: what it read was recorded as well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from adapters.evidence.recording import Recorder, sources_in
from adapters.evidence.snapshot import Snapshot
from investigators.analyst.analyst import Analyst
from investigators.analyst.ports import Limits
from investigators.ports import Investigation
from investigators.queries import Sources
from investigators.registry import DeterministicInvestigator
from tests.adapters.evidence.recording.test_recording import BODY, LOOKBACK, Saved
from tests.fakes.evidence import NOW, FixedClock
from tests.fakes.model import ScriptedModel
from tests.investigators.analyst.test_analyst import quoting
from tests.investigators.analyst.world import RESTART, Told, incident, leaking, restart


async def run(sources: Sources) -> tuple[Investigation, list[Any]]:
    clock = FixedClock()
    rules = DeterministicInvestigator(sources, clock, LOOKBACK, LOOKBACK)
    model = ScriptedModel(quoting(actions=[restart()]))
    analyst = Analyst(rules, model, sources, (), [RESTART], limits=Limits(), clock=clock)
    result = await analyst.investigate(incident())
    return result, [(turn.text, turn.results) for turn in model.turns]


async def test_what_a_model_read_is_replayed_to_the_byte(tmp_path: Path) -> None:
    metrics, host = leaking()
    recorder = Recorder(tmp_path)
    listened = Sources(
        metrics=(recorder.metrics(metrics),), hosts=(recorder.host(host),), wide=(recorder.wide(Told()),)
    )
    first, told = await run(listened)
    case = TypeAdapter(Saved).dump_json(Saved(case=incident(), lookback=LOOKBACK)).decode()
    await recorder.finish(now=NOW, alert=BODY, case=case, evidence=first.evidence)
    again, told_again = await run(sources_in(Snapshot(tmp_path)))
    assert told == told_again
    assert told[1][1], "it read something"
    written = TypeAdapter(Investigation).dump_json
    assert written(first) == written(again)
