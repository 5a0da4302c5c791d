"""The service in a process of its own: the real composition root, with a world around it in files."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import traceback
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import bot.app.build as composition
from bot.app.seams import Seams
from bot.domain.clock import Clock, SystemClock
from bot.domain.errors import StaleWrite, Unavailable
from bot.ports import Chat
from config.loader import loads
from config.schema import Config
from tests.crash.boundaries import (
    Boundaries,
    CrossedChat,
    CrossedRoom,
    CrossedStore,
    Kill,
    bound_anchors,
)
from tests.fakes.investigator import ScriptedInvestigator
from tests.fakes.room import RoomChat
from tests.fakes.target import FileExecutor, FileInspector, FileTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One life of the service in ``directory``; ``life`` counts from 0. ``suggests`` is what the scripted
    investigator wants restarted."""

    directory: str
    life: int
    suggests: str | None
    kill: str | None

    def file(self, name: str) -> Path:
        """``crossings``, ``ready``, ``errors`` or ``log`` of this life."""
        return Path(self.directory) / f"life-{self.life}.{name}"


def live(order: Order) -> None:
    """Run the service until SIGTERM stops it in good order, or a boundary kills it."""
    log = os.open(order.file("log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    asyncio.run(_live(order))


async def _live(order: Order) -> None:
    directory = Path(order.directory)
    kill = Kill.parse(order.kill) if order.kill else None
    boundaries = Boundaries(order.file("crossings"), kill)
    clock = SystemClock()
    target = FileTarget(directory / "target")
    vars(composition)["FileAnchors"] = bound_anchors(boundaries)

    @asynccontextmanager
    async def open_chats(config: Config, clock: Clock) -> AsyncIterator[Mapping[str, Chat]]:
        yield {"matrix": CrossedChat(RoomChat(CrossedRoom(directory / "room.db", boundaries)), boundaries)}

    def on_error(error: Exception) -> None:
        if not isinstance(error, StaleWrite | Unavailable):
            with order.file("errors").open("a") as file:
                file.write("".join(traceback.format_exception(error)))

    seams = Seams(
        clock=clock,
        open_chats=open_chats,
        investigator=ScriptedInvestigator(process=order.suggests),
        acting={"process": (FileInspector(target, clock), FileExecutor(target, clock, boundaries.cross))},
        wrap_store=lambda store: CrossedStore.around(store, boundaries),
        on_error=on_error,
    )
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    config = loads((directory / "assent.yaml").read_text(), {}, base=directory)
    boundaries.cross("before the start")
    async with composition.build(config, seams) as app:
        ready = {
            "port": app.port,
            "ledger_problem": await app.store.ledger_problem(),
            "at": clock.now().isoformat(),
        }
        draft = order.file("ready.draft")
        draft.write_text(json.dumps(ready))
        draft.rename(order.file("ready"))
        boundaries.cross("after the start")
        await app.run(stop)
        boundaries.cross("before closing")
    boundaries.cross("after closing")
