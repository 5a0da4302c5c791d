"""Where the service can be killed: every point at which the world outside has just changed, or is about to.

A :class:`Boundaries` is crossed by wrappers around the store, the chat, the room, the target and the
anchors. It writes every crossing down and ends the process at the one it was told to.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, cast

from adapters.anchors import FileAnchors
from adapters.storage import SqlStore
from approvals.ledger import Anchor, Checkpoint
from bot.domain.alert import Alert, IngestResult
from bot.domain.audit import AuditEvent
from bot.domain.chat import Inbound, MessageRef
from bot.domain.ids import ExecutionId, RequestId
from bot.domain.incident import IncidentState
from bot.domain.message import Message
from bot.domain.outcome import Execution, ExecutionResult
from bot.ports import Chat, Inbox
from tests.fakes.room import Room


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """When to end a life of the service: at the ``nth`` crossing of all (``name`` empty) or of one name,
    or ``after`` so many milliseconds wherever it is. Written ``#57``, ``before store.claim*1`` or ``t31``."""

    name: str = ""
    nth: int = 0
    after: int | None = None

    def __str__(self) -> str:
        if self.after is not None:
            return f"t{self.after}"
        return f"{self.name}*{self.nth}" if self.name else f"#{self.nth}"

    @classmethod
    def parse(cls, text: str) -> Kill:
        if text.startswith("#"):
            return cls(nth=int(text[1:]))
        name, star, nth = text.rpartition("*")
        if star:
            return cls(name=name, nth=int(nth))
        return cls(after=int(text.removeprefix("t")))


class Boundaries:
    """Counts crossings into a file that outlives the process: one line with the name of each."""

    def __init__(self, log: Path, kill: Kill | None) -> None:
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._kill = kill
        self._total = 0
        self._of: Counter[str] = Counter()

    def cross(self, name: str) -> None:
        self._total += 1
        self._of[name] += 1
        os.write(self._log, f"{name}\n".encode())
        kill = self._kill
        if kill is None or kill.after is not None:
            return
        if kill.nth == (self._of[name] if kill.name == name else self._total if not kill.name else 0):
            os.kill(os.getpid(), signal.SIGKILL)


def _caller(frame: FrameType | None) -> str:
    """``module.Class.method`` of whoever asked for the transaction."""
    while frame is not None and (frame.f_globals.get("__name__") in (__name__, "contextlib")):
        frame = frame.f_back
    if frame is None:
        return "nobody"
    return f"{frame.f_globals['__name__'].rpartition('.')[2]}.{frame.f_code.co_qualname}"


class CrossedStore:
    """A store with a boundary before and after everything it makes durable."""

    def __init__(self, store: SqlStore, boundaries: Boundaries) -> None:
        self._store = store
        self._cross = boundaries.cross

    @classmethod
    def around(cls, store: SqlStore, boundaries: Boundaries) -> SqlStore:
        return cast(SqlStore, cls(store, boundaries))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        whose = _caller(sys._getframe())
        async with self._store.transaction() as tx:
            yield tx
            self._cross(f"before commit of {whose}")
        self._cross(f"after commit of {whose}")

    async def ingest(self, alerts: Sequence[Alert]) -> Sequence[IngestResult]:
        self._cross("before store.ingest")
        results = await self._store.ingest(alerts)
        self._cross("after store.ingest")
        return results

    async def store(self, platform: str, events: Sequence[Inbound], position: str | None) -> None:
        self._cross("before store.inbox")
        await self._store.store(platform, events, position)
        self._cross("after store.inbox")

    async def claim(self, execution: Execution, request_version: int, events: Sequence[AuditEvent]) -> bool:
        self._cross("before store.claim")
        won = await self._store.claim(execution, request_version, events)
        self._cross("after store.claim")
        return won

    async def finish(
        self,
        execution_id: ExecutionId,
        result: ExecutionResult,
        incident_to: IncidentState,
        events: Sequence[AuditEvent],
    ) -> None:
        self._cross("before store.finish")
        await self._store.finish(execution_id, result, incident_to, events)
        self._cross("after store.finish")

    async def refuse(
        self, request_id: RequestId, request_version: int, reason: str, events: Sequence[AuditEvent]
    ) -> bool:
        self._cross("before store.refuse")
        refused = await self._store.refuse(request_id, request_version, reason, events)
        self._cross("after store.refuse")
        return refused

    async def add_checkpoint(self, checkpoint: Checkpoint) -> None:
        self._cross("before store.add_checkpoint")
        await self._store.add_checkpoint(checkpoint)
        self._cross("after store.add_checkpoint")


