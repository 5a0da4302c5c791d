"""What happens at the last moment: a pause, a resolve, a room that comes and goes."""

import asyncio

from bot.domain.incident import IncidentState
from tests.bot.app.conftest import ANA, BEN, World, alert
from tests.bot.app.test_incidents import becomes, incidents


async def test_a_resolve_while_an_action_runs_that_fails_ends_the_incident_afterwards(world: World) -> None:
    world.executor.ok = False
    world.executor.hold.clear()
    async with world.running():
        await world.send(alert())
        card = await world.card()
        world.room.react(card.id, "✅", ANA)
        await becomes(world, IncidentState.EXECUTING)
        await world.send(alert(status="resolved"))
        async with asyncio.timeout(10):
            while (await incidents(world))[0].firing:
                await asyncio.sleep(0.01)
        world.executor.hold.set()
        await becomes(world, IncidentState.RESOLVED)
        await world.says("run, failed")


async def test_a_room_that_left_the_configuration_is_told_everything_when_it_is_back(world: World) -> None:
    async with world.running():
        world.room.set_down(True)
        await world.send(alert())
        await world.investigated()
    world.room.set_down(False)
    world.room_name = "other"
    async with world.running():
        marker = world.room.command("status", ANA)
        await world.room.until(lambda ms: any(m.thread == marker for m in ms))
        assert not any("MemoryHigh" in m.text and m.thread is None for m in world.room.bot_messages())
    world.room_name = "ops"
    async with world.running():
        card = await world.card(seconds=30)
        world.room.react(card.id, "✅", BEN)
        await world.says("Done")


async def test_an_alert_that_wants_an_investigation_gets_one_in_an_incident_that_only_notified(
    world: World,
) -> None:
    world.extra = "routes: [{name: hint, match: {alertname: Hint}, mode: notify}]\n"
    async with world.running():
        await world.send(alert("Hint", fingerprint="h"), group="g1")
        await world.root_says("Hint")
        await world.send(alert("MemoryHigh", fingerprint="m"), group="g2")
        await world.card()
        assert len(await incidents(world)) == 1
