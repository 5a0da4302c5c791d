"""What a store promises about incidents, their alerts and what was found out about them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.domain.alert import AlertStatus
from bot.domain.diagnosis import Band
from bot.domain.errors import StaleWrite
from bot.domain.ids import AlertId, IncidentId
from bot.domain.incident import IncidentState
from bot.domain.proposal import Remediation, RemediationKind
from tests.contracts.store_nouns import (
    NOW,
    AnyStore,
    add_incident,
    alert,
    diagnosis,
    event,
    evidence,
    incident,
    place,
)

RESOLVED = AlertStatus.RESOLVED
LATER = NOW + timedelta(minutes=10)
INC = IncidentId("inc_1")


class IncidentContract:
    async def test_an_incident_is_read_back_as_it_was_written(self, store: AnyStore) -> None:
        written = incident(correlation={"service": "checkout", "cluster": "eu"})
        assert await add_incident(store, written) == written
        async with store.reading() as rows:
            assert await rows.incident(written.id) == written
            assert await rows.incident_by_short_id(written.short_id.lower()) == written
            assert await rows.incident(IncidentId("inc_none")) is None

    async def test_saving_an_old_version_is_refused_and_changes_nothing(self, store: AnyStore) -> None:
        first = await add_incident(store, incident())
        async with store.transaction() as tx:
            second = await tx.save_incident(replace(first, title="second"))

        async def save_again() -> None:
            async with store.transaction() as tx:
                await tx.record(event())
                await tx.save_incident(replace(first, title="third"))

        with pytest.raises(StaleWrite):
            await save_again()
        async with store.reading() as rows:
            assert await rows.incident(INC) == second
        assert (await store.head()).size == 0

    async def test_of_many_racing_writers_of_one_version_exactly_one_wins(self, store: AnyStore) -> None:
        first = await add_incident(store, incident())

        async def write(title: str) -> str | None:
            try:
                async with store.transaction() as tx:
                    await tx.save_incident(replace(first, title=title))
            except StaleWrite:
                return None
            return title

        won = [title for title in await asyncio.gather(*(write(f"t{n}") for n in range(20))) if title]
        async with store.reading() as rows:
            stored = await rows.incident(INC)
        assert stored is not None
        assert won == [stored.title]

    async def test_a_short_id_in_use_is_replaced_by_a_longer_one(self, store: AnyStore) -> None:
        first = await add_incident(store, incident(1, state=IncidentState.RESOLVED))
        second = await add_incident(store, incident(2, short_id=first.short_id))
        assert len(second.short_id) == len(first.short_id) + 1
        async with store.reading() as rows:
            assert await rows.incident_by_short_id(second.short_id) == second
            assert await rows.incident_by_short_id(first.short_id) == first

    async def test_a_closed_incident_gives_its_short_id_up_to_a_newer_one(self, store: AnyStore) -> None:
        first = await add_incident(store, incident(1, state=IncidentState.CLOSED))
        second = await add_incident(store, incident(2, short_id=first.short_id))
        assert second.short_id == first.short_id
        async with store.reading() as rows:
            assert await rows.incident_by_short_id(first.short_id) == second

    async def test_lists_come_newest_first_and_may_leave_out_what_is_over(self, store: AnyStore) -> None:
        for number in (1, 2, 3):
            state = IncidentState.RESOLVED if number == 2 else IncidentState.OPEN
            await add_incident(store, incident(number, state=state))
        async with store.reading() as rows:
            assert [i.id for i in await rows.incidents(live_only=True, limit=9)] == ["inc_3", "inc_1"]
            assert [i.id for i in await rows.incidents(live_only=False, limit=2)] == ["inc_3", "inc_2"]

    async def test_stale_are_old_ones_with_nothing_under_way(self, store: AnyStore) -> None:
        old = NOW - timedelta(days=3)
        for number, state in enumerate(IncidentState):
            await add_incident(store, incident(number, state=state, updated_at=old))
        await add_incident(store, incident(30, updated_at=NOW))
        async with store.reading() as rows:
            found = {i.state for i in await rows.stale_incidents(NOW, 99)}
            few = await rows.stale_incidents(NOW, 2)
        assert found == set(IncidentState) - {
            IncidentState.CLOSED,
            IncidentState.INVESTIGATING,
            IncidentState.AWAITING_APPROVAL,
            IncidentState.EXECUTING,
            IncidentState.VERIFYING,
        }
        assert len(few) == 2

    async def test_an_alert_joins_by_group_then_correlation_then_recently_resolved(
        self, store: AnyStore
    ) -> None:
        over = {"state": IncidentState.RESOLVED, "resolved_at": NOW}
        by = {"service": "checkout", "cluster": "eu"}
        await add_incident(store, incident(1, group_key="g", **over))
        await add_incident(store, incident(2, correlation=by, **over))

        async def joined(after: timedelta = timedelta(hours=-1)) -> str | None:
            async with store.reading() as rows:
                found = await rows.joinable_incident(
                    source="alertmanager",
                    group_key="g",
                    correlation=dict(reversed(by.items())),
                    resolved_after=NOW + after,
                )
            return None if found is None else found.id

        assert await joined() == "inc_1"
        assert await joined(timedelta(hours=1)) is None
        await add_incident(store, incident(3, correlation=by, source="grafana"))
        assert await joined() == "inc_3"
        await add_incident(store, incident(4, group_key="g"))
        assert await joined() == "inc_4"
        await add_incident(store, incident(5, group_key="g", source="grafana"))
        await add_incident(store, incident(6, group_key="g", state=IncidentState.CLOSED))
        assert await joined() == "inc_4"

    async def test_incidents_without_correlation_are_never_joined_by_it(self, store: AnyStore) -> None:
        await add_incident(store, incident(1))
        async with store.reading() as rows:
            found = await rows.joinable_incident(
                source="alertmanager", group_key="other", correlation={}, resolved_after=NOW
            )
        assert found is None

    async def test_alerts_are_pending_until_they_are_placed(self, store: AnyStore) -> None:
        await add_incident(store, incident())
        ids = [r.alert_id for r in await store.ingest([alert(f"fp{n}") for n in range(3)])]
        async with store.reading() as rows:
            pending = await rows.pending_alerts(2)
        assert [stored.id for stored in pending] == ids[:2]
        assert pending[0].alert == alert("fp0")
        async with store.transaction() as tx:
            await tx.place_alerts([AlertId(str(ids[0]))], INC)
            await tx.place_alerts([AlertId(str(ids[1]))], None)
        async with store.reading() as rows:
            assert [stored.id for stored in await rows.pending_alerts(9)] == ids[2:]
            assert [(s.id, s.incident_id) for s in await rows.alerts_of(INC, 9)] == [(ids[0], "inc_1")]

    async def test_an_alert_is_placed_once(self, store: AnyStore) -> None:
        await add_incident(store, incident())
        placed = await place(store, INC, [alert()])
        with pytest.raises(StaleWrite):
            async with store.transaction() as tx:
                await tx.place_alerts(placed, None)
        async with store.reading() as rows:
            assert [s.id for s in await rows.alerts_of(INC, 9)] == placed

    async def test_the_last_known_state_of_a_fingerprint_counts(self, store: AnyStore) -> None:
        await add_incident(store, incident())
        await place(store, INC, [alert("a"), alert("b"), alert("c")])
        await place(store, INC, [alert("b", RESOLVED, ends_at=LATER)])
        async with store.transaction() as tx:
            assert await tx.firing_members(INC) == 2
        async with store.reading() as rows:
            current = await rows.current_alerts(INC, 9)
            assert [(s.alert.fingerprint, s.alert.status) for s in current] == [
                ("c", "firing"),
                ("a", "firing"),
                ("b", "resolved"),
            ]
            assert [s.alert.status for s in await rows.alerts_of(INC, 1)] == [RESOLVED]
            assert (found := await rows.incident_of_firing("alertmanager", "a")) is not None
            assert found.id == INC
            assert await rows.incident_of_firing("alertmanager", "b") is None
            assert await rows.incident_of_firing("grafana", "a") is None

    async def test_a_firing_delivered_late_does_not_bring_back_what_has_ended(self, store: AnyStore) -> None:
        await add_incident(store, incident())
        await place(store, INC, [alert("a", RESOLVED, ends_at=LATER)])
        await place(store, INC, [alert("a")])
        async with store.transaction() as tx:
            assert await tx.firing_members(INC) == 0

    async def test_a_resolve_of_an_earlier_firing_does_not_end_a_later_one(self, store: AnyStore) -> None:
        await add_incident(store, incident())
        await place(store, INC, [alert("a", starts_at=LATER)])
        await place(store, INC, [alert("a", RESOLVED, ends_at=NOW + timedelta(minutes=1))])
        async with store.transaction() as tx:
            assert await tx.firing_members(INC) == 1
        await place(store, INC, [alert("a", RESOLVED, starts_at=LATER, ends_at=LATER)])
        async with store.transaction() as tx:
            assert await tx.firing_members(INC) == 0

    async def test_the_order_inside_one_placed_batch_does_not_matter(self, store: AnyStore) -> None:
        await add_incident(store, incident())
        await place(store, INC, [alert("a", RESOLVED, ends_at=LATER), alert("a"), alert("b")])
        async with store.transaction() as tx:
            assert await tx.firing_members(INC) == 1

    async def test_an_incident_that_is_over_holds_no_firing(self, store: AnyStore) -> None:
        saved = await add_incident(store, incident())
        await place(store, INC, [alert("a")])
        async with store.transaction() as tx:
            await tx.save_incident(replace(saved, state=IncidentState.CLOSED))
        async with store.reading() as rows:
            assert await rows.incident_of_firing("alertmanager", "a") is None
            found = await rows.incident_with_fingerprint("a")
        assert found is not None
        assert found.id == INC

    async def test_evidence_and_diagnoses_are_kept_per_run(self, store: AnyStore) -> None:
        await add_incident(store, incident())
        async with store.transaction() as tx:
            await tx.add_evidence(INC, 1, [evidence("ev_1"), evidence("ev_2")])
            await tx.add_diagnosis(diagnosis(run=1))
        async with store.transaction() as tx:
            await tx.add_evidence(INC, 2, [evidence("ev_1")])
            await tx.add_diagnosis(diagnosis(run=2, band=Band.LOW))
        async with store.reading() as rows:
            assert list(await rows.evidence_of(INC, 1)) == [evidence("ev_1"), evidence("ev_2")]
            assert list(await rows.evidence_of(INC, 2)) == [evidence("ev_1")]
            assert list(await rows.evidence_of(INC, 3)) == []
            assert await rows.latest_diagnosis(INC) == diagnosis(run=2, band=Band.LOW)
            assert await rows.latest_diagnosis(IncidentId("inc_2")) is None

    async def test_a_number_stays_a_number_and_text_stays_text(self, store: AnyStore) -> None:
        await add_incident(store, incident())
        async with store.transaction() as tx:
            await tx.add_evidence(INC, 1, [evidence()])
        async with store.reading() as rows:
            record = (await rows.evidence_of(INC, 1))[0].records[0]
        assert {name: type(value) for name, value in record.items()} == {
            "pid": int,
            "cpu": float,
            "name": str,
            "up": bool,
            "exit": type(None),
        }

    async def test_how_remediation_ended_is_kept(self, store: AnyStore) -> None:
        await add_incident(store, incident())
        ended = Remediation(
            incident_id=INC, run=1, kind=RemediationKind.DENIED, at=NOW, reasons=("freeze",), rules=("r1",)
        )
        async with store.transaction() as tx:
            await tx.add_remediation(replace(ended, kind=RemediationKind.NONE))
            await tx.add_remediation(ended)
        async with store.reading() as rows:
            assert await rows.remediation_of(INC) == ended

    async def test_a_reading_sees_one_snapshot(self, store: AnyStore) -> None:
        saved = await add_incident(store, incident())
        async with store.reading() as rows:
            before = await rows.incident(INC)
            async with store.transaction() as tx:
                await tx.save_incident(replace(saved, title="changed"))
            assert await rows.incident(INC) == before
        async with store.reading() as rows:
            assert (after := await rows.incident(INC)) is not None
            assert after.title == "changed"

    async def test_a_transaction_sees_its_own_changes_and_others_only_after_the_commit(
        self, store: AnyStore
    ) -> None:
        async with store.transaction() as tx:
            await tx.add_incident(incident())
            assert await tx.incident(INC) == incident()
            async with store.reading() as rows:
                assert await rows.incident(INC) is None
        async with store.reading() as rows:
            assert await rows.incident(INC) == incident()
