"""An action that did not help is offered to be undone, as a proposal like any other."""

import pytest

from bot.domain.proposal import Action
from tests.bot.app.conftest import ANA, BEN, World, alert
from tests.fakes.room import RoomMessage

SILENCE_ID = "0b2c1f5e-7a1d-4c57-9d0e-0f2f5d1c9a11"


@pytest.fixture
def silencing(world: World) -> World:
    """A world whose known fix is a silence, and in which nothing helps."""
    world.acting = "alertmanager"
    world.investigator.action = "alertmanager.silence"
    world.investigator.params = {"matchers": "service=cart", "duration_minutes": 10, "comment": "known"}
    world.inspector.healthy = False
    world.inspector.undo = Action(
        name="alertmanager.expire_silence", executor="alertmanager", params={"silence_id": SILENCE_ID}
    )
    world.verify = "[10ms, 50ms]"
    return world


async def card_of(world: World, action: str) -> RoomMessage:
    found = await world.room.until(lambda ms: any(f"Action: {action}\n" in m.text for m in ms))
    return next(m for m in found if f"Action: {action}\n" in m.text)


async def test_undoing_is_proposed_after_a_failed_verification_and_runs_only_when_approved(
    silencing: World,
) -> None:
    async with silencing.running():
        await silencing.send(alert())
        card = await card_of(silencing, "alertmanager.silence")
        silencing.room.react(card.id, "✅", ANA)
        await silencing.says("It did not help")
        offer = await card_of(silencing, "alertmanager.expire_silence")
        assert "this undoes it" in offer.text
        assert SILENCE_ID in offer.text
        assert len(silencing.target.runs()) == 1
        silencing.room.react(offer.id, "✅", BEN)
        await silencing.room.until(lambda ms: sum("⚙️ Done" in m.text for m in ms) == 2)
    assert len(silencing.target.runs()) == 2


async def test_an_offer_to_undo_is_made_once_also_over_a_restart(silencing: World) -> None:
    async with silencing.running():
        await silencing.send(alert())
        card = await card_of(silencing, "alertmanager.silence")
        silencing.room.react(card.id, "✅", ANA)
        offer = await card_of(silencing, "alertmanager.expire_silence")
        silencing.room.react(offer.id, "❌", ANA)
        await silencing.says("Rejected")
    async with silencing.running():
        marker = silencing.room.command("status", ANA)
        await silencing.room.until(lambda ms: any(m.thread == marker for m in ms))
        assert sum("Action: alertmanager" in m.text for m in silencing.room.bot_messages()) == 2


async def test_what_cannot_be_undone_is_left_to_people(world: World) -> None:
    world.inspector.healthy = False
    world.verify = "[10ms, 50ms]"
    async with world.running():
        await world.send(alert())
        card = await world.card()
        world.room.react(card.id, "✅", ANA)
        await world.says("It did not help")
        marker = world.room.command("status", ANA)
        await world.room.until(lambda ms: any(m.thread == marker for m in ms))
        assert sum("Action: process.restart" in m.text for m in world.room.bot_messages()) == 1


async def test_only_the_catalogues_own_compensation_is_offered(silencing: World) -> None:
    silencing.inspector.undo = Action(
        name="alertmanager.silence",
        executor="alertmanager",
        params={"matchers": "a=b", "duration_minutes": 9, "comment": "c"},
    )
    async with silencing.running():
        await silencing.send(alert())
        card = await card_of(silencing, "alertmanager.silence")
        silencing.room.react(card.id, "✅", ANA)
        await silencing.says("It did not help")
        marker = silencing.room.command("status", ANA)
        await silencing.room.until(lambda ms: any(m.thread == marker for m in ms))
        assert sum("Action: alertmanager" in m.text for m in silencing.room.bot_messages()) == 1
