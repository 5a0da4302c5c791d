"""Running many cases at once, bounded, on one zygote."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from tests.crash.killing import Case, Tally, Told, chance, run_case, sweep
from tests.crash.processes import Zygote
from tests.crash.scenarios import SCENARIOS

SEED = 20261121
AT_ONCE = 2 * (os.cpu_count() or 2)
_TRIES = 4
_TOLD = 3

T = TypeVar("T")

RANDOM_KILLS: Mapping[str, int] = {
    "approved": 35,
    "approved while dead": 20,
    "card not on record": 25,
    "withdrawn while dead": 15,
    "interrupted": 20,
    "rejected": 15,
    "expired": 15,
    "two approvers": 20,
    "paused": 20,
    "asked and proposed": 15,
    "burst": 25,
}
"""Kills at random points, beside one at every boundary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How many boundaries a scenario crosses, and the cases that kill at those no earlier scenario has."""

    crossings: int
    sweep: list[Case]


class Suite:
    """Everything the tests share: the zygote, where the worlds are put, and the tally."""

    def __init__(self, directory: Path, zygote: Zygote, tally: Tally) -> None:
        self._directory = directory
        self._zygote = zygote
        self.tally = tally
        self._numbers = 0

    def survey(self) -> Mapping[str, Plan]:
        """Play every scenario once without a kill."""
        cases = [Case(scenario=name) for name in SCENARIOS]
        plans: dict[str, Plan] = {}
        known: set[str] = set()
        for case, told in zip(cases, asyncio.run(self._all(cases)), strict=True):
            plans[case.scenario] = Plan(
                crossings=sum(len(life) for life in told.lives),
                sweep=sweep(case.scenario, told.lives, known),
            )
        self.tally.boundaries |= known
        return plans

    def kill_everywhere(self, plan: Plan) -> list[str]:
        """Kill at each boundary of the plan once; returns those that were never reached again."""
        left = list(plan.sweep)
        for _ in range(_TRIES):
            told = asyncio.run(self._all(left))
            left = [case for case, result in zip(left, told, strict=True) if not result.hit(case)]
            if not left:
                break
        return [str(case) for case in left]

    def kill_anywhere(self, scenario: str, crossings: int, kills: int) -> None:
        """Random cases until so many kills have hit."""
        asyncio.run(self._until(chance(scenario, crossings, self.tally.seed), kills))

    def one(self, case: Case) -> Told:
        return asyncio.run(self._all([case]))[0]

    async def _all(self, cases: list[Case]) -> list[Told]:
        async with aiohttp.ClientSession() as session:
            with self._zygote.attached():
                room = asyncio.Semaphore(AT_ONCE)
                return await self._gathered([self._one(case, session, room) for case in cases])

    async def _until(self, cases: Iterator[Case], kills: int) -> None:
        goal = self.tally.kills + kills

        async def work(session: aiohttp.ClientSession, room: asyncio.Semaphore) -> None:
            while self.tally.kills < goal:
                await self._one(next(cases), session, room)

        async with aiohttp.ClientSession() as session:
            with self._zygote.attached():
                room = asyncio.Semaphore(AT_ONCE)
                await self._gathered([work(session, room) for _ in range(AT_ONCE)])

    async def _gathered(self, work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
        """All of it, even when one fails: then the first few failures are told."""
        results = await asyncio.gather(*work, return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        if failures:
            told = [str(failure) for failure in failures[:_TOLD]]
            if len(failures) > _TOLD:
                told.append(f"… and {len(failures) - _TOLD} more cases")
            raise AssertionError("\n\n".join(told))
        return [result for result in results if not isinstance(result, BaseException)]

    async def _one(self, case: Case, session: aiohttp.ClientSession, room: asyncio.Semaphore) -> Told:
        async with room:
            self._numbers += 1
            started = time.monotonic()
            told = await run_case(case, self._directory / f"{self._numbers:03d}", self._zygote, session)
            self.tally.add(told, time.monotonic() - started)
            return told
