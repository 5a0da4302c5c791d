"""From a real alert to a decision by a person at a client that is not ours, and to what follows from it."""

from __future__ import annotations

import pytest

from bot.demo.world import wait_until_healthy
from tests.acceptance.conftest import Open
from tests.acceptance.world import in_order

pytestmark = pytest.mark.real


async def test_an_approved_action_runs_once_and_thread_metrics_and_ledger_agree(open_scenario: Open) -> None:
    async with open_scenario() as world:
        card = await world.card("Approval needed")
        root = await world.root()
        assert card.thread == root.event_id
        assert f"{world.service.pid}@" in card.text
        diagnosis = await world.says("Diagnosis of", thread=root.event_id)
        assert "memory keeps growing" in diagnosis.text
        assert "prometheus: " in diagnosis.text
        assert world.untouched()

        await world.commander.react(world.room, card.event_id, "✅")

        await world.root("✔ resolved")
        settled = await world.becomes(card.event_id, "✔ Approved, run, verified")
        assert world.restarted_once()
        assert "✅ ana by reaction on matrix" in settled.text
        assert (await world.unseeded(card.event_id)).reactions == [(world.ana.user_id, "✅")]
        new = world.service.current_pid()
        assert f"pid {world.service.pid} → {new}, healthy" in settled.text
        verified = await world.says("It helped: verified", thread=root.event_id)
        assert "✔ alert: every alert has resolved" in verified.text
        digest = settled.text.splitlines()[0].rsplit("· ", 1)[1]

        metrics = await world.assent.metrics()
        assert metrics['assent_executions_total{executor="process",result="succeeded"}'] == 1
        assert metrics['assent_approvals_total{decision="approve",means="reaction"}'] == 1
        assert metrics["assent_ledger_ok"] == 1

        await world.assent.metric("assent_incidents_open", 0)
        ledger = await world.assent.ledger()
        tags = [event["tag"] for event in ledger]
        assert in_order(
            tags,
            (
                "incident:opened",
                "investigation:finished",
                "proposal:created",
                "policy:decided",
                "request:opened",
                "review:recorded",
                "approval:signed",
                "execution:claimed",
                "execution:finished",
                "outcome:verified",
            ),
        )
        assert [tags.count(tag) for tag in ("execution:claimed", "execution:finished")] == [1, 1]
        (signed,) = [event["data"] for event in ledger if event["tag"] == "approval:signed"]
        assert signed["digest"].startswith(digest)
        assert signed["reviewers"] == ["ana"]
        shown = await world.assent.command("ledger", "show", "-c", str(world.assent.config))
        assert [line.split()[2] for line in shown[1].splitlines()][: len(tags)] == tags
        proof = await world.assent.ledger_proof()
        assert proof["ok"]
        assert proof["entries"] >= len(tags)
        assert await world.assent.stop() == 0
        proof = await world.assent.ledger_proof()
        assert proof["ok"]
        assert proof["anchors"] >= 1


async def test_a_rejected_action_does_not_run(open_scenario: Open) -> None:
    async with open_scenario() as world:
        card = await world.card()
        await world.commander.react(world.room, card.event_id, "❌")
        settled = await world.becomes(card.event_id, "❌ Rejected")
        await world.says("nothing was executed", thread=card.thread)
        await world.root("proposal rejected")
        assert "❌ ana by reaction on matrix" in settled.text
        await world.ben.react(world.room, card.event_id, "✅")
        await world.told_privately(world.ben, "did not count")
        assert world.untouched()
        metrics = await world.assent.metrics()
        assert metrics['assent_approvals_total{decision="reject",means="reaction"}'] == 1
        assert 'assent_executions_total{executor="process",result="succeeded"}' not in metrics
        tags = await world.assent.tags()
        assert "execution:claimed" not in tags
        assert "approval:signed" not in tags
        assert (await world.assent.ledger_proof())["ok"]


async def test_people_who_may_not_approve_are_told_so_in_private_and_nothing_runs(
    open_scenario: Open,
) -> None:
    async with open_scenario() as world:
        card = await world.card()
        await world.mallory.react(world.room, card.event_id, "✅")
        await world.eve.react(world.room, card.event_id, "✅")
        await world.mallory.text(world.room, "!assent approve", thread=card.thread)
        await world.told_privately(world.mallory, "did not count")
        await world.told_privately(world.eve, "did not count")
        await world.all_handled()
        assert not any("did not count" in message.text for message in await world.said())
        assert world.untouched()
        assert "Approval needed" in (await world.message(card.event_id)).text
        refused = [event["data"] for event in await world.assent.ledger() if event["tag"] == "review:refused"]
        assert [entry["user_id"] for entry in refused] == [
            world.mallory.user_id,
            world.eve.user_id,
            world.mallory.user_id,
        ]
        metrics = await world.assent.metrics()
        assert not any(name.startswith("assent_approvals_total") for name in metrics)


