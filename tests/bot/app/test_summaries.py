"""The summary of an incident that is over, in the running service."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from dataclasses import dataclass, replace

import pytest

from adapters.chat.matrix.content import text_content
from bot.domain.evidence import Evidence, LogLine
from bot.domain.incident import Incident
from bot.domain.redaction import clean
from bot.domain.summary import Summary
from bot.messages.summary import summary_reply
from investigators.analyst.ports import FailureKind, Limits, ModelFailure, Reply
from investigators.analyst.retrospect import ModelSummariser
from investigators.ports import Case, Investigation
from tests.bot.app.conftest import ANA, EVE, World, alert
from tests.bot.app.test_story import tags
from tests.fakes.investigator import ScriptedInvestigator
from tests.fakes.model import ScriptedModel, Turn, said
from tests.fakes.room import RoomMessage
from tests.investigators.analyst.world import shown

SOON = "investigation: {summarise_after: 50ms}\ngrouping: {reopen_within: 50ms}\n"
MUCH_LATER = "investigation: {summarise_after: 1h}\n"
RUNBOOK = "# cart\n\n## Checks\n\nLook at its memory.\nCall the shop's team."
CANARY = "hunter2canary9f3e"


@dataclass(slots=True)
class Reading(ScriptedInvestigator):
    """The scripted answer, with a runbook that was read."""

    text: str = RUNBOOK

    async def investigate(self, case: Case) -> Investigation:
        answer = await ScriptedInvestigator.investigate(self, case)
        return replace(answer, evidence=(*answer.evidence, _runbook(answer.evidence[0], self.text)))


def _runbook(like: Evidence, text: str) -> Evidence:
    cleaned = clean(text, limit=100_000)
    return replace(
        like,
        id=f"{like.id}r",
        source="runbooks",
        kind="runbook.text",
        query="cart.md",
        summary="runbook",
        excerpt=cleaned,
        lines=tuple(LogLine(at=None, text=line) for line in cleaned.split("\n")),
    )


async def resolves(world: World) -> None:
    await world.send(alert(status="resolved"), status="resolved")
    await world.root_says("resolved")


async def summaries(world: World) -> list[RoomMessage]:
    found = await world.room.until(lambda ms: any("Summary of" in m.text for m in ms))
    return [m for m in found if "Summary of" in m.text]


async def latest(world: World) -> tuple[Incident, Summary]:
    assert world.app is not None
    async with world.app.store.reading() as rows:
        incident = (await rows.incidents(live_only=False, limit=1))[0]
        found = await rows.summary_of(incident.id)
    assert found is not None
    return incident, found


async def test_once_over_an_incident_is_summed_up_in_its_thread(world: World) -> None:
    world.extra, world.investigator = SOON, Reading()
    async with world.running():
        await world.send(alert())
        world.room.react((await world.card()).id, "✅", ANA)
        await world.says("Done")
        await resolves(world)
        (told,) = await summaries(world)
        root = await world.root_says("MemoryHigh")
    assert told.thread == root.id
    for part in (
        "- memory_growth in cart (confidence high)",
        "- process[.]restart of cart, approved by ana, was run; verified: it helped",
        "What would have found it sooner",
        "ana approved it",
        "verification: it helped",
        "+- What helped: `process[.]restart` of `cart`, seen to help",
        " Call the shop's team.",
        "by rules",
    ):
        assert part in told.text, told.text
    assert (await tags(world)).count("incident:summarised") == 1


async def test_a_restart_before_it_is_written_loses_no_summary_and_a_later_one_repeats_none(
    world: World,
) -> None:
    world.extra = MUCH_LATER
    async with world.running():
        await world.send(alert())
        await world.card()
        await resolves(world)
    assert not any("Summary of" in m.text for m in world.room.bot_messages())
    world.extra = SOON
    async with world.running():
        (told,) = await summaries(world)
    assert "nothing was run by the bot" in told.text
    async with world.running():
        await world.send(alert(status="resolved"), status="resolved")
        marker = world.room.command("status", ANA)
        await world.room.until(lambda ms: any(m.thread == marker for m in ms))
        assert len(await summaries(world)) == 1
    assert (await tags(world)).count("incident:summarised") == 1


async def test_an_alert_that_goes_away_during_the_investigation_is_summed_up_too(world: World) -> None:
    world.extra = SOON
    world.investigator.hold.clear()
    async with world.running():
        await world.send(alert())
        await world.root_says("investigating")
        await world.send(alert(status="resolved"), status="resolved")
        await world.root_says("0 firing of 1")
        world.investigator.hold.set()
        (told,) = await summaries(world)
    assert "nothing was run by the bot" in told.text


async def test_an_incident_that_is_only_told_of_has_no_summary(world: World) -> None:
    world.extra = SOON + "routes: [{name: told, mode: notify, match: {alertname: MemoryHigh}}]\n"
    async with world.running():
        await world.send(alert())
        await resolves(world)
        assert world.app is not None
        root = await world.root_says("MemoryHigh")
        marker = world.room.command("summary", ANA, root.id)
        await world.says("has no summary yet")
        assert not any("Summary of" in m.text for m in world.room.bot_messages())
    assert marker
    assert "incident:summarised" not in await tags(world)


async def test_who_may_read_may_ask_for_the_whole_summary_again(world: World) -> None:
    world.extra = SOON
    async with world.running():
        await world.send(alert())
        await world.card()
        await resolves(world)
        (told,) = await summaries(world)
        incident, _ = await latest(world)
        world.room.command(f"summary {incident.short_id}", EVE)
        found = await world.room.until(lambda ms: sum("Summary of" in m.text for m in ms) == 2)
        world.room.command("summary", "@mallory:example.org", told.thread)
        async with asyncio.timeout(20):
            while not world.room.private():
                await asyncio.sleep(0.01)
    (again,) = [m for m in found if "Summary of" in m.text and m.id != told.id]
    assert "process[.]restart of cart was proposed and not run" in again.text
    assert "summary: refused" in world.room.private()[0].text


async def test_no_secret_of_an_alert_or_a_runbook_is_in_a_summary(world: World) -> None:
    world.extra = SOON
    world.investigator = Reading(text=f"# cart\n\npassword={CANARY}\n\none\ntwo\nthree\nfour")
    fired = alert(note=f"token={CANARY}")
    fired["annotations"]["summary"] = f"login failed: password={CANARY}"
    async with world.running():
        await world.send(fired)
        await world.card()
        await world.send({**fired, "status": "resolved"}, status="resolved")
        (told,) = await summaries(world)
        _, stored = await latest(world)
        assert stored.runbook_patch is not None
        assert "[redacted:secret]" in stored.runbook_section
        assert CANARY not in repr(stored) + told.text
    db = sqlite3.connect(world.directory / "data" / "assent.db")
    kept = [str(row[0]) for row in db.execute("SELECT body FROM summaries")]
    kept += [row[0].decode() for row in db.execute("SELECT body FROM ledger")]
    db.close()
    assert "[redacted:secret]" in kept[0]
    assert CANARY not in "".join(kept)


async def test_hostile_words_do_nothing_in_the_summary(world: World) -> None:
    world.extra = SOON
    hostile = "<img src=x> [click](https://evil.example/a) @room `` ```\n## x\n+++ b/../../evil \u202e"
    fired = alert(service="../../evil")
    fired["annotations"]["summary"] = hostile
    async with world.running():
        await world.send(fired)
        await world.card()
        await world.send({**fired, "status": "resolved"}, status="resolved")
        await summaries(world)
        incident, stored = await latest(world)
    assert stored.runbook_patch is not None
    assert stored.runbook_patch.startswith("--- /dev/null\n+++ b/evil.md\n")
    content = text_content(summary_reply(stored, incident), notify=False)
    html = content["formatted_body"]
    assert "<img" not in html
    assert "https://evil" not in html
    assert "href" not in html
    assert "\u202e" not in html
    assert "@room" not in html + content["body"]


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (None, "by rules · model: the model is busy"),
        (
            '{"cause": [], "sooner": [{"text": "watch its growth", "evidence": [%s]}], "runbook": []}',
            "by model",
        ),
    ],
)
async def test_with_a_model_its_words_are_added_or_its_failure_is_said(
    world: World, reply: str | None, says: str
) -> None:
    def script(turn: Turn) -> Reply | ModelFailure:
        if reply is None:
            return ModelFailure(FailureKind.OVERLOADED, "the model is busy")
        cited = {"evidence_id": shown(turn, "80 MiB"), "quote": "rss 80 MiB → 900 MiB"}
        return said(reply % json.dumps(cited))

    world.extra = SOON
    world.summariser = ModelSummariser(ScriptedModel(script), Limits(), world.clock)
    async with world.running():
        await world.send(alert())
        await world.card()
        await resolves(world)
        (told,) = await summaries(world)
    assert says in told.text
    assert "- memory_growth in cart (confidence high)" in told.text
    assert ("- the model adds: watch its growth" in told.text) is (reply is not None)
