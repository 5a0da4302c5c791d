"""The whole path on the real service: alert, diagnosis, card, gesture, gate, effect, verification, ledger."""

import sqlite3

from adapters.anchors import FileAnchors
from adapters.storage import open_ledger
from bot.app.acting import load_keys
from bot.workflow.proving import prove_ledger
from tests.bot.app.conftest import ANA, BEN, EVE, World, alert


async def tags(world: World) -> list[str]:
    """The ledger's tags, in order."""
    db = sqlite3.connect(world.directory / "data" / "assent.db")
    rows = db.execute("SELECT json_extract(CAST(body AS TEXT), '$.tag') FROM ledger ORDER BY seq").fetchall()
    db.close()
    return [row[0] for row in rows]


async def test_an_approving_reaction_runs_the_action_exactly_once(world: World) -> None:
    async with world.running():
        await world.send(alert(severity="critical-ish"))
        card = await world.card()
        assert world.target.runs() == []
        assert sorted(card.bot_reactions) == ["✅", "❌"]
        world.room.react(card.id, "✅", ANA)
        await world.says("Done")
        await world.send(alert(status="resolved"))
        await world.root_says("resolved")
        assert len(world.target.runs()) == 1
        settled = await world.card()
        assert "ana" in settled.text
        assert settled.bot_reactions == ()


async def test_thread_metrics_and_ledger_tell_the_same_story(world: World) -> None:
    async with world.running() as app:
        await world.send(alert())
        card = await world.card()
        world.room.react(card.id, "✅", ANA)
        await world.says("Done")
        await world.send(alert(status="resolved"))
        await world.root_says("resolved")
        await world.says("It helped: verified")
        metrics = app.metrics.render().decode()
    assert 'assent_executions_total{executor="process",result="succeeded"} 1.0' in metrics
    assert 'assent_approvals_total{decision="approve",means="reaction"} 1.0' in metrics
    told = await tags(world)
    steps = [
        "incident:opened",
        "investigation:started",
        "investigation:finished",
        "proposal:created",
        "policy:decided",
        "request:opened",
        "review:recorded",
        "approval:signed",
        "execution:claimed",
        "execution:finished",
        "outcome:verified",
    ]
    positions = [told.index(step) for step in steps]
    assert positions == sorted(positions)
    assert [told.count(s) for s in ("execution:claimed", "execution:finished")] == [1, 1]


async def test_after_a_run_the_ledger_verifies_against_its_anchor(world: World) -> None:
    async with world.running():
        await world.send(alert())
        await world.card()
    config = world.config()
    assert config.ledger.anchor_file is not None
    async with open_ledger(config.data_dir / "assent.db") as rows:
        proof = await prove_ledger(rows, load_keys(config).verifier, FileAnchors(config.ledger.anchor_file))
    assert proof.report.ok, proof.report.problem
    assert proof.anchors >= 1
    assert proof.checkpoints >= 1


async def test_a_rejecting_reaction_runs_nothing(world: World) -> None:
    async with world.running():
        await world.send(alert())
        card = await world.card()
        world.room.react(card.id, "❌", BEN)
        await world.says("Rejected")
        await world.says("nothing was executed")
        world.room.react(card.id, "✅", ANA)
        world.room.command("status", ANA)
        await world.says("live incident")
    assert world.target.runs() == []
    assert (await tags(world)).count("execution:claimed") == 0


async def test_a_stranger_and_a_viewer_are_refused_in_private_and_on_record(world: World) -> None:
    async with world.running():
        await world.send(alert())
        card = await world.card()
        world.room.react(card.id, "✅", "@mallory:example.org")
        world.room.react(card.id, "✅", EVE)
        marker = world.room.command("status", ANA)
        await world.room.until(lambda ms: any(m.thread == marker for m in ms))
        private = world.room.private()
        assert len(private) == 2
        assert all("did not count" in message.text for message in private)
        assert "did not count" not in "".join(m.text for m in world.room.bot_messages())
    assert world.target.runs() == []
    assert (await tags(world)).count("review:refused") == 2


async def test_the_bots_own_seeds_approve_nothing(world: World) -> None:
    async with world.running():
        await world.send(alert())
        card = await world.card()
        world.room.react(card.id, "✅", "@bot:room")
        marker = world.room.command("status", ANA)
        await world.room.until(lambda ms: any(m.thread == marker for m in ms))
    assert world.target.runs() == []


async def test_a_reaction_on_a_message_that_only_looks_like_the_card_does_nothing(world: World) -> None:
    async with world.running():
        await world.send(alert())
        card = await world.card()
        forged = world.room.say(card.text, "@mallory:example.org", card.thread)
        world.room.react(forged, "✅", ANA)
        root = await world.root_says("MemoryHigh")
        world.room.react(root.id, "✅", ANA)
        marker = world.room.command("status", ANA)
        await world.room.until(lambda ms: any(m.thread == marker for m in ms))
        assert sorted((await world.card()).bot_reactions) == ["✅", "❌"]
    assert world.target.runs() == []


async def test_a_replayed_event_after_a_restart_does_not_act_twice(world: World) -> None:
    async with world.running():
        await world.send(alert())
        card = await world.card()
        event = world.room.react(card.id, "✅", ANA)
        await world.says("Done")
    async with world.running():
        world.room.replay(event)
        marker = world.room.command("status", ANA)
        await world.room.until(lambda ms: any(m.thread == marker for m in ms))
    assert len(world.target.runs()) == 1


