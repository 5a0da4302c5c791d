"""Forgery, replay and sudden death on the whole real path: what a person approved runs once, nothing else."""

from __future__ import annotations

import pytest

from bot.demo.world import wait_until_healthy
from tests.acceptance.conftest import Open
from tests.servers.synapse import Person

pytestmark = pytest.mark.real


async def test_a_message_that_only_looks_like_the_card_gives_nothing(open_scenario: Open) -> None:
    async with open_scenario() as world:
        card = await world.card()
        root = await world.root()
        forged = await world.mallory.text(world.room, card.text, thread=card.thread)
        await world.commander.react(world.room, forged, "✅")
        async with Person(world.bot) as thief:
            copied = await thief.text(world.room, card.text, thread=card.thread)
        await world.ana.react(world.room, copied, "✅")
        await world.ana.react(world.room, root.event_id, "✅")
        await world.all_handled()
        assert world.untouched()
        assert not any(tag.startswith("review:") for tag in await world.assent.tags())
        assert "Approval needed" in (await world.message(card.event_id)).text


async def test_an_edited_card_approves_only_what_its_digest_binds(open_scenario: Open) -> None:
    async with open_scenario() as world:
        card = await world.card()
        lie = card.text.replace("process.restart", "echo hello").replace(str(world.service.pid), "1")
        await world.mallory.edit(world.room, card.event_id, lie)
        assert (await world.message(card.event_id)).text == card.text
        async with Person(world.bot) as thief:
            await thief.edit(world.room, card.event_id, lie)
        assert "echo hello" in (await world.message(card.event_id)).text

        await world.commander.react(world.room, card.event_id, "✅")

        await world.root("✔ resolved")
        assert world.restarted_once()
        settled = await world.unseeded(card.event_id)
        assert "echo hello" not in settled.text
        assert f"{world.service.pid}@" in settled.text
        ledger = await world.assent.ledger()
        (proposed,) = [event["data"] for event in ledger if event["tag"] == "proposal:created"]
        (signed,) = [event["data"] for event in ledger if event["tag"] == "approval:signed"]
        (claimed,) = [event["data"] for event in ledger if event["tag"] == "execution:claimed"]
        assert proposed["digest"] == signed["digest"] == claimed["digest"]
        assert proposed["digest"].startswith(card.text.splitlines()[0].rsplit("· ", 1)[1])


async def test_reactions_that_come_again_after_a_restart_do_not_act_again(open_scenario: Open) -> None:
    async with open_scenario() as world:
        card = await world.card()
        assert await world.assent.stop() == 0
        before = world.assent.position()
        await world.assent.start()
        await world.commander.react(world.room, card.event_id, "✅")
        await world.root("✔ resolved")
        await world.unseeded(card.event_id)
        for told in ("⚙️ Done", "It helped: verified", "resolved after"):
            await world.says(told, thread=card.thread)
        said = [message.event_id for message in await world.said()]
        assert await world.assent.stop() == 0
        assert world.assent.position() != before
        world.assent.set_position(before)
        await world.assent.start()
        await world.commander.react(world.room, card.event_id, "✔️")
        await world.all_handled()
        assert world.restarted_once()
        assert [message.event_id for message in await world.said()][: len(said)] == said
        assert len(await world.said()) == len(said) + 2
        tags = await world.assent.tags()
        assert tags.count("execution:claimed") == 1
        assert tags.count("review:recorded") == 1
        assert (await world.assent.ledger_proof())["ok"]


async def test_a_reaction_made_while_the_killed_bot_was_dead_acts_once(open_scenario: Open) -> None:
    async with open_scenario() as world:
        card = await world.card()
        await world.assent.kill()
        await world.commander.react(world.room, card.event_id, "✅")
        assert world.untouched()
        await world.assent.start()
        await world.root("✔ resolved")
        await world.becomes(card.event_id, "✔ Approved, run, verified")
        assert world.restarted_once()
        await world.assent.kill()
        said = [message.event_id for message in await world.said()]
        await world.assent.start()
        await world.all_handled()
        assert world.restarted_once()
        assert [message.event_id for message in await world.said()][: len(said)] == said
        told = [message.text for message in await world.said() if message.thread == card.thread]
        assert len(told) == len(set(told))
        tags = await world.assent.tags()
        assert tags.count("execution:claimed") == 1
        proof = await world.assent.ledger_proof()
        assert proof["ok"], proof


async def test_a_bot_killed_right_after_the_approval_never_runs_the_action_twice(
    open_scenario: Open,
) -> None:
    async with open_scenario() as world:
        card = await world.card()
        await world.ana.react(world.room, card.event_id, "✅")
        await wait_until_healthy(world.service, other_than=world.service.pid)
        await world.assent.kill()
        await world.assent.start()
        await world.all_handled()
        settled = await world.unseeded(card.event_id)
        assert world.restarted_once()
        tags = await world.assent.tags()
        assert tags.count("execution:claimed") == 1
        assert ("execution:unknown" in tags) is ("outcome unknown" in settled.text)
        assert (await world.assent.ledger_proof())["ok"]
