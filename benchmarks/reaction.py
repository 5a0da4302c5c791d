"""From a stored reaction to the executor's start, in the service as it is composed.

    python -m benchmarks.reaction [--requests 50] [--json]

Real: configuration, SQLite file, policy, keys, gate, queue. Not real: the room (a SQLite file) and what the
executor acts on. The baseline is the work that no design avoids: one durable commit, one policy evaluation,
two signatures and two verifications.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import secrets
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import structlog

from adapters.keys import generate_signing_key, load_signer, load_trusted
from adapters.policy import load_engine
from approvals.document import PolicySettings, RiskSettings, policy_data
from approvals.policy import PolicyGuard
from benchmarks.measure import ROOT, Measure, percentile
from benchmarks.output import finish
from bot.domain.chat import Inbound, ReactionAdded
from bot.domain.clock import Clock, SystemClock
from bot.domain.outcome import ExecutionResult
from bot.domain.proposal import Action, Target
from bot.ports import Chat, Inbox
from config.schema import Config
from tests.approvals.world import question
from tests.bot.app.conftest import ANA, World, alert
from tests.fakes.investigator import ScriptedInvestigator
from tests.fakes.room import Room, RoomChat, RoomMessage
from tests.fakes.target import FileExecutor, FileInspector, FileTarget

_CARD = "Action: process.restart"
_SECONDS = 30.0


class Stopwatch:
    """When the last reaction was stored, and when the executor was entered."""

    def __init__(self) -> None:
        self.stored = 0.0
        self.entered: asyncio.Future[float] | None = None


class WatchedInbox:
    """The real inbox; notes when a reaction is in it."""

    def __init__(self, inbox: Inbox, watch: Stopwatch) -> None:
        self._inbox = inbox
        self._watch = watch

    async def position(self, platform: str) -> str | None:
        return await self._inbox.position(platform)

    async def store(self, platform: str, events: Sequence[Inbound], position: str | None) -> None:
        await self._inbox.store(platform, events, position)
        if any(isinstance(event, ReactionAdded) for event in events):
            self._watch.stored = time.perf_counter()


class WatchedRoomChat(RoomChat):
    def __init__(self, room: Room, watch: Stopwatch) -> None:
        super().__init__(room)
        self._watch = watch

    async def run(self, inbox: Inbox) -> None:
        await super().run(WatchedInbox(inbox, self._watch))


class ManyTargets(FileInspector):
    """Finds every process that is asked for: policy limits how often one may be restarted."""

    async def locate(self, action: Action) -> Target:
        return Target(kind="process", name=str(action.params["process"]), uid=self.target.uid, labels={})


class WatchedExecutor(FileExecutor):
    def __init__(self, target: FileTarget, clock: Clock, watch: Stopwatch) -> None:
        super().__init__(target, clock)
        self._watch = watch

    async def run(self, action: Action, target: Target, idempotency_key: str) -> ExecutionResult:
        if self._watch.entered is not None:
            self._watch.entered.set_result(time.perf_counter())
        return await super().run(action, target, idempotency_key)


class WatchedWorld(World):
    watch = Stopwatch()

    @asynccontextmanager
    async def _open_chats(self, config: Config, clock: Clock) -> AsyncIterator[Mapping[str, Chat]]:
        yield {"matrix": WatchedRoomChat(Room(self.directory / "room.db"), self.watch)}


async def from_reaction_to_executor(folder: Path, requests: int) -> list[float]:
    """Seconds for each request, one after the other."""
    clock, target = SystemClock(), FileTarget(folder / "target")
    world = WatchedWorld(
        directory=folder,
        room=Room(folder / "room.db"),
        target=target,
        investigator=ScriptedInvestigator(),
        inspector=ManyTargets(target, clock),
        executor=WatchedExecutor(target, clock, WatchedWorld.watch),
        clock=clock,
        extra="approval: {per_person_per_hour: 1000000}",
    )
    took: list[float] = []
    seen: set[str] = set()
    async with world.running() as app:
        for number in range(requests):
            name = f"service-{number}"
            world.investigator.process = name
            world.watch.entered = asyncio.get_running_loop().create_future()
            await world.send(alert(fingerprint=name, service=name), group=name)
            card = await _new_card(world, seen)
            await app._queue.drain(timedelta(seconds=_SECONDS))
            world.room.react(card, "✅", ANA)
            async with asyncio.timeout(_SECONDS):
                took.append(await world.watch.entered - world.watch.stored)
            world.watch.entered = None
            await app._queue.drain(timedelta(seconds=_SECONDS))
    for error in world.errors:
        raise error
    return took


async def _new_card(world: World, seen: set[str]) -> str:
    def cards(messages: Sequence[RoomMessage]) -> list[str]:
        return [message.id for message in messages if _CARD in message.text and message.id not in seen]

    card = cards(await world.room.until(lambda messages: bool(cards(messages))))[0]
    seen.add(card)
    return card


async def bare_work(folder: Path, times: int) -> list[float]:
    signer = load_signer(generate_signing_key())
    verifier = load_trusted((), signer=signer)
    engine = load_engine(ROOT / "config" / "policies", policy_data(PolicySettings(), RiskSettings()))
    guard, asked, payload = PolicyGuard(engine, 2.0), question(), b"x" * 1000
    database = sqlite3.connect(folder / "bare.db", isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        database.execute(f"PRAGMA {pragma}")
    database.execute("CREATE TABLE rows (id TEXT PRIMARY KEY, body BLOB)")
    took: list[float] = []
    for _ in range(times):
        started = time.perf_counter()
        database.execute("INSERT INTO rows VALUES (?, ?)", (secrets.token_hex(), payload))
        await guard.decide(asked)
        for _ in range(2):
            verifier.verify("benchmark", signer.sign("benchmark", payload))
        took.append(time.perf_counter() - started)
    database.close()
    engine.close()
    return took


def measure(requests: int = 50) -> list[Measure]:
    """Median and 99th percentile; the same of the bare work."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as place:
        bare = asyncio.run(bare_work(Path(place), requests))
        took = asyncio.run(from_reaction_to_executor(Path(place), requests))
    return [
        Measure(
            name=f"reaction stored → executor started, p{percent}",
            value=percentile(took, percent) * 1000,
            unit="ms",
            baseline_name="one commit, one policy evaluation, 2 signatures, 2 verifications",
            baseline=percentile(bare, percent) * 1000,
            goal=100,
            note=f"{len(took)} requests, own time",
        )
        for percent in (50, 99)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=50)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    given = parser.parse_args()
    return finish(measure(given.requests), as_json=given.json)


if __name__ == "__main__":
    sys.exit(main())
