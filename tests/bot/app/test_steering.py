"""Labels that steer, and text that says what an alert is about, through the running service."""

import asyncio
from collections.abc import Callable

from bot.domain.incident import Incident, IncidentState
from tests.bot.app.conftest import ANA, World, alert


async def incidents(world: World) -> list[Incident]:
    assert world.app is not None
    async with world.app.store.reading() as rows:
        return list(await rows.incidents(live_only=False, limit=100))


async def until(world: World, holds: Callable[[list[Incident]], bool]) -> list[Incident]:
    async with asyncio.timeout(20):
        while True:
            found = await incidents(world)
            if holds(found):
                return found
            await asyncio.sleep(0.01)


async def becomes(world: World, state: IncidentState) -> Incident:
    found = await until(world, lambda all_of_them: any(one.state is state for one in all_of_them))
    return next(one for one in found if one.state is state)


async def all_placed(world: World) -> None:
    assert world.app is not None
    async with asyncio.timeout(20):
        while True:
            async with world.app.store.reading() as rows:
                if not await rows.pending_alerts(1):
                    return
            await asyncio.sleep(0.01)


async def settled(world: World) -> None:
    """Whatever was to be said about the diagnosis has been said: the room answers what is asked after it."""
    marker = world.room.command("status", ANA)
    await world.room.until(lambda ms: any(m.thread == marker for m in ms))


def roots(world: World) -> list[str]:
    return [m.text for m in world.room.bot_messages() if m.thread is None]


async def test_information_opens_no_thread_and_the_ledger_says_why(world: World) -> None:
    async with world.running() as app:
        await world.send(alert("Deployed", severity="info"))
        await all_placed(world)
        assert await incidents(world) == []
        bodies = [entry.body async for batch in app.store.entries() for entry in batch]
        assert any(b"for information only, and no route asks for it" in body for body in bodies)


async def test_a_route_makes_information_visible(world: World) -> None:
    world.extra = "routes:\n  - {name: deploys, match: {alertname: Deployed}, mode: notify}\n"
    async with world.running():
        await world.send(alert("Deployed", severity="info"))
        await world.root_says("Deployed")


async def test_what_a_person_asks_for_is_never_mere_information(world: World) -> None:
    async with world.running():
        world.room.command("investigate why is the cart slow", ANA)
        await world.root_says("why is the cart slow")
        await world.says("Diagnosis of")


async def test_the_digest_is_investigated_but_said_nowhere_and_nobody_is_asked(world: World) -> None:
    async with world.running():
        await world.send(alert(channel="digest"))
        incident = await becomes(world, IncidentState.DIAGNOSED)
        await settled(world)
        assert not any("MemoryHigh" in text for text in roots(world))
        listed = await world.says("1 live incident")
        assert "for the digest" in listed.text
        world.room.command(f"show {incident.short_id}", ANA)
        await world.says("in no room: its alert is for the digest")
        assert not any("Approval needed" in m.text for m in world.room.bot_messages())
    assert world.target.runs() == []


async def test_who_reruns_an_incident_of_the_digest_is_told_and_asked(world: World) -> None:
    async with world.running():
        await world.send(alert(channel="digest"))
        incident = await becomes(world, IncidentState.DIAGNOSED)
        world.room.command(f"rerun {incident.short_id}", ANA)
        await world.root_says("MemoryHigh")
        assert await world.card()


async def test_an_incident_of_the_digest_is_heard_once_it_is_critical(world: World) -> None:
    async with world.running():
        await world.send(alert(fingerprint="a", channel="digest"))
        await becomes(world, IncidentState.DIAGNOSED)
        await world.send(alert(fingerprint="b", channel="digest", severity="critical"))
        await world.root_says("2 firing of 2")
        assert await world.card()
        (incident,) = await incidents(world)
        assert incident.run == 2


async def test_an_alert_that_is_not_for_the_digest_makes_its_incident_heard(world: World) -> None:
    async with world.running():
        await world.send(alert(fingerprint="a", channel="digest"))
        await becomes(world, IncidentState.DIAGNOSED)
        await world.send(alert(fingerprint="b", channel="page"))
        await world.root_says("2 firing of 2")
        await world.send(alert(fingerprint="c", channel="digest"))
        await world.root_says("3 firing of 3")


async def test_the_criticality_of_an_alert_raises_the_risk(world: World) -> None:
    async with world.running():
        await world.send(alert(criticality="Critical"))
        card = await world.card()
        assert "Risk: medium" in card.text
        await world.root_says("Criticality: critical")
    assert world.inspector.labels == {}


async def test_a_label_never_sends_anything_to_a_room_that_is_not_configured(world: World) -> None:
    async with world.running():
        await world.send(alert(matrix_room="!elsewhere:example.net", team="@room payments"))
        root = await world.root_says("MemoryHigh")
        assert "payments" in root.text
        assert "@room" not in root.text
        (incident,) = await incidents(world)
        assert incident.route.rooms == ("ops",)


async def test_a_pair_stands_on_the_card(world: World) -> None:
    world.extra = "route_packs: [bridge]\n"
    async with world.running():
        await world.send(alert("Polkadot -> KusamaBridgeHub finality sync lags (00000001)"))
        root = await world.root_says("Between: Polkadot → KusamaBridgeHub")
        assert "⏳" in root.text
        assert "Environment: production" in root.text


async def test_an_alert_that_wants_no_investigation_is_told_and_nothing_else(world: World) -> None:
    async with world.running():
        await world.send(alert(agentic="false"))
        await world.root_says("State: open")
        await settled(world)
        world.room.command("show", ANA, (await world.root_says("MemoryHigh")).id)
        await world.says("nothing is investigated")
        await world.send(alert(status="resolved", agentic="false"), status="resolved")
        await world.root_says("resolved")
    assert world.investigator.cases == []
    assert not any("Diagnosis of" in m.text for m in world.room.bot_messages())


async def test_an_alert_that_wants_to_be_investigated_makes_its_incident_be(world: World) -> None:
    async with world.running():
        await world.send(alert(fingerprint="a", agentic="false"))
        await world.root_says("1 firing of 1")
        await world.send(alert(fingerprint="b"))
        assert await world.card()


async def test_who_reruns_what_is_only_told_gets_an_investigation_and_no_stuck_incident(world: World) -> None:
    async with world.running():
        await world.send(alert(agentic="false"))
        root = await world.root_says("State: open")
        world.room.command("rerun", ANA, root.id)
        await world.says("Diagnosis of")
        assert await world.card()
        await world.send(alert(status="resolved", agentic="false"), status="resolved")
        await becomes(world, IncidentState.RESOLVED)
