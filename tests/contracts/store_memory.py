"""What a store promises about incidents that are over, and about how often a service is in trouble."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from bot.domain.diagnosis import Band, Similar, Suspect
from bot.domain.evidence import Change, LogLine, kept
from bot.domain.ids import IncidentId
from bot.domain.incident import IncidentState, Mode, Route
from bot.domain.past import PastCause, Recurrence
from tests.contracts.store_nouns import (
    NOW,
    AnyStore,
    add_incident,
    diagnosis,
    evidence,
    incident,
    notify_only,
    past_incident,
)

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
RESOLVED = IncidentState.RESOLVED
OTHER = PastCause(object="db", object_kind="datastore", fault="disk_filling")


async def over(
    store: AnyStore,
    number: int,
    resolved_at: datetime = NOW,
    *,
    state: IncidentState = RESOLVED,
    **kept: object,
) -> None:
    """An incident that was resolved, and what is kept of it."""
    await add_incident(
        store, incident(number, state=state, run=1, opened_at=resolved_at - HOUR, resolved_at=resolved_at)
    )
    async with store.transaction() as tx:
        await tx.remember(past_incident(number, resolved_at=resolved_at, **kept))


class MemoryContract:
    async def test_what_is_kept_of_an_incident_is_read_back_as_it_was(self, store: AnyStore) -> None:
        await over(store, 1)
        assert list(await store.past_incidents(9, NOW + HOUR)) == [past_incident(1)]
        async with store.reading() as rows:
            assert list(await rows.past_incidents(9, NOW + HOUR)) == [past_incident(1)]

    async def test_past_incidents_come_newest_first_up_to_a_time_and_a_number(self, store: AnyStore) -> None:
        for number in range(5):
            await over(store, number, NOW - number * DAY)
        found = await store.past_incidents(2, NOW - DAY)
        assert [one.id for one in found] == ["inc_2", "inc_3"]

    async def test_only_what_is_good_enough_to_learn_from_is_offered(self, store: AnyStore) -> None:
        await over(store, 1, quality=0.49)
        await over(store, 2, cause=None, root_cause=None)
        await over(store, 3, quality=0.5)
        assert [one.id for one in await store.past_incidents(9, NOW + HOUR)] == ["inc_3"]

    async def test_the_past_is_searched_by_title_service_cause_and_resolution(self, store: AnyStore) -> None:
        await over(store, 1, NOW - DAY, title="Disk 100%_full", quality=0.1)
        await over(store, 2, service=None, cause=None, root_cause=None, resolution="")
        await over(store, 3, NOW - 2 * DAY, cause=OTHER, root_cause="its disk fills")

        async def found(*words: str, limit: int = 9) -> list[str]:
            async with store.reading() as rows:
                return [one.id for one in await rows.past_holding(words, limit)]

        assert await found() == ["inc_2", "inc_1", "inc_3"]
        assert await found(limit=1) == ["inc_2"]
        assert await found("DISK") == ["inc_1", "inc_3"]
        assert await found("checkout", "restart", "memory", "it", "disk", "db", "disk_filling") == ["inc_3"]
        assert await found("0%_f") == ["inc_1"]
        assert await found("%") == ["inc_1"], "a character of a word, not a wildcard"
        assert await found("nothing") == []

    async def test_an_incident_that_was_opened_again_is_not_found_among_the_past(
        self, store: AnyStore
    ) -> None:
        await over(store, 1, state=IncidentState.OPEN)
        async with store.reading() as rows:
            assert list(await rows.past_holding((), 9)) == []

    async def test_an_incident_that_was_opened_again_is_not_past(self, store: AnyStore) -> None:
        await over(store, 1)
        async with store.transaction() as tx:
            found = await tx.incident(IncidentId("inc_1"))
            assert found is not None
            await tx.save_incident(replace(found, state=IncidentState.OPEN, resolved_at=None))
        assert list(await store.past_incidents(9, NOW + HOUR)) == []

    async def test_what_is_kept_later_replaces_what_was_kept(self, store: AnyStore) -> None:
        await over(store, 1)
        async with store.transaction() as tx:
            await tx.remember(past_incident(1, cause=OTHER, resolved_at=NOW + HOUR))
        (found,) = await store.past_incidents(9, NOW + DAY)
        assert found.cause == OTHER
        assert found.resolved_at == NOW + HOUR
        async with store.transaction() as tx:
            await tx.remember(past_incident(1, quality=0.1))
        assert list(await store.past_incidents(9, NOW + DAY)) == []

    async def test_an_incident_that_was_closed_for_its_age_is_still_remembered(self, store: AnyStore) -> None:
        await over(store, 1, state=IncidentState.CLOSED)
        assert len(await store.past_incidents(9, NOW + HOUR)) == 1

    async def test_diagnoses_come_newest_first(self, store: AnyStore) -> None:
        await add_incident(store, incident())
        async with store.transaction() as tx:
            for run in (1, 2, 3):
                await tx.add_diagnosis(diagnosis(run=run, band=Band.MEDIUM))
        async with store.reading() as rows:
            found = await rows.diagnoses_of(IncidentId("inc_1"), 2)
            assert [one.run for one in found] == [3, 2]
            assert list(await rows.diagnoses_of(IncidentId("inc_2"), 2)) == []

    async def test_the_first_incident_of_a_service_counts_itself_alone(self, store: AnyStore) -> None:
        one = await add_incident(store, incident())
        async with store.reading() as rows:
            assert await rows.recurrence_of(one, NOW) == Recurrence(day=1, week=1)

    async def test_incidents_of_a_service_are_counted_by_day_and_week(self, store: AnyStore) -> None:
        ages = (timedelta(hours=1), timedelta(hours=23), timedelta(hours=24), 6 * DAY, 7 * DAY, 30 * DAY)
        for number, age in enumerate(ages, 2):
            await add_incident(store, incident(number, opened_at=NOW - age, state=IncidentState.CLOSED))
        one = await add_incident(store, incident(1))
        await add_incident(store, incident(20, opened_at=NOW + HOUR))
        async with store.reading() as rows:
            found = await rows.recurrence_of(one, NOW + 2 * HOUR)
        assert (found.day, found.week) == (3, 5)
        assert not found.resolved_within_week, "closed is not resolved"

    async def test_other_services_environments_and_modes_are_not_counted(self, store: AnyStore) -> None:
        await over(store, 2)
        for number, changes in enumerate(({"service": "cart"}, {"environment": "prod"}), 3):
            await add_incident(store, incident(number, run=1, state=RESOLVED, resolved_at=NOW, **changes))
        await add_incident(store, replace(notify_only(5), state=RESOLVED, resolved_at=NOW, run=1))
        for made, expected in (
            (incident(10), (2, True)),
            (incident(11, environment="prod"), (2, True)),
            (incident(12, environment="staging"), (1, False)),
            (incident(13, route=Route(name="n", mode=Mode.NOTIFY)), (2, True)),
        ):
            stored = await add_incident(store, made)
            async with store.reading() as rows:
                found = await rows.recurrence_of(stored, NOW)
            assert (found.week, found.resolved_within_week) == expected, made.id

    async def test_an_incident_about_no_service_recurs_with_nothing(self, store: AnyStore) -> None:
        for number in (1, 2):
            one = await add_incident(store, incident(number, service=None))
        async with store.reading() as rows:
            assert await rows.recurrence_of(one, NOW) == Recurrence()

    async def test_the_causes_of_the_week_are_told_newest_first(self, store: AnyStore) -> None:
        await over(store, 2, NOW - 2 * DAY, cause=OTHER)
        await over(store, 3, NOW - 3 * DAY, cause=None, quality=0.0)
        await over(store, 4, NOW - 4 * DAY, quality=0.0)
        await over(store, 5, NOW - 8 * DAY)
        one = await add_incident(store, incident(1))
        async with store.reading() as rows:
            found = await rows.recurrence_of(one, NOW)
        assert found.resolved_within_week
        assert found.last_cause == OTHER
        assert found.earlier_causes == (past_incident().cause,), "known, if not good enough to learn from"

    async def test_an_incident_that_went_away_before_anybody_looked_is_no_recurrence(
        self, store: AnyStore
    ) -> None:
        await add_incident(store, incident(2, state=RESOLVED, resolved_at=NOW, run=0))
        await add_incident(store, incident(3, state=RESOLVED, resolved_at=NOW - 8 * DAY, run=1))
        one = await add_incident(store, incident(1))
        async with store.reading() as rows:
            assert not (await rows.recurrence_of(one, NOW)).resolved_within_week

    async def test_an_incident_resolved_without_a_cause_recurs_all_the_same(self, store: AnyStore) -> None:
        await add_incident(store, incident(2, state=RESOLVED, resolved_at=NOW, run=1))
        one = await add_incident(store, incident(1))
        async with store.reading() as rows:
            found = await rows.recurrence_of(one, NOW)
        assert (found.resolved_within_week, found.last_cause) == (True, None)

    async def test_what_is_kept_of_a_whole_world_is_read_back(self, store: AnyStore) -> None:
        taken = kept(
            replace(
                evidence(),
                lines=(LogLine(at=None, text="no time", labels={"pod": "cart-0"}),),
                changes=(
                    Change(id="a1b2", kind="deploy", at=NOW, service="cart", files=("a.py",), diff="+x"),
                ),
            )
        )
        await add_incident(store, incident())
        async with store.transaction() as tx:
            await tx.add_evidence(IncidentId("inc_1"), 1, [taken])
        async with store.reading() as rows:
            assert list(await rows.evidence_of(IncidentId("inc_1"), 1)) == [taken]

    async def test_a_diagnosis_keeps_its_suspects_and_similar_incidents(self, store: AnyStore) -> None:
        made = replace(
            diagnosis(),
            suspects=(Suspect(change_id="a1b2", kind="deploy", score=0.5, why="x", evidence_ids=(), at=NOW),),
            no_culprit=False,
            similar=(
                Similar(
                    incident_id=IncidentId("inc_0"),
                    short_id="K7Q2",
                    title="HighMemory",
                    service="checkout",
                    resolved_at=NOW - DAY,
                    cause="a leak",
                    resolution="a restart",
                    shared=("memory_growth",),
                    score=0.9,
                ),
            ),
        )
        await add_incident(store, incident())
        async with store.transaction() as tx:
            await tx.add_diagnosis(made)
        async with store.reading() as rows:
            assert await rows.latest_diagnosis(IncidentId("inc_1")) == made
