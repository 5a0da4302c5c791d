"""An action that did not help is offered to be undone, as a proposal like any other."""

from bot.domain.proposal import Action
from tests.bot.app.conftest import ANA, BEN, World, alert


async def test_after_a_failed_verification_undoing_is_proposed_and_runs_only_when_approved(
    world: World,
) -> None:
    world.inspector.healthy = False
    world.verify = "[10ms, 50ms]"
    world.inspector.undo = Action(name="process.restart", executor="process", params={"process": "cart"})
    async with world.running():
        await world.send(alert())
        first = await world.card()
        world.room.react(first.id, "✅", ANA)
        await world.says("It did not help")
        found = await world.room.until(
            lambda ms: any("Approval needed" in m.text and m.id != first.id for m in ms)
        )
        second = next(m for m in found if "Approval needed" in m.text)
        assert "this undoes it" in second.text
        assert len(world.target.runs()) == 1
        world.inspector.undo = None
        world.room.react(second.id, "✅", BEN)
        await world.room.until(lambda ms: sum("⚙️ Done" in m.text for m in ms) == 2)
    assert len(world.target.runs()) == 2


async def test_an_offer_to_undo_is_made_once_also_over_a_restart(world: World) -> None:
    world.inspector.healthy = False
    world.verify = "[10ms, 50ms]"
    world.inspector.undo = Action(name="process.restart", executor="process", params={"process": "cart"})
    async with world.running():
        await world.send(alert())
        card = await world.card()
        world.room.react(card.id, "✅", ANA)
        found = await world.room.until(
            lambda ms: any("Approval needed" in m.text and m.id != card.id for m in ms)
        )
        offer = next(m for m in found if "Approval needed" in m.text)
        world.room.react(offer.id, "❌", ANA)
        await world.says("Rejected")
    async with world.running():
        marker = world.room.command("status", ANA)
        await world.room.until(lambda ms: any(m.thread == marker for m in ms))
        assert sum("Action: process.restart" in m.text for m in world.room.bot_messages()) == 2


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
