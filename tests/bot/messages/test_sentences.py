"""Every sentence the bot says, compared with what is stored beside this file.

To accept new wording: delete the stored file and run once; the test fails, writes what it saw, and the
next run compares with that. Read it before committing it.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from adapters.chat.matrix.content import html_text
from approvals.model import (
    ApprovalRequest,
    Identity,
    Means,
    Person,
    RequestState,
    Requirement,
    Review,
    ReviewVerdict,
    Strength,
)
from approvals.ports import Switch
from approvals.review import Effect, EffectKind
from bot.commands.parser import USAGE
from bot.domain.alert import Alert, AlertStatus, Severity, StoredAlert
from bot.domain.diagnosis import (
    Band,
    Citation,
    Cost,
    Diagnosis,
    DiagnosisVerdict,
    Gap,
    Hypothesis,
    ModelCost,
    ModelNote,
    ModelState,
    Origin,
    PerspectiveState,
    PerspectiveView,
    Quote,
    Similar,
    Suspect,
    Ticket,
)
from bot.domain.evidence import Evidence, EvidenceStatus, Fact, FactVerdict, Window
from bot.domain.graph import Dependents
from bot.domain.ids import (
    AlertId,
    DiagnosisId,
    Digest,
    EvidenceId,
    ExecutionId,
    IncidentId,
    PersonId,
    ProposalId,
    RequestId,
    ReviewId,
    ShortId,
)
from bot.domain.incident import Incident, IncidentState, Route
from bot.domain.message import Message
from bot.domain.outcome import (
    Execution,
    ExecutionResult,
    ExecutionState,
    Outcome,
    OutcomeVerdict,
    VerificationCheck,
)
from bot.domain.past import PastCause, PastIncident, Recurrence
from bot.domain.proposal import Action, DryRun, Proposal, Remediation, RemediationKind, Risk, Target
from bot.messages import answers, approval, incident, replies
from bot.messages.view import IncidentView, RequestView
from bot.messages.words import date_time
from tests.bot.messages import asked
from tests.fakes.room import as_text

SNAPSHOTS = Path(__file__).parent / "snapshots"
NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)

ALERT = Alert(
    source="alertmanager",
    fingerprint="f1",
    status=AlertStatus.FIRING,
    name="MemoryHigh",
    severity=Severity.CRITICAL,
    labels={"service": "cart", "job": "cart"},
    annotations={"summary": "cart uses 900 MiB <b>@room</b>"},
    starts_at=NOW,
    received_at=NOW,
    links={"generator": "http://prometheus.example/graph?g0.expr=x", "runbook": "http://wiki.example/mem"},
)
INCIDENT = Incident(
    id=IncidentId("inc_1"),
    short_id=ShortId("K7QX"),
    state=IncidentState.AWAITING_APPROVAL,
    severity=Severity.CRITICAL,
    title="MemoryHigh: cart uses 900 MiB",
    service="cart",
    environment="staging",
    source="alertmanager",
    group_key="g",
    route=Route(name="default", rooms=("ops",)),
    opened_at=NOW,
    updated_at=NOW,
    firing=2,
    alerts_total=3,
    flaps=1,
)
DIAGNOSIS = Diagnosis(
    id=DiagnosisId("dia_1"),
    incident_id=INCIDENT.id,
    run=1,
    at=NOW,
    verdict=DiagnosisVerdict.ACTION_NEEDED,
    summary="cart leaks memory: 12 MiB/s since 02:51",
    root_cause="memory_growth in process cart",
    band=Band.MEDIUM,
    origin=Origin.RULES,
    citations=(
        Citation(
            evidence_id=EvidenceId("ev_aaaaaa111111"),
            source="prometheus",
            finding="RSS grew from 80 to 900 MiB",
            link="http://prometheus.example/graph",
        ),
        Citation(
            evidence_id=EvidenceId("ev_bbbbbb222222"), source="host", finding="new error in the log ×42"
        ),
    ),
    hypotheses=(
        Hypothesis(object="cart", fault="memory_growth", score=0.9, statement="cart leaks", evidence_ids=()),
        Hypothesis(
            object="host",
            fault="cpu_saturation",
            score=0.2,
            statement="the host is busy",
            evidence_ids=(),
            refuted_by="CPU is at 4 %",
        ),
    ),
    ruled_out=("the whole cluster: 3 of 4 peers are well",),
    gaps=(Gap(what="disk", reason="timeout after 10 s", manual="df -h"),),
    steps=("look at what cart caches",),
    facts=(
        Fact(
            kind="memory_growth",
            verdict=FactVerdict.FOUND,
            confidence=0.9,
            subject="cart",
            evidence_ids=(EvidenceId("ev_aaaaaa111111"),),
            rule="resources.memory_growth",
            detail="12 MiB/s",
        ),
    ),
)
FULL = replace(
    DIAGNOSIS,
    hypotheses=(
        *DIAGNOSIS.hypotheses[:1],
        Hypothesis(
            object="db-0",
            object_kind="datastore",
            fault="db_slow",
            score=0.6,
            statement="queries take 2 s",
            evidence_ids=(),
        ),
        *DIAGNOSIS.hypotheses[1:],
        Hypothesis(object="x", fault="log_errors", score=0.1, statement="errors", evidence_ids=()),
    ),
    ruled_out=("cpu_saturation at host: CPU is at 4 %", *(f"fault {n} at peer {n}: well" for n in range(9))),
    gaps=tuple(Gap(what=f"source {n}", reason="timeout", manual="kubectl get pods -A") for n in range(10)),
    suspects=(
        Suspect(
            change_id="a1b2c3d",
            kind="deploy",
            score=0.8,
            why="it changes the cache that the new error names",
            evidence_ids=(),
            title="cart 1.4.2: cache every key " + "x" * 400,
            service="cart",
            at=NOW - timedelta(hours=5),
        ),
        Suspect(change_id="flag-7", kind="flag", score=0.3, why="switched shortly before", evidence_ids=()),
    ),
    no_culprit=False,
    similar=(
        Similar(
            incident_id=IncidentId("inc_0"),
            short_id="Q2MN",
            title="MemoryHigh: cart",
            service="cart",
            resolved_at=NOW - timedelta(days=9),
            cause="cart: memory keeps growing",
            resolution="process.restart of cart, verified: it helped",
            shared=("memory_growth", "the same service"),
            score=0.914,
        ),
        Similar(
            incident_id=IncidentId("inc_00"),
            short_id="OLD",
            title="a record by hand",
            service="",
            resolved_at=None,
            cause="",
            resolution="",
            shared=(),
            score=0.4,
        ),
    ),
    cost=Cost(seconds=12.34, usd=Decimal("0.07")),
)
SEEN = replace(
    DIAGNOSIS,
    hypotheses=(
        DIAGNOSIS.hypotheses[0],
        replace(
            DIAGNOSIS.hypotheses[0], fault="log_errors", score=0.5, lost_to="symptom of memory_growth at cart"
        ),
        replace(DIAGNOSIS.hypotheses[1], refuted_by=None, score=0.85, lost_to="farther from the alert"),
    ),
    perspectives=(
        PerspectiveView(
            name="runtime", state=PerspectiveState.FOUND, object="cart", fault="memory_growth", score=0.9
        ),
        PerspectiveView(
            name="infra",
            state=PerspectiveState.FOUND,
            object="host",
            fault="cpu_saturation",
            score=0.85,
            against="runtime",
        ),
        PerspectiveView(name="app", state=PerspectiveState.NOTHING, reason="nothing of its own"),
        PerspectiveView(
            name="deps", state=PerspectiveState.BLIND, reason="no logs, traces or Services at hand"
        ),
    ),
)
RECURRING = Recurrence(day=3, week=5)
PROPOSAL = Proposal(
    id=ProposalId("pro_1"),
    incident_id=INCIDENT.id,
    action=Action(name="process.restart", executor="process", params={"process": "cart"}),
    target=Target(kind="process", name="cart", uid="4711@1795221600"),
    rationale="a restart frees the memory",
    rationale_evidence_ids=(EvidenceId("ev_aaaaaa111111"),),
    evidence_digest=Digest("e" * 64),
    risk=Risk.LOW,
    dry_run=DryRun(ok=True, summary="pid 4711 may be signalled", at=NOW, uncovered="the start itself"),
    created_at=NOW,
    max_age=timedelta(hours=1),
    canonical_bytes=b"{}",
    digest=Digest("1a2b3c4d" + "0" * 56),
)
REQUEST = ApprovalRequest(
    id=RequestId("req_1"),
    incident_id=INCIDENT.id,
    proposal_id=PROPOSAL.id,
    proposal_digest=PROPOSAL.digest,
    state=RequestState.PENDING,
    requirement=Requirement(count=2, roles=("approver:process",), strength=Strength.COMMAND),
    created_at=NOW,
    expires_at=NOW + timedelta(minutes=30),
    nonce="n",
    policy_hash="p" * 64,
    evidence_digest=Digest("e" * 64),
    target_uid="4711@1795221600",
)
REVIEW = Review(
    id=ReviewId("rev_1"),
    request_id=REQUEST.id,
    reviewer=PersonId("ana"),
    identity=Identity(platform="matrix", user_id="@ana:example.org"),
    verdict=ReviewVerdict.APPROVE,
    means=Means.COMMAND,
    platform_event_id="$1",
    at=NOW + timedelta(minutes=2),
)
RESULT = ExecutionResult(
    ok=True, summary="pid 4711 → 4812", output="", started_at=NOW, finished_at=NOW + timedelta(seconds=2)
)
EXECUTION = Execution(
    id=ExecutionId("exe_1"),
    incident_id=INCIDENT.id,
    proposal_id=PROPOSAL.id,
    request_id=REQUEST.id,
    digest=PROPOSAL.digest,
    idempotency_key="k",
    state=ExecutionState.SUCCEEDED,
    claimed_at=NOW + timedelta(minutes=3),
    inspect="ps -p 4711",
    result=RESULT,
)
OUTCOME = Outcome(
    execution_id=EXECUTION.id,
    verdict=OutcomeVerdict.VERIFIED,
    at=NOW + timedelta(minutes=8),
    attempt=1,
    checks=(
        VerificationCheck(name="identity", ok=True, detail="4711 → 4812"),
        VerificationCheck(name="alert", ok=True, detail="every alert has resolved"),
        VerificationCheck(name="health", ok=None, detail="no health URL"),
    ),
    last=True,
)
EVIDENCE = Evidence(
    id=EvidenceId("ev_bbbbbb222222"),
    source="host",
    kind="log.tail",
    query="tail",
    window=Window(start=NOW, end=NOW),
    taken_at=NOW,
    status=EvidenceStatus.OK,
    summary="s",
    outsider_writable=True,
)
REQUEST_VIEW = RequestView(request=REQUEST, proposal=PROPOSAL, reviews=(), execution=None, outcomes=())
APPROVED = replace(
    REQUEST_VIEW,
    request=replace(REQUEST, state=RequestState.APPROVED),
    reviews=(REVIEW,),
    execution=EXECUTION,
)
VIEW = IncidentView(
    incident=INCIDENT,
    change=7,
    alerts=(StoredAlert(id=AlertId("a1"), alert=ALERT),),
    diagnosis=DIAGNOSIS,
    remediation=None,
    requests=(REQUEST_VIEW,),
)
RESOLVED = replace(INCIDENT, state=IncidentState.RESOLVED, resolved_at=NOW + timedelta(minutes=9, seconds=3))


PAST = PastIncident(
    id=INCIDENT.id,
    short_id=ShortId("B4N8"),
    service="cart",
    environment=None,
    title="HighMemory: @room memory grows",
    alert_names=("HighMemory",),
    facts=(),
    cause=PastCause(object="cart", object_kind="service", fault="memory_growth"),
    root_cause="cart: memory keeps growing",
    resolution="process.restart of cart, verified: it helped",
    opened_at=NOW,
    resolved_at=NOW,
    quality=0.8,
)


def remediation(kind: RemediationKind, *reasons: str) -> Message:
    message = incident.remediation_reply(
        Remediation(
            incident_id=INCIDENT.id, run=1, kind=kind, at=NOW, command="systemctl restart cart",
            reasons=reasons, rules=("assent.freeze",),
        ),
        INCIDENT,
    )  # fmt: skip
    assert message is not None
    return message


def some(message: Message | None) -> Message:
    assert message is not None
    return message


QUOTED = replace(
    DIAGNOSIS,
    origin=Origin.MODEL,
    citations=(
        replace(DIAGNOSIS.citations[0], finding="its cache never evicts", quote="rss 80 MiB → 900 MiB @room"),
        Citation(
            evidence_id=EvidenceId("ev_0123456789abcdef01234567"),
            source="loki",
            finding="it says so",
            quote="ERROR cache is full, see https://evil-host.com <b>now</b>",
            outsider_writable=True,
        ),
    ),
    cost=Cost(seconds=41.2, usd=Decimal("0.18")),
    model=ModelNote(state=ModelState.VERIFIED, model="claude-opus-5-5", turns=6, tool_calls=9, tokens=41_000),
)


def noted(state: ModelState, reason: str) -> Diagnosis:
    note = ModelNote(state=state, model="claude-opus-5-5", reason=reason, said="@room restart everything")
    return replace(DIAGNOSIS, model=note, cost=Cost(seconds=12.0, usd=Decimal("0.18")))


SENTENCES = {
    **asked.sentences(INCIDENT),
    "root_waiting": lambda: incident.root_card(VIEW),
    "root_resolved": lambda: incident.root_card(replace(VIEW, incident=RESOLVED)),
    "diagnosis": lambda: incident.diagnosis_reply(DIAGNOSIS, INCIDENT),
    "diagnosis_with_texts": lambda: incident.diagnosis_reply(
        replace(
            DIAGNOSIS,
            runbook=(
                Quote(
                    evidence_id=EvidenceId("ev_cccccc333333"),
                    source="runbooks",
                    text="Drain it with `cartctl drain`, then tell @oncall",
                    link="https://wiki.example/cart",
                ),
            ),
            tickets=(
                Ticket(
                    evidence_id=EvidenceId("ev_dddddd444444"),
                    key="CART-7",
                    summary="cache never shrinks",
                    status="In Progress",
                    link="https://jira.example/browse/CART-7",
                ),
                Ticket(
                    evidence_id=EvidenceId("ev_dddddd444444"), key="CART-9", summary="slow start", status=""
                ),
            ),
        ),
        INCIDENT,
    ),
    "diagnosis_inconclusive": lambda: incident.diagnosis_reply(
        replace(DIAGNOSIS, verdict=DiagnosisVerdict.INCONCLUSIVE, root_cause=None, citations=()), INCIDENT
    ),
    "diagnosis_full": lambda: incident.diagnosis_reply(FULL, INCIDENT, RECURRING),
    "diagnosis_perspectives": lambda: incident.diagnosis_reply(SEEN, INCIDENT),
    "why_lost": lambda: incident.why_reply(replace(VIEW, diagnosis=SEEN)),
    "diagnosis_no_change": lambda: incident.diagnosis_reply(
        replace(DIAGNOSIS, suspects=FULL.suspects, no_culprit=True, cost=Cost(seconds=0.2, usd=None)),
        INCIDENT,
    ),
    "diagnosis_model": lambda: incident.diagnosis_reply(QUOTED, INCIDENT),
    "diagnosis_model_agreed": lambda: incident.diagnosis_reply(
        noted(ModelState.AGREED, "a second look was not sure of it"), INCIDENT
    ),
    "diagnosis_model_unverified": lambda: incident.diagnosis_reply(
        replace(noted(ModelState.UNVERIFIED, "2 of 3 quotes were not found in the evidence"), citations=()),
        INCIDENT,
    ),
    "diagnosis_model_failed": lambda: incident.diagnosis_reply(
        noted(ModelState.FAILED, "it refused to answer"), INCIDENT
    ),
    "diagnosis_model_skipped": lambda: incident.diagnosis_reply(
        replace(DIAGNOSIS, model=ModelNote(state=ModelState.SKIPPED, reason="no alert of it fires any more")),
        INCIDENT,
    ),
    "budget": lambda: incident.budget_reply(NOW.date()),
    "diagnosis_calibration": lambda: incident.diagnosis_reply(
        replace(DIAGNOSIS, hypotheses=DIAGNOSIS.hypotheses[:1], steps=()), INCIDENT, calibration=True
    ),
    "root_recurring": lambda: incident.root_card(replace(VIEW, recurrence=RECURRING)),
    "root_model_cost": lambda: incident.root_card(replace(VIEW, model_cost=ModelCost(usd=Decimal("0.1849")))),
    "root_calibration": lambda: incident.root_card(replace(VIEW, calibration=True)),
    "advice": lambda: remediation(RemediationKind.ADVISORY, "execution is not enabled"),
    "denied": lambda: remediation(RemediationKind.DENIED, "a freeze is on until Monday"),
    "unavailable": lambda: remediation(RemediationKind.UNAVAILABLE, "process cart is not running"),
    "resolved": lambda: incident.resolved_reply(RESOLVED),
    "reopened": lambda: incident.reopened_reply(INCIDENT),
    "show": lambda: incident.incident_details(VIEW),
    "why": lambda: incident.why_reply(VIEW),
    "card_pending": lambda: approval.approval_card(INCIDENT, REQUEST_VIEW, (EVIDENCE,)),
    "card_rejected": lambda: approval.approval_card(
        INCIDENT,
        replace(
            REQUEST_VIEW,
            request=replace(REQUEST, state=RequestState.REJECTED, ended_reason="rejected by ana"),
            reviews=(replace(REVIEW, verdict=ReviewVerdict.REJECT, reason="not at noon"),),
        ),
        (),
    ),
    "card_expired": lambda: approval.approval_card(
        INCIDENT,
        replace(
            REQUEST_VIEW,
            request=replace(REQUEST, state=RequestState.EXPIRED, ended_reason="nobody decided in time"),
        ),
        (),
    ),
    "card_running": lambda: approval.approval_card(
        INCIDENT,
        replace(APPROVED, execution=replace(EXECUTION, state=ExecutionState.CLAIMED, result=None)),
        (),
    ),
    "card_verified": lambda: approval.approval_card(INCIDENT, replace(APPROVED, outcomes=(OUTCOME,)), ()),
    "card_unknown": lambda: approval.approval_card(
        INCIDENT,
        replace(APPROVED, execution=replace(EXECUTION, state=ExecutionState.UNKNOWN, result=None)),
        (),
    ),
    "ran": lambda: some(approval.execution_reply(INCIDENT, APPROVED)),
    "outcome": lambda: approval.outcome_reply(INCIDENT, EXECUTION, OUTCOME),
    "cancelled": lambda: some(
        approval.ended_reply(
            INCIDENT,
            replace(
                REQUEST_VIEW,
                request=replace(REQUEST, state=RequestState.CANCELLED, ended_reason="kill switch is on"),
            ),
        )
    ),
    "reminder": lambda: approval.reminder_reply(INCIDENT, REQUEST, NOW + timedelta(minutes=15)),
    "past": lambda: replies.past_reply(("cart",), (PAST, replace(PAST, cause=None, root_cause=None))),
    "past_none": lambda: replies.past_reply(("cart",), ()),
    "help": lambda: replies.help_reply(USAGE),
    "not_understood": lambda: replies.not_understood("I do not know the command “aprove”", "approve"),
    "status": lambda: replies.status_reply([INCIDENT], Switch(paused=False), None),
    "status_bad": lambda: replies.status_reply(
        [], Switch(paused=True, actor="ana", reason="upgrade"), "entry 7 was changed"
    ),
    "whoami": lambda: replies.whoami_reply(
        REVIEW.identity,
        Person(id=PersonId("ana"), identities=frozenset({REVIEW.identity}), roles=frozenset({"admin"})),
    ),
    "whoami_stranger": lambda: replies.whoami_reply(REVIEW.identity, None),
    "review_refused": lambda: replies.review_refused(
        "K7QX", Effect(kind=EffectKind.REFUSED, reason="bot", hint="A bot cannot review.")
    ),
    "review_recorded": lambda: replies.review_answer(
        "K7QX", Effect(kind=EffectKind.RECORDED, approvals=1), 2
    ),
    "review_late": lambda: replies.review_answer("K7QX", Effect(kind=EffectKind.LATE, reason="expired"), 1),
    "paused": lambda: replies.switched(Switch(paused=True, actor="ana", reason="upgrade")),
}


@pytest.mark.parametrize("name", sorted(SENTENCES))
def test_the_bot_says_what_it_said_before(name: str) -> None:
    said = as_text(SENTENCES[name]()) + "\n"
    stored = SNAPSHOTS / f"{name}.txt"
    if not stored.exists():
        SNAPSHOTS.mkdir(exist_ok=True)
        stored.write_text(said, encoding="utf-8")
        pytest.fail(f"{stored.name} did not exist; it does now, read it")
    assert said == stored.read_text(encoding="utf-8")


def test_no_stored_sentence_is_left_over() -> None:
    assert {path.stem for path in SNAPSHOTS.glob("*.txt")} == set(SENTENCES)


def test_a_card_shows_the_action_the_digest_binds_and_no_prose_in_its_place() -> None:
    shown = as_text(approval.approval_card(INCIDENT, REQUEST_VIEW, ()))
    for needed in ("process.restart", "process=cart", "4711@1795221600", "1a2b3c4d", "low"):
        assert needed in shown


LIVE = "see https://evil.example.com/?q=x @room www.evil.example.com"


def test_what_somebody_chose_is_inert_wherever_a_typed_action_is_shown() -> None:
    action = replace(PROPOSAL.action, params={"comment": LIVE})
    target = replace(PROPOSAL.target, name=LIVE, uid=LIVE)
    view = replace(REQUEST_VIEW, proposal=replace(PROPOSAL, action=action, target=target))
    lost = replace(EXECUTION, state=ExecutionState.UNKNOWN, result=None, inspect=LIVE)
    unknown = replace(APPROVED, proposal=view.proposal, execution=lost)
    advice = Remediation(incident_id=INCIDENT.id, run=1, kind=RemediationKind.ADVISORY, at=NOW, command=LIVE)
    wish = replace(asked.WISH, params={"comment": LIVE})
    assert asked.ANSWER.suggestion is not None
    told = replace(asked.ANSWER, suggestion=replace(asked.ANSWER.suggestion, params={"comment": LIVE}))
    shown = [
        approval.approval_card(INCIDENT, view, ()),
        approval.approval_card(INCIDENT, unknown, ()),
        some(incident.remediation_reply(advice, INCIDENT)),
        answers.wish_declined(INCIDENT, wish, (LIVE,), command=LIVE),
        answers.wish_received(INCIDENT, wish),
        answers.question_answer(INCIDENT, asked.QUESTION, told),
    ]
    for message in shown:
        for text in (as_text(message), html_text(message)):
            assert "evil" in text
            assert not [
                live for live in ("https://", "@room", "www.evil", "evil.example.com") if live in text
            ]


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (Dependents(), "Dependents: no dependents seen, which does not mean that nothing depends on it"),
        (Dependents(names=("web",)), "Dependents: 1 service is known to depend on it (declared): web"),
        (
            Dependents(names=("jobs", "web"), seen_at=NOW, more=5),
            "Dependents: 7 services are known to depend on it "
            f"(last seen {date_time(NOW)}): jobs, web and 5 more",
        ),
    ],
)
def test_a_card_says_how_many_services_are_known_to_depend_on_the_target(
    known: Dependents, said: str
) -> None:
    target = replace(PROPOSAL.target, dependents=known)
    view = replace(REQUEST_VIEW, proposal=replace(PROPOSAL, target=target))
    assert said in as_text(approval.approval_card(INCIDENT, view, ())).splitlines()


def test_a_card_of_before_anybody_looked_says_nothing_of_dependents() -> None:
    assert PROPOSAL.target.dependents is None
    assert "Dependents" not in as_text(approval.approval_card(INCIDENT, REQUEST_VIEW, ()))


@pytest.mark.parametrize(
    ("usd", "whole", "said"),
    [
        ("0", True, "0.00 USD"),
        ("0.004", True, "less than 0.01 USD"),
        ("1.005", True, "1.00 USD"),
        ("0", False, "its price is not known"),
        ("0.21", False, "0.21 USD, and more whose price is not known"),
    ],
)
def test_a_card_says_what_the_model_has_cost_and_what_of_it_is_not_known(
    usd: str, whole: bool, said: str
) -> None:
    view = replace(VIEW, model_cost=ModelCost(usd=Decimal(usd), whole=whole))
    assert f"Model cost: {said}" in as_text(incident.root_card(view)).splitlines()


def test_outside_text_cannot_ping_a_room() -> None:
    assert "@room" not in as_text(incident.root_card(VIEW))


def test_perspectives_that_add_nothing_to_the_causes_are_not_shown() -> None:
    agreed = replace(SEEN, perspectives=(SEEN.perspectives[0], SEEN.perspectives[2]))
    assert "Seen from" not in as_text(incident.diagnosis_reply(agreed, INCIDENT))
