"""The console as a chat platform."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, TextIO

import structlog

from adapters.chat.console import layout
from adapters.chat.console.journal import Journal, Posted
from adapters.chat.console.lines import read_lines
from adapters.chat.console.terminal import DIM, Line, Piece, Screen
from adapters.chat.console.typed import PLATFORM, Command, Note, React, TakeBack, inbound, meaning
from adapters.chat.rendering import neutral
from bot.domain.chat import APPROVE_SEED, REJECT_SEED, MessageRef
from bot.domain.clock import Clock, to_rfc3339
from bot.domain.errors import Unavailable
from bot.domain.message import Message
from bot.ports import Inbox
from config.schema import ConsoleChat as ConsoleSection

HUMAN = "you"
JOURNAL = "console.jsonl"
REMEMBERED = 500
RETRY_FIRST, RETRY_MAX = 0.1, 5.0


class ConsoleChat:
    """:class:`bot.ports.Chat` on a terminal.

    The person types: an emoji (or its ``:shortcode:``) to react to the newest open card, the same with ``-``
    before it to take it back, ``# …`` for a note to nobody, and anything else (``!assent`` before it is
    optional) as a command in the thread where something was said last.

    A journal in the state directory remembers which keys were posted and what was typed. Printing comes
    before noting, so a kill between the two repeats one message; nothing is lost. End of input is no error:
    the room goes on showing.
    """

    platform = PLATFORM

    def __init__(
        self,
        *,
        journal: Journal,
        screen: Screen,
        lines: Callable[[], AsyncGenerator[str, None]],
        clock: Clock,
        rooms: Sequence[str],
        human: str,
        seeds: tuple[str, str],
        echo: bool,
    ) -> None:
        self._journal = journal
        self._screen = screen
        self._lines = lines
        self._clock = clock
        self._human = human
        self._seeds = seeds
        self._echo = echo
        last = next((p for p in reversed(journal.by_id.values()) if p.kind == "root"), None)
        self._thread = self._ref(last) if last is not None else None
        self._room = last.room if last is not None else next(iter(rooms), PLATFORM)
        self._bodies: OrderedDict[str, list[str]] = OrderedDict()
        self._typed = asyncio.Event()
        self._writing = asyncio.Lock()
        self._receiving = False
        self._broken: str | None = None
        self._log = structlog.get_logger(__name__)

    # -- sending ------------------------------------------------------------------------------------------

    async def open_thread(self, room: str, message: Message, key: str) -> MessageRef:
        ref = await self._post(
            key, room, None, "root", message, layout.root(message, room, self._clock.now(), self._columns)
        )
        self._thread, self._room = ref, room
        return ref

    async def update_root(self, root: MessageRef, message: Message, key: str) -> None:
        lines = self._changed(root, message, 2)
        shown = layout.update(message, lines, self._columns) if lines is not None else []
        await self._edit(key, root, message, shown, 2)

    async def reply(self, root: MessageRef, message: Message, key: str) -> MessageRef:
        return await self._post(
            key, root.room, root.message_id, "reply", message, layout.reply(message, self._columns)
        )

    async def post_card(self, root: MessageRef, message: Message, key: str) -> MessageRef:
        lines = layout.body(message, self._columns - 4)
        shown = layout.card(message, "─", lines, self._prompt, self._columns)
        return await self._post(key, root.room, root.message_id, "card", message, shown)

    async def update_card(self, card: MessageRef, message: Message, key: str) -> None:
        lines = self._changed(card, message, 4)
        shown = []
        if lines is not None:
            shown = layout.card(message, "✎", lines, self._prompt, self._columns)
        await self._edit(key, card, message, shown, 4)

    async def settle_card(self, card: MessageRef, message: Message, key: str) -> None:
        lines = self._changed(card, message, 4) or []
        shown = layout.card(message, "■", lines, None, self._columns)
        await self._edit(key, card, message, shown, 4, settled=True)

    async def answer_privately(self, room: str, person: str, message: Message, key: str) -> None:
        if person != self._human:
            raise Unavailable("console", f"there is nobody here but {self._human}")
        await self._post(key, room, None, "private", message, layout.private(message, self._columns))

    @property
    def _columns(self) -> int:
        return self._screen.columns

    @property
    def _prompt(self) -> str:
        approve, reject = self._seeds
        return f"type {approve} to approve, {reject} to reject; -{approve} takes it back"

    async def _post(
        self, key: str, room: str, thread: str | None, kind: str, message: Message, lines: list[Line]
    ) -> MessageRef:
        async with self._writing:
            known = self._journal.by_key.get(key)
            if known is None:
                self._print(lines)
                known = Posted(self._journal.next_id("m"), room, thread, kind)
                await self._note(
                    {"type": "post", "key": key, "id": known.id, "room": room, "thread": thread, "kind": kind}
                )
                self._remember(known.id, message, 2 if kind == "root" else 4)
        ref = self._ref(known)
        root = self._journal.by_id.get(thread or "")
        if root is not None and root.kind == "root":
            self._thread, self._room = self._ref(root), room
        return ref

    async def _edit(
        self,
        key: str,
        of: MessageRef,
        message: Message,
        lines: list[Line],
        margin: int,
        *,
        settled: bool = False,
    ) -> None:
        async with self._writing:
            if key in self._journal.edits:
                return
            self._print(lines)
            await self._note(
                {"type": "edit", "key": key, "id": of.message_id, "settled": settled, "quiet": not lines}
            )
            self._remember(of.message_id, message, margin)

    def _changed(self, of: MessageRef, message: Message, margin: int) -> list[Line] | None:
        """The lines that the last version did not have, all where it is unknown; None if nothing changed."""
        lines = layout.body(message, self._columns - margin)
        before = self._bodies.get(of.message_id)
        if before is None:
            return lines
        now = _lines_of(message, lines)
        return None if now == before else [line for line in lines if layout.plain(line) not in before]

    def _remember(self, message_id: str, message: Message, margin: int) -> None:
        self._bodies[message_id] = _lines_of(message, layout.body(message, self._columns - margin))
        while len(self._bodies) > REMEMBERED:
            self._bodies.popitem(last=False)

    def _print(self, lines: list[Line]) -> None:
        if not lines:
            return
        try:
            self._screen.write(lines)
        except (OSError, ValueError) as error:
            self._broken = f"the terminal cannot be written: {error}"
            raise Unavailable("console", self._broken) from error
        self._broken = None

    async def _note(self, entry: Mapping[str, Any]) -> None:
        try:
            await asyncio.to_thread(self._journal.add, entry)
        except OSError as error:
            raise Unavailable("console", f"the journal cannot be written: {error}") from error

    def _ref(self, posted: Posted) -> MessageRef:
        return MessageRef(platform=PLATFORM, room=posted.room, message_id=posted.id)

    # -- receiving ----------------------------------------------------------------------------------------

    async def run(self, inbox: Inbox) -> None:
        number = await self._position(inbox)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read(), name="console input")
            try:
                self._receiving = True
                await self._hand_over(inbox, number)
            finally:
                self._receiving = False

    def healthy(self) -> str | None:
        if self._broken is not None:
            return self._broken
        return None if self._receiving else "not receiving yet"

    async def _position(self, inbox: Inbox) -> int:
        """How far the inbox has read. A new inbox begins now: what was typed before is history."""
        stored = await inbox.position(PLATFORM)
        if stored is None:
            number = self._journal.last
            await inbox.store(PLATFORM, [], self._marked(number))
            return number
        name, _, number_text = stored.partition(":")
        return int(number_text) if name == self._journal.name else 0

    def _marked(self, number: int) -> str:
        return f"{self._journal.name}:{number}"

    async def _hand_over(self, inbox: Inbox, number: int) -> None:
        pause = RETRY_FIRST
        while True:
            self._typed.clear()
            waiting = self._journal.inputs_after(number)
            if not waiting:
                await self._typed.wait()
                continue
            last = int(waiting[-1]["n"])
            try:
                await inbox.store(PLATFORM, [inbound(entry) for entry in waiting], self._marked(last))
            except Unavailable as error:
                self._log.warning("console.inbox_unavailable", reason=error.reason, retry_in=pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, RETRY_MAX)
                continue
            number, pause = last, RETRY_FIRST

    async def _read(self) -> None:
        async with aclosing(self._lines()) as lines:
            async for line in lines:
                text = line.strip()
                if text:
                    await self._take(text)

    async def _take(self, text: str) -> None:
        if self._echo:
            self._hint(f"{self._human} ▸ {neutral(text)}")
        match meaning(text):
            case Note():
                return
            case React(key=key):
                await self._react(key)
            case TakeBack(key=key):
                await self._take_back(key)
            case Command(text=command):
                thread = self._thread.message_id if self._thread is not None else None
                await self._input("command", text=command, thread=thread)

    async def _react(self, key: str) -> None:
        card = next(
            (p for p in reversed(self._journal.by_id.values()) if p.kind == "card" and not p.settled), None
        )
        if card is None:
            self._hint("there is no open card to react to")
            return
        await self._input("reaction", message=card.id, key=key, room=card.room)

    async def _take_back(self, key: str) -> None:
        gone = {entry.get("removed") for entry in self._journal.inputs}
        for entry in reversed(self._journal.inputs):
            if entry["kind"] == "reaction" and entry["key"] == key and entry["id"] not in gone:
                await self._input("removal", removed=entry["id"], room=entry["room"])
                return
        self._hint(f"there is no {key} of yours to take back")

    async def _input(self, kind: str, *, room: str | None = None, **what: str | None) -> None:
        async with self._writing:
            number = self._journal.last + 1
            entry = {
                "type": "input",
                "kind": kind,
                "n": number,
                "id": f"{self._journal.name}:in{number}",
                "room": room or self._room,
                "sender": self._human,
                "at": to_rfc3339(self._clock.now()),
                **what,
            }
            try:
                await self._note(entry)
            except Unavailable as error:
                # Nobody else has the line: the person must know that it did not count.
                self._hint(f"that could not be kept and does not count: {error.reason}")
                self._log.error("console.input_lost", reason=error.reason)
                return
        self._typed.set()

    def _hint(self, text: str) -> None:
        try:
            self._print([(Piece(text=f"· {text}", style=DIM),)])
        except Unavailable as error:
            self._log.warning("console.unwritable", reason=error.reason)


def _lines_of(message: Message, lines: Sequence[Line]) -> list[str]:
    return [layout.title(message), *(layout.plain(line) for line in lines)]


@asynccontextmanager
async def open_console(
    section: ConsoleSection,
    *,
    state_dir: Path,
    clock: Clock,
    rooms: Sequence[str] = (PLATFORM,),
    human: str = HUMAN,
    seeds: tuple[str, str] = (APPROVE_SEED, REJECT_SEED),
    source: int = 0,
    stream: TextIO | None = None,
) -> AsyncIterator[ConsoleChat]:
    """Open the room.

    ``source`` is the descriptor lines are read from (0: standard input), ``stream`` where the room is shown
    (standard output), ``rooms`` the names it stands for, the first of them for what is typed before anything
    was said. Raises Unavailable when the journal in ``state_dir`` cannot be used.
    """
    path = state_dir / JOURNAL
    try:
        journal = await asyncio.to_thread(Journal.open, path)
    except (OSError, ValueError, KeyError) as error:
        raise Unavailable(
            "console", f"{path} cannot be read ({error}); move it away to begin anew"
        ) from error
    yield ConsoleChat(
        journal=journal,
        screen=Screen(stream or sys.stdout, section.colour),
        lines=lambda: read_lines(source),
        clock=clock,
        rooms=rooms,
        human=human,
        seeds=seeds,
        echo=not os.isatty(source),
    )