class CrossedChat:
    """A chat with a boundary before and after every message."""

    def __init__(self, chat: Chat, boundaries: Boundaries) -> None:
        self.platform = chat.platform
        self._chat = chat
        self._cross = boundaries.cross

    async def open_thread(self, room: str, message: Message, key: str) -> MessageRef:
        self._cross("before chat.open_thread")
        ref = await self._chat.open_thread(room, message, key)
        self._cross("after chat.open_thread")
        return ref

    async def update_root(self, root: MessageRef, message: Message, key: str) -> None:
        self._cross("before chat.update_root")
        await self._chat.update_root(root, message, key)
        self._cross("after chat.update_root")

    async def reply(self, root: MessageRef, message: Message, key: str) -> MessageRef:
        self._cross("before chat.reply")
        ref = await self._chat.reply(root, message, key)
        self._cross("after chat.reply")
        return ref

    async def post_card(self, root: MessageRef, message: Message, key: str) -> MessageRef:
        self._cross("before chat.post_card")
        ref = await self._chat.post_card(root, message, key)
        self._cross("after chat.post_card")
        return ref

    async def update_card(self, card: MessageRef, message: Message, key: str) -> None:
        self._cross("before chat.update_card")
        await self._chat.update_card(card, message, key)
        self._cross("after chat.update_card")

    async def settle_card(self, card: MessageRef, message: Message, key: str) -> None:
        self._cross("before chat.settle_card")
        await self._chat.settle_card(card, message, key)
        self._cross("after chat.settle_card")

    async def answer_privately(self, room: str, person: str, message: Message, key: str) -> None:
        self._cross("before chat.answer_privately")
        await self._chat.answer_privately(room, person, message, key)
        self._cross("after chat.answer_privately")

    async def run(self, inbox: Inbox) -> None:
        await self._chat.run(inbox)

    def healthy(self) -> str | None:
        return self._chat.healthy()


class CrossedRoom(Room):
    """A room with a boundary in the middle of what the adapter does in two steps."""

    def __init__(self, path: Path, boundaries: Boundaries) -> None:
        super().__init__(path)
        self._cross = boundaries.cross

    def seed(self, message_id: str, keys: Sequence[str]) -> None:
        self._cross("between posting a card and its first seed")
        super().seed(message_id, keys[:1])
        self._cross("between the seeds of a card")
        super().seed(message_id, keys[1:])

    def unseed(self, message_id: str) -> None:
        self._cross("between settling a card and removing its seeds")
        super().unseed(message_id)


class CrossedAnchors(FileAnchors):
    """The anchor file, with a boundary before and after a line, and one in the middle of it."""

    boundaries: Boundaries
    path: Path

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path

    async def append(self, anchor: Anchor) -> None:
        self.boundaries.cross("before anchors.append")
        size = self.path.stat().st_size if self.path.exists() else 0
        await super().append(anchor)
        written = self.path.stat().st_size - size
        # What a write that the kernel had taken only half of would leave behind.
        os.truncate(self.path, size + written // 2)
        self.boundaries.cross("in the middle of an anchor's line")
        os.truncate(self.path, size)
        await super().append(anchor)
        self.boundaries.cross("after anchors.append")


def bound_anchors(boundaries: Boundaries) -> type[FileAnchors]:
    """The class to put where the composition root looks for :class:`FileAnchors`."""
    return type("BoundAnchors", (CrossedAnchors,), {"boundaries": boundaries})
