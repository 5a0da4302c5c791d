"""What a store promises about the inbox, wake-ups, and the work its rows imply."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from approvals.model import RequestState
from bot.domain.chat import (
    CommandReceived,
    Inbound,
    ReactionAdded,
    ReactionRemoved,
)
from bot.domain.ids import ExecutionId, IncidentId, ReviewId
from bot.domain.incident import IncidentState
from bot.domain.outcome import ExecutionState, Outcome, OutcomeVerdict
from bot.domain.proposal import Remediation, RemediationKind
from bot.ports import Job, JobKind
from tests.contracts.store_nouns import (
    NOW,
    AnyStore,
    StoreWorld,
    add_incident,
    alert,
    delivery,
    diagnosis,
    event,
    execution,
    incident,
    notify_only,
    place,
    proposal,
    ready_for_the_gate,
    request,
    result,
    review,
)

INC = IncidentId("inc_1")


def inbound(number: int) -> Inbound:
    common = {"platform": "matrix", "room": "!room:test", "sender": "@ada:test", "at": NOW}
    if number % 3 == 0:
        return ReactionAdded(event_id=f"$e{number}", message_id="$card", key="✅\ufe0f", **common)  # type: ignore[arg-type]  # mixed types in one mapping
    if number % 3 == 1:
        return ReactionRemoved(event_id=f"$e{number}", removed_event_id="$e0", **common)  # type: ignore[arg-type]  # mixed types in one mapping
    return CommandReceived(event_id=f"$e{number}", text="status", device_verified=True, **common)  # type: ignore[arg-type]  # mixed types in one mapping


async def put(store: AnyStore) -> None:
    async with store.transaction() as tx:
        await tx.put(delivery("a1", number=None))


class InboxContract:
    async def test_events_wait_in_the_order_they_came_until_they_are_handled(self, store: AnyStore) -> None:
        await store.store("matrix", [inbound(2), inbound(0)], "s1")
        await store.store("matrix", [inbound(1)], "s2")
        async with store.reading() as rows:
            assert list(await rows.pending_inbound(9)) == [inbound(2), inbound(0), inbound(1)]
            assert list(await rows.pending_inbound(1)) == [inbound(2)]
        async with store.transaction() as tx:
            await tx.mark_handled("matrix", "$e2")
            await tx.mark_handled("discord", "$e0")
        async with store.reading() as rows:
            assert list(await rows.pending_inbound(9)) == [inbound(0), inbound(1)]

    @pytest.mark.parametrize(
        ("written", "kept"),
        [
            ("ask is password=hunter2canary right?", "ask is password=[redacted:secret] right?"),
            ("ask pass\u200bword=hunter2canary ok?", "ask password=[redacted:secret] ok?"),
            ("approve K7QX " + "1a2b3c4d" * 8, "approve K7QX " + "1a2b3c4d" * 8),
            ("ask a\u200bb", "ask a\u200bb"),
        ],
    )
    async def test_what_people_write_is_kept_without_its_secrets_and_else_as_it_is(
        self, store: AnyStore, written: str, kept: str
    ) -> None:
        event = CommandReceived(
            event_id="$e1", platform="matrix", room="!room:test", sender="@ada:test", at=NOW, text=written
        )
        await store.store("matrix", [event], "s1")
        async with store.reading() as rows:
            assert list(await rows.pending_inbound(9)) == [replace(event, text=kept)]

    async def test_a_known_event_is_not_stored_again_even_once_handled(self, world: StoreWorld) -> None:
        store = world.store
        await store.store("matrix", [inbound(0), inbound(0)], "s1")
        async with store.transaction() as tx:
            await tx.mark_handled("matrix", "$e0")
        world.woken.take()
        await store.store("matrix", [inbound(0)], "s2")
        async with store.reading() as rows:
            assert list(await rows.pending_inbound(9)) == []
        assert world.woken.take() == []

    async def test_positions_are_kept_per_platform(self, store: AnyStore) -> None:
        assert await store.position("matrix") is None
        await store.store("matrix", [], "s1")
        await store.store("discord", [], "other")
        await store.store("matrix", [inbound(0)], "s2")
        await store.store("matrix", [inbound(1)], None)
        assert await store.position("matrix") == "s2"
        assert await store.position("discord") == "other"


class WorkContract:
    async def test_every_stored_change_of_an_incident_wakes_the_announcer(self, world: StoreWorld) -> None:
        store = world.store
        announced = [(JobKind.ANNOUNCE, "inc_1")]
        changes = 0

        async def changed() -> None:
            nonlocal changes
            changes += 1
            assert world.woken.take() == announced
            async with store.reading() as rows:
                assert await rows.change_of(INC) == changes

        saved = await add_incident(store, incident(state=IncidentState.AWAITING_APPROVAL, run=1))
        await changed()
        ids = [r.alert_id for r in await store.ingest([alert()])]
        world.woken.take()
        async with store.transaction() as tx:
            await tx.place_alerts([i for i in ids if i], INC)
        await changed()
        async with store.transaction() as tx:
            assert await tx.change_of(INC) == changes
            await tx.add_diagnosis(diagnosis())
            assert await tx.change_of(INC) == changes + 1
        await changed()
        async with store.transaction() as tx:
            await tx.add_proposal(proposal())
        await changed()
        async with store.transaction() as tx:
            await tx.add_request(request())
        await changed()
        async with store.transaction() as tx:
            await tx.add_review(review())
        await changed()
        async with store.transaction() as tx:
            await tx.withdraw_review(ReviewId("rev_1"), NOW)
        await changed()
        async with store.transaction() as tx:
            await tx.add_approval(request().id, b"{}")
            approved = await tx.save_request(request(state=RequestState.APPROVED))
        await changed()
        await store.claim(execution(), approved.version, [])
        await changed()
        await store.finish(ExecutionId("exe_1"), result(), IncidentState.VERIFYING, [])
        await changed()
        async with store.transaction() as tx:
            await tx.add_outcome(
                Outcome(
                    execution_id=ExecutionId("exe_1"),
                    verdict=OutcomeVerdict.VERIFIED,
                    at=NOW,
                    attempt=1,
                    checks=(),
                    last=True,
                )
            )
        await changed()
        async with store.transaction() as tx:
            await tx.add_remediation(Remediation(incident_id=INC, run=1, kind=RemediationKind.NONE, at=NOW))
        await changed()
        assert saved.version == 1

    async def test_what_changes_nothing_to_show_wakes_nobody(self, world: StoreWorld) -> None:
        store = world.store
        await add_incident(store, incident())
        world.woken.take()
        async with store.transaction() as tx:
            await tx.mark_announced(INC, 1)
            await tx.record(event())
            await tx.beat("Watchdog", NOW)
        assert world.woken.take() == []

    async def test_wake_ups_follow_their_commit_and_never_a_rollback(self, world: StoreWorld) -> None:
        store = world.store
        at = NOW + timedelta(minutes=5)
        async with store.transaction() as tx:
            await tx.enqueue(Job(kind=JobKind.VERIFY, subject="exe_1"), at)
            assert world.woken.calls == []
        assert world.woken.calls == [(Job(kind=JobKind.VERIFY, subject="exe_1"), at)]
        world.woken.take()

        async def fail() -> None:
            async with store.transaction() as tx:
                await tx.add_incident(incident())
                await tx.enqueue(Job(kind=JobKind.INTAKE))
                raise RuntimeError("on purpose")

        with pytest.raises(RuntimeError, match="on purpose"):
            await fail()
        assert world.woken.take() == []

    async def test_new_alerts_deliveries_and_inbound_events_wake_their_workers(
        self, world: StoreWorld
    ) -> None:
        store = world.store
        await store.ingest([alert()])
        assert world.woken.take() == [(JobKind.INTAKE, "")]
        await store.ingest([alert()])
        assert world.woken.take() == []
        await store.store("matrix", [inbound(0)], "s1")
        assert world.woken.take() == [(JobKind.INBOUND, "")]
        await put(store)
        assert world.woken.take() == [(JobKind.DELIVER, "")]
        await put(store)
        assert world.woken.take() == []

    async def test_an_empty_store_implies_only_the_heartbeat(self, store: AnyStore) -> None:
        assert [pending.job for pending in await store.pending_work()] == [Job(kind=JobKind.HEARTBEAT)]

    async def test_the_rows_imply_the_work(self, store: AnyStore) -> None:
        """One incident in every state that needs something, and some that need nothing."""
        verifying = await ready_for_the_gate(store, 1)
        await store.claim(execution(1), verifying, [])
        await store.finish(ExecutionId("exe_1"), result(), IncidentState.VERIFYING, [])
        interrupted = await ready_for_the_gate(store, 2)
        await store.claim(execution(2), interrupted, [])
        await ready_for_the_gate(store, 3)
        async with store.transaction() as tx:
            await tx.add_incident(incident(4, state=IncidentState.AWAITING_APPROVAL, run=1))
            await tx.add_proposal(proposal(4))
            await tx.add_request(request(4))
            await tx.add_incident(incident(5))
            await tx.add_incident(incident(6, state=IncidentState.INVESTIGATING, run=1))
            await tx.add_incident(notify_only(7))
            await tx.add_incident(incident(8, state=IncidentState.DIAGNOSED, run=2))
            await tx.add_incident(incident(9, state=IncidentState.DIAGNOSED, run=1))
            await tx.add_remediation(
                Remediation(incident_id=IncidentId("inc_9"), run=1, kind=RemediationKind.NONE, at=NOW)
            )
            await tx.add_incident(incident(10, state=IncidentState.CLOSED))
            await tx.put(delivery("a1", number=None))
        async with store.transaction() as tx:
            for number in range(1, 11):
                shown = await tx.change_of(IncidentId(f"inc_{number}"))
                await tx.mark_announced(IncidentId(f"inc_{number}"), shown - (number == 7))
        await store.ingest([alert("waiting")])
        await store.store("matrix", [inbound(0)], "s1")
        work = {(p.job.kind, p.job.subject, p.due_at) for p in await store.pending_work()}
        assert work == {
            (JobKind.HEARTBEAT, "", None),
            (JobKind.INTAKE, "", None),
            (JobKind.DELIVER, "", None),
            (JobKind.INBOUND, "", None),
            (JobKind.VERIFY, "exe_1", None),
            (JobKind.VERIFY, "exe_2", None),
            (JobKind.EXECUTE, "req_3", None),
            (JobKind.EXPIRE, "req_4", request().expires_at),
            (JobKind.REMIND, "req_4", None),
            (JobKind.INVESTIGATE, "inc_5", None),
            (JobKind.INVESTIGATE, "inc_6", None),
            (JobKind.REMEDIATE, "inc_8", None),
            (JobKind.ANNOUNCE, "inc_7", None),
        }

    async def test_an_older_announcement_does_not_take_back_a_newer(self, store: AnyStore) -> None:
        await add_incident(store, notify_only())
        await place(store, INC, [alert()])
        async with store.transaction() as tx:
            await tx.mark_announced(INC, 2)
            await tx.mark_announced(INC, 1)
        assert [p.job.kind for p in await store.pending_work()] == [JobKind.HEARTBEAT]

    async def test_an_unknown_execution_needs_no_more_work(self, store: AnyStore) -> None:
        await store.claim(execution(), await ready_for_the_gate(store), [])
        async with store.transaction() as tx:
            await tx.save_execution(replace(execution(), state=ExecutionState.UNKNOWN))
            found = await tx.incident(INC)
            assert found is not None
            await tx.save_incident(found.moved(IncidentState.OUTCOME_UNKNOWN, NOW))
            await tx.mark_announced(INC, 99)
        assert [p.job.kind for p in await store.pending_work()] == [JobKind.HEARTBEAT]
