"""Encrypted rooms, against a second client of its own on the same real Synapse."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from nio import AsyncClient, AsyncClientConfig, MegolmEvent, RoomSendResponse, ShareGroupSessionResponse
from pydantic import SecretStr

from bot.domain.chat import CommandReceived
from bot.domain.errors import Unavailable
from bot.domain.message import Message
from tests.adapters.chat.matrix.world import MatrixWorld, section
from tests.contracts.chat_contract import CARD, ROOT
from tests.fakes.inbox import SqliteInbox
from tests.servers.synapse import Synapse

pytestmark = pytest.mark.real


@asynccontextmanager
async def person_with_keys(world: MatrixWorld, store: Path) -> AsyncIterator[AsyncClient]:
    """The person's device with encryption: its own keys, synced and uploaded."""
    store.mkdir()
    config = AsyncClientConfig(encryption_enabled=True, store_sync_tokens=False)
    account = world.person.account
    client = AsyncClient(account.homeserver, account.user_id, store_path=str(store), config=config)
    client.restore_login(account.user_id, account.device_id, account.access_token)
    try:
        await catch_up(client)
        yield client
    finally:
        await client.close()


async def catch_up(client: AsyncClient) -> list[object]:
    """Sync once without waiting, exchange keys, and return the timeline."""
    answer = await client.sync(timeout=0, full_state=not client.next_batch)
    if client.should_upload_keys:
        await client.keys_upload()
    if client.should_query_keys:
        await client.keys_query()
    await client.send_to_device_messages()
    return [event for room in answer.rooms.join.values() for event in room.timeline.events]


async def say(client: AsyncClient, room: str, body: str) -> str:
    sent = await client.room_send(
        room, "m.room.message", {"msgtype": "m.text", "body": body}, ignore_unverified_devices=True
    )
    assert isinstance(sent, RoomSendResponse), sent
    return str(sent.event_id)


@pytest.fixture
async def world(synapse: Synapse, tmp_path: Path) -> AsyncIterator[MatrixWorld]:
    async with MatrixWorld.open(synapse, tmp_path / "state", encrypted=True) as world:
        yield world


@pytest.fixture
def inbox(tmp_path: Path) -> SqliteInbox:
    return SqliteInbox(tmp_path / "inbox.db")


async def bodies(client: AsyncClient) -> list[str]:
    events = await catch_up(client)
    assert not [event for event in events if isinstance(event, MegolmEvent)], "the person cannot read it"
    return [getattr(event, "body", "") for event in events]


async def test_a_person_reads_the_thread_and_the_server_does_not(
    world: MatrixWorld, inbox: SqliteInbox, tmp_path: Path
) -> None:
    async with person_with_keys(world, tmp_path / "person") as person:
        chat = await world.start(inbox)
        await catch_up(person)
        root = await chat.open_thread(world.room, ROOT, "k-root")
        card = await chat.post_card(root, CARD, "k-card")
        await chat.settle_card(card, Message(title="Approved by Ana"), "k-settle")
        read = "\n".join(await bodies(person))
        assert ROOT.title in read
        assert CARD.title in read
        assert "Approved by Ana" in read
    stored = await world.person.timeline(world.room)
    assert not [event for event in stored if event["type"] == "m.room.message"]
    assert "checkout" not in str([event["content"] for event in stored])
    relations = [e["content"].get("m.relates_to", {}) for e in stored if e["type"] == "m.room.encrypted"]
    assert [relation.get("rel_type") for relation in relations] == [None, "m.thread", "m.replace"]


async def test_an_encrypted_command_is_read_and_is_not_called_verified(
    world: MatrixWorld, inbox: SqliteInbox, tmp_path: Path
) -> None:
    async with person_with_keys(world, tmp_path / "person") as person:
        await world.start(inbox)
        await catch_up(person)
        event_id = await say(person, world.room, "!assent status")
    (event,) = await inbox.until(lambda events: len(events) >= 1)
    assert isinstance(event, CommandReceived)
    assert (event.event_id, event.text, event.device_verified) == (event_id, "status", False)


async def test_encrypted_commands_sent_while_the_bot_was_away_are_read_beyond_the_timeline(
    world: MatrixWorld, inbox: SqliteInbox, tmp_path: Path
) -> None:
    async with person_with_keys(world, tmp_path / "person") as person:
        await world.start(inbox)
        await catch_up(person)
        await world.kill()
        sent = [await say(person, world.room, f"!assent ask {number}") for number in range(60)]
        await world.start(inbox)
        events = await inbox.until(lambda events: len(events) >= 60)
    assert [event.event_id for event in events] == sent


