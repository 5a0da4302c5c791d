"""SIGKILL in the middle of the stream, again and again: nothing lost, nothing doubled."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from pathlib import Path

import pytest

from bot.domain.chat import ReactionAdded
from tests.adapters.chat.matrix.world import MatrixWorld
from tests.contracts.chat_contract import ROOT
from tests.fakes.inbox import SqliteInbox
from tests.servers.synapse import Synapse

pytestmark = [pytest.mark.real, pytest.mark.crash]

REACTIONS = 120
KILLS = 8


@pytest.mark.parametrize("encrypted", [False, True], ids=["open room", "encrypted room"])
async def test_every_reaction_is_stored_once_and_answered_once_over_kills(
    synapse: Synapse, tmp_path: Path, encrypted: bool
) -> None:
    seed = int(os.environ.get("ASSENT_CRASH_SEED", random.SystemRandom().randrange(10**9)))
    print(f"seed {seed}")
    chance = random.Random(seed)
    async with MatrixWorld.open(synapse, tmp_path / "state", encrypted=encrypted) as world:
        inbox = SqliteInbox(tmp_path / "inbox.db")
        chat = await world.start(inbox)
        root = await chat.open_thread(world.room, ROOT, "k-root")
        await world.kill()
        given = json.dumps(
            {
                "homeserver": synapse.url,
                "user_id": world.bot.user_id,
                "password": world.bot.password,
                "room": world.room,
                "root": root.message_id,
                "state_dir": str(tmp_path / "state"),
                "inbox": str(tmp_path / "inbox.db"),
            }
        )

        async def react() -> list[str]:
            sent = []
            for number in range(REACTIONS):
                sent.append(await world.human_reacts(root, f"r{number}"))
                await asyncio.sleep(chance.uniform(0, 0.05))
            return sent

        reacting = asyncio.create_task(react())
        answered: set[str] = set()
        for kill in range(KILLS + 1):
            log = tmp_path / f"process-{kill}.log"
            with log.open("wb") as stderr:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "tests.adapters.chat.matrix.receive_process",
                    given,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=stderr,
                )
            assert process.stdout is not None
            last = kill == KILLS
            wanted = len(await reacting) if last else chance.randrange(1, 12)
            answered_now: set[str] = set()
            try:
                async with asyncio.timeout(60):
                    while len(answered_now) < wanted:
                        line = await process.stdout.readline()
                        if not line:
                            pytest.fail(log.read_text()[-3000:])
                        if line.startswith(b"$"):
                            answered_now.add(line.decode().strip())
                if not last:
                    await asyncio.sleep(chance.uniform(0, 0.1))
            finally:
                process.kill()
                await process.wait()
            answered |= answered_now
        sent = await reacting
        events = inbox.events()
        assert [event.event_id for event in events] == sent
        assert all(isinstance(event, ReactionAdded) for event in events)
        assert answered == set(sent)
        timeline = await world.person.timeline(world.room)
        kind = "m.room.encrypted" if encrypted else "m.room.message"
        posted = [e for e in timeline if e["type"] == kind and e["sender"] == world.bot.user_id]
        assert len(posted) == 1 + len(sent)
        if not encrypted:
            bodies = [event["content"]["body"] for event in posted[1:]]
            assert sorted(bodies) == sorted(f"seen {event_id}" for event_id in sent)
