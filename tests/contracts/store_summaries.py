"""What a store promises about summaries of incidents that are over."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from bot.domain.diagnosis import Cost, ModelNote, ModelState
from bot.domain.ids import IncidentId
from bot.ports import Job, JobKind
from tests.contracts.store_nouns import AnyStore, StoreWorld, add_incident, incident, summary

INC = IncidentId("inc_1")
OTHER = IncidentId("inc_2")
WANTED = Job(kind=JobKind.SUMMARISE, subject=INC)


async def plan(store: AnyStore, *reopened: int) -> None:
    async with store.transaction() as tx:
        for number in reopened:
            await tx.plan_summary(INC, number)


async def jobs(store: AnyStore) -> list[Job]:
    return [p.job for p in await store.pending_work() if p.job.kind is JobKind.SUMMARISE]


class SummaryContract:
    async def test_a_summary_is_read_back_as_it_was_written(self, store: AnyStore) -> None:
        await add_incident(store, incident())
        await plan(store, 0)
        note = ModelNote(state=ModelState.VERIFIED, model="fast", turns=1, tokens=110)
        made = summary(earlier=3, note=note, cost=Cost(seconds=1.5, usd=Decimal("0.0123")))
        async with store.transaction() as tx:
            assert await tx.add_summary(made)
        async with store.reading() as rows:
            assert await rows.summary_of(INC) == made
            assert await rows.summary_of(OTHER) is None

    async def test_a_planned_summary_is_work_until_it_is_written(self, store: AnyStore) -> None:
        await add_incident(store, incident())
        await plan(store, 0)
        await plan(store, 0)
        assert await jobs(store) == [WANTED]
        async with store.reading() as rows:
            assert await rows.summary_wanted(INC) == 0
            assert await rows.summary_of(INC) is None
        async with store.transaction() as tx:
            assert await tx.add_summary(summary())
        await plan(store, 0)
        assert await jobs(store) == []
        async with store.reading() as rows:
            assert await rows.summary_wanted(INC) is None

    async def test_a_summary_is_written_once_and_never_unplanned(self, store: AnyStore) -> None:
        await add_incident(store, incident())
        async with store.transaction() as tx:
            assert not await tx.add_summary(summary())
        await plan(store, 0)
        async with store.transaction() as tx:
            assert await tx.add_summary(summary())
            assert not await tx.add_summary(replace(summary(), run=9))
        async with store.reading() as rows:
            assert await rows.summary_of(INC) == summary()

    async def test_each_time_an_incident_was_opened_again_has_its_own_and_the_newest_is_shown(
        self, store: AnyStore
    ) -> None:
        await add_incident(store, incident())
        await plan(store, 0, 1)
        assert await jobs(store) == [WANTED]
        async with store.reading() as rows:
            assert await rows.summary_wanted(INC) == 1
        async with store.transaction() as tx:
            assert await tx.add_summary(summary(reopened=1))
            assert await tx.add_summary(summary(reopened=0))
        async with store.reading() as rows:
            assert await rows.summary_of(INC) == summary(reopened=1)

    async def test_what_is_planned_can_be_dropped_and_what_is_written_stays(self, store: AnyStore) -> None:
        await add_incident(store, incident())
        await plan(store, 0, 1, 2)
        async with store.transaction() as tx:
            await tx.add_summary(summary())
            await tx.drop_summaries(INC, 1)
        async with store.reading() as rows:
            assert await rows.summary_wanted(INC) == 2
        async with store.transaction() as tx:
            assert not await tx.add_summary(summary(reopened=1))
            await tx.drop_summaries(INC, 2)
        assert await jobs(store) == []
        async with store.reading() as rows:
            assert await rows.summary_of(INC) == summary()

    async def test_a_written_summary_is_to_be_told_and_a_planned_one_is_not(self, world: StoreWorld) -> None:
        await add_incident(world.store, incident())
        world.woken.take()
        await plan(world.store, 0)
        assert world.woken.take() == []
        async with world.store.transaction() as tx:
            await tx.add_summary(summary())
        assert world.woken.take() == [(JobKind.ANNOUNCE, "inc_1")]
