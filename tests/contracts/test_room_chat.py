"""The fake room keeps the promises of the Chat port, so that tests on it mean something."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from bot.domain.chat import MessageRef
from bot.ports import Chat, Inbox
from tests.contracts.chat_contract import ChatContract, SeenMessage
from tests.fakes.room import BOT, Room, RoomChat, RoomMessage


class RoomWorld:
    platform = "matrix"
    room = "!room:fake"
    human = "@ana:fake"
    seeds = ("✅", "❌")
    outage = True
    durable = True

    def __init__(self, path: Path) -> None:
        self._path = path
        self._room = Room(path)
        self._task: asyncio.Task[None] | None = None

    async def start(self, inbox: Inbox) -> Chat:
        chat = RoomChat(Room(self._path))
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

    async def human_reacts(self, message: MessageRef, key: str) -> str:
        return self._room.react(message.message_id, key, self.human)

    async def human_takes_back(self, reaction_event_id: str) -> None:
        self._room.take_back(reaction_event_id, self.human)

    async def human_commands(self, text: str, *, thread: MessageRef | None = None) -> str:
        return self._room.command(text, self.human, thread.message_id if thread else None)

    async def human_chats(self, text: str, *, thread: MessageRef | None = None) -> str:
        return self._room.say(text, self.human, thread.message_id if thread else None)

    async def messages(self) -> Sequence[SeenMessage]:
        return [_seen(message) for message in self._room.messages()]

    async def private_messages(self) -> Sequence[SeenMessage]:
        return [_seen(message) for message in self._room.private()]

    async def stop_platform(self) -> None:
        self._room.set_down(True)

    async def start_platform(self) -> None:
        self._room.set_down(False)


def _seen(message: RoomMessage) -> SeenMessage:
    return SeenMessage(
        message_id=message.id,
        by_bot=message.sender == BOT,
        text=message.text,
        thread_root=message.thread,
        bot_reactions=message.bot_reactions,
    )


class TestRoomChat(ChatContract):
    @pytest.fixture
    async def world(self, tmp_path: Path) -> AsyncIterator[RoomWorld]:
        world = RoomWorld(tmp_path / "room.db")
        yield world
        await world.kill()
