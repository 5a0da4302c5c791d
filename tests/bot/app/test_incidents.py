"""How alerts become incidents: joining, resolving, coming back, staying away."""

import asyncio
import json
from datetime import UTC, datetime

from bot.domain.incident import Incident, IncidentState
from tests.bot.app.conftest import ANA, World, alert


async def incidents(world: World) -> list[Incident]:
    assert world.app is not None
    async with world.app.store.reading() as rows:
        return list(await rows.incidents(live_only=False, limit=100))


async def placed(world: World) -> list[Incident]:
    """The incidents, once intake has nothing left to place."""
    assert world.app is not None
    async with asyncio.timeout(20):
        while True:
            async with world.app.store.reading() as rows:
                if not await rows.pending_alerts(1):
                    return await incidents(world)
            await asyncio.sleep(0.01)


async def becomes(world: World, state: IncidentState) -> Incident:
    """The only incident, once it is in this state."""
    async with asyncio.timeout(20):
        while True:
            found = await incidents(world)
            if found and found[0].state is state:
                return found[0]
            await asyncio.sleep(0.01)


async def test_alerts_of_one_group_are_one_incident_with_one_thread(world: World) -> None:
    async with world.running():
        await world.send(alert(fingerprint="a"), alert(fingerprint="b", pod="cart-2"))
        await world.send(alert(fingerprint="c", pod="cart-3"))
        await world.root_says("3 firing of 3")
        assert len(await placed(world)) == 1
        assert len([m for m in world.room.bot_messages() if m.thread is None]) == 1


async def test_different_alerts_of_one_service_are_one_incident_and_the_worst_severity_counts(
    world: World,
) -> None:
    async with world.running():
        await world.send(alert("MemoryHigh", fingerprint="a"), group="g1")
        await world.send(alert("ErrorsHigh", fingerprint="b", severity="critical"), group="g2")
        (incident,) = await placed(world)
        assert incident.severity.value == "critical"
        assert incident.alerts_total == 2


async def test_a_shared_cluster_alone_does_not_make_two_services_one_incident(world: World) -> None:
    async with world.running():
        await world.send(alert(fingerprint="a", cluster="prod"), group="g1")
        await world.send(alert(fingerprint="b", cluster="prod", service="bank"), group="g2")
        assert len(await placed(world)) == 2


async def test_the_same_delivery_again_changes_nothing(world: World) -> None:
    async with world.running():
        first = await world.send(alert())
        again = await world.send(alert())
        assert (first["accepted"], again["accepted"], again["duplicate"]) == (1, 0, 1)
        (incident,) = await placed(world)
        assert incident.alerts_total == 1


async def test_one_bad_alert_in_fifty_is_named_and_the_others_become_an_incident(world: World) -> None:
    batch = [alert(fingerprint=f"f{number}", pod=f"p{number}") for number in range(50)]
    batch[17]["labels"] = {"alertname": 5}
    async with world.running():
        answer = await world.send(*batch)
        assert (answer["accepted"], answer["rejected"]) == (49, 1)
        (bad,) = [result for result in answer["results"] if result["status"] == "rejected"]
        assert bad["index"] == 17
        (incident,) = await placed(world)
        assert incident.firing == 49


async def test_a_partly_resolved_group_stays_open_and_the_last_resolve_ends_it(world: World) -> None:
    world.investigator.process = None
    async with world.running():
        await world.send(alert(fingerprint="a"), alert(fingerprint="b", pod="2"))
        await becomes(world, IncidentState.INCONCLUSIVE)
        await world.send(alert(fingerprint="a", status="resolved"))
        await world.root_says("1 firing of 2")
        await world.send(alert(fingerprint="b", pod="2", status="resolved"))
        await becomes(world, IncidentState.RESOLVED)


async def test_a_resolve_during_the_investigation_counts_only_afterwards(world: World) -> None:
    world.investigator.hold.clear()
    async with world.running():
        await world.send(alert())
        await becomes(world, IncidentState.INVESTIGATING)
        await world.send(alert(status="resolved"))
        await placed(world)
        assert (await incidents(world))[0].state is IncidentState.INVESTIGATING
        world.investigator.hold.set()
        incident = await becomes(world, IncidentState.RESOLVED)
        await world.says("Diagnosis of")
        assert incident.firing == 0
    assert world.target.runs() == []


async def test_when_the_alert_resolves_by_itself_the_open_card_is_closed(world: World) -> None:
    async with world.running():
        await world.send(alert())
        card = await world.card()
        await world.send(alert(status="resolved"))
        await world.says("every alert of the incident has resolved")
        world.room.react(card.id, "✅", ANA)
        marker = world.room.command("status", ANA)
        await world.room.until(lambda ms: any(m.thread == marker for m in ms))
        assert (await world.card()).bot_reactions == ()
    assert world.target.runs() == []


