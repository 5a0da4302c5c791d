"""What a store promises about approvals, the gate's transactions, and the ledger."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from approvals.ledger import Checkpoint, Head
from approvals.model import RequestState
from approvals.ports import Switch
from bot.domain.diagnosis import Band
from bot.domain.errors import IntegrityError, InvalidTransition, StaleWrite
from bot.domain.ids import ExecutionId, IncidentId, PersonId, ProposalId, RequestId, ReviewId
from bot.domain.incident import IncidentState
from bot.domain.outcome import ExecutionState, Outcome, OutcomeVerdict, VerificationCheck
from tests.contracts.store_nouns import (
    ENVELOPE,
    NOW,
    AnyStore,
    StoreWorld,
    add_incident,
    all_entries,
    diagnosis,
    event,
    execution,
    incident,
    proposal,
    ready_for_the_gate,
    request,
    result,
    review,
)

INC, REQ, EXE = IncidentId("inc_1"), RequestId("req_1"), ExecutionId("exe_1")
HOUR = timedelta(hours=1)


async def state_of(store: AnyStore, number: int = 1) -> IncidentState:
    async with store.reading() as rows:
        found = await rows.incident(IncidentId(f"inc_{number}"))
    assert found is not None
    return found.state


class ApprovalContract:
    async def test_proposal_request_and_review_come_back_with_their_bytes(self, store: AnyStore) -> None:
        version = await ready_for_the_gate(store)
        async with store.reading() as rows:
            assert await rows.proposal(ProposalId("pro_1")) == proposal()
            stored = await rows.request(REQ)
            assert stored == request(state=RequestState.APPROVED, version=version)
            assert list(await rows.requests_of(INC)) == [stored]
            assert list(await rows.reviews_of(REQ)) == [review()]
            assert await rows.review_by_event("matrix", "$event1") == review()
            assert await rows.review_by_event("discord", "$event1") is None

    async def test_saving_an_old_version_of_a_request_is_refused(self, store: AnyStore) -> None:
        await ready_for_the_gate(store)
        with pytest.raises(StaleWrite):
            async with store.transaction() as tx:
                await tx.save_request(request(state=RequestState.REJECTED))
        async with store.reading() as rows:
            assert (stored := await rows.request(REQ)) is not None
            assert stored.state is RequestState.APPROVED

    async def test_what_people_were_asked_is_never_replaced(self, store: AnyStore) -> None:
        version = await ready_for_the_gate(store)
        with pytest.raises(StaleWrite):
            async with store.transaction() as tx:
                await tx.save_request(request(version=version, envelope=b"{}"))
        async with store.reading() as rows:
            assert (stored := await rows.request(REQ)) is not None
        assert (stored.version, stored.envelope) == (version, request().envelope)

    async def test_a_platform_event_is_one_review(self, store: AnyStore) -> None:
        await ready_for_the_gate(store)
        async with store.transaction() as tx:
            assert not await tx.add_review(review(2, event="$event1", person="mallory"))
            assert await tx.add_review(review(3, event="$event3"))
        async with store.reading() as rows:
            assert [r.id for r in await rows.reviews_of(REQ)] == ["rev_1", "rev_3"]

    async def test_a_withdrawn_review_is_kept_with_the_time_it_was_withdrawn(self, store: AnyStore) -> None:
        await ready_for_the_gate(store)
        async with store.transaction() as tx:
            await tx.withdraw_review(ReviewId("rev_1"), NOW + HOUR)
            await tx.withdraw_review(ReviewId("rev_1"), NOW + 2 * HOUR)
        async with store.reading() as rows:
            assert list(await rows.reviews_of(REQ)) == [replace(review(), withdrawn_at=NOW + HOUR)]
        with pytest.raises(StaleWrite):
            async with store.transaction() as tx:
                await tx.withdraw_review(ReviewId("rev_none"), NOW)

    async def test_approvals_of_a_person_are_counted_since_a_time(self, store: AnyStore) -> None:
        await ready_for_the_gate(store)
        async with store.transaction() as tx:
            await tx.add_review(review(2, at=NOW - HOUR))
            await tx.add_review(review(3, person="bob"))
        async with store.reading() as rows:
            assert await rows.approvals_by(PersonId("ada"), NOW - 2 * HOUR) == 2
            assert await rows.approvals_by(PersonId("ada"), NOW) == 1
            assert await rows.approvals_by(PersonId("ada"), NOW + HOUR) == 0

    async def test_a_request_has_one_approval_until_it_is_taken_back(self, store: AnyStore) -> None:
        await ready_for_the_gate(store)
        with pytest.raises(StaleWrite):
            async with store.transaction() as tx:
                await tx.add_approval(REQ, b"another")
        async with store.transaction() as tx:
            await tx.remove_approval(REQ)
        case = await store.gate_case(REQ)
        assert case is not None
        assert case.envelope is None

    async def test_a_used_approval_cannot_be_taken_back(self, store: AnyStore) -> None:
        assert await store.claim(execution(), await ready_for_the_gate(store), [])
        with pytest.raises(StaleWrite):
            async with store.transaction() as tx:
                await tx.remove_approval(REQ)

    async def test_a_request_for_nothing_stored_is_refused(self, store: AnyStore) -> None:
        with pytest.raises(IntegrityError):
            async with store.transaction() as tx:
                await tx.add_request(request())

    async def test_the_kill_switch_is_off_until_somebody_turns_it(self, store: AnyStore) -> None:
        assert await store.switch() == Switch(paused=False)
        turned = Switch(paused=True, actor="ada", reason="maintenance")
        async with store.transaction() as tx:
            await tx.set_switch(turned, NOW)
            assert await tx.switch() == turned
        assert await store.switch() == turned

    async def test_a_heartbeat_is_remembered_at_its_latest(self, store: AnyStore) -> None:
        async with store.transaction() as tx:
            await tx.beat("Watchdog", NOW)
            await tx.beat("Watchdog", NOW - HOUR)
            await tx.beat("Other", NOW - HOUR)
        async with store.reading() as rows:
            assert dict(await rows.heartbeats()) == {"Watchdog": NOW, "Other": NOW - HOUR}

    async def test_an_execution_that_ended_stays_as_it_ended(self, store: AnyStore) -> None:
        await store.claim(execution(), await ready_for_the_gate(store), [])
        await store.finish(EXE, result(), IncidentState.VERIFYING, [])
        for state in (ExecutionState.CLAIMED, ExecutionState.UNKNOWN, ExecutionState.FAILED):
            with pytest.raises(StaleWrite):
                async with store.transaction() as tx:
                    await tx.save_execution(replace(execution(), state=state))
        async with store.reading() as rows:
            stored = await rows.execution(EXE)
        assert stored == replace(execution(), state=ExecutionState.SUCCEEDED, result=result())

    async def test_an_unknown_execution_is_never_claimed_again(self, store: AnyStore) -> None:
        await store.claim(execution(), await ready_for_the_gate(store), [])
        async with store.transaction() as tx:
            await tx.save_execution(replace(execution(), state=ExecutionState.UNKNOWN))
        with pytest.raises(StaleWrite):
            async with store.transaction() as tx:
                await tx.save_execution(execution())
        with pytest.raises(StaleWrite):
            await store.finish(EXE, result(), IncidentState.VERIFYING, [])

    async def test_outcomes_are_read_in_the_order_of_their_attempts(self, store: AnyStore) -> None:
        await store.claim(execution(), await ready_for_the_gate(store), [])
        checks = (VerificationCheck(name="healthy", ok=None, detail="not seen"),)
        outcomes = [
            Outcome(
                execution_id=EXE,
                verdict=OutcomeVerdict.PENDING,
                at=NOW,
                attempt=n,
                checks=checks,
                last=False,
            )
            for n in (1, 2)
        ]
        async with store.transaction() as tx:
            for outcome in reversed(outcomes):
                await tx.add_outcome(outcome)
        with pytest.raises(StaleWrite):
            async with store.transaction() as tx:
                await tx.add_outcome(outcomes[0])
        async with store.reading() as rows:
            assert list(await rows.outcomes_of(EXE)) == outcomes


class GateContract:
    async def test_the_case_holds_the_stored_bytes_untouched(self, store: AnyStore) -> None:
        version = await ready_for_the_gate(store)
        async with store.transaction() as tx:
            await tx.add_diagnosis(diagnosis(run=2, band=Band.MEDIUM))
        case = await store.gate_case(REQ)
        assert case is not None
        assert case.canonical_bytes == proposal().canonical_bytes
        assert case.envelope == ENVELOPE
        assert case.request.version == version
        assert case.reviews == (review(),)
        assert (case.band, case.evidence_taken_at, case.claimed) == ("medium", NOW, False)
        assert await store.gate_case(RequestId("req_none")) is None

    async def test_a_claim_moves_the_incident_and_writes_execution_and_ledger(self, store: AnyStore) -> None:
        version = await ready_for_the_gate(store)
        assert await store.claim(execution(), version, [event("claimed")])
        case = await store.gate_case(REQ)
        assert case is not None
        assert case.claimed
        assert case.incident.state is IncidentState.EXECUTING
        assert len(await all_entries(store)) == 1
        async with store.reading() as rows:
            assert list(await rows.executions_of(INC)) == [execution()]
            assert await rows.execution(EXE) == execution()

    async def test_of_many_racing_claims_one_wins_and_only_it_is_recorded(self, store: AnyStore) -> None:
        version = await ready_for_the_gate(store)

        async def claim(number: int) -> bool:
            mine = replace(execution(), id=ExecutionId(f"exe_{number}"))
            return await store.claim(mine, version, [event(f"claim {number}")])

        won = await asyncio.gather(*(claim(number) for number in range(20)))
        assert sum(won) == 1
        entries = await all_entries(store)
        assert len(entries) == 1
        assert f"claim {won.index(True)}".encode() in entries[0]

    @pytest.mark.parametrize("lost", ["version", "state", "envelope", "key", "incident", "proposal"])
    async def test_a_claim_that_must_not_be_writes_nothing(self, store: AnyStore, lost: str) -> None:
        version = await ready_for_the_gate(store)
        claimed = execution()
        if lost == "version":
            version -= 1
        elif lost == "proposal":
            await ready_for_the_gate(store, 2)
            claimed = replace(claimed, proposal_id=ProposalId("pro_2"))
        elif lost == "key":
            assert await store.claim(execution(2, key="key_1"), await ready_for_the_gate(store, 2), [])
        else:
            async with store.transaction() as tx:
                if lost == "state":
                    await tx.save_request(request(state=RequestState.EXPIRED, version=version))
                    version += 1
                elif lost == "envelope":
                    await tx.remove_approval(REQ)
                else:
                    await tx.save_incident(incident(state=IncidentState.RESOLVED, run=1))
        before = await state_of(store)
        assert not await store.claim(claimed, version, [event()])
        assert await state_of(store) == before
        assert await all_entries(store) == []
        async with store.reading() as rows:
            assert await rows.execution(EXE) is None

    @pytest.mark.parametrize(
        ("ok", "to", "state"),
        [
            (True, IncidentState.VERIFYING, ExecutionState.SUCCEEDED),
            (False, IncidentState.FAILED, ExecutionState.FAILED),
            (False, IncidentState.OUTCOME_UNKNOWN, ExecutionState.UNKNOWN),
        ],
    )
    async def test_a_result_is_stored_with_the_incidents_move_and_the_ledger(
        self, store: AnyStore, ok: bool, to: IncidentState, state: ExecutionState
    ) -> None:
        await store.claim(execution(), await ready_for_the_gate(store), [])
        await store.finish(EXE, result(ok=ok), to, [event("finished")])
        async with store.reading() as rows:
            stored = await rows.execution(EXE)
        assert stored == replace(execution(), state=state, result=result(ok=ok))
        assert await state_of(store) is to
        assert len(await all_entries(store)) == 1

    async def test_alerts_that_went_away_during_a_failing_run_end_the_incident_after_it(
        self, store: AnyStore
    ) -> None:
        await store.claim(execution(), await ready_for_the_gate(store), [])
        async with store.transaction() as tx:
            running = await tx.incident(INC)
            assert running is not None
            await tx.save_incident(replace(running, firing=0))
        await store.finish(EXE, result(ok=False), IncidentState.FAILED, [event("finished")])
        assert await state_of(store) is IncidentState.RESOLVED
        tags = [json.loads(entry)["tag"] for entry in await all_entries(store)]
        assert tags == ["switch:turned", "incident:moved"]

    async def test_a_pause_that_came_while_the_gate_was_looking_stops_the_claim(
        self, store: AnyStore
    ) -> None:
        version = await ready_for_the_gate(store)
        async with store.transaction() as tx:
            await tx.set_switch(Switch(paused=True, actor="ana"), NOW)
        with pytest.raises(StaleWrite):
            await store.claim(execution(), version, [event()])
        async with store.reading() as rows:
            assert await rows.execution(EXE) is None

    async def test_a_result_that_moves_the_incident_nowhere_it_may_go_is_not_stored(
        self, store: AnyStore
    ) -> None:
        await store.claim(execution(), await ready_for_the_gate(store), [])
        with pytest.raises(InvalidTransition):
            await store.finish(EXE, result(), IncidentState.OPEN, [event()])
        async with store.reading() as rows:
            assert await rows.execution(EXE) == execution()
        assert await all_entries(store) == []

    async def test_a_refusal_cancels_the_request_and_sends_the_incident_back(self, world: StoreWorld) -> None:
        store = world.store
        version = await ready_for_the_gate(store)
        assert await store.refuse(REQ, version, "target_changed", [event("refused")])
        async with store.reading() as rows:
            assert (stored := await rows.request(REQ)) is not None
        assert (stored.state, stored.ended_reason) == (RequestState.CANCELLED, "target_changed")
        assert stored.ended_at == world.clock.now()
        assert await state_of(store) is IncidentState.DIAGNOSED
        tags = [json.loads(entry)["tag"] for entry in await all_entries(store)]
        assert tags == ["switch:turned", "request:ended", "incident:moved"]

    @pytest.mark.parametrize("changed", ["version", "ended", "claimed"])
    async def test_a_refusal_that_comes_too_late_only_writes_its_events(
        self, store: AnyStore, changed: str
    ) -> None:
        version = await ready_for_the_gate(store)
        if changed == "version":
            version -= 1
        elif changed == "ended":
            async with store.transaction() as tx:
                await tx.save_request(request(state=RequestState.REJECTED, version=version))
            version += 1
        else:
            assert await store.claim(execution(), version, [])
        before = await state_of(store)
        async with store.reading() as rows:
            kept = await rows.request(REQ)
        assert not await store.refuse(REQ, version, "policy_denied", [event("refused")])
        async with store.reading() as rows:
            assert await rows.request(REQ) == kept
        assert await state_of(store) is before
        assert len(await all_entries(store)) == 1

    async def test_executions_on_a_target_are_counted_since_a_time(self, store: AnyStore) -> None:
        for number, target in enumerate(("leaky", "leaky", "other"), start=1):
            version = await ready_for_the_gate(store, number, target=target)
            await store.claim(execution(number, claimed_at=NOW - number * HOUR), version, [])
        assert await store.recent_executions("leaky", NOW - 3 * HOUR) == 2
        assert await store.recent_executions("leaky", NOW - HOUR) == 1
        assert await store.recent_executions("nothing", NOW - 9 * HOUR) == 0


class LedgerContract:
    async def test_events_are_chained_in_the_order_they_were_committed(self, store: AnyStore) -> None:
        async with store.transaction() as tx:
            await tx.record(event("one"), event("two"))
            await tx.record(event("three"))
        async with store.transaction() as tx:
            await tx.record(event("four"))
        entries = [entry async for batch in store.entries() for entry in batch]
        assert [entry.seq for entry in entries] == [1, 2, 3, 4]
        for text, entry in zip(("one", "two", "three", "four"), entries, strict=True):
            assert text.encode() in entry.body
        assert [e.prev_hash for e in entries[1:]] == [e.entry_hash for e in entries[:-1]]
        assert await store.head() == Head(size=4, hash=entries[-1].entry_hash)

    async def test_a_transaction_that_fails_leaves_no_entry_and_no_gap(self, store: AnyStore) -> None:
        async def fail() -> None:
            async with store.transaction() as tx:
                await tx.record(event("never"))
                raise RuntimeError("on purpose")

        with pytest.raises(RuntimeError, match="on purpose"):
            await fail()
        async with store.transaction() as tx:
            await tx.record(event("first"))
        entries = await all_entries(store)
        assert len(entries) == 1
        assert b"first" in entries[0]
        assert await store.ledger_problem() is None

    async def test_a_long_ledger_comes_in_batches_and_from_any_point(self, store: AnyStore) -> None:
        async with store.transaction() as tx:
            await tx.record(*(event(f"{n}") for n in range(2500)))
        batches = [batch async for batch in store.entries(after=100)]
        assert [entry.seq for batch in batches for entry in batch] == list(range(101, 2501))
        assert max(len(batch) for batch in batches) <= 1000

    async def test_checkpoints_are_kept_in_order(self, store: AnyStore) -> None:
        made = [Checkpoint(size=n, head_hash=bytes([n]) * 32, at=NOW, envelope=b"\x00\xff") for n in (1, 2)]
        for checkpoint in made:
            await store.add_checkpoint(checkpoint)
        assert list(await store.checkpoints()) == made

    async def test_the_verdict_of_a_verification_stands_until_the_next(self, store: AnyStore) -> None:
        assert await store.ledger_problem() is None
        store.set_ledger_problem("entry 7 was changed")
        assert await store.ledger_problem() == "entry 7 was changed"
        store.set_ledger_problem(None)
        assert await store.ledger_problem() is None

    async def test_asking_about_the_ledger_while_it_grows_raises_no_alarm(self, store: AnyStore) -> None:
        await add_incident(store, incident())
        done = asyncio.Event()

        async def grow() -> None:
            for n in range(100):
                async with store.transaction() as tx:
                    await tx.record(event(f"{n}"))
            done.set()

        async def ask() -> set[str | None]:
            found = set()
            while not done.is_set():
                found.add(await store.ledger_problem())
            return found

        answers = (await asyncio.gather(grow(), ask(), ask()))[1:]
        assert set().union(*answers) == {None}
