"""A chat room in one SQLite file: a platform that outlives the bot's process, and the adapter for it.

:class:`Room` is the platform (also what a test's people use); :class:`RoomChat` implements the Chat port
on it. Several processes may open the same file.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from adapters.chat.rendering import neutral, shown
from bot.domain.chat import CommandReceived, Inbound, MessageRef, ReactionAdded, ReactionRemoved
from bot.domain.errors import Unavailable
from bot.domain.message import Bullets, Code, Fields, Message, Paragraph, Span
from bot.ports import Inbox

_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
  n INTEGER PRIMARY KEY, id TEXT UNIQUE, key TEXT UNIQUE, sender TEXT, text TEXT, thread TEXT, private TEXT,
  posts INTEGER DEFAULT 1);
CREATE TABLE IF NOT EXISTS edits (key TEXT PRIMARY KEY, message TEXT);
CREATE TABLE IF NOT EXISTS reactions (
  id TEXT PRIMARY KEY, message TEXT, sender TEXT, key TEXT, removed INT DEFAULT 0);
CREATE TABLE IF NOT EXISTS timeline (
  n INTEGER PRIMARY KEY, event_id TEXT, kind TEXT, sender TEXT, at TEXT, message TEXT, value TEXT);
CREATE TABLE IF NOT EXISTS power (down INT);
"""
BOT = "@bot:room"
POLL_SECONDS = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomMessage:
    """A message as it stands now."""

    id: str
    key: str | None
    sender: str
    text: str
    thread: str | None
    bot_reactions: tuple[str, ...]


def as_text(message: Message) -> str:
    """Plain text of everything a reader would see."""
    lines = [neutral(message.title)]
    for block in message.blocks:
        match block:
            case Paragraph(spans=spans):
                lines.append(_spans(spans))
            case Bullets(items=items, title=title):
                lines += [*([title] if title else []), *(f"- {_spans(item)}" for item in items)]
            case Fields(pairs=pairs):
                lines += [f"{label}: {_spans(spans)}" for label, spans in pairs]
            case Code(text=text):
                lines.append(neutral(text))
    return "\n".join(lines)


def _spans(spans: Sequence[Span]) -> str:
    return "".join(shown(span) for span in spans)


