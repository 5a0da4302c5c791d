"""Gestures made while the bot was away, or did not know yet that its own card was in the room."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

from bot.domain.chat import MessageRef
from bot.domain.clock import Clock
from bot.domain.errors import Unavailable
from bot.domain.message import Message
from bot.ports import Chat
from config.schema import Config
from tests.bot.app.conftest import ANA, BEN, World, alert
from tests.fakes.room import Room, RoomChat


class LosingTheAnswer(RoomChat):
    """A platform that takes the card, while the answer to the bot gets lost until ``answers``."""

    def __init__(self, room: Room) -> None:
        super().__init__(room)
        self.answers = False

    async def post_card(self, root: MessageRef, message: Message, key: str) -> MessageRef:
        ref = await super().post_card(root, message, key)
        if not self.answers:
            raise Unavailable("room", "the answer got lost", retry_after=timedelta(milliseconds=100))
        return ref


def losing_the_answer(world: World) -> LosingTheAnswer:
    chat = LosingTheAnswer(Room(world.directory / "room.db"))

    @asynccontextmanager
    async def open_chats(config: Config, clock: Clock) -> AsyncIterator[Mapping[str, Chat]]:
        yield {"matrix": chat}

    world.open_chats = open_chats
    return chat


async def heard(world: World) -> None:
    """Wait until everything said so far has been read and, if its turn has come, handled."""
    assert world.app is not None
    marker = world.room.command("whoami", ANA)
    async with asyncio.timeout(20):
        while True:
            read = int(await world.app.store.position("matrix") or 0) >= world.room.last()
            async with world.app.store.reading() as rows:
                pending = await rows.pending_inbound(99)
            if read and marker not in [event.event_id for event in pending]:
                return
            await asyncio.sleep(0.01)


async def test_a_reaction_on_a_card_whose_posting_nobody_confirmed_counts(world: World) -> None:
    chat = losing_the_answer(world)
    async with world.running():
        await world.send(alert())
        card = await world.card()
        world.room.react(card.id, "✅", ANA)
        await heard(world)
        assert world.target.runs() == []
        chat.answers = True
        await world.says("Done")
    assert len(world.target.runs()) == 1


async def test_a_reaction_taken_back_before_the_card_was_confirmed_does_not_count(world: World) -> None:
    chat = losing_the_answer(world)
    async with world.running():
        await world.send(alert())
        card = await world.card()
        reaction = world.room.react(card.id, "✅", ANA)
        await heard(world)
        world.room.take_back(reaction, ANA)
        await heard(world)
        chat.answers = True
        world.room.react(card.id, "❌", BEN)
        await world.says("nothing was executed")
    assert world.target.runs() == []


async def test_the_kill_switch_works_while_a_reaction_waits_for_its_card(world: World) -> None:
    chat = losing_the_answer(world)
    async with world.running():
        await world.send(alert())
        card = await world.card()
        world.room.react(card.id, "✅", ANA)
        world.room.command("pause", ANA)
        await world.says("Execution paused")
        chat.answers = True
        await world.says("execution is paused by ana")
    assert world.target.runs() == []


async def test_an_approval_given_and_taken_back_while_the_bot_was_away_never_counts(world: World) -> None:
    async with world.running():
        await world.send(alert())
        card = await world.card()
    world.room.take_back(world.room.react(card.id, "✅", ANA), ANA)
    async with world.running() as app:
        await heard(world)
        async with app.store.reading() as rows:
            [incident] = await rows.incidents(live_only=True, limit=9)
            [request] = await rows.requests_of(incident.id)
            assert list(await rows.reviews_of(request.id)) == []
        world.room.react(card.id, "✅", BEN)
        await world.says("Done")
    assert len(world.target.runs()) == 1


async def test_a_rejection_taken_back_while_the_bot_was_away_still_stops_the_action(world: World) -> None:
    async with world.running():
        await world.send(alert())
        card = await world.card()
    world.room.take_back(world.room.react(card.id, "❌", BEN), BEN)
    async with world.running():
        await world.says("nothing was executed")
    assert world.target.runs() == []
