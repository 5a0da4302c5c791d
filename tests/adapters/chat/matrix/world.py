"""Matrix as the chat contract sees it: a real Synapse, a person with a client of their own, the adapter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from adapters.chat.matrix import MatrixChat, open_matrix
from bot.domain.chat import MessageRef
from bot.domain.clock import SystemClock
from bot.ports import Inbox
from config.schema import MatrixChat as Section
from tests.contracts.chat_contract import SeenMessage
from tests.servers.synapse import Account, Person, Synapse


def section(synapse: Synapse, account: Account, **changes: Any) -> Section:
    values: dict[str, Any] = {
        "homeserver": synapse.url,
        "user_id": account.user_id,
        "password": SecretStr(account.password),
    }
    return Section(**(values | changes))


async def becomes_healthy(chat: MatrixChat, task: asyncio.Task[None], *, seconds: float = 30) -> None:
    """``healthy()`` is a plain question with no event to await, so it is asked until it says so."""
    async with asyncio.timeout(seconds):
        while chat.healthy() is not None:
            if task.done():
                await task
            await asyncio.sleep(0.02)


class MatrixWorld:
    """See ``ChatWorld``. The room is made by the person, who invites the bot."""

    platform = "matrix"
    seeds = ("✅", "❌")
    outage = True
    durable = True

    def __init__(self, synapse: Synapse, bot: Account, person: Person, room: str, state_dir: Path) -> None:
        self.synapse = synapse
        self.bot = bot
        self.person = person
        self.room = room
        self.human = person.user_id
        self.section = section(synapse, bot, invite_from=(person.user_id,))
        self._state_dir = state_dir
        self._running: tuple[AsyncExitStack, asyncio.Task[None]] | None = None

    @classmethod
    @asynccontextmanager
    async def open(
        cls, synapse: Synapse, state_dir: Path, *, encrypted: bool = False, room_version: str = "12"
    ) -> AsyncIterator[MatrixWorld]:
        bot = await synapse.register()
        async with await synapse.person() as person:
            room = await person.create_room(
                invite=[bot.user_id], encrypted=encrypted, room_version=room_version
            )
            world = cls(synapse, bot, person, room, state_dir)
            try:
                yield world
            finally:
                await world.kill()

    async def start(self, inbox: Inbox) -> MatrixChat:
        stack = AsyncExitStack()
        chat = await stack.enter_async_context(
            open_matrix(self.section, state_dir=self._state_dir, rooms=[self.room], clock=SystemClock())
        )
        task = asyncio.create_task(chat.run(inbox))
        self._running = stack, task
        await becomes_healthy(chat, task)
        return chat

    async def kill(self) -> None:
        running, self._running = self._running, None
        if running is None:
            return
        stack, task = running
        task.cancel()
        (result,) = await asyncio.gather(task, return_exceptions=True)
        await stack.aclose()
        if not isinstance(result, asyncio.CancelledError):
            raise AssertionError(f"receiving ended by itself: {result!r}")

    async def human_reacts(self, message: MessageRef, key: str) -> str:
        return await self.person.react(message.room, message.message_id, key)

    async def human_takes_back(self, reaction_event_id: str) -> None:
        await self.person.redact(self.room, reaction_event_id)

    async def human_commands(self, text: str, *, thread: MessageRef | None = None) -> str:
        return await self.human_chats(f"!assent {text}", thread=thread)

    async def human_chats(self, text: str, *, thread: MessageRef | None = None) -> str:
        return await self.person.text(self.room, text, thread=None if thread is None else thread.message_id)

    async def messages(self) -> Sequence[SeenMessage]:
        return await self.seen(self.room)

    async def private_messages(self) -> Sequence[SeenMessage]:
        for room in await self.person.invited_rooms():
            await self.person.join(room)
        seen: list[SeenMessage] = []
        for room in await self.person.joined_rooms():
            if room != self.room and set(await self.person.members(room)) == {self.human, self.bot.user_id}:
                seen += await self.seen(room)
        return seen

    async def seen(self, room: str) -> list[SeenMessage]:
        """The room put together from the server's own event log: edits applied, redactions gone."""
        events = await self.person.timeline(room)
        posts: dict[str, dict[str, Any]] = {}
        reactions: dict[str, list[str]] = {}
        for event in events:
            content = event.get("content", {})
            relation = content.get("m.relates_to", {})
            if event["type"] == "m.reaction" and relation and event["sender"] == self.bot.user_id:
                reactions.setdefault(relation["event_id"], []).append(relation["key"])
            elif event["type"] == "m.room.message" and relation.get("rel_type") == "m.replace":
                posts[relation["event_id"]]["text"] = content["m.new_content"]["body"]
            elif event["type"] == "m.room.message" and "body" in content:
                root = relation.get("event_id") if relation.get("rel_type") == "m.thread" else None
                posts[event["event_id"]] = {"text": content["body"], "root": root, "from": event["sender"]}
        return [
            SeenMessage(
                message_id=event_id,
                by_bot=post["from"] == self.bot.user_id,
                text=post["text"],
                thread_root=post["root"],
                bot_reactions=tuple(reactions.get(event_id, ())),
            )
            for event_id, post in posts.items()
        ]

    async def stop_platform(self) -> None:
        await self.synapse.stop()

    async def start_platform(self) -> None:
        await self.synapse.start()
