"""What asking a model costs us beside the bare SDK: per turn, per investigation, and what is left in memory.

    python -m benchmarks.model [--investigations 1000]

The Messages API is a local one in a process of its own; CPU is this process's. The bare SDK sends the very
requests that our adapter sent.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import multiprocessing
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from typing import Any

import psutil

from benchmarks.measure import Measure
from benchmarks.output import finish
from bot.app.models import open_model
from bot.domain.clock import SystemClock
from config.model import ModelSection
from investigators.analyst.analyst import Analyst
from investigators.analyst.budget import Budget
from investigators.analyst.ports import Limits, Model, Opening, Tier
from investigators.ports import Case, Investigation
from investigators.queries import Sources
from tests.fakes.evidence import FixedClock
from tests.investigators.analyst.world import LOG_LINE, incident, shop
from tests.servers.messages_api import KEY, MessagesApi, Says, call, says

_ROUNDS = 5
_CALLS = 3
"""Of one investigation: a tool, the answer, the second look."""
_TURNS = 60
_MANY = Limits(turns=10_000, tokens=10**12, usd=None, usd_per_day=None, wall=timedelta(hours=1))


# The server's process


def _script(body: dict[str, Any], number: int) -> Says:
    """A tool call, then an answer that quotes what the tool said; the critic agrees."""
    said = json.dumps(body["messages"], ensure_ascii=False)
    if "Your work is to refute" in json.dumps(body.get("system", "")):
        return says(json.dumps({"verdict": "agrees", "refuting": [], "reason": "it holds"}))
    if not body.get("tools"):
        return says("as you say")
    if len(body["messages"]) == 1:
        return Says(content=[call("logs_search", {"service": "demo"}, "toolu_1")])
    before = said.index("evicted")
    name = said.rindex("ev_", 0, before)
    cause = {"object": "demo", "object_kind": "process", "fault": "memory_growth", "statement": "it grows"}
    answer = {
        "status": "diagnosed",
        "summary": "the cache grows",
        "root_cause": cause,
        "evidence": [{"evidence_id": said[name : name + 27], "quote": LOG_LINE, "finding": "it says so"}],
        "ruled_out": [],
        "missing_info": [],
        "alternatives": [],
        "actions": [],
    }
    return says(json.dumps(answer))


async def _serve(told: Connection, stop: Event) -> None:
    async with MessagesApi(_script) as api:
        told.send(api.url)
        while not stop.is_set():
            await asyncio.sleep(0.05)
            if len(api.requests) > 200:
                # A test keeps them to look at; here they would be all that grows.
                api.requests.clear()
                api.headers.clear()
        told.send(api.refused)


def _server(told: Connection, stop: Event) -> None:
    asyncio.run(_serve(told, stop))


@asynccontextmanager
async def _api() -> AsyncIterator[str]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    stop = context.Event()
    process = context.Process(target=_server, args=(theirs, stop), daemon=True)
    process.start()
    try:
        yield await asyncio.to_thread(ours.recv)
    finally:
        stop.set()
        refused = await asyncio.to_thread(ours.recv)
        process.join(10)
    if refused:
        raise SystemExit(f"the server refused what we sent: {refused[0]}")


# What is measured


async def _cpu(work: Callable[[], Awaitable[object]], times: int) -> float:
    """Milliseconds of CPU for one, the least of some rounds."""
    found = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        for _ in range(times):
            await work()
        found.append((time.process_time() - began) * 1000 / times)
    return min(found)


async def _turns(model: Model, url: str) -> Measure:
    """Each a first turn of a new conversation, with a system prompt and some 4 kB of text."""
    opening = Opening(tier=Tier.FAST, system="You are asked something.")
    text = "What is this? " * 300

    async def one(model: Model) -> None:
        budget = Budget(_MANY, None, SystemClock(), timedelta(hours=1))
        await model.open(opening, budget, timedelta(seconds=30)).say(text, may_use_tools=False)

    (body,) = await _sent(one)
    async with _bare(url) as client:
        mine = await _cpu(lambda: one(model), _TURNS)
        theirs = await _cpu(lambda: client.messages.create(**body), _TURNS)
    return Measure(
        name="CPU of one turn",
        value=mine,
        unit="ms",
        baseline_name="the bare SDK with the same request",
        baseline=theirs,
        goal=2.0,
        goal_on_ratio=True,
    )


async def _investigations(model: Model, url: str) -> Measure:
    """The rules are not counted: they are done."""
    made, case = shop(), incident()
    done = await made.rules.investigate(case)

    async def one(model: Model) -> None:
        found = await _analyst(model, made.sources, done).investigate(case)
        note = found.diagnosis.model
        if note is None or note.turns != _CALLS:
            raise SystemExit(f"not the investigation that is to be measured: {note}")

    bodies = await _sent(one)
    async with _bare(url) as client:

        async def bare() -> None:
            for body in bodies:
                await client.messages.create(**body)

        mine, theirs = await _cpu(lambda: one(model), 10), await _cpu(bare, 10)
    return Measure(
        name="CPU of a model's part of an investigation",
        value=mine,
        unit="ms",
        baseline_name="the bare SDK with the same three requests",
        baseline=theirs,
        note="three calls, one tool, the rules' evidence at hand",
    )


async def _memory(model: Model, times: int) -> Measure:
    made, case = shop(), incident()
    done = await made.rules.investigate(case)
    analyst = _analyst(model, made.sources, done)
    process = psutil.Process()
    first = last = 0.0
    for turn in range(1, times + 1):
        await analyst.investigate(case)
        if turn in (times // 10, times):
            gc.collect()
            first, last = first or process.memory_info().rss, process.memory_info().rss
    return Measure(
        name=f"resident after {times} investigations with a model",
        value=last / 2**20,
        unit="MiB",
        baseline_name=f"after {times // 10}",
        baseline=first / 2**20,
        goal=1.1,
        goal_on_ratio=True,
    )


def _analyst(model: Model, sources: Sources, done: Investigation) -> Analyst:
    class Done:
        async def investigate(self, case: Case) -> Investigation:
            return done

    return Analyst(Done(), model, sources, limits=_MANY, clock=FixedClock())


# The bare SDK


@asynccontextmanager
async def _bare(url: str) -> AsyncIterator[Any]:
    from anthropic import AsyncAnthropic

    async with AsyncAnthropic(api_key=KEY, base_url=url, max_retries=0) as client:
        yield client


@asynccontextmanager
async def _model(url: str) -> AsyncIterator[Model]:
    capable = {"structured_outputs": True, "cache": True, "effort": True}
    section = ModelSection.model_validate({"api_key": KEY, "base_url": url, "capabilities": capable})
    async with open_model(section, SystemClock()) as model:
        assert model is not None
        yield model


async def _sent(work: Callable[[Model], Awaitable[object]]) -> list[dict[str, Any]]:
    """The bodies of the requests that are made while this is done, as arguments for the SDK."""
    async with MessagesApi(_script) as api, _model(api.url) as model:
        await work(model)
        return api.requests


async def _measured(investigations: int) -> list[Measure]:
    began = time.process_time()
    import anthropic  # noqa: F401

    loading = time.process_time() - began
    async with _api() as url, _model(url) as model:
        found = [await _turns(model, url), await _investigations(model, url)]
        found.append(await _memory(model, investigations))
    return [*found, _not_loaded(loading)]


def _not_loaded(loading: float) -> Measure:
    """What a start without a model is spared; a test shows that it does not load the library."""
    import subprocess

    code = (
        "import time; began = time.process_time(); import bot.app.build, sys; "
        "assert 'anthropic' not in sys.modules; print(time.process_time() - began)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return Measure(
        name="CPU of importing the service without a model",
        value=float(ran.stdout) * 1000,
        unit="ms",
        baseline_name="importing anthropic alone, which it does not",
        baseline=loading * 1000,
    )


def measure(investigations: int = 1000) -> list[Measure]:
    return asyncio.run(_measured(investigations))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--investigations", type=int, default=1000)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    given = parser.parse_args()
    return finish(measure(given.investigations), as_json=given.json)


if __name__ == "__main__":
    sys.exit(main())
