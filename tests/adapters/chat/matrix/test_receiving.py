"""What the bot takes in from a real Synapse, and what it leaves alone."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from pydantic import SecretStr

from adapters.chat.matrix import open_matrix
from bot.domain.chat import CommandReceived, ReactionRemoved
from bot.domain.clock import SystemClock
from bot.domain.errors import ConfigError
from bot.domain.message import Message
from tests.adapters.chat.matrix.world import MatrixWorld, section
from tests.contracts.chat_contract import CARD, ROOT
from tests.fakes.inbox import SqliteInbox
from tests.servers.synapse import Synapse, free_port

pytestmark = pytest.mark.real


@pytest.fixture
async def world(synapse: Synapse, tmp_path: Path) -> AsyncIterator[MatrixWorld]:
    async with MatrixWorld.open(synapse, tmp_path / "state") as world:
        yield world


@pytest.fixture
def inbox(tmp_path: Path) -> SqliteInbox:
    return SqliteInbox(tmp_path / "inbox.db")


async def received_up_to(inbox: SqliteInbox, event_id: str) -> list[str]:
    events = await inbox.until(lambda events: any(event.event_id == event_id for event in events))
    return [event.event_id for event in events]


async def test_nothing_is_lost_when_more_happened_than_one_sync_shows(
    world: MatrixWorld, inbox: SqliteInbox
) -> None:
    chat = await world.start(inbox)
    root = await chat.open_thread(world.room, ROOT, "k-root")
    card = await chat.post_card(root, CARD, "k-card")
    await world.kill()
    sent = [await world.human_reacts(card, f"key {number}") for number in range(230)]
    await world.start(inbox)
    events = await inbox.until(lambda events: len(events) >= 230)
    assert [event.event_id for event in events] == sent


async def test_a_reaction_taken_back_while_the_bot_was_away_arrives_as_taken_back(
    world: MatrixWorld, inbox: SqliteInbox
) -> None:
    chat = await world.start(inbox)
    root = await chat.open_thread(world.room, ROOT, "k-root")
    card = await chat.post_card(root, CARD, "k-card")
    reaction = await world.human_reacts(card, "✅")
    await received_up_to(inbox, reaction)
    await world.kill()
    away = await world.human_reacts(card, "❌")
    await world.human_takes_back(away)
    await world.human_takes_back(reaction)
    marker = await world.human_commands("status")
    await world.start(inbox)
    await received_up_to(inbox, marker)
    events = inbox.events()
    assert away not in [event.event_id for event in events]
    assert [e.removed_event_id for e in events if isinstance(e, ReactionRemoved)] == [away, reaction]


async def test_edits_notices_other_rooms_and_deleted_messages_are_no_commands(
    world: MatrixWorld, inbox: SqliteInbox
) -> None:
    await world.start(inbox)
    person = world.person
    talk = await person.text(world.room, "good morning")
    await person.edit(world.room, talk, "!assent approve K7QX")
    await person.send(world.room, "m.room.message", {"msgtype": "m.notice", "body": "!assent status"})
    other = await person.create_room(invite=[world.bot.user_id])
    async with asyncio.timeout(20):
        while (await person.members(other))[world.bot.user_id] != "join":
            await asyncio.sleep(0.05)
    await person.text(other, "!assent status")
    await world.kill()
    deleted = await world.human_commands("approve K7QX")
    await person.redact(world.room, deleted)
    await world.start(inbox)
    marker = await world.human_commands("help")
    await received_up_to(inbox, marker)
    commands = [event.event_id for event in inbox.events() if isinstance(event, CommandReceived)]
    assert commands == [marker]


async def test_a_mention_by_user_id_or_display_name_is_a_command(
    world: MatrixWorld, inbox: SqliteInbox
) -> None:
    await world.start(inbox)
    localpart = world.bot.user_id[1:].partition(":")[0]
    await world.person.text(world.room, f"{world.bot.user_id} status")
    await world.person.text(world.room, f"{localpart}: incidents")
    marked = {"m.mentions": {"user_ids": [world.bot.user_id]}}
    await world.person.text(world.room, f"{localpart} help", **marked)
    await world.person.text(world.room, f"{localpart} said so yesterday")
    marker = await world.human_commands("whoami")
    await received_up_to(inbox, marker)
    assert [getattr(event, "text", None) for event in inbox.events()] == [
        "status",
        "incidents",
        "help",
        "whoami",
    ]


async def test_what_was_said_before_the_bot_was_invited_was_not_said_to_it(
    synapse: Synapse, inbox: SqliteInbox, tmp_path: Path
) -> None:
    async with MatrixWorld.open(synapse, tmp_path / "state") as world:
        await world.start(inbox)
        later = await world.person.create_room()
        await world.kill()
        world.room = later
        await world.start(inbox)
        await world.person.text(later, "!assent approve K7QX")
        await world.person.invite(later, world.bot.user_id)
        async with asyncio.timeout(20):
            while (await world.person.members(later)).get(world.bot.user_id) != "join":
                await asyncio.sleep(0.05)
        marker = await world.human_commands("status")
        assert await received_up_to(inbox, marker) == [marker]


async def test_invitations_of_strangers_are_declined_and_of_named_people_accepted(
    world: MatrixWorld, inbox: SqliteInbox
) -> None:
    await world.start(inbox)
    wanted = await world.person.create_room(invite=[world.bot.user_id])
    async with await world.synapse.person() as stranger:
        unwanted = await stranger.create_room(invite=[world.bot.user_id])
        async with asyncio.timeout(20):
            while (await stranger.members(unwanted))[world.bot.user_id] == "invite":
                await asyncio.sleep(0.05)
        assert (await stranger.members(unwanted))[world.bot.user_id] == "leave"
    async with asyncio.timeout(20):
        while (await world.person.members(wanted))[world.bot.user_id] == "invite":
            await asyncio.sleep(0.05)
    assert (await world.person.members(wanted))[world.bot.user_id] == "join"


async def test_a_served_room_is_joined_whoever_invites_even_while_the_bot_was_away(
    synapse: Synapse, inbox: SqliteInbox, tmp_path: Path
) -> None:
    async with MatrixWorld.open(synapse, tmp_path / "state") as world:
        world.section = section(synapse, world.bot)
        chat = await world.start(inbox)
        await chat.open_thread(world.room, ROOT, "k-root")
        assert (await world.person.members(world.room))[world.bot.user_id] == "join"


async def test_plain_words_in_the_direct_room_are_a_command_without_a_thread(
    world: MatrixWorld, inbox: SqliteInbox
) -> None:
    chat = await world.start(inbox)
    await chat.answer_privately(world.room, world.human, Message(title="psst"), "k-private")
    (direct,) = await world.person.invited_rooms()
    await world.person.join(direct)
    event_id = await world.person.text(direct, "status")
    await received_up_to(inbox, event_id)
    (event,) = inbox.events()
    assert isinstance(event, CommandReceived)
    assert (event.room, event.text, event.thread_root) == (direct, "status", None)


async def test_the_direct_room_is_found_again_after_a_restart(world: MatrixWorld, inbox: SqliteInbox) -> None:
    chat = await world.start(inbox)
    await chat.answer_privately(world.room, world.human, Message(title="one"), "k-1")
    await world.kill()
    chat = await world.start(inbox)
    await chat.answer_privately(world.room, world.human, Message(title="two"), "k-2")
    assert [m.text for m in await world.private_messages()] == ["one", "two"]
    (direct,) = [room for room in await world.person.joined_rooms() if room != world.room]
    event_id = await world.person.text(direct, "!assent status")
    await received_up_to(inbox, event_id)


async def test_the_session_is_kept_private_and_used_again(
    world: MatrixWorld, inbox: SqliteInbox, tmp_path: Path
) -> None:
    await world.start(inbox)
    file = tmp_path / "state" / "matrix" / "session.json"
    first = json.loads(file.read_text())["device_id"]
    await world.kill()
    await world.start(inbox)
    assert json.loads(file.read_text())["device_id"] == first
    for path in (tmp_path / "state" / "matrix").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


async def test_a_kept_session_that_the_server_ended_is_replaced(
    world: MatrixWorld, inbox: SqliteInbox, tmp_path: Path
) -> None:
    await world.start(inbox)
    await world.kill()
    file = tmp_path / "state" / "matrix" / "session.json"
    kept = json.loads(file.read_text())
    file.write_text(json.dumps(kept | {"access_token": "syt_no_longer_valid"}))
    chat = await world.start(inbox)
    assert chat.healthy() is None
    assert json.loads(file.read_text())["device_id"] != kept["device_id"]


async def test_a_session_ended_while_running_ends_the_receiving_with_the_remedy(
    world: MatrixWorld, inbox: SqliteInbox, tmp_path: Path
) -> None:
    async with open_matrix(
        world.section, state_dir=tmp_path / "state", rooms=[world.room], clock=SystemClock()
    ) as chat:
        running = asyncio.create_task(chat.run(inbox))
        async with asyncio.timeout(20):
            while chat.healthy() is not None:
                await asyncio.sleep(0.02)
        token = json.loads((tmp_path / "state" / "matrix" / "session.json").read_text())["access_token"]
        await log_out(world.synapse, token)
        with pytest.raises(ConfigError, match="has ended the bot's session"):
            async with asyncio.timeout(40):
                await running
        assert chat.healthy() is not None


async def log_out(synapse: Synapse, token: str) -> None:
    async with aiohttp.ClientSession() as session:
        url = f"{synapse.url}/_matrix/client/v3/logout"
        async with session.post(url, json={}, headers={"Authorization": f"Bearer {token}"}) as answer:
            assert answer.status == 200


async def test_a_wrong_password_is_refused_at_once_without_repeating_it(
    synapse: Synapse, tmp_path: Path
) -> None:
    account = await synapse.register()
    wrong = section(synapse, account, password=SecretStr("not-the-password-1"))
    with pytest.raises(ConfigError, match="check user_id and password") as caught:
        async with open_matrix(wrong, state_dir=tmp_path, rooms=[], clock=SystemClock()):
            pass
    assert "not-the-password-1" not in str(caught.value)


async def test_a_token_of_somebody_else_is_refused(synapse: Synapse, tmp_path: Path) -> None:
    account, other = await synapse.register(), await synapse.register()
    token = SecretStr(other.access_token)
    wrong = section(synapse, account, password=None, access_token=token)
    with pytest.raises(ConfigError, match="belongs to"):
        async with open_matrix(wrong, state_dir=tmp_path, rooms=[], clock=SystemClock()):
            pass


async def test_the_bot_starts_while_the_homeserver_is_down_and_connects_when_it_comes(
    tmp_path: Path, inbox: SqliteInbox, synapse: Synapse
) -> None:
    async with MatrixWorld.open(synapse, tmp_path / "state") as world:
        await synapse.stop()
        try:
            async with open_matrix(
                world.section, state_dir=tmp_path / "state", rooms=[world.room], clock=SystemClock()
            ) as chat:
                assert "cannot be reached" in (chat.healthy() or "")
                running = asyncio.create_task(chat.run(inbox))
                await synapse.start()
                async with asyncio.timeout(40):
                    while chat.healthy() is not None:
                        await asyncio.sleep(0.05)
                running.cancel()
                await asyncio.wait([running])
        finally:
            if not synapse.running:
                await synapse.start()


async def test_another_account_starts_afresh_instead_of_using_a_foreign_position(
    synapse: Synapse, tmp_path: Path, inbox: SqliteInbox
) -> None:
    await inbox.store("matrix", [], json.dumps({"user": "@earlier:elsewhere", "since": "s1_nonsense"}))
    async with MatrixWorld.open(synapse, tmp_path / "state") as world:
        await world.start(inbox)
        marker = await world.human_commands("status")
        assert await received_up_to(inbox, marker) == [marker]


async def test_nobody_answering_is_said_with_the_address(tmp_path: Path, synapse: Synapse) -> None:
    account = await synapse.register()
    nobody = section(synapse, account, homeserver=f"http://127.0.0.1:{free_port()}")
    async with open_matrix(nobody, state_dir=tmp_path, rooms=[], clock=SystemClock()) as chat:
        assert "http://127.0.0.1" in (chat.healthy() or "")
