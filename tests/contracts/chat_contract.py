"""What every Chat adapter must do, whatever its platform.

An adapter's test module supplies a :class:`ChatWorld` and inherits the suite::

    class TestMyChat(ChatContract):
        @pytest.fixture
        async def world(self) -> AsyncIterator[ChatWorld]: ...

Names that differ between platforms are asked from the world; everything else is literal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from bot.domain.chat import CommandReceived, MessageRef, ReactionAdded, ReactionRemoved
from bot.domain.errors import Unavailable
from bot.domain.message import Code, Message, Paragraph, Span, paragraph
from bot.ports import Chat, Inbox
from tests.fakes.inbox import SqliteInbox


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenMessage:
    """A message as a person in the room sees it now: the latest edit, without deleted reactions.

    ``thread_root`` is the message id of its thread, None at the room's top level. ``bot_reactions`` are the
    keys the bot itself has set. ``text`` is what is shown as plain text (or the platform's plain fallback).
    """

    message_id: str
    by_bot: bool
    text: str
    thread_root: str | None = None
    bot_reactions: tuple[str, ...] = ()


class ChatWorld(Protocol):
    """A platform, a room served by the bot, one person in it, and the adapter under test.

    ``outage``: the platform can be stopped and started. ``durable``: it keeps what happens while the bot is
    away, and knows idempotency keys of an earlier process.
    """

    platform: str
    room: str
    human: str
    seeds: tuple[str, str]
    outage: bool
    durable: bool

    async def start(self, inbox: Inbox) -> Chat:
        """Build the adapter, run it on ``inbox`` in a task, return once it is healthy and receives."""
        ...

    async def kill(self) -> None:
        """End the adapter at once. A later ``start`` gets nothing of its memory, only its state directory."""
        ...

    async def human_reacts(self, message: MessageRef, key: str) -> str:
        """Return the platform's event id of the reaction."""
        ...

    async def human_takes_back(self, reaction_event_id: str) -> None: ...
    async def human_commands(self, text: str, *, thread: MessageRef | None = None) -> str:
        """Write ``text`` addressed to the bot the way the platform does it; return the event id."""
        ...

    async def human_chats(self, text: str, *, thread: MessageRef | None = None) -> str:
        """Write ``text`` addressed to nobody; return the event id."""
        ...

    async def messages(self) -> Sequence[SeenMessage]:
        """Everything in the room that a person sees, oldest first, threads included."""
        ...

    async def private_messages(self) -> Sequence[SeenMessage]:
        """What only the person sees."""
        ...

    async def stop_platform(self) -> None: ...
    async def start_platform(self) -> None: ...


ROOT = Message(title="K7QX checkout is down", blocks=(paragraph("investigating"),))
CARD = Message(title="Restart checkout?", blocks=(paragraph("digest 1a2b3c4d"),))


async def ours(world: ChatWorld) -> list[SeenMessage]:
    return [message for message in await world.messages() if message.by_bot]


class ChatContract:
    """Inherit, and supply ``world``."""

    @pytest.fixture
    def inbox(self, tmp_path: Path) -> SqliteInbox:
        return SqliteInbox(tmp_path / "inbox.db")

    # -- sending ------------------------------------------------------------------------------------------

    async def test_an_opened_thread_is_one_message_at_the_top_of_the_room(
        self, world: ChatWorld, inbox: SqliteInbox
    ) -> None:
        chat = await world.start(inbox)
        ref = await chat.open_thread(world.room, ROOT, "k-root")
        assert (ref.platform, ref.room) == (world.platform, world.room)
        (seen,) = await ours(world)
        assert seen.message_id == ref.message_id
        assert seen.thread_root is None
        assert ROOT.title in seen.text
        assert "investigating" in seen.text

    async def test_the_same_key_never_posts_twice(self, world: ChatWorld, inbox: SqliteInbox) -> None:
        chat = await world.start(inbox)
        root = await chat.open_thread(world.room, ROOT, "k-root")
        assert await chat.open_thread(world.room, ROOT, "k-root") == root
        first = await chat.reply(root, Message(title="one"), "k-reply")
        assert await chat.reply(root, Message(title="one"), "k-reply") == first
        card = await chat.post_card(root, CARD, "k-card")
        assert await chat.post_card(root, CARD, "k-card") == card
        assert [message.message_id for message in await ours(world)] == [
            root.message_id,
            first.message_id,
            card.message_id,
        ]

    async def test_different_keys_post_the_same_words_again(
        self, world: ChatWorld, inbox: SqliteInbox
    ) -> None:
        chat = await world.start(inbox)
        root = await chat.open_thread(world.room, ROOT, "k-root")
        one = await chat.reply(root, Message(title="again"), "k-1")
        two = await chat.reply(root, Message(title="again"), "k-2")
        assert one != two
        assert len(await ours(world)) == 3

    async def test_a_key_of_an_earlier_process_does_not_post_again(
        self, world: ChatWorld, inbox: SqliteInbox
    ) -> None:
        if not world.durable:
            pytest.skip("the platform keeps nothing between two runs of the bot")
        chat = await world.start(inbox)
        root = await chat.open_thread(world.room, ROOT, "k-root")
        card = await chat.post_card(root, CARD, "k-card")
        await world.kill()
        chat = await world.start(inbox)
        assert await chat.open_thread(world.room, ROOT, "k-root") == root
        assert await chat.post_card(root, CARD, "k-card") == card
        assert len(await ours(world)) == 2

    async def test_an_edit_changes_the_message_instead_of_posting(
        self, world: ChatWorld, inbox: SqliteInbox
    ) -> None:
        chat = await world.start(inbox)
        root = await chat.open_thread(world.room, ROOT, "k-root")
        await chat.update_root(root, Message(title="K7QX checkout is well again"), "k-edit")
        (seen,) = await ours(world)
        assert seen.message_id == root.message_id
        assert "well again" in seen.text
        assert "investigating" not in seen.text

    async def test_a_reply_lands_in_the_thread_of_its_root(
        self, world: ChatWorld, inbox: SqliteInbox
    ) -> None:
        chat = await world.start(inbox)
        first = await chat.open_thread(world.room, ROOT, "k-root-1")
        second = await chat.open_thread(world.room, Message(title="another incident"), "k-root-2")
        await chat.reply(first, Message(title="about the first"), "k-1")
        await chat.reply(second, Message(title="about the second"), "k-2")
        threads = {message.text: message.thread_root for message in await ours(world)}
        assert next(v for k, v in threads.items() if "about the first" in k) == first.message_id
        assert next(v for k, v in threads.items() if "about the second" in k) == second.message_id

    async def test_an_answer_can_hang_on_a_persons_message(
        self, world: ChatWorld, inbox: SqliteInbox
    ) -> None:
        chat = await world.start(inbox)
        event_id = await world.human_commands("help")
        asked = MessageRef(platform=world.platform, room=world.room, message_id=event_id)
        await chat.reply(asked, Message(title="ask me about incidents"), "k-answer")
        (seen,) = await ours(world)
        assert seen.thread_root == event_id

    async def test_a_card_stands_in_the_thread_with_its_seeds(
        self, world: ChatWorld, inbox: SqliteInbox
    ) -> None:
        chat = await world.start(inbox)
        root = await chat.open_thread(world.room, ROOT, "k-root")
        card = await chat.post_card(root, CARD, "k-card")
        seen = next(message for message in await ours(world) if message.message_id == card.message_id)
        assert seen.thread_root == root.message_id
        assert sorted(seen.bot_reactions) == sorted(world.seeds)
        await chat.update_card(card, Message(title="Restart checkout? 1 of 2"), "k-update")
        seen = next(message for message in await ours(world) if message.message_id == card.message_id)
        assert "1 of 2" in seen.text
        assert sorted(seen.bot_reactions) == sorted(world.seeds)

    async def test_a_settled_card_shows_its_end_and_loses_the_seeds(
        self, world: ChatWorld, inbox: SqliteInbox
    ) -> None:
        chat = await world.start(inbox)
        root = await chat.open_thread(world.room, ROOT, "k-root")
        card = await chat.post_card(root, CARD, "k-card")
        await chat.settle_card(card, Message(title="Approved by Ana"), "k-settle")
        await chat.settle_card(card, Message(title="Approved by Ana"), "k-settle")
        seen = next(message for message in await ours(world) if message.message_id == card.message_id)
        assert "Approved by Ana" in seen.text
        assert seen.bot_reactions == ()
        assert len(await ours(world)) == 2

    async def test_a_card_of_an_earlier_process_can_be_settled(
        self, world: ChatWorld, inbox: SqliteInbox
    ) -> None:
        if not world.durable:
            pytest.skip("the platform keeps nothing between two runs of the bot")
        chat = await world.start(inbox)
        root = await chat.open_thread(world.room, ROOT, "k-root")
        card = await chat.post_card(root, CARD, "k-card")
        await world.kill()
        chat = await world.start(inbox)
        await chat.settle_card(card, Message(title="Expired"), "k-settle")
        seen = next(message for message in await ours(world) if message.message_id == card.message_id)
        assert "Expired" in seen.text
        assert seen.bot_reactions == ()

    async def test_a_private_answer_reaches_the_person_once_and_nobody_else(
        self, world: ChatWorld, inbox: SqliteInbox
    ) -> None:
        chat = await world.start(inbox)
        await chat.answer_privately(world.room, world.human, Message(title="not with a reaction"), "k-p")
        await chat.answer_privately(world.room, world.human, Message(title="not with a reaction"), "k-p")
        assert [m.text for m in await ours(world) if "not with a reaction" in m.text] == []
        private = [m for m in await world.private_messages() if "not with a reaction" in m.text]
        assert len(private) == 1

    async def test_hostile_text_is_shown_but_does_nothing(self, world: ChatWorld, inbox: SqliteInbox) -> None:
        hostile = "@room \x1b[31mred\x1b[0m <b>bold</b> a\u202eb https://evil.example.com/x?y=1 **s**"
        chat = await world.start(inbox)
        message = Message(
            title="t",
            blocks=(Paragraph(spans=(Span(text=hostile, untrusted=True),)), Code(text=hostile)),
        )
        root = await chat.open_thread(world.room, message, "k-root")
        seen = next(m for m in await ours(world) if m.message_id == root.message_id)
        assert "red" in seen.text
        for forbidden in ("\x1b", "\u202e", "@room", "https://evil.example.com"):
            assert forbidden not in seen.text

    async def test_a_long_message_arrives_whole(self, world: ChatWorld, inbox: SqliteInbox) -> None:
        chat = await world.start(inbox)
        root = await chat.open_thread(world.room, ROOT, "k-root")
        lines = [f"line {number:06d} of the excerpt" for number in range(4000)]
        for _ in range(2):
            await chat.reply(root, Message(title="log", blocks=(Code(text="\n".join(lines)),)), "k-long")
        text = "\n".join(message.text for message in await ours(world))
        assert [text.count(line) for line in lines] == [1] * len(lines)

    # -- receiving ----------------------------------------------------------------------------------------

    async def test_a_reaction_arrives_once_with_the_platforms_ids(
        self, world: ChatWorld, inbox: SqliteInbox
    ) -> None:
        chat = await world.start(inbox)
        root = await chat.open_thread(world.room, ROOT, "k-root")
        card = await chat.post_card(root, CARD, "k-card")
        event_id = await world.human_reacts(card, world.seeds[0])
        (event,) = await inbox.until(lambda events: len(events) >= 1)
        assert isinstance(event, ReactionAdded)
        assert event.event_id == event_id
        assert (event.platform, event.room, event.sender) == (world.platform, world.room, world.human)
        assert (event.message_id, event.key) == (card.message_id, world.seeds[0])
        assert event.at.tzinfo is not None

    async def test_a_reaction_taken_back_names_the_reaction(
        self, world: ChatWorld, inbox: SqliteInbox
    ) -> None:
        chat = await world.start(inbox)
        root = await chat.open_thread(world.room, ROOT, "k-root")
        card = await chat.post_card(root, CARD, "k-card")
        event_id = await world.human_reacts(card, world.seeds[0])
        await inbox.until(lambda events: len(events) >= 1)
        await world.human_takes_back(event_id)
        added, removed = await inbox.until(lambda events: len(events) >= 2)
        assert isinstance(added, ReactionAdded)
        assert isinstance(removed, ReactionRemoved)
        assert removed.removed_event_id == event_id
        assert removed.sender == world.human
        assert removed.event_id != event_id

    async def test_a_command_arrives_without_its_address(self, world: ChatWorld, inbox: SqliteInbox) -> None:
        await world.start(inbox)
        event_id = await world.human_commands("show K7QX please")
        (event,) = await inbox.until(lambda events: len(events) >= 1)
        assert isinstance(event, CommandReceived)
        assert (event.event_id, event.text, event.thread_root) == (event_id, "show K7QX please", None)
        assert (event.platform, event.room, event.sender) == (world.platform, world.room, world.human)
        assert event.device_verified is False

    async def test_a_command_in_a_thread_names_the_thread(self, world: ChatWorld, inbox: SqliteInbox) -> None:
        chat = await world.start(inbox)
        root = await chat.open_thread(world.room, ROOT, "k-root")
        await world.human_commands("why", thread=root)
        (event,) = await inbox.until(lambda events: len(events) >= 1)
        assert isinstance(event, CommandReceived)
        assert (event.text, event.thread_root) == ("why", root.message_id)

    async def test_talk_among_people_and_the_bots_own_messages_are_not_received(
        self, world: ChatWorld, inbox: SqliteInbox
    ) -> None:
        chat = await world.start(inbox)
        root = await chat.open_thread(world.room, ROOT, "k-root")
        await chat.post_card(root, CARD, "k-card")
        await world.human_chats("is anybody looking at this?", thread=root)
        marker = await world.human_commands("status")
        events = await inbox.until(lambda events: any(e.event_id == marker for e in events))
        assert [event.event_id for event in events] == [marker]

    async def test_what_happened_while_the_bot_was_away_arrives_in_order(
        self, world: ChatWorld, inbox: SqliteInbox
    ) -> None:
        if not world.durable:
            pytest.skip("the platform keeps nothing while the bot is away")
        chat = await world.start(inbox)
        root = await chat.open_thread(world.room, ROOT, "k-root")
        await world.kill()
        sent = [await world.human_commands(f"ask number {number}", thread=root) for number in range(5)]
        await world.start(inbox)
        events = await inbox.until(lambda events: len(events) >= 5)
        assert [event.event_id for event in events] == sent

    async def test_an_event_the_inbox_refused_comes_again(self, world: ChatWorld, inbox: SqliteInbox) -> None:
        await world.start(inbox)
        inbox.refusing = bool
        event_id = await world.human_commands("status")
        await inbox.until_refused()
        assert inbox.events() == []
        inbox.refusing = lambda events: False
        events = await inbox.until(lambda events: len(events) >= 1)
        assert [event.event_id for event in events] == [event_id]

    async def test_position_and_events_move_together_over_a_kill(
        self, world: ChatWorld, inbox: SqliteInbox
    ) -> None:
        if not world.durable:
            pytest.skip("the platform keeps nothing while the bot is away")
        await world.start(inbox)
        inbox.refusing = bool
        event_id = await world.human_commands("status")
        await inbox.until_refused()
        await world.kill()
        inbox.refusing = lambda events: False
        await world.start(inbox)
        events = await inbox.until(lambda events: len(events) >= 1)
        marker = await world.human_commands("help")
        events = await inbox.until(lambda events: any(e.event_id == marker for e in events))
        assert [event.event_id for event in events] == [event_id, marker]

    async def test_a_fresh_inbox_does_not_act_on_history(
        self, world: ChatWorld, inbox: SqliteInbox, tmp_path: Path
    ) -> None:
        if not world.durable:
            pytest.skip("the platform keeps no history")
        await world.start(inbox)
        old = await world.human_commands("approve K7QX")
        await inbox.until(lambda events: any(e.event_id == old for e in events))
        await world.kill()
        fresh = SqliteInbox(tmp_path / "fresh.db")
        await world.start(fresh)
        marker = await world.human_commands("status")
        events = await fresh.until(lambda events: any(e.event_id == marker for e in events))
        assert [event.event_id for event in events] == [marker]

    # -- outage -------------------------------------------------------------------------------------------

    async def test_a_platform_that_is_down_is_reported_and_survived(
        self, world: ChatWorld, inbox: SqliteInbox
    ) -> None:
        if not world.outage:
            pytest.skip("this platform cannot be down")
        chat = await world.start(inbox)
        root = await chat.open_thread(world.room, ROOT, "k-root")
        assert chat.healthy() is None
        await world.stop_platform()
        try:
            with pytest.raises(Unavailable):
                await chat.reply(root, Message(title="one"), "k-1")
            await _becomes(lambda: chat.healthy() is not None)
        finally:
            await world.start_platform()
        await _becomes(lambda: chat.healthy() is None)
        await chat.reply(root, Message(title="one"), "k-1")
        event_id = await world.human_commands("status")
        events = await inbox.until(lambda events: len(events) >= 1)
        assert [event.event_id for event in events] == [event_id]
        assert len(await ours(world)) == 2


async def _becomes(holds: Callable[[], bool], *, seconds: float = 40) -> None:
    """``healthy()`` is a plain question with no event to await, so it is asked until it says so."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.05)
