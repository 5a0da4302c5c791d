"""When a summary is written, on real rows and a clock that moves when it is told to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.storage import SqlStore, open_store
from bot.domain.alert import AlertStatus
from bot.domain.ids import IncidentId
from bot.domain.incident import Incident, IncidentState, Mode, Route
from bot.domain.summary import Summary
from bot.ports import Job, JobKind
from bot.workflow.chronicle import read_story
from bot.workflow.memory import remember
from bot.workflow.summarising import Summarising
from investigators.retrospect.account import RulesSummariser
from investigators.retrospect.story import Story
from tests.contracts.store_nouns import (
    NOW,
    ROOM,
    StillClock,
    Woken,
    add_incident,
    alert,
    diagnosis,
    evidence,
    incident,
    place,
)

INC = IncidentId("inc_1")
JOB = Job(kind=JobKind.SUMMARISE, subject=INC)
SETTLE, REOPEN = timedelta(minutes=2), timedelta(minutes=30)


@dataclass
class Broken:
    """A summariser with a fault of its own."""

    async def summarise(self, story: Story) -> Summary:
        raise ZeroDivisionError


@dataclass
class Counting:
    stories: list[Story] = field(default_factory=list)

    async def summarise(self, story: Story) -> Summary:
        self.stories.append(story)
        return await RulesSummariser().summarise(story)


@dataclass
class Desk:
    store: SqlStore
    clock: StillClock
    woken: Woken
    writer: Counting = field(default_factory=Counting)
    errors: list[Exception] = field(default_factory=list)

    def step(self, summariser: object = None) -> Summarising:
        return Summarising(
            self.store,
            summariser or self.writer,  # type: ignore[arg-type]  # fakes of the port
            SETTLE,
            REOPEN,
            self.clock,
            self.errors.append,
        )

    async def run(self) -> Summary | None:
        await self.step().run(INC)
        return await self.written()

    async def written(self) -> Summary | None:
        async with self.store.reading() as rows:
            return await rows.summary_of(INC)

    async def move(self, to: IncidentState, **changes: object) -> Incident:
        """As the workflow moves it: what resolves it also remembers it."""
        async with self.store.transaction() as tx:
            one = await tx.incident(INC)
            assert one is not None
            moved = replace(one.moved(to, self.clock.now()), **changes)  # type: ignore[arg-type]
            saved = await tx.save_incident(moved)
            await remember(tx, saved)
            return saved

    async def again(self, number: int) -> None:
        await self.move(IncidentState.OPEN, reopened=number)

    async def pending(self) -> bool:
        return JOB in [item.job for item in await self.store.pending_work()]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    clock, woken = StillClock(), Woken()
    async with open_store(tmp_path / "assent.db", clock=clock, wake=woken) as store:
        await add_incident(store, incident(state=IncidentState.DIAGNOSED, run=1))
        await place(store, INC, [alert()])
        async with store.transaction() as tx:
            await tx.add_evidence(INC, 1, [evidence()])
            await tx.add_diagnosis(diagnosis())
        woken.take()
        yield Desk(store, clock, woken)


async def test_a_summary_waits_until_the_incident_has_settled(desk: Desk) -> None:
    await desk.move(IncidentState.RESOLVED)
    assert (JobKind.SUMMARISE, INC) in desk.woken.take()
    assert await desk.run() is None
    assert [(job, at) for job, at in desk.woken.calls if job == JOB] == [(JOB, NOW + SETTLE)]
    desk.clock.forward(SETTLE)
    made = await desk.run()
    assert made is not None
    assert (made.reopened, made.cause[0].text) == (0, "a leak (confidence high)")
    assert not await desk.pending()


async def test_it_is_written_once_however_often_it_is_woken(desk: Desk) -> None:
    await desk.move(IncidentState.RESOLVED)
    desk.clock.forward(SETTLE)
    made = await desk.run()
    desk.clock.forward(REOPEN)
    assert await desk.run() == made
    assert len(desk.writer.stories) == 1
    async with desk.store.transaction() as tx:
        one = await tx.incident(INC)
        assert one is not None
        await remember(tx, one)
    assert not await desk.pending()


async def test_an_incident_that_opens_again_before_that_gets_none(desk: Desk) -> None:
    await desk.move(IncidentState.RESOLVED)
    desk.clock.forward(SETTLE / 2)
    await desk.again(1)
    desk.clock.forward(SETTLE)
    assert await desk.run() is None
    assert desk.writer.stories == []
    assert not await desk.pending()


async def test_one_that_comes_and_goes_is_told_of_once_it_has_stayed_away(desk: Desk) -> None:
    for number in range(6):
        await desk.move(IncidentState.RESOLVED)
        desk.clock.forward(SETTLE - timedelta(seconds=1) if number == 0 else REOPEN / 2)
        assert await desk.run() is None
        await desk.again(number + 1)
        assert await desk.run() is None
    await desk.move(IncidentState.RESOLVED)
    desk.clock.forward(REOPEN)
    made = await desk.run()
    assert made is not None
    assert made.reopened == 6
    assert len(desk.writer.stories) == 1


async def test_one_that_came_back_after_its_summary_gets_another_for_the_new_end(desk: Desk) -> None:
    await desk.move(IncidentState.RESOLVED)
    desk.clock.forward(SETTLE)
    first = await desk.run()
    assert first is not None
    await desk.again(1)
    await desk.move(IncidentState.RESOLVED)
    desk.clock.forward(SETTLE)
    assert await desk.run() == first
    desk.clock.forward(REOPEN)
    second = await desk.run()
    assert second is not None
    assert (first.reopened, second.reopened) == (0, 1)


async def test_a_stale_plan_does_not_keep_the_next_one_waiting(desk: Desk) -> None:
    await desk.move(IncidentState.RESOLVED)
    await desk.again(1)
    await desk.move(IncidentState.RESOLVED)
    desk.clock.forward(REOPEN)
    made = await desk.run()
    assert made is not None
    assert made.reopened == 1
    await desk.run()
    assert not await desk.pending()


async def test_one_that_was_closed_meanwhile_gets_none(desk: Desk) -> None:
    await desk.move(IncidentState.RESOLVED)
    await desk.move(IncidentState.CLOSED)
    desk.clock.forward(REOPEN)
    assert await desk.run() is None
    assert not await desk.pending()


async def test_one_that_opens_while_the_summary_is_written_gets_none(desk: Desk) -> None:
    await desk.move(IncidentState.RESOLVED)
    desk.clock.forward(SETTLE)

    class Slow(Counting):
        async def summarise(self, story: Story) -> Summary:
            await desk.again(1)
            return await super().summarise(story)

    await desk.step(Slow()).run(INC)
    assert await desk.written() is None
    assert await desk.run() is None
    assert not await desk.pending()


async def test_an_incident_without_a_diagnosis_is_never_summarised(desk: Desk) -> None:
    other = IncidentId("inc_2")
    route = Route(name="info", mode=Mode.NOTIFY, rooms=(ROOM,))
    one = await add_incident(desk.store, incident(2, route=route))
    async with desk.store.transaction() as tx:
        await remember(tx, await tx.save_incident(one.moved(IncidentState.RESOLVED, NOW)))
    assert not await desk.pending()
    desk.clock.forward(REOPEN)
    await desk.step().run(other)
    async with desk.store.reading() as rows:
        assert await rows.summary_of(other) is None
        assert await read_story(rows, other, desk.clock) is None


async def test_a_digests_incident_is_summarised_by_rules_alone(desk: Desk) -> None:
    quiet = Route(name="default", rooms=(ROOM,), digest=True)
    await desk.move(IncidentState.RESOLVED, route=quiet, severity=alert().severity.WARNING)
    desk.clock.forward(SETTLE)
    assert await desk.run() is not None
    assert desk.writer.stories == []


async def test_what_breaks_beside_the_rules_leaves_theirs(desk: Desk) -> None:
    await desk.move(IncidentState.RESOLVED)
    desk.clock.forward(SETTLE)
    await desk.step(Broken()).run(INC)
    assert (made := await desk.written()) is not None
    assert made.cause[0].text == "a leak (confidence high)"
    assert [type(error) for error in desk.errors] == [ZeroDivisionError]


async def test_the_ledger_holds_which_evidence_a_summary_cites_and_its_digest(desk: Desk) -> None:
    await desk.move(IncidentState.RESOLVED)
    desk.clock.forward(SETTLE)
    await desk.run()
    bodies = [entry.body.decode() async for batch in desk.store.entries() for entry in batch]
    (told,) = [body for body in bodies if '"incident:summarised"' in body]
    assert '"evidence_ids":["ev_1"]' in told
    assert "a leak" not in told


async def test_the_timeline_tells_of_alerts_that_came_back(desk: Desk) -> None:
    late = NOW + timedelta(minutes=10)
    gone = alert(status=AlertStatus.RESOLVED, ends_at=NOW + timedelta(minutes=1))
    await place(desk.store, INC, [replace(gone, received_at=late)])
    back = replace(alert("fp2", starts_at=late), received_at=late + timedelta(seconds=90))
    await place(desk.store, INC, [back])
    desk.clock.forward(timedelta(minutes=20))
    await desk.move(IncidentState.RESOLVED)
    desk.clock.forward(SETTLE)
    made = await desk.run()
    assert made is not None
    assert [entry.what for entry in made.timeline] == [
        "the first alert began to fire: HighMemory",
        "the incident opened",
        "diagnosis of run 1 (confidence high): a leak",
        "firing again, after no alert had fired for 90 s",
        "resolved",
    ]


async def test_a_storm_of_alerts_is_told_in_a_few_lines(desk: Desk) -> None:
    for number in range(1, 31):
        at = NOW + timedelta(minutes=number)
        fires = replace(alert(starts_at=at), received_at=at)
        ends = alert(status=AlertStatus.RESOLVED, starts_at=at, ends_at=at)
        await place(desk.store, INC, [fires, replace(ends, received_at=at + timedelta(seconds=30))])
    desk.clock.forward(timedelta(minutes=40))
    await desk.move(IncidentState.RESOLVED)
    desk.clock.forward(SETTLE)
    made = await desk.run()
    assert made is not None
    assert len(made.timeline) < 10
    assert any("firing again, for the 29th time in all" in entry.what for entry in made.timeline)