async def test_an_alert_that_comes_back_soon_reopens_its_incident_and_is_investigated_again(
    world: World,
) -> None:
    world.investigator.process = None
    async with world.running():
        await world.send(alert())
        await becomes(world, IncidentState.INCONCLUSIVE)
        await world.send(alert(status="resolved"))
        await becomes(world, IncidentState.RESOLVED)
        await world.send(alert(starts_at=datetime.now(UTC).isoformat()))
        incident = await becomes(world, IncidentState.INCONCLUSIVE)
        assert (incident.reopened, incident.flaps, incident.run) == (1, 1, 2)
        await world.says("is firing again")
        assert world.investigator.cases[-1].incident.flaps == 1


async def test_a_resolve_of_something_unknown_opens_nothing(world: World) -> None:
    async with world.running():
        await world.send(alert(status="resolved"))
        assert await placed(world) == []


async def test_an_ignored_route_opens_nothing_and_a_notifying_one_investigates_nothing(world: World) -> None:
    world.extra = """
routes:
  - {name: noise, match: {alertname: Noise}, mode: ignore}
  - {name: hint, match: {alertname: Hint}, mode: notify}
"""
    async with world.running():
        await world.send(alert("Noise", fingerprint="n", service="x"), group="g1")
        await world.send(alert("Hint", fingerprint="h", service="y"), group="g2")
        (incident,) = await placed(world)
        assert incident.route.name == "hint"
        await world.root_says("Hint")
        await world.send(alert("Hint", fingerprint="h", service="y", status="resolved"), group="g2")
        await becomes(world, IncidentState.RESOLVED)
    assert world.investigator.cases == []


async def test_a_heartbeat_is_no_incident_and_its_absence_is_one_that_ends_when_it_is_back(
    world: World,
) -> None:
    world.extra = "grouping: {heartbeats: [{alertname: Watchdog, missing_after: 400ms}]}\n"
    async with world.running() as app:
        await world.send(alert("Watchdog", fingerprint="w"))
        assert await placed(world) == []
        await asyncio.sleep(0.5)  # the heartbeat's own time has to pass
        await app.sweep("heartbeats")
        await world.root_says("the heartbeat Watchdog has not been seen")
        await world.send(alert("Watchdog", fingerprint="w", starts_at="2026-11-21T02:30:00Z"))
        await placed(world)
        await app.sweep("heartbeats")
        await becomes(world, IncidentState.RESOLVED)


async def test_reminders_come_before_a_request_expires_and_expiry_is_nobodys_no(world: World) -> None:
    world.extra = "approval: {timeout_low: 2s, timeout_medium: 2s, timeout_high: 2s, reminders: [30, 60]}\n"
    async with world.running():
        await world.send(alert())
        await world.says("still waits for approval")
        await world.says("Expired: nobody decided in time")
        texts = [m.text for m in world.room.bot_messages()]
        assert sum("still waits" in text for text in texts) == 2
        assert not any("Rejected" in text for text in texts)
        await becomes(world, IncidentState.EXPIRED)


async def test_rerun_replaces_an_open_card_by_a_new_one(world: World) -> None:
    async with world.running():
        await world.send(alert())
        old = await world.card()
        world.room.command("rerun", ANA, old.thread)
        await world.says("Superseded")
        found = await world.room.until(
            lambda ms: any("Approval needed" in m.text and m.id != old.id for m in ms)
        )
        new = next(m for m in found if "Approval needed" in m.text and m.id != old.id)
        world.room.react(old.id, "✅", ANA)
        marker = world.room.command("status", ANA)
        await world.room.until(lambda ms: any(m.thread == marker for m in ms))
        assert world.target.runs() == []
        world.room.react(new.id, "✅", ANA)
        await world.says("Done")
    assert len(world.target.runs()) == 1


async def test_a_name_in_an_alert_cannot_ping_or_link_in_the_room(world: World) -> None:
    hostile = alert(fingerprint="h", service="@room https://evil.example.com/x \u202ebad")
    hostile["annotations"]["summary"] = "@channel see https://evil.example.com \x1b[31m"
    async with world.running():
        await world.send(hostile)
        root = await world.root_says("MemoryHigh")
        for text in (root.text, *(m.text for m in world.room.bot_messages())):
            for forbidden in ("@room", "@channel", "https://evil", "\x1b", "\u202e"):
                assert forbidden not in text


async def test_a_secret_in_an_annotation_reaches_neither_store_nor_room_nor_ledger(world: World) -> None:
    secret = "hunter2-canary-9f8e7d"
    leaking = alert()
    leaking["annotations"]["description"] = f"login failed, password={secret}"
    async with world.running():
        await world.send(leaking)
        await world.card()
        assert secret not in json.dumps([m.text for m in world.room.bot_messages()])
    for path in (world.directory / "data").rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path.name


async def test_metrics_and_readiness_follow_what_is_true(world: World) -> None:
    async with world.running() as app:
        await world.send(alert())
        await world.card()
        await app.sweep("gauges")
        text = app.metrics.render().decode()
        assert "assent_incidents_open 1.0" in text
        assert "assent_ledger_ok 1.0" in text
        assert 'assent_investigations_total{result="action_needed"} 1.0' in text