async def test_the_same_key_posts_once_in_an_encrypted_room_over_a_restart(
    world: MatrixWorld, inbox: SqliteInbox
) -> None:
    chat = await world.start(inbox)
    root = await chat.open_thread(world.room, ROOT, "k-root")
    await world.kill()
    chat = await world.start(inbox)
    assert await chat.open_thread(world.room, ROOT, "k-root") == root
    stored = await world.person.timeline(world.room)
    assert len([event for event in stored if event["type"] == "m.room.encrypted"]) == 1


@pytest.mark.parametrize("damage", ["missing", "empty", "garbage"])
async def test_lost_keys_make_a_new_device_that_can_still_talk(
    world: MatrixWorld, inbox: SqliteInbox, tmp_path: Path, damage: str
) -> None:
    async with person_with_keys(world, tmp_path / "person") as person:
        await world.start(inbox)
        await world.kill()
        (store,) = (tmp_path / "state" / "matrix").glob(f"{world.bot.user_id}*.db")
        if damage == "missing":
            store.unlink()
        else:
            store.write_bytes(b"" if damage == "empty" else b"garbage" * 1000)
        chat = await world.start(inbox)
        await catch_up(person)
        await chat.open_thread(world.room, ROOT, "k-root")
        assert any(ROOT.title in body for body in await bodies(person))
        event_id = await say(person, world.room, "!assent status")
        events = await inbox.until(lambda events: len(events) >= 1)
        assert [event.event_id for event in events] == [event_id]
    own = await world.person.call("POST", "/v3/keys/query", {"device_keys": {world.bot.user_id: []}})
    assert len(own["device_keys"][world.bot.user_id]) == 2
    await world.kill()
    await world.start(inbox)
    again = await world.person.call("POST", "/v3/keys/query", {"device_keys": {world.bot.user_id: []}})
    assert again["device_keys"] == own["device_keys"]


async def test_a_message_whose_key_comes_later_is_not_lost(
    world: MatrixWorld, inbox: SqliteInbox, tmp_path: Path
) -> None:
    async with person_with_keys(world, tmp_path / "person") as person:
        await world.start(inbox)
        await catch_up(person)
        deliver = withhold_keys(person, world.room)
        late = await say(person, world.room, "!assent status")
        marker = await world.person.text(world.room, "!assent plain")
        await inbox.until(lambda events: [event.event_id for event in events] == [marker])
        await world.kill()
        await world.start(inbox)
        await deliver()
        events = await inbox.until(lambda events: len(events) >= 2)
    assert [event.event_id for event in events] == [marker, late]


def withhold_keys(person: AsyncClient, room: str) -> Callable[[], Awaitable[None]]:
    """Let the person's message overtake its key: hold back what goes to devices until called."""
    send = person._send
    waiting: list[tuple[Any, ...]] = []

    async def hold(kind: type, method: str, path: str, *rest: Any, **more: Any) -> Any:
        if "/sendToDevice/" not in path:
            return await send(kind, method, path, *rest, **more)
        waiting.append((kind, method, path, *rest, more["response_data"]))
        return ShareGroupSessionResponse(room, set())

    async def deliver() -> None:
        person._send = send
        for kind, method, path, data, about in waiting:
            await send(kind, method, path, data, response_data=about)

    person._send = hold
    return deliver


async def test_a_token_whose_keys_are_gone_serves_open_rooms_and_says_why_not_encrypted_ones(
    world: MatrixWorld, inbox: SqliteInbox, tmp_path: Path
) -> None:
    token = SecretStr(world.bot.access_token)
    world.section = section(
        world.synapse, world.bot, password=None, access_token=token, invite_from=(world.human,)
    )
    chat = await world.start(inbox)
    await chat.open_thread(world.room, ROOT, "k-1")
    await world.kill()
    for file in (tmp_path / "state" / "matrix").glob(f"{world.bot.user_id}*"):
        file.unlink()
    open_room = await world.person.create_room(invite=[world.bot.user_id])
    chat = await world.start(inbox)
    with pytest.raises(Unavailable, match="new access token"):
        await chat.open_thread(world.room, ROOT, "k-2")
    await chat.open_thread(open_room, ROOT, "k-3")
    assert [message.text for message in await world.seen(open_room) if message.by_bot]


async def test_a_private_answer_about_an_encrypted_room_is_encrypted(
    world: MatrixWorld, inbox: SqliteInbox, tmp_path: Path
) -> None:
    async with person_with_keys(world, tmp_path / "person") as person:
        chat = await world.start(inbox)
        await catch_up(person)
        await chat.answer_privately(world.room, world.human, Message(title="for you only"), "k-private")
        (invited,) = await world.person.invited_rooms()
        await world.person.join(invited)
        assert any("for you only" in body for body in await bodies(person))
        event_id = await say(person, invited, "status")
        (event,) = await inbox.until(lambda events: len(events) >= 1)
        assert isinstance(event, CommandReceived)
        assert (event.event_id, event.room, event.text) == (event_id, invited, "status")
    stored = await world.person.timeline(invited)
    assert "for you only" not in str(stored)
