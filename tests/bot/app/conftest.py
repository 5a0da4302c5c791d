"""The real service on a real database and port, with a room and a target that outlive it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapters.keys import generate_signing_key
from adapters.storage import SqlStore
from bot.app.build import App, build
from bot.app.seams import OpenChats, Seams
from bot.domain.clock import Clock, SystemClock
from bot.domain.incident import IncidentState
from bot.ports import Chat
from config.loader import loads
from config.schema import Config
from investigators.analyst.ports import Model
from investigators.ports import Answerer
from investigators.retrospect.story import Summariser
from tests.fakes.investigator import ScriptedInvestigator
from tests.fakes.room import Room, RoomChat, RoomMessage
from tests.fakes.target import FileExecutor, FileInspector, FileTarget

TOKEN = "webhook-token-0123456789"
ANA, BEN, EVE = "@ana:example.org", "@ben:example.org", "@eve:example.org"


def config_text(
    directory: Path,
    key_file: Path,
    extra: str = "",
    *,
    execution: bool = True,
    room: str = "ops",
    more_rooms: str = "",
    verify: str = "[200ms, 600ms, 1500ms, 3s, 6s, 15s, 40s]",
) -> str:
    return f"""
version: 1
data_dir: {directory / "data"}
listen: {{host: 127.0.0.1, port: 0}}
sources:
  - {{name: alertmanager, kind: alertmanager, auth: {{bearer: {TOKEN}}}}}
chat:
  matrix: {{homeserver: "http://127.0.0.1:1", user_id: "@bot:room", access_token: token-of-the-bot-0123}}
  rooms: [{{name: {room}, matrix: "!room:fake"}}{more_rooms}]
  default_rooms: [{room}]
people:
  - id: ana
    matrix: "{ANA}"
    roles: [viewer, responder, admin, "approver:process", "approver:alertmanager"]
  - {{id: ben, matrix: "{BEN}", roles: [viewer, "approver:process", "approver:alertmanager"]}}
  - {{id: eve, matrix: "{EVE}", roles: [viewer]}}
