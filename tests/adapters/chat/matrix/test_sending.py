"""What a real Synapse holds after the bot has spoken, also when it limits, refuses or is too small."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from adapters.chat.matrix import MatrixChat
from adapters.chat.matrix.content import reaction_to
from adapters.chat.matrix.http import MatrixHttp
from adapters.chat.matrix.session import Session
from adapters.chat.matrix.wire import Wire
from bot.domain.chat import MessageRef
from bot.domain.errors import Unavailable
from bot.domain.message import Code, Message, Tone, paragraph
from tests.adapters.chat.matrix.world import MatrixWorld
from tests.contracts.chat_contract import CARD, ROOT
from tests.fakes.inbox import SqliteInbox
from tests.servers.synapse import Synapse

pytestmark = pytest.mark.real

LINES = [f"line {number:06d} of a long excerpt" for number in range(3000)]
LONG = Message(title="log", blocks=(Code(text="\n".join(LINES)),))


@pytest.fixture
async def world(synapse: Synapse, tmp_path: Path) -> AsyncIterator[MatrixWorld]:
    async with MatrixWorld.open(synapse, tmp_path / "state") as world:
        yield world


@pytest.fixture
def inbox(tmp_path: Path) -> SqliteInbox:
    return SqliteInbox(tmp_path / "inbox.db")


async def test_twelve_messages_under_default_rate_limits_all_arrive_once_and_in_order(
    limited_synapse: Synapse, inbox: SqliteInbox, tmp_path: Path
) -> None:
    async with MatrixWorld.open(limited_synapse, tmp_path / "state") as world:
        chat = await world.start(inbox)
        root = await chat.open_thread(world.room, ROOT, "k-root")
        waits: list[timedelta] = []
        for number in range(12):
            wait = await reply_or_wait(chat, root, number)
            while wait is not None:
                waits.append(wait)
                await asyncio.sleep(wait.total_seconds())
                wait = await reply_or_wait(chat, root, number)
        assert waits
        assert max(waits) < timedelta(seconds=30)
        texts = [m.text for m in await world.messages() if m.by_bot and m.thread_root == root.message_id]
        assert texts == [f"message {number}" for number in range(12)]


async def reply_or_wait(chat: MatrixChat, root: MessageRef, number: int) -> timedelta | None:
    """Send as the outbox does: None when it went out, else how long the server asks to wait."""
    try:
        await chat.reply(root, Message(title=f"message {number}"), f"k-{number}")
    except Unavailable as error:
        return error.retry_after or timedelta(days=1)
    return None


async def test_phones_announce_roots_cards_and_warnings_but_not_other_replies_and_nobody_is_pinged(
    world: MatrixWorld, inbox: SqliteInbox
) -> None:
    chat = await world.start(inbox)
    root = await chat.open_thread(world.room, ROOT, "k-root")
    card = await chat.post_card(root, CARD, "k-card")
    quiet = await chat.reply(root, Message(title="evidence"), "k-quiet")
    loud = await chat.reply(root, Message(title="expires soon", tone=Tone.WARNING), "k-loud")
    contents = {
        ref: (await world.person.event(world.room, ref.message_id))["content"]
        for ref in (root, card, quiet, loud)
    }
    kinds = {ref: content["msgtype"] for ref, content in contents.items()}
    assert kinds == {root: "m.text", card: "m.text", quiet: "m.notice", loud: "m.text"}
    assert all(content["m.mentions"] == {} for content in contents.values())


async def test_a_thread_message_shows_its_place_to_clients_without_threads(
    world: MatrixWorld, inbox: SqliteInbox
) -> None:
    chat = await world.start(inbox)
    root = await chat.open_thread(world.room, ROOT, "k-root")
    reply = await chat.reply(root, Message(title="evidence"), "k-reply")
    event = await world.person.event(world.room, reply.message_id)
    assert event["content"]["m.relates_to"] == {
        "rel_type": "m.thread",
        "event_id": root.message_id,
        "is_falling_back": True,
        "m.in_reply_to": {"event_id": root.message_id},
    }


async def test_an_answer_to_a_message_inside_a_thread_goes_into_that_thread(
    world: MatrixWorld, inbox: SqliteInbox
) -> None:
    chat = await world.start(inbox)
    root = await chat.open_thread(world.room, ROOT, "k-root")
    asked = await world.human_commands("why", thread=root)
    ref = MessageRef(platform="matrix", room=world.room, message_id=asked)
    answer = await chat.reply(ref, Message(title="because"), "k-answer")
    seen = {message.message_id: message for message in await world.messages()}
    assert seen[answer.message_id].thread_root == root.message_id


async def test_an_answer_to_an_edit_is_a_plain_reply(world: MatrixWorld, inbox: SqliteInbox) -> None:
    chat = await world.start(inbox)
    talk = await world.human_chats("hello")
    edit = await world.person.edit(world.room, talk, "hello again")
    ref = MessageRef(platform="matrix", room=world.room, message_id=edit)
    answer = await chat.reply(ref, Message(title="hello"), "k-answer")
    event = await world.person.event(world.room, answer.message_id)
    assert event["content"]["m.relates_to"] == {"m.in_reply_to": {"event_id": edit}}


async def test_a_long_root_goes_on_in_its_thread_and_a_long_edit_says_what_is_missing(
    world: MatrixWorld, inbox: SqliteInbox
) -> None:
    chat = await world.start(inbox)
    root = await chat.open_thread(world.room, LONG, "k-root")
    seen = [message for message in await world.messages() if message.by_bot]
    assert len(seen) > 1
    assert {message.thread_root for message in seen} == {None, root.message_id}
    text = "\n".join(message.text for message in seen)
    assert [text.count(line) for line in LINES] == [1] * len(LINES)
    await chat.update_root(root, LONG, "k-edit")
    edited = next(m for m in await world.messages() if m.message_id == root.message_id)
    assert "left out" in edited.text
    assert LINES[0] in edited.text


async def test_a_server_that_calls_a_message_too_large_gets_smaller_ones(
    world: MatrixWorld, inbox: SqliteInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.chat.matrix.chat.LIMITS", (200_000, 30_000))
    chat = await world.start(inbox)
    root = await chat.open_thread(world.room, ROOT, "k-root")
    await chat.reply(root, LONG, "k-long")
    await chat.update_root(root, LONG, "k-edit")
    seen = [message for message in await world.messages() if message.by_bot]
    replies = "\n".join(message.text for message in seen if message.thread_root)
    assert [replies.count(line) for line in LINES] == [1] * len(LINES)
    assert "left out" in seen[0].text


async def test_seeding_what_is_seeded_already_is_success(world: MatrixWorld, inbox: SqliteInbox) -> None:
    await world.start(inbox)
    card = await world.human_chats("a card")
    async with aiohttp.ClientSession() as session:
        http = MatrixHttp(session, world.synapse.url)
        http.access_token = world.bot.access_token
        device = Session(
            user_id=world.bot.user_id,
            device_id=world.bot.device_id,
            access_token=world.bot.access_token,
        )
        wire = Wire(http, device, None, None)
        await wire.react(world.room, reaction_to(card, "✅"), "first")
        await wire.react(world.room, reaction_to(card, "✅"), "second")
        assert len(await wire.own_reactions(world.room, card)) == 1


async def test_seeds_are_found_among_more_reactions_than_one_page(
    world: MatrixWorld, inbox: SqliteInbox
) -> None:
    chat = await world.start(inbox)
    root = await chat.open_thread(world.room, ROOT, "k-root")
    card = await chat.post_card(root, CARD, "k-card")
    for number in range(105):
        await world.human_reacts(card, f"r{number}")
    await chat.settle_card(card, Message(title="Approved"), "k-settle")
    seen = next(m for m in await world.messages() if m.message_id == card.message_id)
    assert seen.bot_reactions == ()


async def test_people_keep_their_reactions_when_a_card_is_settled(
    world: MatrixWorld, inbox: SqliteInbox
) -> None:
    chat = await world.start(inbox)
    root = await chat.open_thread(world.room, ROOT, "k-root")
    card = await chat.post_card(root, CARD, "k-card")
    reaction = await world.human_reacts(card, "✅")
    await chat.settle_card(card, Message(title="Approved"), "k-settle")
    left = await world.person.relations(world.room, card.message_id, "m.annotation")
    assert [event["event_id"] for event in left] == [reaction]


async def test_where_no_direct_room_is_possible_the_answer_names_the_person_in_the_room(
    world: MatrixWorld, inbox: SqliteInbox
) -> None:
    chat = await world.start(inbox)
    await chat.answer_privately(world.room, "@ana:elsewhere.example", Message(title="not like this"), "k")
    (seen,) = [message for message in await world.messages() if message.by_bot]
    assert "not like this" in seen.text
    await chat.answer_privately(world.room, "@ana:elsewhere.example", Message(title="again"), "k-2")
    assert "ana:elsewhere" in seen.text
    content = (await world.person.event(world.room, seen.message_id))["content"]
    assert (content["msgtype"], content["m.mentions"]) == ("m.notice", {})


async def test_a_person_who_left_the_direct_room_is_invited_again(
    world: MatrixWorld, inbox: SqliteInbox
) -> None:
    chat = await world.start(inbox)
    await chat.answer_privately(world.room, world.human, Message(title="one"), "k-1")
    (direct,) = await world.person.invited_rooms()
    await world.person.call("POST", f"/v3/rooms/{direct}/leave", {})
    await chat.answer_privately(world.room, world.human, Message(title="two"), "k-2")
    assert await world.person.invited_rooms() == [direct]


async def test_a_room_the_bot_is_not_in_is_unavailable_and_says_so(
    world: MatrixWorld, inbox: SqliteInbox
) -> None:
    chat = await world.start(inbox)
    foreign = await world.person.create_room()
    with pytest.raises(Unavailable, match="not in room"):
        await chat.open_thread(foreign, Message(title="x", blocks=(paragraph("y"),)), "k")
