"""One case: a scenario with kills. And the plan: which cases make up the suite."""

from __future__ import annotations

import asyncio
import random
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.crash.aftermath import Aftermath
from tests.crash.boundaries import Kill
from tests.crash.processes import Zygote
from tests.crash.scenarios import SCENARIOS, Scenario
from tests.crash.world import World

_FIRST_MILLISECONDS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """``kills[n]`` ends the n-th life of the service; after the last one it may live."""

    scenario: str
    kills: tuple[Kill | None, ...] = ()

    def __str__(self) -> str:
        return f"{self.scenario}: {', '.join(str(kill) if kill else '-' for kill in self.kills)}"

    @classmethod
    def parse(cls, text: str) -> Case:
        scenario, _, kills = text.partition(":")
        marks = [mark.strip() for mark in kills.split(",") if mark.strip()]
        return cls(scenario=scenario.strip(), kills=tuple(None if m == "-" else Kill.parse(m) for m in marks))


@dataclass(slots=True)
class Told:
    """What a case has to tell: how many kills hit, where, and every boundary of each life."""

    killed: int
    at: list[str]
    lives: list[list[str]]
    """The boundaries of each life that the case could choose to end."""

    def hit(self, case: Case) -> bool:
        """Whether every boundary the case names was where a life ended."""
        return all(kill is None or kill.name in self.at for kill in case.kills)


async def run_case(case: Case, directory: Path, zygote: Zygote, session: aiohttp.ClientSession) -> Told:
    """Play the scenario under the kills and check what is left. Raises AssertionError, which names the
    case and how to run it alone."""
    directory.mkdir(parents=True)
    scenario = SCENARIOS[case.scenario]()
    world = World(
        directory=directory,
        zygote=zygote,
        session=session,
        kills=(scenario.first_kill, *case.kills) if scenario.first_kill else case.kills,
        suggests=scenario.suggests,
        extra=scenario.extra,
    )
    try:
        await _play(world, scenario)
        after = Aftermath(world)
        try:
            await after.check()
            scenario.check(after)
        finally:
            after.close()
    except Exception as error:
        raise AssertionError(_explained(case, world, error)) from error
    planned = [
        life
        for life, kill in zip(world.lives, world.kills, strict=False)
        if kill is not None and life.exited.result() == -9
    ]
    return Told(
        killed=world.killed,
        at=[crossed[-1] for life in planned if (crossed := life.crossings())],
        lives=[life.crossings() for life in world.lives[1 if scenario.first_kill else 0 :]],
    )


async def _play(world: World, scenario: Scenario) -> None:
    keeper = asyncio.create_task(world.keep_alive())
    playing = asyncio.create_task(_until_settled(world, scenario))
    try:
        await asyncio.wait({keeper, playing}, return_when=asyncio.FIRST_COMPLETED)
        if keeper.done():
            keeper.result()
        await playing
        await world.stop(keeper)
    finally:
        for task in (playing, keeper):
            task.cancel()
        await asyncio.gather(playing, keeper, return_exceptions=True)
        await world.kill_and_keep_dead()


async def _until_settled(world: World, scenario: Scenario) -> None:
    await scenario.play(world)
    await world.settled()


def _explained(case: Case, world: World, error: Exception) -> str:
    log = world.lives[-1].order.file("log") if world.lives else None
    tail = log.read_text()[-3000:] if log is not None and log.exists() else ""
    killed = [
        f"  life {n}: {life.exited.result() if life.exited.done() else 'alive'} at {crossed[-1]!r}"
        for n, life in enumerate(world.lives)
        if (crossed := life.crossings())
    ]
    return "\n".join(
        [
            f"{type(error).__name__}: {error}",
            f"in the case “{case}”, left in {world.directory}. Alone:",
            f"  CRASH_CASE={shlex.quote(str(case))} pytest tests/crash",
            *killed,
            tail,
        ]
    )


@dataclass(slots=True)
class Tally:
    """What the suite did, for one line at the end."""

    seed: int
    kills: int = 0
    cases: int = 0
    seconds: float = 0.0
    longest: float = 0.0
    boundaries: set[str] = field(default_factory=set)
    killed_at: Counter[str] = field(default_factory=Counter)

    def add(self, told: Told, seconds: float) -> None:
        self.cases += 1
        self.longest = max(self.longest, seconds)
        self.kills += told.killed
        self.killed_at.update(told.at)

    def line(self) -> str:
        hit = len(self.boundaries & set(self.killed_at))
        return (
            f"crash suite: seed {self.seed}, {self.kills} kills in {self.cases} cases, "
            f"{hit} of {len(self.boundaries)} boundaries, {self.seconds:.0f} s "
            f"(longest case {self.longest:.1f} s)"
        )


def sweep(scenario: str, lives: Sequence[Sequence[str]], known: set[str]) -> list[Case]:
    """One case for each boundary that no earlier scenario has: the first time it is crossed, in the life
    that crosses it. Adds them to ``known``."""
    cases = []
    for number, crossed in enumerate(lives):
        for name in dict.fromkeys(crossed):
            if name not in known:
                cases.append(Case(scenario=scenario, kills=(*[None] * number, Kill(name=name, nth=1))))
                known.add(name)
    return cases


def chance(scenario: str, crossings: int, seed: int) -> Iterator[Case]:
    """Cases without end from a seed: anywhere on the path, in the first moments, and again while it
    recovers."""
    dice = random.Random(f"{seed} {scenario}")
    while True:
        kills: list[Kill | None] = [_anywhere(dice, crossings)]
        while dice.random() < 0.4 and len(kills) < 4:
            kills.append(_early(dice))
        yield Case(scenario=scenario, kills=tuple(kills))


def _anywhere(dice: random.Random, crossings: int) -> Kill:
    if dice.random() < 0.15:
        return Kill(after=dice.randrange(_FIRST_MILLISECONDS))
    return Kill(nth=dice.randint(1, crossings))


def _early(dice: random.Random) -> Kill:
    if dice.random() < 0.3:
        return Kill(after=dice.randrange(_FIRST_MILLISECONDS))
    return Kill(nth=dice.randint(1, 25))
