"""Calibration: the running service diagnoses and posts, and offers nothing."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from typing import Any

import pytest

from bot.domain.incident import IncidentState
from bot.domain.proposal import Action, RemediationKind
from investigators.ports import Case, Investigation
from tests.bot.app.conftest import ANA, World, alert
from tests.bot.app.test_steering import becomes, settled
from tests.bot.app.test_undo import SILENCE_ID
from tests.fakes.investigator import ScriptedInvestigator

CALIBRATE = "investigation: {calibration: true}\n"
NOTHING = "calibration: nothing is offered"


class Advising(ScriptedInvestigator):
    """Also says what a person could do."""

    async def investigate(self, case: Case) -> Investigation:
        answer = await super().investigate(case)
        return replace(answer, diagnosis=replace(answer.diagnosis, steps=("restart the cart by hand",)))


@pytest.fixture
def calibrating(world: World) -> World:
    world.investigator = Advising()
    world.extra = CALIBRATE
    return world


def said(world: World) -> str:
    return "\n".join(m.text for m in world.room.bot_messages())


def ledger(world: World) -> list[dict[str, Any]]:
    db = sqlite3.connect(world.directory / "data" / "assent.db")
    bodies = [json.loads(row[0]) for row in db.execute("SELECT CAST(body AS TEXT) FROM ledger ORDER BY seq")]
    db.close()
    return bodies


async def test_the_diagnosis_is_posted_and_nothing_is_offered(calibrating: World) -> None:
    async with calibrating.running() as app:
        await calibrating.send(alert())
        diagnosis = await calibrating.says("Diagnosis of")
        assert "cart leaks memory" in diagnosis.text
        assert NOTHING in diagnosis.text
        await becomes(calibrating, IncidentState.DIAGNOSED)
        root = await calibrating.root_says("State: diagnosed")
        assert NOTHING in root.text
        await settled(calibrating)
        for word in ("Approval needed", "By hand", "Advice", "restart"):
            assert word not in said(calibrating)
        async with app.store.reading() as rows:
            (incident,) = await rows.incidents(live_only=True, limit=9)
            stored = await rows.latest_diagnosis(incident.id)
            assert stored is not None
            assert (stored.suggestion, stored.steps) == (None, ())
            done = await rows.remediation_of(incident.id)
            assert done is not None
            assert (done.kind, done.command, done.reasons) == (RemediationKind.NONE, None, (NOTHING,))
            assert list(await rows.requests_of(incident.id)) == []
        calibrating.room.command(f"show {incident.short_id}", ANA)
        shown = await calibrating.says("Members")
        assert NOTHING in shown.text
    assert calibrating.target.runs() == []
    tags = {entry["tag"] for entry in ledger(calibrating)}
    assert {"proposal:created", "request:opened"}.isdisjoint(tags)


async def test_the_ledger_says_that_nothing_could_be_executed(calibrating: World) -> None:
    assert calibrating.execution, "calibration wins over what is configured for execution"
    async with calibrating.running():
        pass
    (started,) = [entry for entry in ledger(calibrating) if entry["tag"] == "service:started"]
    assert started["data"]["execution_enabled"] is False


async def test_after_a_restart_nothing_more_is_offered_either(calibrating: World) -> None:
    async with calibrating.running():
        await calibrating.send(alert())
        await becomes(calibrating, IncidentState.DIAGNOSED)
        await settled(calibrating)
    async with calibrating.running():
        await settled(calibrating)
        assert "Approval needed" not in said(calibrating)
        await becomes(calibrating, IncidentState.DIAGNOSED)


async def test_a_card_from_before_is_withdrawn_and_approves_nothing(world: World) -> None:
    async with world.running():
        await world.send(alert())
        card = await world.card()
    world.extra = CALIBRATE
    async with world.running():
        await becomes(world, IncidentState.DIAGNOSED)
        await world.says(NOTHING)
        withdrawn = await world.card()
        assert withdrawn.id == card.id
        world.room.react(card.id, "✅", ANA)
        world.room.command("approve", ANA, card.thread)
        await settled(world)
    assert world.target.runs() == []
    ended = [entry for entry in ledger(world) if entry["tag"] == "request:ended"]
    assert [(entry["data"]["state"], entry["data"]["reason"]) for entry in ended] == [("cancelled", NOTHING)]


async def test_an_approval_given_while_the_bot_was_away_runs_nothing_in_calibration(world: World) -> None:
    async with world.running():
        await world.send(alert())
        card = await world.card()
    world.room.react(card.id, "✅", ANA)
    world.extra = CALIBRATE
    async with world.running():
        await settled(world)
        await becomes(world, IncidentState.DIAGNOSED)
    assert world.target.runs() == []


async def test_an_action_that_failed_before_is_not_offered_to_be_undone(world: World) -> None:
    world.acting = "alertmanager"
    world.investigator.action = "alertmanager.silence"
    world.investigator.params = {"matchers": "service=cart", "duration_minutes": 10, "comment": "known"}
    world.inspector.healthy = False
    world.verify = "[10ms, 50ms]"
    async with world.running():
        await world.send(alert())
        found = await world.room.until(lambda ms: any("Action: alertmanager.silence\n" in m.text for m in ms))
        card = next(m for m in found if "Action: alertmanager.silence\n" in m.text)
        world.room.react(card.id, "✅", ANA)
        await world.says("It did not help")
        await becomes(world, IncidentState.FAILED)
    world.inspector.undo = Action(
        name="alertmanager.expire_silence", executor="alertmanager", params={"silence_id": SILENCE_ID}
    )
    world.extra = CALIBRATE
    async with world.running():
        await settled(world)
        assert "expire_silence" not in said(world)
        await becomes(world, IncidentState.FAILED)
    world.extra = ""
    async with world.running():
        await world.says("alertmanager.expire_silence")


async def test_once_calibration_is_over_a_new_run_offers_again(calibrating: World) -> None:
    async with calibrating.running():
        await calibrating.send(alert())
        incident = await becomes(calibrating, IncidentState.DIAGNOSED)
        await settled(calibrating)
    calibrating.extra = ""
    async with calibrating.running():
        await settled(calibrating)
        assert "Approval needed" not in said(calibrating), "the old run stays as it was"
        calibrating.room.command(f"rerun {incident.short_id}", ANA)
        assert await calibrating.card()