class Room:
    """The platform. ``name`` is the room's immutable id."""

    def __init__(self, path: Path, name: str = "!room:fake", platform: str = "matrix") -> None:
        self.name = name
        self.platform = platform
        self._db = sqlite3.connect(path, isolation_level=None, timeout=30)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.executescript(_SCHEMA)

    # -- what people do -------------------------------------------------------------------------------

    def react(self, message_id: str, key: str, sender: str) -> str:
        event_id = self._event("reaction", sender, message_id, key)
        self._db.execute(
            "INSERT INTO reactions (id, message, sender, key) VALUES (?, ?, ?, ?)",
            (event_id, message_id, sender, key),
        )
        return event_id

    def take_back(self, reaction_id: str, sender: str) -> str:
        self._db.execute("UPDATE reactions SET removed = 1 WHERE id = ?", (reaction_id,))
        return self._event("removal", sender, reaction_id, "")

    def command(self, text: str, sender: str, thread: str | None = None) -> str:
        event_id = self._event("command", sender, thread, text)
        self._say(event_id, None, sender, text, thread)
        return event_id

    def say(self, text: str, sender: str, thread: str | None = None) -> str:
        event_id = self._event("talk", sender, thread, text)
        self._say(event_id, None, sender, text, thread)
        return event_id

    def replay(self, event_id: str) -> None:
        """Show an old event once more, as a server may."""
        self._db.execute(
            "INSERT INTO timeline (event_id, kind, sender, at, message, value)"
            " SELECT event_id, kind, sender, at, message, value FROM timeline WHERE event_id = ? LIMIT 1",
            (event_id,),
        )

    # -- what there is to see ---------------------------------------------------------------------------

    def messages(self) -> list[RoomMessage]:
        rows = self._db.execute(
            "SELECT id, key, sender, text, thread FROM messages WHERE private IS NULL ORDER BY n"
        ).fetchall()
        return [
            RoomMessage(
                id=r[0], key=r[1], sender=r[2], text=r[3], thread=r[4], bot_reactions=self._seeds(r[0])
            )
            for r in rows
        ]

    def private(self) -> list[RoomMessage]:
        rows = self._db.execute(
            "SELECT id, key, sender, text, thread FROM messages WHERE private IS NOT NULL ORDER BY n"
        ).fetchall()
        return [
            RoomMessage(id=r[0], key=r[1], sender=r[2], text=r[3], thread=r[4], bot_reactions=())
            for r in rows
        ]

    def bot_messages(self) -> list[RoomMessage]:
        return [message for message in self.messages() if message.sender == BOT]

    async def until(
        self, holds: Callable[[list[RoomMessage]], bool], *, seconds: float = 20
    ) -> list[RoomMessage]:
        """Wait until the bot's messages satisfy ``holds``; another process writes them, so this asks."""
        try:
            async with asyncio.timeout(seconds):
                while not holds(found := self.bot_messages()):
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            shown_now = "\n---\n".join(m.text for m in self.bot_messages())
            raise AssertionError(f"not seen within {seconds} s; the room shows:\n{shown_now}") from None
        return found

    # -- what the adapter does --------------------------------------------------------------------------

    def post(self, key: str, text: str, thread: str | None, private: str | None = None) -> str:
        row = self._db.execute("SELECT id FROM messages WHERE key = ?", (key,)).fetchone()
        if row is not None:
            return str(row[0])
        return self._say(f"$m{self._count('messages')}", key, BOT, text, thread, private)

    def edit(self, key: str, message_id: str, text: str) -> None:
        if self._db.execute("SELECT 1 FROM edits WHERE key = ?", (key,)).fetchone() is None:
            self._db.execute("INSERT INTO edits VALUES (?, ?)", (key, message_id))
            self._db.execute("UPDATE messages SET text = ? WHERE id = ?", (text, message_id))

    def seed(self, message_id: str, keys: Sequence[str]) -> None:
        for key in keys:
            self._db.execute(
                "INSERT OR IGNORE INTO reactions (id, message, sender, key) VALUES (?, ?, ?, ?)",
                (f"seed:{message_id}:{key}", message_id, BOT, key),
            )

    def unseed(self, message_id: str) -> None:
        self._db.execute(
            "UPDATE reactions SET removed = 1 WHERE message = ? AND sender = ?", (message_id, BOT)
        )

    def timeline(self, after: int) -> list[tuple[int, str, str, str, str, str | None, str]]:
        return self._db.execute(
            "SELECT n, event_id, kind, sender, at, message, value FROM timeline WHERE n > ? ORDER BY n",
            (after,),
        ).fetchall()

    def last(self) -> int:
        return int(self._db.execute("SELECT coalesce(max(n), 0) FROM timeline").fetchone()[0])

    @property
    def down(self) -> bool:
        return self._db.execute("SELECT count(*) FROM power").fetchone()[0] > 0

    def set_down(self, down: bool) -> None:
        self._db.execute("DELETE FROM power")
        if down:
            self._db.execute("INSERT INTO power VALUES (1)")

    def _event(self, kind: str, sender: str, message: str | None, value: str) -> str:
        event_id = f"$e{self._count('timeline')}"
        self._db.execute(
            "INSERT INTO timeline (event_id, kind, sender, at, message, value) VALUES (?, ?, ?, ?, ?, ?)",
            (event_id, kind, sender, datetime.now(UTC).isoformat(), message, value),
        )
        return event_id

    def _say(
        self,
        message_id: str,
        key: str | None,
        sender: str,
        text: str,
        thread: str | None,
        private: str | None = None,
    ) -> str:
        self._db.execute(
            "INSERT INTO messages (id, key, sender, text, thread, private) VALUES (?, ?, ?, ?, ?, ?)",
            (message_id, key, sender, text, thread, private),
        )
        return message_id

    def _seeds(self, message_id: str) -> tuple[str, ...]:
        rows = self._db.execute(
            "SELECT key FROM reactions WHERE message = ? AND sender = ? AND removed = 0", (message_id, BOT)
        ).fetchall()
        return tuple(row[0] for row in rows)

    def _count(self, table: str) -> int:
        return int(self._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


class RoomChat:
    """The Chat port over a :class:`Room`."""

    def __init__(self, room: Room, seeds: tuple[str, ...] = ("✅", "❌")) -> None:
        self.platform = room.platform
        self._room = room
        self._seeds = seeds
        self._connected = False

    async def open_thread(self, room: str, message: Message, key: str) -> MessageRef:
        self._check()
        return self._ref(self._room.post(key, as_text(message), None))

    async def update_root(self, root: MessageRef, message: Message, key: str) -> None:
        self._check()
        self._room.edit(key, root.message_id, as_text(message))

    async def reply(self, root: MessageRef, message: Message, key: str) -> MessageRef:
        self._check()
        return self._ref(self._room.post(key, as_text(message), root.message_id))

    async def post_card(self, root: MessageRef, message: Message, key: str) -> MessageRef:
        self._check()
        message_id = self._room.post(key, as_text(message), root.message_id)
        self._room.seed(message_id, self._seeds)
        return self._ref(message_id)

    async def update_card(self, card: MessageRef, message: Message, key: str) -> None:
        self._check()
        self._room.edit(key, card.message_id, as_text(message))

    async def settle_card(self, card: MessageRef, message: Message, key: str) -> None:
        self._check()
        self._room.edit(key, card.message_id, as_text(message))
        self._room.unseed(card.message_id)

    async def answer_privately(self, room: str, person: str, message: Message, key: str) -> None:
        self._check()
        self._room.post(key, as_text(message), None, private=person)

    async def run(self, inbox: Inbox) -> None:
        position = await inbox.position(self.platform)
        if position is None:
            position = str(self._room.last())
            await inbox.store(self.platform, [], position)
        while True:
            self._connected = not self._room.down
            rows = [] if self._room.down else self._room.timeline(int(position))
            if rows:
                events = [event for row in rows if (event := self._inbound(row)) is not None]
                try:
                    await inbox.store(self.platform, events, str(rows[-1][0]))
                    position = str(rows[-1][0])
                except Unavailable:
                    await asyncio.sleep(POLL_SECONDS)
            else:
                await asyncio.sleep(POLL_SECONDS)

    def healthy(self) -> str | None:
        if self._room.down:
            return "the room is down"
        return None if self._connected else "not connected yet"

    def _check(self) -> None:
        if self._room.down:
            raise Unavailable("room", "it is down")

    def _ref(self, message_id: str) -> MessageRef:
        return MessageRef(platform=self.platform, room=self._room.name, message_id=message_id)

    def _inbound(self, row: tuple[int, str, str, str, str, str | None, str]) -> Inbound | None:
        _, event_id, kind, sender, at, message, value = row
        moment = datetime.fromisoformat(at)
        where = (event_id, self.platform, self._room.name, sender, moment)
        match kind:
            case "reaction":
                return ReactionAdded(**_common(*where), message_id=message or "", key=value)
            case "removal":
                return ReactionRemoved(**_common(*where), removed_event_id=message or "")
            case "command":
                return CommandReceived(**_common(*where), text=value, thread_root=message)
            case _:
                return None


def _common(event_id: str, platform: str, room: str, sender: str, at: datetime) -> dict[str, object]:
    return {"event_id": event_id, "platform": platform, "room": room, "sender": sender, "at": at}