keys: {{signing_key_file: {key_file}}}
ledger: {{anchor_file: {directory / "anchors.txt"}}}
execution:
  enabled: {str(execution).lower()}
  processes:
    - {{name: cart, pid_file: {directory / "cart.pid"}, start: ["true"]}}
  verify_after: {verify}
{extra}
"""


@dataclass(slots=True)
class World:
    """One service under test with its surroundings; ``really``: it investigates what its configuration
    names, instead of reading a script."""

    directory: Path
    room: Room
    target: FileTarget
    investigator: ScriptedInvestigator
    inspector: FileInspector
    executor: FileExecutor
    clock: Clock
    extra: str = ""
    execution: bool = True
    acting: str = "process"
    also_acting: tuple[str, ...] = ()
    room_name: str = "ops"
    more_rooms: str = ""
    verify: str = "[200ms, 600ms, 1500ms, 3s, 6s, 15s, 40s]"
    open_chats: OpenChats | None = None
    wrap_store: Callable[[SqlStore], Any] = lambda store: store
    answerer: Answerer | None = None
    really: bool = False
    summariser: Summariser | None = None
    model: Model | None = None
    app: App | None = None
    errors: list[Exception] = field(default_factory=list)

    @property
    def key_file(self) -> Path:
        path = self.directory / "signing.pem"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(generate_signing_key())
        return path

    def config(self) -> Config:
        return loads(
            config_text(
                self.directory,
                self.key_file,
                self.extra,
                execution=self.execution,
                verify=self.verify,
                room=self.room_name,
                more_rooms=self.more_rooms,
            ),
            {},
            base=self.directory,
        )

    def write_config(self) -> Path:
        """The configuration as a file, for the command line."""
        path = self.directory / "assent.yaml"
        path.write_text(
            config_text(
                self.directory,
                self.key_file,
                self.extra,
                execution=self.execution,
                verify=self.verify,
                room=self.room_name,
                more_rooms=self.more_rooms,
            )
        )
        return path

    @asynccontextmanager
    async def running(self, *, executors: bool = True) -> AsyncIterator[App]:
        """Start, work, stop in stages."""
        seams = Seams(
            clock=self.clock,
            open_chats=self.open_chats or self._open_chats,
            wrap_store=self.wrap_store,
            investigator=None if self.really else self.investigator,
            summariser=self.summariser,
            answerer=self.answerer,
            acting=dict.fromkeys((self.acting, *self.also_acting), (self.inspector, self.executor))
            if executors
            else None,
            model=self.model,
            on_error=self.errors.append,
        )
        stop = asyncio.Event()
        async with build(self.config(), seams) as app:
            self.app = app
            running = asyncio.create_task(app.run(stop))
            try:
                while app.chats["matrix"].healthy() is not None:
                    await asyncio.sleep(0.005)
                yield app
            finally:
                stop.set()
                await running
                self.app = None

    @asynccontextmanager
    async def _open_chats(self, config: Config, clock: Clock) -> AsyncIterator[Mapping[str, Chat]]:
        yield {"matrix": RoomChat(Room(self.directory / "room.db"))}

    async def send(
        self, *alerts: Mapping[str, Any], group: str = "g1", status: str = "firing"
    ) -> dict[str, Any]:
        """Deliver a batch as Alertmanager would; returns the answer's body."""
        assert self.app is not None
        body = {
            "version": "4",
            "groupKey": group,
            "truncatedAlerts": 0,
            "status": status,
            "receiver": "assent",
            "groupLabels": {},
            "commonLabels": {},
            "commonAnnotations": {},
            "externalURL": "http://alertmanager.example",
            "alerts": list(alerts),
        }
        async with aiohttp.ClientSession() as session:
            answer = await session.post(
                f"http://127.0.0.1:{self.app.port}/webhook/alertmanager",
                data=json.dumps(body),
                headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
            )
            assert answer.status == 202, await answer.text()
            return dict(await answer.json())

    async def investigated(self, *, seconds: float = 20) -> None:
        """Wait until the incident's request is in the store, whatever the room shows."""
        assert self.app is not None
        async with asyncio.timeout(seconds):
            while True:
                async with self.app.store.reading() as rows:
                    incidents = await rows.incidents(live_only=True, limit=1)
                    if incidents and incidents[0].state is IncidentState.AWAITING_APPROVAL:
                        return
                await asyncio.sleep(0.01)

    async def card(self, *, seconds: float = 20) -> RoomMessage:
        """The approval card, once it is in the room."""
        found = await self.room.until(
            lambda ms: any("Action: process.restart" in m.text for m in ms), seconds=seconds
        )
        return [m for m in found if "Action: process.restart" in m.text][-1]

    async def root_says(self, text: str) -> RoomMessage:
        found = await self.room.until(lambda ms: any(m.thread is None and text in m.text for m in ms))
        return next(m for m in found if m.thread is None and text in m.text)

    async def says(self, text: str) -> RoomMessage:
        found = await self.room.until(lambda ms: any(text in m.text for m in ms))
        return next(m for m in found if text in m.text)


def alert(
    name: str = "MemoryHigh",
    *,
    status: str = "firing",
    fingerprint: str = "f1",
    starts_at: str | None = None,
    severity: str = "warning",
    **labels: str,
) -> dict[str, Any]:
    """One alert of an Alertmanager body."""
    started = starts_at or "2026-11-21T02:00:00Z"
    return {
        "status": status,
        "labels": {"alertname": name, "severity": severity, "service": "cart", **labels},
        "annotations": {"summary": f"{name} on cart"},
        "startsAt": started,
        "endsAt": datetime.now(UTC).isoformat() if status == "resolved" else "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example/graph?g0.expr=up",
        "fingerprint": fingerprint,
    }


def made_world(directory: Path) -> World:
    clock = SystemClock()
    target = FileTarget(directory / "target")
    return World(
        directory=directory,
        room=Room(directory / "room.db"),
        target=target,
        investigator=ScriptedInvestigator(),
        inspector=FileInspector(target, clock),
        executor=FileExecutor(target, clock),
        clock=clock,
    )


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = made_world(tmp_path)
    yield made
    with contextlib.suppress(IndexError):
        raise made.errors[0]
