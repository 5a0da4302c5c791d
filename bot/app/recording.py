"""A live investigation whose every answer is written to a directory."""

from __future__ import annotations

from pathlib import Path

import aiohttp
from pydantic import TypeAdapter

from adapters.evidence.recording import Recorder
from bot.app.evidence import Memory, live_sources
from bot.app.replay import FixedClock, Saved, build_rules_investigator
from bot.app.seams import Seams
from config.schema import Config
from investigators.ports import Case, Investigation
from investigators.queries import Sources


async def record(
    config: Config, seams: Seams, case: Case, body: bytes, directory: Path, memory: Memory | None = None
) -> Investigation:
    """Investigate live, by rules alone, and write what was read to an empty directory. ``body`` is what the
    case's alerts came in.

    The investigation's own clock stands still, as it will when it is replayed. Raises InputError for a
    directory that is not empty.
    """
    now = case.now
    recorder = Recorder(directory)
    async with (
        aiohttp.ClientSession() as session,
        live_sources(config, seams, session, memory) as live,
    ):
        sources = _recorded(recorder, live)
        settings = config.evidence
        investigator = build_rules_investigator(
            sources, FixedClock(now), settings.deadline, settings.lookback
        )
        answer = await investigator.investigate(case)
    saved = TypeAdapter(Saved).dump_json(Saved(case=case, lookback=settings.lookback), indent=1)
    await recorder.finish(now=now, alert=body, case=saved.decode(), evidence=answer.evidence)
    return answer


def _recorded(recorder: Recorder, sources: Sources) -> Sources:
    return Sources(
        metrics=tuple(recorder.metrics(source) for source in sources.metrics),
        hosts=tuple(recorder.host(source) for source in sources.hosts),
        wide=tuple(recorder.wide(source) for source in sources.wide),
    )
