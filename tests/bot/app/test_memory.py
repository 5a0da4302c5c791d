"""What the running service remembers of one incident when the next one comes."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from adapters.evidence.past import PastIncidents
from bot.domain.diagnosis import Band, Hypothesis
from bot.domain.evidence import Evidence, Fact, FactVerdict, LogLine, TraceSpan, Window, content_digest
from bot.domain.incident import Incident
from bot.domain.past import PastCause, PastIncident, Recurrence
from investigators.ports import Case, Investigation
from investigators.queries import PastQuery
from tests.bot.app.conftest import ANA, World, alert
from tests.fakes.investigator import ScriptedInvestigator

LEAK = PastCause(object="cart", object_kind="process", fault="memory_growth")
NEVER_JOIN = "grouping: {reopen_within: 1ms}\n"


@dataclass(slots=True)
class Naming(ScriptedInvestigator):
    """The scripted answer with its cause as rules name it; inconclusive without one."""

    fault: str | None = "memory_growth"
    band: Band = Band.HIGH
    bulky: bool = False

    async def investigate(self, case: Case) -> Investigation:
        self.process = None if self.fault is None else "cart"
        answer = await ScriptedInvestigator.investigate(self, case)
        if self.fault is not None:
            evidence_ids = (answer.evidence[0].id,)
            diagnosis = replace(
                answer.diagnosis,
                band=self.band,
                hypotheses=(
                    Hypothesis(
                        object="cart",
                        object_kind="process",
                        fault=self.fault,
                        score=0.9,
                        statement="it leaks",
                        evidence_ids=evidence_ids,
                    ),
                ),
                facts=(
                    Fact(
                        kind=self.fault,
                        verdict=FactVerdict.FOUND,
                        confidence=0.9,
                        subject="cart",
                        evidence_ids=evidence_ids,
                        rule="scripted",
                    ),
                ),
            )
            answer = replace(answer, diagnosis=diagnosis)
        if self.bulky:
            answer = replace(answer, evidence=tuple(_bulky(item, case) for item in answer.evidence))
        return answer


def _bulky(item: Evidence, case: Case) -> Evidence:
    span = TraceSpan(
        trace_id="t", span_id="s", parent_id=None, service="cart", operation="GET", kind="server",
        start=case.now, duration_ms=1.0,
    )  # fmt: skip
    lines = tuple(LogLine(at=case.now, text=f"line {n} " + "x" * 2_000) for n in range(5_000))
    return replace(item, spans=(span,) * 5_000, lines=lines)


@pytest.fixture
def naming(world: World) -> Naming:
    investigator = Naming()
    world.investigator = investigator
    world.extra = NEVER_JOIN
    return investigator


async def until_past(world: World, holds: Callable[[Sequence[PastIncident]], bool]) -> Sequence[PastIncident]:
    assert world.app is not None
    async with asyncio.timeout(20):
        while True:
            found = await world.app.store.past_incidents(9, world.clock.now() + timedelta(hours=1))
            if holds(found):
                return found
            await asyncio.sleep(0.01)


async def latest(world: World) -> Incident:
    assert world.app is not None
    async with world.app.store.reading() as rows:
        return (await rows.incidents(live_only=False, limit=1))[0]


async def resolves(world: World, fingerprint: str = "f1") -> None:
    await world.send(alert(status="resolved", fingerprint=fingerprint), status="resolved")


async def test_what_was_seen_to_help_is_remembered_and_told_to_the_next_investigation(
    world: World, naming: Naming
) -> None:
    async with world.running():
        await world.send(alert())
        world.room.react((await world.card()).id, "✅", ANA)
        await world.says("Done")
        await resolves(world)
        (past,) = await until_past(world, bool)
        assert past.cause == LEAK
        assert past.quality == 1.0
        assert past.resolution == "process.restart of cart, verified: it helped"
        assert past.alert_names == ("MemoryHigh",)
        assert [fact.kind for fact in past.facts] == ["memory_growth"]
        await world.send(alert(fingerprint="f2"), group="g2")
        root = await world.root_says("Recurs: ×2 in 24 h · 2 in 7 d")
        await world.room.until(
            lambda ms: any(m.thread == root.id and "Recurs: ×2 in 24 h" in m.text for m in ms)
        )
    first, second = naming.cases
    assert first.recurrence == Recurrence(day=1, week=1)
    assert second.recurrence == Recurrence(day=2, week=2, resolved_within_week=True, last_cause=LEAK)


async def test_people_search_the_past_and_strangers_do_not(world: World, naming: Naming) -> None:
    async with world.running():
        await world.send(alert())
        world.room.react((await world.card()).id, "✅", ANA)
        await world.says("Done")
        await resolves(world)
        (past,) = await until_past(world, bool)
        world.room.command("past CART restart", ANA)
        told = await world.says("1 incident of the past")
        for words in (past.short_id, "what ended it: process[.]restart of cart, verified", "cause: "):
            assert words in told.text
        world.room.command("past database", ANA)
        await world.says("No incident that is over holds all of these words")
        world.room.command("past", "@mallory:example.org")
        async with asyncio.timeout(20):
            while not world.room.private():
                await asyncio.sleep(0.01)
    assert "past: refused" in world.room.private()[0].text
    assert past.short_id not in world.room.private()[0].text


async def test_an_incident_that_went_away_by_itself_is_remembered_as_that(
    world: World, naming: Naming
) -> None:
    naming.band = Band.MEDIUM
    async with world.running():
        await world.send(alert())
        await world.card()
        await resolves(world)
        (past,) = await until_past(world, bool)
    assert past.quality == 0.6
    assert past.resolution == "its alerts resolved without an action of the bot"


async def test_an_alert_that_goes_away_during_the_investigation_leaves_a_memory(
    world: World, naming: Naming
) -> None:
    naming.hold.clear()
    async with world.running():
        await world.send(alert())
        await world.root_says("investigating")
        await resolves(world)
        await world.root_says("0 firing of 1")
        naming.hold.set()
        (past,) = await until_past(world, bool)
    assert past.cause == LEAK


async def test_what_was_not_understood_is_no_example_but_counts_as_a_recurrence(
    world: World, naming: Naming
) -> None:
    naming.fault = None
    async with world.running():
        await world.send(alert())
        await world.root_says("inconclusive")
        await resolves(world)
        await world.root_says("resolved")
        naming.fault = "memory_growth"
        await world.send(alert(fingerprint="f2"), group="g2")
        await world.card()
        assert await until_past(world, lambda found: not found) == []
    recurrence = naming.cases[-1].recurrence
    assert (recurrence.resolved_within_week, recurrence.last_cause) == (True, None)


async def test_a_rerun_that_finds_another_cause_makes_the_incident_a_worse_example(
    world: World, naming: Naming
) -> None:
    async with world.running():
        await world.send(alert())
        await world.card()
        naming.fault = "fd_exhaustion"
        world.room.command(f"rerun {(await latest(world)).short_id}", ANA)
        await world.room.until(lambda ms: sum("Diagnosis of" in m.text for m in ms) == 2)
        await resolves(world)
        (past,) = await until_past(world, bool)
    assert past.cause is not None
    assert (past.cause.fault, past.quality) == ("fd_exhaustion", 0.6)


async def test_an_incident_that_comes_back_is_forgotten_until_it_is_over_again(
    world: World, naming: Naming
) -> None:
    world.extra = "grouping: {reopen_within: 1h}\n"
    async with world.running():
        await world.send(alert())
        await world.card()
        await resolves(world)
        await until_past(world, bool)
        naming.hold.clear()
        naming.fault = "process_hang"
        await world.send(alert(fingerprint="f9"))
        await until_past(world, lambda found: not found)
        naming.hold.set()
        await world.room.until(lambda ms: sum("Diagnosis of" in m.text for m in ms) == 2)
        await resolves(world, "f9")
        (past,) = await until_past(world, bool)
    assert past.cause is not None
    assert past.cause.fault == "process_hang"


async def test_a_flood_of_evidence_is_stored_small_and_signed_as_it_was(world: World, naming: Naming) -> None:
    naming.bulky = True
    async with world.running() as app:
        await world.send(alert())
        await world.card()
        incident = await latest(world)
        async with app.store.reading() as rows:
            (stored,) = await rows.evidence_of(incident.id, 1)
    assert stored.spans == ()
    assert len(stored.lines) == 200
    assert stored.content_digest == content_digest(stored.excerpt)
    db = sqlite3.connect(world.directory / "data" / "assent.db")
    (size,) = db.execute("SELECT max(length(body)) FROM evidence").fetchone()
    db.close()
    assert size < 200_000


async def test_a_secret_in_an_alert_reaches_neither_the_memory_nor_a_card(
    world: World, naming: Naming
) -> None:
    canary = "hunter2canary9f3e"
    fired = alert()
    fired["annotations"]["summary"] = f"login failed: password={canary} for ada.canary@example.org"
    async with world.running() as app:
        await world.send(fired)
        await world.card()
        await resolves(world)
        await until_past(world, bool)
        evidence = await PastIncidents(app.store, world.clock).ask(PastQuery(), _until_now(world), "cart")
    assert evidence.objects
    files = (path for path in (world.directory / "data").iterdir() if path.is_file())
    everything = b"".join(path.read_bytes() for path in files)
    everything += repr(evidence).encode() + repr(world.room.bot_messages()).encode()
    assert canary.encode() not in everything
    assert b"ada.canary@" not in everything
    assert b"[redacted:" in everything


def _until_now(world: World) -> Window:
    now = world.clock.now()
    return Window(start=now - timedelta(hours=1), end=now + timedelta(hours=1))
