"""A person in front of a terminal: types into a pipe, reads what was printed."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import re
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

from adapters.chat.console import ConsoleChat, open_console
from bot.domain.chat import MessageRef
from bot.ports import Inbox
from config.schema import ConsoleChat as ConsoleSection
from tests.contracts.chat_contract import SeenMessage

HEADS = re.compile(r"● |  ↳ |  ╭[─✎■] |✎ |  🔒 only for you: ")
NOT_A_MESSAGE = re.compile(r"── |· |$")
PROMPT = re.compile(r"  ╰─ type (\S+) to approve, (\S+) to reject")


class NoonClock:
    def now(self) -> datetime:
        return datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


class ConsoleWorld:
    """The terminal and the pipe outlive the bot; only the state directory does so on its side."""

    platform = "console"
    room = "ops"
    human = "you"
    seeds = ("✅", "❌")
    outage = False
    durable = True

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.terminal = io.StringIO()
        self._reading_end, self._writing_end = os.pipe()
        self._typed = 0
        self._task: asyncio.Task[None] | None = None
        self._stack = AsyncExitStack()

    async def start(self, inbox: Inbox) -> ConsoleChat:
        chat = await self._stack.enter_async_context(
            open_console(
                ConsoleSection(),
                state_dir=self.state_dir,
                clock=NoonClock(),
                rooms=[self.room],
                source=self._reading_end,
                stream=self.terminal,
            )
        )
        self._task = asyncio.create_task(chat.run(inbox))
        async with asyncio.timeout(5):
            while chat.healthy() is not None:
                await asyncio.sleep(0.005)
        return chat

    async def kill(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def close(self) -> None:
        await self.kill()
        await self._stack.aclose()
        os.close(self._reading_end)
        if self._writing_end >= 0:
            os.close(self._writing_end)

    def end_of_input(self) -> None:
        os.close(self._writing_end)
        self._writing_end = -1

    def type(self, line: str) -> None:
        os.write(self._writing_end, f"{line}\n".encode())

    def _event(self, line: str) -> str:
        self.type(line)
        self._typed += 1
        return f"{self.journal()[0]['journal']}:in{self._typed}"

    async def human_reacts(self, message: MessageRef, key: str) -> str:
        return self._event(key)

    async def human_takes_back(self, reaction_event_id: str) -> None:
        entry = next(e for e in self.journal() if e.get("id") == reaction_event_id)
        self._event(f"-{entry['key']}")

    async def human_commands(self, text: str, *, thread: MessageRef | None = None) -> str:
        return self._event(f"!assent {text}")

    async def human_chats(self, text: str, *, thread: MessageRef | None = None) -> str:
        self.type(f"# {text}")
        return "a note is no event"

    async def stop_platform(self) -> None:
        raise AssertionError("a console cannot be down")

    async def start_platform(self) -> None:
        raise AssertionError("a console cannot be down")

    async def messages(self) -> Sequence[SeenMessage]:
        return [seen for seen, private in self._seen() if not private]

    async def private_messages(self) -> Sequence[SeenMessage]:
        return [seen for seen, private in self._seen() if private]

    def journal(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in (self.state_dir / "console.jsonl").read_text().splitlines()]

    def blocks(self) -> list[str]:
        """What was printed, cut where a message begins; edits are blocks of their own."""
        blocks: list[list[str]] = []
        for line in self.terminal.getvalue().split("\n"):
            if HEADS.match(line):
                blocks.append([line])
            elif not NOT_A_MESSAGE.match(line):
                blocks[-1].append(line)
        return ["\n".join(block) for block in blocks]

    def _seen(self) -> list[tuple[SeenMessage, bool]]:
        printed = [
            entry
            for entry in self.journal()
            if entry.get("type") == "post" or (entry.get("type") == "edit" and not entry["quiet"])
        ]
        seen: dict[str, tuple[SeenMessage, bool]] = {}
        for entry, block in zip(printed, self.blocks(), strict=True):
            earlier = seen.get(entry["id"])
            prompt = PROMPT.search(block)
            seen[entry["id"]] = (
                SeenMessage(
                    message_id=entry["id"],
                    by_bot=True,
                    text=block,
                    thread_root=earlier[0].thread_root if earlier else entry["thread"],
                    bot_reactions=(prompt[1], prompt[2]) if prompt else (),
                ),
                earlier[1] if earlier else entry["kind"] == "private",
            )
        return list(seen.values())
