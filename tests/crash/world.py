"""The world around a service that dies: a room, a target, a sender, a service manager, and time."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from adapters.keys import generate_signing_key
from tests.bot.app.conftest import TOKEN, config_text
from tests.crash.boundaries import Kill
from tests.crash.processes import Life, Zygote
from tests.crash.service import Order
from tests.fakes.room import Room, RoomMessage
from tests.fakes.target import FileTarget

PATIENCE = 30.0
"""Seconds in which the world must come to rest after anything; only a broken service needs them."""

_VERIFY_AFTER = re.compile(r"verify_after: \[.*\]")
_LOOKS = "verify_after: [50ms, 150ms, 300ms, 500ms, 800ms, 1200ms, 2s, 4s, 8s, 20s]"
"""Often at first, for speed, and long enough for the alert to go away on a machine that is busy."""

_OUTSTANDING = """
SELECT 'alerts not placed' FROM alerts WHERE placed = 0
UNION ALL SELECT 'messages not sent' FROM outbox WHERE sent_at IS NULL
UNION ALL SELECT 'events not handled' FROM inbox WHERE handled = 0
UNION ALL SELECT 'incidents not announced' FROM incidents WHERE announced < change
UNION ALL SELECT 'incidents ' || state FROM incidents
  WHERE mode = 'investigate' AND state IN ('open', 'investigating', 'executing', 'verifying')
UNION ALL SELECT 'diagnosis without remediation' FROM incidents
  WHERE state = 'diagnosed' AND remediated_run < run
UNION ALL SELECT 'approved but not run' FROM requests
  WHERE state = 'approved' AND NOT EXISTS (SELECT 1 FROM executions WHERE request_id = requests.id)