async def test_the_person_who_asked_for_the_investigation_cannot_approve_its_action(world: World) -> None:
    async with world.running():
        world.room.command("investigate cart feels slow", ANA)
        card = await world.card()
        world.room.react(card.id, "✅", ANA)
        marker = world.room.command("status", ANA)
        await world.room.until(lambda ms: any(m.thread == marker for m in ms))
        assert world.target.runs() == []
        assert any("somebody else" in m.text for m in world.room.private())
        world.room.react(card.id, "✅", BEN)
        await world.says("Done")
    assert len(world.target.runs()) == 1


async def test_a_command_approves_and_says_so(world: World) -> None:
    async with world.running():
        await world.send(alert())
        card = await world.card()
        digest = card.text.splitlines()[0].rsplit("· ", 1)[1]
        world.room.command(f"approve {digest}", ANA, card.thread)
        await world.says("approved. The gate decides now")
        await world.says("Done")
    assert len(world.target.runs()) == 1


async def test_a_command_with_another_digest_approves_nothing(world: World) -> None:
    async with world.running():
        await world.send(alert())
        card = await world.card()
        world.room.command("approve deadbeef", ANA, card.thread)
        await world.says("refused")
    assert world.target.runs() == []


async def test_a_critical_incident_needs_two_people_and_a_withdrawn_voice_does_not_count(
    world: World,
) -> None:
    async with world.running():
        await world.send(alert(severity="critical"))
        card = await world.card()
        assert "2 different approvers" in card.text
        first = world.room.react(card.id, "✅", ANA)
        await world.room.until(lambda ms: any("ana by reaction" in m.text for m in ms))
        world.room.take_back(first, ANA)
        await world.room.until(lambda ms: all("ana by reaction" not in m.text for m in ms))
        world.room.react(card.id, "✅", BEN)
        await world.room.until(lambda ms: any("ben by reaction" in m.text for m in ms))
        assert world.target.runs() == []
        world.room.react(card.id, "✅", ANA)
        await world.says("Done")
    assert len(world.target.runs()) == 1


async def test_the_kill_switch_stops_a_card_that_is_already_posted(world: World) -> None:
    async with world.running():
        await world.send(alert())
        card = await world.card()
        world.room.command("pause upgrading the cluster", ANA)
        await world.says("Execution paused")
        world.room.react(card.id, "✅", BEN)
        await world.says("Cancelled")
        await world.says("execution is paused by ana")
    assert world.target.runs() == []
    assert "gate:refused" in await tags(world)


async def test_the_kill_switch_survives_a_restart(world: World) -> None:
    async with world.running():
        world.room.command("pause", ANA)
        await world.says("Execution paused")
    async with world.running():
        world.room.command("status", ANA)
        await world.says("Execution is paused by ana")
        world.room.command("resume", BEN)
        marker = world.room.command("status", ANA)
        await world.room.until(
            lambda ms: any(m.thread == marker and "is paused by ana" in m.text for m in ms)
        )
        world.room.command("resume", ANA)
        await world.says("Execution resumed")


async def test_a_target_that_was_replaced_meanwhile_is_not_touched(world: World) -> None:
    async with world.running():
        await world.send(alert())
        card = await world.card()
        world.target.replace("77")
        world.room.react(card.id, "✅", ANA)
        await world.says("is not the approved one")
    assert world.target.runs() == []
    assert world.target.uid == "77"


async def test_a_failing_fresh_dry_run_stops_the_run(world: World) -> None:
    async with world.running():
        await world.send(alert())
        card = await world.card()
        world.inspector.dry_run_ok = False
        world.room.react(card.id, "✅", ANA)
        await world.says("Cancelled")
    assert world.target.runs() == []


async def test_without_execution_enabled_the_command_is_shown_and_nothing_can_run(world: World) -> None:
    world.execution = False
    async with world.running():
        await world.send(alert())
        advice = await world.says("I may not execute anything here")
        assert "restart cart" in advice.text
        assert not any("Action: process.restart" in m.text for m in world.room.bot_messages())
    assert world.target.runs() == []


async def test_policy_denies_a_sixth_run_in_an_hour(world: World) -> None:
    world.extra = "policy: {executions_per_hour: 1}\n"
    async with world.running():
        await world.send(alert())
        card = await world.card()
        world.room.react(card.id, "✅", ANA)
        await world.says("Done")
        await world.send(alert(status="resolved"))
        await world.says("verified")
        await world.send(alert("Other", fingerprint="f2", service="else"), group="g2")
        await world.says("policy denies it")
    assert len(world.target.runs()) == 1


async def test_an_investigation_that_breaks_is_told_and_not_silent(world: World) -> None:
    world.investigator.fails = True
    async with world.running():
        await world.send(alert())
        await world.says("internal error (RuntimeError)")
        await world.root_says("inconclusive")
    assert len(world.errors) == 1
    world.errors.clear()


async def test_a_room_that_is_down_gets_everything_once_it_is_back(world: World) -> None:
    async with world.running():
        world.room.set_down(True)
        await world.send(alert())
        await world.investigated()
        world.room.set_down(False)
        card = await world.card(seconds=30)
        assert len([m for m in world.room.bot_messages() if m.thread is None]) == 1
        world.room.react(card.id, "✅", ANA)
        await world.says("Done")


async def test_a_command_that_does_not_count_is_answered_in_private(world: World) -> None:
    async with world.running():
        await world.send(alert())
        card = await world.card()
        world.room.command("approve", "@mallory:example.org", card.thread)
        world.room.command("reject", EVE, card.thread)
        marker = world.room.command("status", ANA)
        await world.room.until(lambda ms: any(m.thread == marker for m in ms))
        assert ["did not count" in message.text for message in world.room.private()] == [True, True]
        assert "did not count" not in "".join(m.text for m in world.room.bot_messages())
    assert world.target.runs() == []
