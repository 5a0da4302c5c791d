"""A whole investigation of a 50-pod snapshot by its parts, twenty at once in one event loop, and what two
hundred leave in memory.

python -m benchmarks.investigation [--concurrent 20] [--times 200] [--json]

CPU is this process's own (user and system, all threads). The loop's lag is told twice: as the clock shows
it, and as the CPU this process used between two turns of the loop, which other programs do not change.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import gc
import io
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, TypeVar
from unittest.mock import patch

import psutil

from adapters.evidence.snapshot import Snapshot
from benchmarks import pods
from benchmarks.measure import Measure, number, percentile
from benchmarks.output import finish
from bot.app.reasoning import thinking
from bot.app.replay import replay
from bot.cli.collecting import collect_seldom
from bot.domain.diagnosis import Hypothesis
from investigators import registry
from investigators.registry import Rules

_Result = TypeVar("_Result")
_PARSING = "the same files through json and csv"
_NOTHING = "the loop with nothing to do"
_ROUNDS = 7


def parse(root: Path) -> None:
    """What reading the files costs by itself, with the parsers of the standard library."""
    for path in sorted(root.rglob("*")):
        if path.suffix == ".json":
            json.loads(path.read_bytes())
        elif path.suffix == ".jsonl":
            for line in path.read_text().splitlines():
                json.loads(line)
        elif path.suffix == ".csv":
            rows = csv.reader(io.StringIO(path.read_text()))
            next(rows)
            for row in rows:
                float(row[2])


# By parts


class Parts:
    """CPU seconds by part of an investigation."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def timed(self, part: str, work: Callable[..., _Result]) -> Callable[..., _Result]:
        def timing(*args: Any, **named: Any) -> _Result:
            began = time.process_time()
            try:
                return work(*args, **named)
            finally:
                self.seconds[part] = self.seconds.get(part, 0.0) + time.process_time() - began

        return timing

    def rules(self) -> Rules:
        """Every rule, its time on the account of its family."""
        plain = Rules()
        return replace(
            plain,
            world=tuple(
                replace(rule, check=self.timed(f"{rule.name.partition('.')[0]} rules", rule.check))
                for rule in plain.world
            ),
        )

    @contextmanager
    def watching(self) -> Iterator[None]:
        steps = {
            "build_world": "world",
            "_entity_facts": "rules of the alert's object",
            "locate": "signals",
            "suspects": "changes",
            "linked": "changes",
            "settle": "ranking",
            "rank": "ranking",
            "world_candidates": "ranking",
            "criticise": "ranking",
            "similar": "ranking",
            "write_diagnosis": "writing",
        }
        with ExitStack() as stack:
            for name, part in steps.items():
                stack.enter_context(patch.object(registry, name, self.timed(part, getattr(registry, name))))
            yield


def by_parts(root: Path) -> dict[str, float]:
    """Seconds of one investigation; ``reading`` is that of the files, ``gathering`` what is left."""
    parts = Parts()
    before = time.process_time()
    snapshot = Snapshot(root)
    for contents in (snapshot.main, snapshot.baseline):
        if contents is not None:
            contents.tracks.get(), contents.objects.get(), contents.spans.get()
            contents.entries(records=True, pods=True)
    snapshot.main.changes.get()
    reading = time.process_time() - before
    before = time.process_time()
    with parts.watching():
        asyncio.run(_found(root, parts.rules()))
    whole = time.process_time() - before
    rest = whole - reading - sum(parts.seconds.values())
    return {"reading": reading, "gathering and the rest": rest, **parts.seconds, "whole": whole}


async def _found(root: Path, rules: Rules | None = None) -> Hypothesis:
    _, answer = await replay(root, rules)
    return answer.diagnosis.hypotheses[0]


