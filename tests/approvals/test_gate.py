"""The gate as people and attackers meet it. Attackers here may write every row, but hold no key."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import config
from adapters.policy import RegoEngine, load_engine
from approvals.canonical import action_bytes, digest
from approvals.catalogue import builtin_catalogue
from approvals.document import FreezeWindow
from approvals.gate import Gate, GateSettings
from approvals.model import Directory, GateRefusal, Identity, Means, Refusal, RequestState, ReviewVerdict
from approvals.policy import PolicyGuard, PolicySettings, RiskSettings, policy_data
from approvals.ports import PolicyEngine, Switch
from approvals.statement import sign_approval, sign_review
from bot.domain.alert import Criticality, Severity
from bot.domain.audit import ExecutionClaimed, ExecutionUnknown, GateRefused, PolicyDecided
from bot.domain.errors import IntegrityError, Unavailable
from bot.domain.graph import Edge
from bot.domain.ids import RequestId
from bot.domain.incident import IncidentState
from bot.domain.outcome import Execution, ExecutionState
from bot.domain.proposal import Action
from tests.approvals import world
from tests.approvals.world import ANA, BEN, CLEO, DIRECTORY, START, HandClock, Keyring
from tests.fakes.gate_store import MemoryGateStore
from tests.fakes.hands import FakeExecutor, FakeInspector
from tests.fakes.policy_engine import FakeEngine

REQUEST = RequestId("req_1")
POLICIES = Path(config.__file__).parent / "policies"


@pytest.fixture(scope="module")
def keys() -> Keyring:
    return Keyring()


@pytest.fixture(scope="module")
def engine() -> RegoEngine:
    return load_engine(POLICIES, policy_data(PolicySettings(), RiskSettings()))


class Stand:
    """A gate with one approved, signed request behind it."""

    def __init__(self, keys: Keyring, engine: PolicyEngine, count: int = 1, means: Means = Means.REACTION):
        self.keys = keys
        self.clock = HandClock(START + timedelta(minutes=2))
        self.proposal = world.proposal()
        self.request = world.request(
            self.proposal, state=RequestState.APPROVED, requirement=world.requirement(count)
        )
        self.reviews = [
            keys.signed(world.review(by, means=means), self.request) for by in (ANA, BEN, CLEO)[:count]
        ]
        self.store = MemoryGateStore(
            self.clock,
            world.incident(),
            self.proposal,
            self.request,
            self.reviews,
            keys.approval(self.request, self.proposal, self.reviews),
            evidence_taken_at=START,
        )
        self.inspector = FakeInspector(world.target(), self.clock)
        self.executor = FakeExecutor(self.inspector, self.clock)
        self.engine = engine
        self.settings = GateSettings()
        self.directory = DIRECTORY

    def gate(self, **changes: Any) -> Gate:
        parts: dict[str, Any] = {
            "store": self.store,
            "verifier": self.keys.trusted,
            "policy": PolicyGuard(self.engine, 1.0),
            "directory": self.directory,
            "catalogue": builtin_catalogue(),
            "inspectors": {"process": self.inspector},
            "executors": {"process": self.executor},
            "clock": self.clock,
            "token": lambda size: "ab" * size,
            "settings": self.settings,
        }
        return Gate(**{**parts, **changes})

    async def open(self, **changes: Any) -> Execution | GateRefusal:
        return await self.gate(**changes).open(REQUEST)

    async def refused(self, check: int, reason: Refusal, **changes: Any) -> GateRefusal:
        """Open; assert that it stayed shut for this reason, and what every refusal promises."""
        answer = await self.open(**changes)
        assert isinstance(answer, GateRefusal), answer
        assert (answer.check, answer.reason) == (check, reason), answer
        assert answer.detail
        assert self.executor.runs == []
        written = [event for event in self.store.events if isinstance(event, GateRefused)]
        assert [(event.check, event.reason) for event in written] == [(check, reason.value)]
        assert not any(isinstance(event, ExecutionClaimed) for event in self.store.events)
        if reason is not Refusal.ALREADY_CLAIMED:
            assert self.store.request.state is not RequestState.APPROVED
            assert self.store.incident.state is not IncidentState.EXECUTING
        return answer


@pytest.fixture
def stand(keys: Keyring, engine: RegoEngine) -> Stand:
    return Stand(keys, engine)


async def test_an_approved_action_runs_exactly_as_it_was_approved(stand: Stand) -> None:
    execution = await stand.open()
    assert isinstance(execution, Execution)
    assert execution.state is ExecutionState.SUCCEEDED
    assert [(action, target.uid) for action, target, _ in stand.executor.runs] == [
        (stand.proposal.action, stand.proposal.target.uid)
    ]
    assert stand.store.incident.state is IncidentState.VERIFYING
    assert stand.store.executions[execution.id] == execution
    assert [event.TAG for event in stand.store.events] == [
        "policy:decided",
        "execution:claimed",
        "incident:moved",
        "execution:finished",
        "incident:moved",
    ]


async def test_the_ledger_holds_both_policy_hashes(stand: Stand) -> None:
    await stand.open()
    decided = next(event for event in stand.store.events if isinstance(event, PolicyDecided))
    claimed = next(event for event in stand.store.events if isinstance(event, ExecutionClaimed))
    assert (decided.stage, decided.policy_hash) == ("dispatch", stand.engine.policy_hash)
    assert claimed.policy_hash == stand.engine.policy_hash
    assert stand.request.policy_hash == world.POLICY


async def test_an_action_that_fails_is_a_failed_execution(stand: Stand) -> None:
    stand.executor.ok = False
    execution = await stand.open()
    assert isinstance(execution, Execution)
    assert execution.state is ExecutionState.FAILED
    assert stand.store.incident.state is IncidentState.FAILED


async def test_output_is_redacted_and_cut_before_it_is_stored(stand: Stand) -> None:
    stand.executor.output = "password=hunter2 " + "x" * 100_000
    execution = await stand.open()
    assert isinstance(execution, Execution)
    assert execution.result is not None
    assert "hunter2" not in execution.result.output
    assert len(execution.result.output) <= 64 * 1024


# (1)


async def test_1_the_kill_switch_stops_an_approved_request(stand: Stand) -> None:
    stand.store.paused = Switch(paused=True, actor="ana", reason="look first")
    refusal = await stand.refused(1, Refusal.KILL_SWITCH)
    assert refusal.detail == "execution is paused by ana: look first"
    assert stand.store.request.ended_reason == "gate: execution is paused by ana: look first"
    assert stand.store.incident.state is IncidentState.DIAGNOSED


async def test_1_a_freeze_stops_an_approved_request(stand: Stand) -> None:
    freeze = FreezeWindow(start=START, end=START + timedelta(hours=1), reason="release")
    stand.settings = GateSettings(freezes=(freeze,))
    await stand.refused(1, Refusal.FREEZE)


async def test_1_a_freeze_that_is_over_stops_nothing(stand: Stand) -> None:
    freeze = FreezeWindow(start=START, end=stand.clock.now(), reason="release")
    stand.settings = GateSettings(freezes=(freeze,))
    assert isinstance(await stand.open(), Execution)


async def test_1_the_kill_switch_stops_what_is_already_being_checked(stand: Stand) -> None:
    stand.inspector.hang.clear()
    opening = asyncio.create_task(stand.refused(1, Refusal.KILL_SWITCH))
    await asyncio.sleep(0)
    stand.store.paused = Switch(paused=True)
    stand.inspector.hang.set()
    await opening


# (2)


async def test_2_a_broken_ledger_stops_everything(stand: Stand) -> None:
    stand.store.problem = "entry 7 was changed"
    refusal = await stand.refused(2, Refusal.LEDGER_BROKEN)
    assert "entry 7" in refusal.detail


# (3)


async def test_3_without_a_signed_approval_an_approved_row_is_worth_nothing(stand: Stand) -> None:
    stand.store.envelope = None
    await stand.refused(3, Refusal.ENVELOPE_INVALID)


@pytest.mark.parametrize(
    "envelope", [b"", b"{}", b"\xff", b'{"payload":"","payloadType":"","signatures":[]}']
)
async def test_3_an_envelope_that_is_none_is_refused(stand: Stand, envelope: bytes) -> None:
    stand.store.envelope = envelope
    await stand.refused(3, Refusal.ENVELOPE_INVALID)


async def test_3_an_approval_signed_by_another_key_is_refused(stand: Stand) -> None:
    stand.store.envelope = sign_approval(
        stand.keys.stranger, stand.request, stand.proposal, stand.reviews, START
    )
    await stand.refused(3, Refusal.ENVELOPE_INVALID)


async def test_3_a_signed_review_does_not_pass_for_an_approval(stand: Stand) -> None:
    stand.store.envelope = stand.reviews[0].envelope
    await stand.refused(3, Refusal.ENVELOPE_INVALID)


# (4)


async def test_4_a_stored_action_that_was_altered_is_refused(stand: Stand) -> None:
    other = replace(stand.proposal.action, params={"process": "db"})
    stand.store.canonical_bytes = action_bytes(stand.proposal.incident_id, other, stand.proposal.target)
    await stand.refused(4, Refusal.DIGEST_MISMATCH)


async def test_4_altering_bytes_and_digests_together_does_not_help(stand: Stand) -> None:
    other = replace(stand.proposal.action, params={"process": "db"})
    data = action_bytes(stand.proposal.incident_id, other, stand.proposal.target)
    stand.store.canonical_bytes = data
    stand.store.proposal = replace(stand.proposal, action=other, canonical_bytes=data, digest=digest(data))
    stand.store.request = replace(stand.request, proposal_digest=digest(data))
    await stand.refused(4, Refusal.DIGEST_MISMATCH)


async def test_4_what_runs_comes_from_the_approved_bytes_and_no_other_column(stand: Stand) -> None:
    stand.store.proposal = replace(
        stand.proposal,
        action=Action(name="process.restart", executor="process", params={"process": "db"}),
        target=world.target(name="db", uid="1"),
    )
    assert isinstance(await stand.open(), Execution)
    assert stand.executor.runs[0][0].params == {"process": "web"}
    assert stand.executor.runs[0][1].name == "web"


async def test_4_an_action_that_left_the_catalogue_is_refused(stand: Stand) -> None:
    await stand.refused(4, Refusal.DIGEST_MISMATCH, catalogue={})


@pytest.mark.parametrize("change", [{"incident_id": "inc_2"}, {"target_uid": "another"}])
async def test_4_bytes_of_another_incident_or_target_do_not_run_even_when_signed(
    stand: Stand, change: dict[str, str]
) -> None:
    stand.store.request = replace(stand.request, **change)  # type: ignore[arg-type]
    stand.store.envelope = stand.keys.approval(stand.store.request, stand.proposal, stand.reviews)
    await stand.refused(4, Refusal.DIGEST_MISMATCH)


async def test_4_rows_that_cannot_be_read_are_refused_and_written_down(stand: Stand) -> None:
    class Unreadable(MemoryGateStore):
        async def gate_case(self, request_id: RequestId) -> None:
            raise IntegrityError("request req_1 names a proposal that is gone")

    store = Unreadable(stand.clock, world.incident(), stand.proposal, stand.request)
    answer = await stand.open(store=store)
    assert isinstance(answer, GateRefusal)
    assert (answer.check, answer.reason) == (4, Refusal.DIGEST_MISMATCH)
    assert [event.TAG for event in store.events] == ["gate:refused"]


# (5)


@pytest.mark.parametrize("state", [state for state in RequestState if state is not RequestState.APPROVED])
async def test_5_a_request_in_any_other_state_is_refused(stand: Stand, state: RequestState) -> None:
    stand.store.request = replace(stand.request, state=state)
    await stand.refused(5, Refusal.REQUEST_NOT_APPROVED)


async def test_5_an_approval_of_one_request_does_not_open_for_another(stand: Stand) -> None:
    stand.store.request = replace(stand.request, nonce="another")
    await stand.refused(5, Refusal.REQUEST_NOT_APPROVED)


async def test_5_a_lowered_requirement_is_noticed(keys: Keyring, engine: RegoEngine) -> None:
    stand = Stand(keys, engine, count=2)
    stand.store.request = replace(stand.request, requirement=world.requirement(1))
    await stand.refused(5, Refusal.REQUEST_NOT_APPROVED)


async def test_5_an_extended_expiry_is_noticed(stand: Stand) -> None:
    stand.store.request = replace(stand.request, expires_at=START + timedelta(days=1))
    stand.clock.advance(minutes=40)
    await stand.refused(5, Refusal.REQUEST_NOT_APPROVED)


async def test_5_an_expired_approval_is_refused_at_its_very_moment(stand: Stand) -> None:
    stand.clock.at = stand.request.expires_at
    await stand.refused(5, Refusal.REQUEST_EXPIRED)


async def test_5_an_approval_is_good_until_just_before_its_expiry(stand: Stand) -> None:
    stand.clock.at = stand.request.expires_at - timedelta(microseconds=1)
    assert isinstance(await stand.open(), Execution)


async def test_5_a_clock_that_was_set_back_does_not_revive_an_expired_approval(stand: Stand) -> None:
    stand.store.incident = replace(stand.store.incident, updated_at=START + timedelta(hours=2))
    stand.clock.at = START + timedelta(minutes=3)
    await stand.refused(5, Refusal.REQUEST_EXPIRED)


async def test_5_expiring_while_the_target_is_looked_at_is_noticed(stand: Stand) -> None:
    stand.clock.at = stand.request.expires_at - timedelta(seconds=1)
    stand.inspector.hang.clear()
    opening = asyncio.create_task(stand.refused(5, Refusal.REQUEST_EXPIRED))
    await asyncio.sleep(0)
    stand.clock.advance(seconds=2)
    stand.inspector.hang.set()
    await opening


async def test_5_a_review_row_inserted_by_hand_does_not_count(keys: Keyring, engine: RegoEngine) -> None:
    stand = Stand(keys, engine, count=2)
    stand.store.reviews = [stand.reviews[0], world.review(BEN)]
    refusal = await stand.refused(5, Refusal.QUORUM_NOT_MET)
    assert refusal.detail == "1 of 2 needed approvals are proven"


async def test_5_a_review_signed_by_another_key_does_not_count(keys: Keyring, engine: RegoEngine) -> None:
    stand = Stand(keys, engine, count=2)
    forged = world.review(BEN)
    forged = replace(forged, envelope=sign_review(keys.stranger, forged, stand.request))
    stand.store.reviews = [stand.reviews[0], forged]
    await stand.refused(5, Refusal.QUORUM_NOT_MET)


async def test_5_one_signed_review_under_two_names_counts_once(keys: Keyring, engine: RegoEngine) -> None:
    stand = Stand(keys, engine, count=2)
    copy = replace(
        stand.reviews[0],
        id="rev_copy",
        reviewer=BEN.id,
        identity=Identity(platform="matrix", user_id="@ben:example.org"),
    )
    stand.store.reviews = [stand.reviews[0], copy]
    await stand.refused(5, Refusal.QUORUM_NOT_MET)


async def test_5_a_review_of_an_earlier_request_for_the_same_action_does_not_count(
    keys: Keyring, engine: RegoEngine
) -> None:
    stand = Stand(keys, engine, count=2)
    earlier = replace(stand.request, id=RequestId("req_0"), nonce="earlier")
    old = world.review(BEN, request_id=earlier.id)
    old = replace(old, envelope=sign_review(keys.signer, old, earlier), request_id=stand.request.id)
    stand.store.reviews = [stand.reviews[0], old]
    await stand.refused(5, Refusal.QUORUM_NOT_MET)


async def test_5_a_review_that_was_strengthened_in_its_row_does_not_count(
    keys: Keyring, engine: RegoEngine
) -> None:
    stand = Stand(keys, engine)
    stand.store.reviews = [replace(stand.reviews[0], means=Means.SECOND_FACTOR)]
    await stand.refused(5, Refusal.QUORUM_NOT_MET)


async def test_5_a_withdrawn_review_does_not_count(stand: Stand) -> None:
    stand.store.reviews = [replace(stand.reviews[0], withdrawn_at=START + timedelta(minutes=2))]
    await stand.refused(5, Refusal.QUORUM_NOT_MET)


async def test_5_somebody_who_lost_the_role_since_does_not_count(stand: Stand) -> None:
    stand.directory = Directory(people=(world.person("ana", "viewer"),))
    await stand.refused(5, Refusal.QUORUM_NOT_MET)


async def test_5_an_account_that_now_belongs_to_somebody_else_does_not_count(stand: Stand) -> None:
    moved = replace(BEN, identities=BEN.identities | {stand.reviews[0].identity})
    stand.directory = Directory(people=(moved,))
    await stand.refused(5, Refusal.QUORUM_NOT_MET)


async def test_5_two_signed_reviews_of_one_person_count_once(keys: Keyring, engine: RegoEngine) -> None:
    stand = Stand(keys, engine, count=2)
    again = world.review(ANA, identity=Identity(platform="console", user_id="ana"))
    stand.store.reviews = [stand.reviews[0], keys.signed(again, stand.request)]
    await stand.refused(5, Refusal.QUORUM_NOT_MET)


async def test_5_an_unsigned_rejection_still_stops(keys: Keyring, engine: RegoEngine) -> None:
    stand = Stand(keys, engine)
    stand.store.reviews.append(world.review(BEN, verdict=ReviewVerdict.REJECT))
    refusal = await stand.refused(5, Refusal.REQUEST_NOT_APPROVED)
    assert refusal.detail == "ben rejected the request"


async def test_5_an_unknown_request_is_refused_and_written_down(stand: Stand) -> None:
    answer = await stand.gate().open(RequestId("req_unknown"))
    assert isinstance(answer, GateRefusal)
    assert [event.TAG for event in stand.store.events] == ["gate:refused"]
    assert stand.store.request == stand.request


# (6)


async def test_6_a_proposal_past_its_limit_is_refused(keys: Keyring, engine: RegoEngine) -> None:
    stand = Stand(keys, engine)
    stand.proposal = replace(stand.proposal, max_age=timedelta(minutes=10))
    stand.store.proposal = stand.proposal
    stand.store.envelope = keys.approval(stand.request, stand.proposal, stand.reviews)
    stand.clock.at = START + timedelta(minutes=10)
    await stand.refused(6, Refusal.PROPOSAL_TOO_OLD)


async def test_6_a_rejuvenated_proposal_is_still_too_old(keys: Keyring, engine: RegoEngine) -> None:
    stand = Stand(keys, engine)
    short = replace(stand.proposal, max_age=timedelta(minutes=10))
    stand.store.envelope = keys.approval(stand.request, short, stand.reviews)
    stand.store.proposal = replace(short, max_age=timedelta(days=1))
    stand.clock.at = START + timedelta(minutes=11)
    await stand.refused(6, Refusal.PROPOSAL_TOO_OLD)


@pytest.mark.parametrize("change", [{"uid": "4343@2000"}, {"name": "web2"}, {"kind": "pod"}])
async def test_6_another_target_than_the_approved_one_is_refused(
    stand: Stand, change: dict[str, str]
) -> None:
    stand.inspector.target = world.target(**change)
    await stand.refused(6, Refusal.TARGET_CHANGED)


async def test_6_a_target_that_cannot_be_seen_is_refused(stand: Stand) -> None:
    stand.inspector.unseen = True
    refusal = await stand.refused(6, Refusal.TARGET_CHANGED)
    assert "pid file" in refusal.detail


async def test_6_an_inspector_that_never_answers_is_a_refusal(stand: Stand) -> None:
    stand.inspector.hang.clear()
    stand.settings = GateSettings(inspect_timeout=timedelta(milliseconds=10))
    await stand.refused(6, Refusal.TARGET_CHANGED)


async def test_6_without_executor_or_inspector_nothing_is_tried(stand: Stand) -> None:
    await stand.refused(6, Refusal.EXECUTOR_MISSING, executors={})
    other = Stand(stand.keys, stand.engine)
    await other.refused(6, Refusal.EXECUTOR_MISSING, inspectors={})


# (7)


async def test_7_a_policy_that_has_come_to_deny_stops(stand: Stand) -> None:
    stand.engine = FakeEngine({"allow": True, "deny": [{"id": "frozen-team", "reason": "not today"}]})
    refusal = await stand.refused(7, Refusal.POLICY_DENIED)
    assert refusal.detail == "not today"
    decided = next(event for event in stand.store.events if isinstance(event, PolicyDecided))
    assert (decided.decision, decided.rules) == ("deny", ("frozen-team",))


@pytest.mark.parametrize("answer", [{}, {"allow": "yes"}, Unavailable("policy", "down")])
async def test_7_a_policy_that_does_not_clearly_allow_stops(stand: Stand, answer: Any) -> None:
    stand.engine = FakeEngine(answer)
    await stand.refused(7, Refusal.POLICY_DENIED)


async def test_7_a_policy_that_now_asks_for_more_people_stops(stand: Stand) -> None:
    stand.store.incident = replace(stand.store.incident, severity=Severity.CRITICAL)
    refusal = await stand.refused(7, Refusal.POLICY_DENIED)
    assert "2 approvals" in refusal.detail


async def test_7_a_policy_that_now_asks_for_a_stronger_gesture_stops(stand: Stand) -> None:
    stand.inspector.target = world.target(labels={"env": "prod", "criticality": "high"})
    stand.engine = load_engine(
        POLICIES, policy_data(PolicySettings(writable_environments=("prod",)), RiskSettings())
    )
    refusal = await stand.refused(7, Refusal.POLICY_DENIED)
    assert "command or stronger" in refusal.detail


def depending_on_web(count: int, *, age: timedelta = timedelta(0)) -> list[Edge]:
    return [
        Edge(source=f"s{n}", target="web", kind="calls", origin="spans", seen_at=START - age)
        for n in range(count)
    ]


async def test_7_dependents_that_were_seen_after_the_card_count(stand: Stand) -> None:
    stand.store.known_edges = depending_on_web(9)
    assert isinstance(await stand.open(), Execution)
    other = Stand(stand.keys, stand.engine)
    other.store.known_edges = depending_on_web(10)
    refusal = await other.refused(7, Refusal.POLICY_DENIED)
    assert "command or stronger" in refusal.detail


async def test_7_dependents_not_seen_for_a_week_do_not_count(stand: Stand) -> None:
    stand.store.known_edges = depending_on_web(10, age=timedelta(days=8))
    assert isinstance(await stand.open(), Execution)


async def test_7_criticality_that_an_alert_claimed_after_the_card_counts(stand: Stand) -> None:
    stand.store.incident = replace(stand.store.incident, criticality=Criticality.CRITICAL)
    stand.inspector.target = world.target(labels={"env": "prod"})
    stand.engine = load_engine(
        POLICIES, policy_data(PolicySettings(writable_environments=("prod",)), RiskSettings())
    )
    refusal = await stand.refused(7, Refusal.POLICY_DENIED)
    assert "command or stronger" in refusal.detail


async def test_7_a_policy_that_asks_for_less_widens_nothing(keys: Keyring, engine: RegoEngine) -> None:
    stand = Stand(keys, engine, count=2)
    stand.engine = FakeEngine({"allow": True})
    stand.store.reviews = stand.reviews[:1]
    await stand.refused(5, Refusal.QUORUM_NOT_MET)


async def test_7_what_was_given_is_enough_for_what_is_asked_now(keys: Keyring, engine: RegoEngine) -> None:
    stand = Stand(keys, engine, count=2)
    stand.store.incident = replace(stand.store.incident, severity=Severity.CRITICAL)
    assert isinstance(await stand.open(), Execution)


async def test_7_the_sixth_execution_within_an_hour_is_denied_and_the_fifth_is_not(stand: Stand) -> None:
    stand.store.earlier_executions = [("web", START)] * 4
    assert isinstance(await stand.open(), Execution)
    other = Stand(stand.keys, stand.engine)
    other.store.earlier_executions = [("web", START)] * 5
    await other.refused(7, Refusal.POLICY_DENIED)


# (8)


async def test_8_a_dry_run_that_fails_stops(stand: Stand) -> None:
    stand.inspector.dry_run_ok = False
    refusal = await stand.refused(8, Refusal.DRY_RUN_FAILED)
    assert refusal.detail == "the start command does not exist"


async def test_8_an_action_that_cannot_be_tried_stops(stand: Stand) -> None:
    stand.inspector.untried = True
    await stand.refused(8, Refusal.DRY_RUN_FAILED)


# (9)


async def test_9_an_approval_is_used_once(stand: Stand) -> None:
    assert isinstance(await stand.open(), Execution)
    again = await stand.open()
    assert isinstance(again, GateRefusal)
    assert (again.check, again.reason) == (9, Refusal.ALREADY_CLAIMED)
    assert len(stand.executor.runs) == 1
    assert stand.store.incident.state is IncidentState.VERIFYING
    assert stand.store.request.state is RequestState.APPROVED


async def test_9_an_approval_is_not_reused_after_the_incident_comes_round_again(stand: Stand) -> None:
    assert isinstance(await stand.open(), Execution)
    stand.store.incident = replace(stand.store.incident, state=IncidentState.AWAITING_APPROVAL)
    again = await stand.open()
    assert isinstance(again, GateRefusal)
    assert again.reason is Refusal.ALREADY_CLAIMED
    assert len(stand.executor.runs) == 1


async def test_9_of_many_racing_openings_exactly_one_runs(stand: Stand) -> None:
    stand.inspector.hang.clear()
    gates = [asyncio.create_task(stand.open()) for _ in range(20)]
    await asyncio.sleep(0)
    stand.inspector.hang.set()
    answers = await asyncio.gather(*gates)
    assert sum(isinstance(answer, Execution) for answer in answers) == 1
    losers = [answer for answer in answers if isinstance(answer, GateRefusal)]
    assert {loser.reason for loser in losers} == {Refusal.ALREADY_CLAIMED}
    assert len(stand.executor.runs) == 1
    assert stand.store.request.state is RequestState.APPROVED
    assert sum(isinstance(event, GateRefused) for event in stand.store.events) == 19


async def test_9_a_request_that_changes_at_the_last_moment_is_not_claimed(stand: Stand) -> None:
    stand.inspector.hang.clear()
    opening = asyncio.create_task(stand.open())
    await asyncio.sleep(0)
    stand.store.request = replace(stand.request, state=RequestState.PENDING, version=2)
    stand.inspector.hang.set()
    answer = await opening
    assert isinstance(answer, GateRefusal)
    assert answer.reason is Refusal.ALREADY_CLAIMED
    assert stand.executor.runs == []
    assert stand.store.request.state is RequestState.PENDING


async def test_9_an_incident_that_ended_at_the_last_moment_is_left_alone(stand: Stand) -> None:
    stand.inspector.hang.clear()
    opening = asyncio.create_task(stand.open())
    await asyncio.sleep(0)
    stand.store.incident = replace(stand.store.incident, state=IncidentState.RESOLVED)
    stand.inspector.hang.set()
    answer = await opening
    assert isinstance(answer, GateRefusal)
    assert (answer.check, answer.reason) == (9, Refusal.ALREADY_CLAIMED)
    assert stand.executor.runs == []
    assert stand.store.request == stand.request
    assert stand.store.incident.state is IncidentState.RESOLVED


# (10) (11)


async def test_10_a_run_that_does_not_come_back_is_unknown_and_never_called_failed(stand: Stand) -> None:
    stand.executor.hold.clear()
    stand.settings = GateSettings(execution_timeout=timedelta(milliseconds=10))
    execution = await stand.open()
    assert isinstance(execution, Execution)
    assert execution.state is ExecutionState.UNKNOWN
    assert stand.store.incident.state is IncidentState.OUTCOME_UNKNOWN
    assert stand.store.executions[execution.id].state is ExecutionState.UNKNOWN
    told = next(event for event in stand.store.events if isinstance(event, ExecutionUnknown))
    assert told.inspect == "ps -p 4242@1000"


async def test_10_an_executor_that_breaks_off_is_unknown_and_its_words_are_not_kept(stand: Stand) -> None:
    stand.executor.error = RuntimeError("token=abcdef0123456789")
    execution = await stand.open()
    assert isinstance(execution, Execution)
    assert execution.state is ExecutionState.UNKNOWN
    assert execution.result is not None
    assert "RuntimeError" in execution.result.summary
    assert "abcdef" not in execution.result.summary


async def test_10_a_run_in_flight_is_never_cancelled(stand: Stand) -> None:
    stand.executor.hold.clear()
    opening = asyncio.create_task(stand.open())
    await stand.executor.started.wait()
    for _ in range(3):
        opening.cancel()
        await asyncio.sleep(0)
    assert not opening.done()
    stand.executor.hold.set()
    with pytest.raises(asyncio.CancelledError):
        await opening
    (execution,) = stand.store.executions.values()
    assert execution.state is ExecutionState.SUCCEEDED
    assert stand.store.incident.state is IncidentState.VERIFYING


async def test_11_when_the_result_cannot_be_stored_the_execution_stays_claimed(stand: Stand) -> None:
    async def broken(*args: object) -> None:
        raise Unavailable("store", "disk full")

    stand.store.finish = broken  # type: ignore[method-assign]
    with pytest.raises(Unavailable, match="disk full"):
        await stand.open()
    (execution,) = stand.store.executions.values()
    assert execution.state is ExecutionState.CLAIMED
    assert len(stand.executor.runs) == 1


async def test_the_gates_own_time_is_far_below_fifty_milliseconds(keys: Keyring, engine: RegoEngine) -> None:
    spent = []
    for _ in range(20):
        stand = Stand(keys, engine, count=2)
        gate = stand.gate()
        begun = time.perf_counter()
        assert isinstance(await gate.open(REQUEST), Execution)
        spent.append(time.perf_counter() - begun)
    assert sorted(spent)[len(spent) // 2] < 0.05