async def test_a_removed_reaction_is_withdrawn_and_two_people_are_needed_when_it_is_critical(
    open_scenario: Open,
) -> None:
    async with open_scenario(severity="critical") as world:
        card = await world.card("2 different approvers")
        reaction = await world.commander.react(world.room, card.event_id, "✅")
        await world.becomes(card.event_id, "✅ ana by reaction")
        await world.commander.redact(world.room, reaction)
        await world.until(
            lambda all_: all("ana by reaction" not in m.text for m in all_), "ana's voice to be withdrawn"
        )
        await world.ben.react(world.room, card.event_id, "✅")
        await world.becomes(card.event_id, "✅ ben by reaction")
        assert world.untouched()
        assert "execution:claimed" not in await world.assent.tags()

        await world.commander.react(world.room, card.event_id, "✅")
        await world.root("✔ resolved")
        assert world.restarted_once()
        ledger = await world.assent.ledger()
        assert [event["data"]["person"] for event in ledger if event["tag"] == "review:withdrawn"] == ["ana"]
        (signed,) = [event["data"] for event in ledger if event["tag"] == "approval:signed"]
        assert signed["reviewers"] == ["ana", "ben"]


async def test_an_undecided_request_expires_and_a_late_reaction_does_nothing(open_scenario: Open) -> None:
    sections = {"approval": {"timeout_low": "4s", "reminders": [50]}}
    async with open_scenario(sections=sections) as world:
        card = await world.card()
        await world.says("still waits for approval", thread=card.thread)
        await world.becomes(card.event_id, "⌛ Expired: nobody decided in time")
        await world.root("proposal expired")
        await world.commander.react(world.room, card.event_id, "✅")
        await world.told_privately(world.ana, "did not count")
        expired = await world.unseeded(card.event_id)
        assert "❌" not in expired.text
        assert world.untouched()
        ended = [event["data"] for event in await world.assent.ledger() if event["tag"] == "request:ended"]
        assert [entry["state"] for entry in ended] == ["expired"]


async def test_an_encrypted_room_works_for_a_client_that_is_not_ours(open_scenario: Open) -> None:
    async with open_scenario(encrypted=True) as world:
        card_id = await world.encrypted_card()
        shown = await world.commander.read(world.room)
        assert "Approval needed" in shown
        assert f"{world.service.pid}@" in shown
        await world.commander.react(world.room, card_id, "✅")
        await wait_until_healthy(world.service, other_than=world.service.pid)
        command = await world.commander.text(world.room, "!assent whoami")
        await world.encrypted_answer(command)
        assert world.restarted_once()
        stored = str(await world.ana.timeline(world.room))
        assert "Approval needed" not in stored
        assert "process.restart" not in stored
        shown = await world.commander.read(world.room)
        assert "You are ana" in shown
        assert (await world.assent.tags()).count("execution:claimed") == 1


async def test_the_bot_is_asked_and_stopped_in_the_room(open_scenario: Open) -> None:
    async with open_scenario() as world:
        card = await world.card()
        root = await world.root()
        short_id = root.text.split(" · ")[0].split()[-1]
        assert "!assent pause" in (await world.asks("help")).text
        status = (await world.asks("status")).text
        assert "1 live incident" in status
        assert short_id in status
        assert "Ledger: intact" in status
        assert "Did you mean !assent status?" in (await world.asks("statsu")).text
        assert "You are ben" in (await world.asks("whoami", who=world.ben)).text
        assert "I do not know you" in (await world.asks("whoami", who=world.mallory)).text
        assert "Diagnosis:" in (await world.asks(f"show {short_id}")).text
        await world.commander.text(world.room, "!assent why", thread=root.event_id)
        why = await world.says(f"Why: {short_id}", thread=root.event_id)
        assert "Facts" in why.text
        await world.commander.text(world.room, "!assent since when does memory grow?", thread=root.event_id)
        answer = await world.says("Answer to ana", thread=root.event_id)
        assert "fires since" in answer.text
        assert "MiB" in answer.text
        assert "No model is configured" in answer.text

        await world.mallory.text(world.room, "!assent pause")
        await world.told_privately(world.mallory, "it needs one of the roles")
        assert "Execution is not paused" in (await world.asks("status")).text
        assert "Execution paused" in (await world.asks("pause a freeze today")).text
        await world.commander.react(world.room, card.event_id, "✅")
        stopped = await world.becomes(card.event_id, "⛔ Cancelled")
        assert "execution is paused by ana" in stopped.text
        await world.ben.text(world.room, "!assent resume")
        await world.told_privately(world.ben, "it needs one of the roles")
        assert "Execution resumed" in (await world.asks("resume")).text
        assert world.untouched()
        tags = await world.assent.tags()
        assert in_order(tags, ("switch:turned", "gate:refused", "switch:turned"))
        assert "execution:claimed" not in tags