def _cpu(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


# At once


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """Milliseconds, ascending: between two turns of a loop that asks for one every millisecond."""

    clock: list[float]
    own_cpu: list[float]
    took: float


async def at_once(root: Path, count: int) -> Lag:
    clock: list[float] = []
    own: list[float] = []

    async def tick() -> None:
        while True:
            began, used = time.perf_counter(), time.process_time()
            await asyncio.sleep(0.001)
            clock.append((time.perf_counter() - began - 0.001) * 1000)
            own.append((time.process_time() - used) * 1000)

    ticking = asyncio.ensure_future(tick())
    began = time.perf_counter()
    if count:
        with thinking() as pool:
            await asyncio.gather(*(_let_go(root, pool) for _ in range(count)))
    else:
        await asyncio.sleep(2)
    took = time.perf_counter() - began
    ticking.cancel()
    return Lag(clock=sorted(clock), own_cpu=sorted(own), took=took)


async def _let_go(root: Path, pool: Executor) -> None:
    """As in the service, what was found is not kept until the last of them has ended."""
    await replay(root, None, pool)


def grown(root: Path, times: int) -> tuple[float, float, float]:
    """MiB resident after a few investigations, after all, and at most."""
    process = psutil.Process()
    first = last = most = 0.0
    for turn in range(times):
        asyncio.run(_found(root))
        gc.collect()  # as the service does when none runs
        last = process.memory_info().rss / 2**20
        most = max(most, last)
        if turn < times / 10:
            first = last
    return first, last, most


def measure(concurrent: int = 20, times: int = 200) -> list[Measure]:
    gc.collect()
    collect_seldom()
    with tempfile.TemporaryDirectory() as scratch:
        lean, root = Path(scratch) / "lean", Path(scratch) / "case"
        pods.write(lean, lean=True)
        pods.write(root)
        alone = [
            *_alone(lean, "60,000 samples"),
            *_alone(root, "160,000 samples, a baseline among them"),
        ]
        idle = asyncio.run(at_once(root, 0))
        cold = asyncio.run(at_once(root, concurrent))
        gc.collect()  # as the service does when none runs
        warm = asyncio.run(at_once(root, concurrent))
        first, last, most = grown(root, times)
    return [
        *alone,
        *_lags(f"{concurrent} investigations at once", cold, idle),
        *_lags(f"{concurrent} more", warm, idle),
        Measure(
            name=f"resident after {times} investigations",
            value=last,
            unit="MiB",
            baseline_name=f"after {max(1, times // 10)}",
            baseline=first,
            goal=1.1,
            goal_on_ratio=True,
            note=f"{most:.0f} MiB at most",
        ),
    ]


def _alone(root: Path, note: str) -> list[Measure]:
    top = asyncio.run(_found(root))
    if (top.object, top.fault) != (pods.BROKEN, pods.FAULT):
        raise SystemExit(f"found {top.fault} at {top.object}")
    bare = min(_cpu(partial(parse, root)) for _ in range(_ROUNDS))
    rounds = [by_parts(root) for _ in range(_ROUNDS)]
    parts = {name: min(one.get(name, 0.0) for one in rounds) for name in rounds[-1]}
    told = ", ".join(f"{name} {number(1000 * seconds)}" for name, seconds in parts.items())
    print(f"CPU by part in ms, {note}: {told}", file=sys.stderr, flush=True)
    whole = min(_cpu(lambda: asyncio.run(_found(root))) for _ in range(_ROUNDS))
    return [
        Measure(
            name="CPU of a whole investigation of 50 pods",
            value=value * 1000,
            unit="ms",
            baseline_name=_PARSING,
            baseline=bare * 1000,
            goal=300,
            note=f"{note}, {what}",
        )
        for what, value in (("read and judged", whole), ("without reading", whole - parts["reading"]))
    ]


def _lags(name: str, lag: Lag, idle: Lag) -> list[Measure]:
    found = []
    for what, mine, quiet in (
        ("CPU between turns", lag.own_cpu, idle.own_cpu),
        ("lag of the loop", lag.clock, idle.clock),
    ):
        goal = 50 if mine is lag.clock else None
        found += [
            Measure(
                name=f"{name}: {what}, {label}",
                value=value(mine),
                unit="ms",
                baseline_name=_NOTHING,
                baseline=value(quiet),
                goal=goal,
                note=f"{lag.took:.1f} s, half within {median(mine):.1f} ms",
            )
            for label, value in (("p99", lambda values: percentile(values, 99)), ("greatest", max))
        ]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--concurrent", type=int, default=20)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    given = parser.parse_args()
    return finish(measure(given.concurrent, given.times), as_json=given.json)


if __name__ == "__main__":
    sys.exit(main())