UNION ALL SELECT 'questions not answered' FROM questions WHERE state = 'pending'
UNION ALL SELECT 'wishes not worked on' FROM wishes WHERE state = 'open'
UNION ALL SELECT 'claimed' FROM executions WHERE state = 'claimed'
"""


@dataclass(slots=True)
class World:
    """One service, its surroundings, and the kills that await it: ``kills[n]`` in its n-th life."""

    directory: Path
    zygote: Zygote
    session: aiohttp.ClientSession
    kills: Sequence[Kill | None] = ()
    suggests: str | None = "cart"
    extra: str = ""
    lives: list[Life] = field(default_factory=list)
    accepted: list[Mapping[str, Any]] = field(default_factory=list)
    """Every alert whose delivery was answered with 202."""
    stopping: bool = False
    may_live: asyncio.Event = field(default_factory=asyncio.Event)
    room: Room = field(init=False)
    target: FileTarget = field(init=False)

    def __post_init__(self) -> None:
        key = self.directory / "signing.pem"
        key.touch(mode=0o600)
        key.write_text(generate_signing_key())
        text = config_text(self.directory, key, self.extra)
        (self.directory / "assent.yaml").write_text(_VERIFY_AFTER.sub(_LOOKS, text))
        self.room = Room(self.directory / "room.db")
        self.target = FileTarget(self.directory / "target")
        self.may_live.set()

    @property
    def database(self) -> Path:
        return self.directory / "data" / "assent.db"

    @property
    def killed(self) -> int:
        return sum(1 for life in self.lives if life.exited.done() and life.exited.result() == -9)

    # -- the service manager ----------------------------------------------------------------------------

    async def keep_alive(self) -> None:
        """Start the service, and again whenever it was killed, until it stops in good order.

        Raises AssertionError when it ends in any other way.
        """
        while True:
            await self.may_live.wait()
            life = self._start()
            code = await self._life(life)
            if code == 0:
                assert self.stopping, "the service stopped although nobody asked it to"
                return
            if self.stopping and code == -signal.SIGTERM:
                # Asked to stop before it could listen to that.
                self.stopping = False
                continue
            assert code == -signal.SIGKILL, (
                f"the service ended with {code}:\n{life.order.file('log').read_text()[-4000:]}"
            )

    def _start(self) -> Life:
        number = len(self.lives)
        kill = self.kills[number] if number < len(self.kills) else None
        life = self.zygote.start(
            Order(
                directory=str(self.directory),
                life=number,
                suggests=self.suggests,
                kill=str(kill) if kill is not None else None,
            )
        )
        self.lives.append(life)
        if kill is not None and kill.after is not None:
            asyncio.get_running_loop().call_later(kill.after / 1000, life.send, signal.SIGKILL)
        return life

    async def _life(self, life: Life) -> int:
        asked = False
        while not life.exited.done():
            if self.stopping and not asked and life.ready() is not None:
                life.send(signal.SIGTERM)
                asked = True
            await asyncio.wait({life.exited}, timeout=0.01)
        return life.exited.result()

    async def kill_and_keep_dead(self) -> None:
        """SIGKILL now; nothing is started until :meth:`revive`."""
        self.may_live.clear()
        life = self.lives[-1]
        life.send(signal.SIGKILL)
        await asyncio.wait({life.exited})

    async def stay_dead_after_first_kill(self) -> None:
        """Let the first life begin; no other starts until :meth:`revive`."""
        while not self.lives:
            await asyncio.sleep(0.001)
        self.may_live.clear()

    def revive(self) -> None:
        self.may_live.set()

    # -- the sender ---------------------------------------------------------------------------------------

    async def deliver(
        self, *alerts: Mapping[str, Any], group: str = "g1", status: str = "firing", probe: bool = False
    ) -> None:
        """Post one batch as Alertmanager does: again and again until a 2xx answers."""
        body = json.dumps(
            {
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
        )
        async with asyncio.timeout(PATIENCE):
            while not await self._posted(body):
                await asyncio.sleep(0.02)
        self.accepted.extend(alerts)

    async def _posted(self, body: str) -> bool:
        ready = self.lives[-1].ready() if self.lives else None
        if ready is None:
            return False
        try:
            async with self.session.post(
                f"http://127.0.0.1:{ready['port']}/webhook/alertmanager",
                data=body,
                headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
            ) as answer:
                await answer.read()
                assert answer.status == 202 or answer.status >= 500, await answer.text()
                return answer.status == 202
        except aiohttp.ClientError:
            return False

    # -- the people ---------------------------------------------------------------------------------------

    async def sees(self, holds: Callable[[list[RoomMessage]], bool]) -> list[RoomMessage]:
        return await self.room.until(holds, seconds=PATIENCE)

    async def card(self, *, beside: RoomMessage | None = None) -> RoomMessage:
        """The approval card, once it is posted; another one than ``beside``."""
        other = "" if beside is None else beside.id
        return await self._message(lambda m: "Action: process.restart" in m.text and m.id != other)

    async def card_says(self, text: str) -> RoomMessage:
        return await self._message(lambda m: "Action: process.restart" in m.text and text in m.text)

    async def says(self, text: str) -> RoomMessage:
        return await self._message(lambda m: text in m.text)

    async def root_says(self, text: str) -> RoomMessage:
        return await self._message(lambda m: m.thread is None and text in m.text)

    async def _message(self, wanted: Callable[[RoomMessage], bool]) -> RoomMessage:
        found = await self.sees(lambda ms: any(wanted(m) for m in ms))
        return next(m for m in found if wanted(m))

    # -- the end ------------------------------------------------------------------------------------------

    async def settled(self) -> None:
        """Wait until the rows imply no more work and the bot has read everything in the room."""
        left: list[str] = []
        try:
            async with asyncio.timeout(PATIENCE):
                while left := self._outstanding():
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"never came to rest: {', '.join(left)}") from None

    def _outstanding(self) -> list[str]:
        try:
            db = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)
        except sqlite3.OperationalError:
            return ["no database"]
        try:
            left = [row[0] for row in db.execute(_OUTSTANDING)]
            position = db.execute("SELECT position FROM positions").fetchone()
        except sqlite3.OperationalError as error:
            return [str(error)]
        finally:
            db.close()
        if position is None or int(position[0]) < self.room.last():
            left.append("events not read")
        return left

    async def stop(self, keeper: asyncio.Task[None]) -> None:
        """Ask the service to stop, however often it is killed while stopping."""
        self.stopping = True
        async with asyncio.timeout(PATIENCE):
            await keeper


def alert(
    name: str = "MemoryHigh",
    *,
    status: str = "firing",
    fingerprint: str = "f1",
    severity: str = "warning",
    service: str = "cart",
) -> dict[str, Any]:
    """One alert of an Alertmanager body."""
    return {
        "status": status,
        "labels": {"alertname": name, "severity": severity, "service": service},
        "annotations": {"summary": f"{name} on {service}"},
        "startsAt": "2026-11-21T02:00:00Z",
        "endsAt": datetime.now(UTC).isoformat() if status == "resolved" else "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example/graph?g0.expr=up",
        "fingerprint": fingerprint,
    }
