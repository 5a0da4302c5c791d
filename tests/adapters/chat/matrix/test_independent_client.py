"""A client that is none of our code understands the bot and is understood by it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.domain.chat import CommandReceived, ReactionAdded, ReactionRemoved
from tests.adapters.chat.matrix.world import MatrixWorld
from tests.contracts.chat_contract import CARD, ROOT
from tests.fakes.inbox import SqliteInbox
from tests.servers.matrix_commander import MatrixCommander, matrix_commander_missing
from tests.servers.synapse import Synapse

pytestmark = pytest.mark.real


@pytest.fixture(params=[False, True], ids=["open room", "encrypted room"])
async def world(
    request: pytest.FixtureRequest, synapse: Synapse, tmp_path: Path
) -> AsyncIterator[MatrixWorld]:
    missing = matrix_commander_missing()
    if missing is not None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)
    opened = MatrixWorld.open(synapse, tmp_path / "state", encrypted=request.param, room_version="11")
    async with opened as world:
        yield world


async def test_matrix_commander_reacts_withdraws_and_commands_in_the_thread(
    world: MatrixWorld, tmp_path: Path
) -> None:
    inbox = SqliteInbox(tmp_path / "inbox.db")
    client = MatrixCommander(world.person.account, tmp_path / "client")
    await client.login(world.room)
    chat = await world.start(inbox)
    root = await chat.open_thread(world.room, ROOT, "k-root")
    card = await chat.post_card(root, CARD, "k-card")
    reaction = await client.react(world.room, card.message_id, "✅")
    await client.redact(world.room, reaction)
    command = await client.text(world.room, "!assent why", thread=root.message_id)
    added, removed, asked = await inbox.until(lambda events: len(events) >= 3)
    assert isinstance(added, ReactionAdded)
    assert (added.event_id, added.message_id, added.key) == (reaction, card.message_id, "✅")
    assert isinstance(removed, ReactionRemoved)
    assert removed.removed_event_id == reaction
    assert isinstance(asked, CommandReceived)
    assert (asked.event_id, asked.text, asked.thread_root) == (command, "why", root.message_id)
    assert {event.sender for event in (added, removed, asked)} == {world.human}
