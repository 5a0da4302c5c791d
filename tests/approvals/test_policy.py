from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import config
from adapters.policy import load_engine
from approvals.catalogue import builtin_catalogue
from approvals.document import FreezeWindow, check_document, epoch_ns, input_document, words
from approvals.model import Decision, DecisionKind, Requirement, Strength
from approvals.policy import (
    PolicyGuard,
    PolicySettings,
    RiskSettings,
    compute_risk,
    policy_data,
    stricter,
)
from bot.domain.alert import Criticality
from bot.domain.errors import InputError, Unavailable
from bot.domain.proposal import Action, Risk
from tests.approvals import world
from tests.approvals.world import START
from tests.fakes.policy_engine import FakeEngine

RESTART = builtin_catalogue()["process.restart"]
READ_ONLY = replace(RESTART, read_only=True)
ONE = {"id": "one", "count": 1, "roles": ["approver:process"], "strength": "reaction"}
POLICIES = Path(config.__file__).parent / "policies"


async def decide(answer: Any, **changes: Any) -> Decision:
    return await PolicyGuard(FakeEngine(answer), 0.05).decide(world.question(**changes))


# risk


@pytest.mark.parametrize(
    ("change", "risk"),
    [
        ({}, Risk.LOW),
        ({"labels": {"criticality": "low"}}, Risk.LOW),
        ({"labels": {"criticality": "Critical"}}, Risk.MEDIUM),
        ({"labels": {"env": "PROD"}}, Risk.MEDIUM),
        ({"labels": {"env": "prod", "criticality": "high"}}, Risk.HIGH),
        ({"blast_radius": 4}, Risk.LOW),
        ({"blast_radius": 5}, Risk.MEDIUM),
        ({"blast_radius": 10}, Risk.HIGH),
        ({"name": "orders-db"}, Risk.HIGH),
        ({"name": "postgres-0"}, Risk.HIGH),
        ({"name": "redis2"}, Risk.HIGH),
        ({"name": "ETCD"}, Risk.HIGH),
        ({"name": "kafka_broker"}, Risk.HIGH),
        ({"name": "feedback"}, Risk.LOW),
        ({"name": "dbus-proxy"}, Risk.LOW),
        ({"name": "checkoutdbx"}, Risk.LOW),
        ({"labels": {"service": "payments-mysql"}}, Risk.HIGH),
    ],
)
def test_risk_follows_from_the_target(change: dict[str, Any], risk: Risk) -> None:
    assert compute_risk(RESTART, world.target(**change), world.incident(), RiskSettings()) is risk


def test_risk_follows_from_the_incident_too() -> None:
    settings = RiskSettings()
    assert compute_risk(RESTART, world.target(), world.incident(service="main-db"), settings) is Risk.HIGH
    assert (
        compute_risk(RESTART, world.target(), world.incident(environment="production"), settings)
        is Risk.MEDIUM
    )


@pytest.mark.parametrize(
    ("configured", "claimed", "seen"),
    [
        (None, Criticality.HIGH, "high"),
        ("low", Criticality.CRITICAL, "critical"),
        ("high", Criticality.CRITICAL, "critical"),
        ("Critical", Criticality.HIGH, "Critical"),
        ("low", None, "low"),
    ],
)
def test_an_alert_may_raise_the_criticality_of_the_target_and_never_lowers_it(
    configured: str | None, claimed: Criticality | None, seen: str
) -> None:
    target = world.target(labels={"criticality": configured} if configured else {})
    incident = world.incident(criticality=claimed)
    question = world.question(target=target, incident=incident)
    assert input_document(question, RiskSettings())["target"]["labels"] == {"criticality": seen}
    risk = compute_risk(RESTART, target, incident, RiskSettings())
    assert risk is (Risk.LOW if seen == "low" else Risk.MEDIUM)


def test_looking_has_the_risk_of_looking() -> None:
    risk = compute_risk(READ_ONLY, world.target(name="db", blast_radius=99), world.incident(), RiskSettings())
    assert risk is Risk.LOW


# the guard


async def test_a_change_that_policy_merely_allows_still_needs_a_person() -> None:
    decision = await decide({"allow": True})
    assert decision.kind is DecisionKind.REQUIRE_REVIEW
    assert decision.requirement == world.requirement()
    assert decision.rules == ("guard:default-review",)
    assert decision.policy_hash == FakeEngine.policy_hash


async def test_only_reading_is_allowed_without_a_person() -> None:
    decision = await decide({"allow": True, "rules": ["read-only"]}, spec=READ_ONLY)
    assert (decision.kind, decision.rules) == (DecisionKind.ALLOW, ("read-only",))
    assert (await decide({"allow": True, "require": [ONE]}, spec=READ_ONLY)).kind is (
        DecisionKind.REQUIRE_REVIEW
    )


@pytest.mark.parametrize("answer", [{}, {"allow": False}, {"require": [ONE]}, {"deny": []}])
async def test_what_is_not_allowed_is_denied(answer: dict[str, Any]) -> None:
    for spec in (RESTART, READ_ONLY):
        decision = await decide(answer, spec=spec)
        assert (decision.kind, decision.rules) == (DecisionKind.DENY, ("guard:default-deny",))
        assert decision.requirement is None


async def test_a_deny_wins_and_says_why() -> None:
    denials = [{"id": "a", "reason": "because"}, {"id": "b", "reason": "and because"}]
    for spec in (RESTART, READ_ONLY):
        decision = await decide({"allow": True, "deny": denials, "require": [ONE]}, spec=spec)
        assert decision.kind is DecisionKind.DENY
        assert (decision.rules, decision.reasons) == (("a", "b"), ("because", "and because"))


async def test_several_requirements_become_the_strictest() -> None:
    two = {"id": "two", "count": 2, "roles": ["approver:*", "admin"], "strength": "command", "reason": "why"}
    decision = await decide({"allow": True, "require": [ONE, two]})
    assert decision.requirement == Requirement(
        count=2, roles=("approver:process",), strength=Strength.COMMAND
    )
    assert decision.rules == ("one", "two")
    assert decision.reasons == ("why",)


async def test_requirements_that_no_one_role_meets_deny() -> None:
    admin = {"id": "two", "count": 1, "roles": ["admin"], "strength": "command"}
    decision = await decide({"allow": True, "require": [ONE, admin]})
    assert (decision.kind, decision.rules) == (DecisionKind.DENY, ("guard:no-common-role",))


async def test_a_high_risk_is_never_left_to_a_reaction() -> None:
    for answer in ({"allow": True}, {"allow": True, "require": [ONE]}):
        decision = await decide(answer, risk=Risk.HIGH)
        assert decision.requirement is not None
        assert decision.requirement.strength is Strength.COMMAND
        assert "guard:high-risk" in decision.rules


MALFORMED: list[Any] = [
    [],
    "allow",
    {"allow": 1},
    {"allow": "true"},
    {"allow": None},
    {"allow": True, "alow": True},
    {"allow": True, "deny": True},
    {"allow": True, "deny": {"id": "a", "reason": "b"}},
    {"allow": True, "deny": ["no"]},
    {"allow": True, "deny": [{"id": "a"}]},
    {"allow": True, "deny": [{"id": "a", "reason": ""}]},
    {"allow": True, "deny": [{"id": "a", "reason": "b", "more": 1}]},
    {"allow": True, "rules": [1]},
    {"allow": True, "require": [{}]},
    {"allow": True, "require": [{**ONE, "count": 0}]},
    {"allow": True, "require": [{**ONE, "count": 21}]},
    {"allow": True, "require": [{**ONE, "count": True}]},
    {"allow": True, "require": [{**ONE, "count": "1"}]},
    {"allow": True, "require": [{**ONE, "count": 1.5}]},
    {"allow": True, "require": [{**ONE, "roles": []}]},
    {"allow": True, "require": [{**ONE, "roles": "admin"}]},
    {"allow": True, "require": [{**ONE, "roles": [1]}]},
    {"allow": True, "require": [{**ONE, "strength": "strong"}]},
    {"allow": True, "require": [{**ONE, "strength": 1}]},
    {"allow": True, "require": [{**ONE, "strenght": "command"}]},
]


@pytest.mark.parametrize("answer", MALFORMED, ids=repr)
async def test_an_answer_of_another_form_denies(answer: Any) -> None:
    for spec in (RESTART, READ_ONLY):
        decision = await decide(answer, spec=spec)
        assert (decision.kind, decision.rules) == (DecisionKind.DENY, ("guard:answer",))
        assert decision.reasons


async def test_an_engine_that_fails_denies_and_says_so() -> None:
    decision = await decide(Unavailable("policy", "bundle is gone"))
    assert (decision.kind, decision.rules) == (DecisionKind.DENY, ("guard:error",))
    assert "bundle is gone" in decision.reasons[0]
    crashed = await decide(RuntimeError("password=hunter2"))
    assert crashed.kind is DecisionKind.DENY
    assert "RuntimeError" in crashed.reasons[0]
    assert "hunter2" not in crashed.reasons[0]


async def test_an_engine_that_never_answers_denies() -> None:
    decision = await decide(None)
    assert (decision.kind, decision.rules) == (DecisionKind.DENY, ("guard:timeout",))


async def test_a_question_of_another_shape_is_never_asked() -> None:
    engine = FakeEngine({"allow": True})
    odd = Action(name="process.restart", executor="process", params={"process": "\ud800"})
    decision = await PolicyGuard(engine, 1.0).decide(world.question(action=odd))
    assert (decision.kind, decision.rules) == (DecisionKind.DENY, ("guard:input",))
    assert "input.action.params" in decision.reasons[0]
    assert engine.asked == []


# the document


def test_the_document_has_exactly_its_shape() -> None:
    document = input_document(world.question(), RiskSettings())
    check_document(document)
    for name in document:
        with pytest.raises(InputError, match=name):
            check_document({key: value for key, value in document.items() if key != name})
    with pytest.raises(InputError, match="extra"):
        check_document({**document, "extra": 1})
    with pytest.raises(InputError, match=r"input\.target\.blast_radius: must be integer"):
        check_document({**document, "target": {**document["target"], "blast_radius": "many"}})
    with pytest.raises(InputError, match=r"input\.time: must be an object"):
        check_document({**document, "time": 5})


def test_times_are_ready_made() -> None:
    document = input_document(world.question(at=START + timedelta(microseconds=1)), RiskSettings())
    assert document["time"] == {"ns": 1793696400000001000, "weekday": "tuesday", "hour": 9, "minute": 0}


def test_unknown_things_are_said_to_be_unknown() -> None:
    document = input_document(world.question(band=None, evidence_age=None), RiskSettings())
    assert document["band"] == "unknown"
    assert document["evidence"] == {"known": False, "age_seconds": -1}
    assert document["requester"] == {"known": False, "person": ""}


def test_names_environments_and_namespaces_come_from_everywhere_in_lower_case() -> None:
    target = world.target(
        name="Worker", labels={"service": "Keycloak", "env": "Prod", "namespace": "Kube-System"}
    )
    incident = world.incident(service="Login", environment="Staging", correlation={"namespace": "web"})
    document = input_document(world.question(target=target, incident=incident), RiskSettings())
    assert document["target"]["names"] == ["worker", "keycloak", "login"]
    assert document["environments"] == ["staging", "prod"]
    assert document["target"]["namespaces"] == ["kube-system", "web"]


def test_words_are_whole() -> None:
    assert words("vm.delete_disk") == ["vm", "delete", "disk"]
    assert words("db2") == ["db2", "db"]
    assert words("--") == []


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("tomorrow", "2030-01-01T00:00:00Z"),
        ("2030-01-01T00:00:00", "2030-01-02T00:00:00Z"),
        ("2030-01-02T00:00:00Z", "2030-01-01T00:00:00Z"),
        ("2030-01-01T00:00:00Z", "2030-01-01T00:00:00Z"),
    ],
)
def test_a_freeze_that_is_no_span_of_time_is_refused(start: str, end: str) -> None:
    with pytest.raises(InputError, match="freeze"):
        FreezeWindow.parse(start, end, "why")


def test_settings_reach_the_policy_in_its_own_form() -> None:
    freeze = FreezeWindow.parse("2026-12-24T00:00:00Z", "2026-12-27T00:00:00+01:00", "holidays")
    data = policy_data(PolicySettings(critical_services=("Step-CA",), freezes=(freeze,)), RiskSettings())
    assert data["settings"]["critical_services"] == ["step-ca"]
    assert data["settings"]["freezes"] == [
        {"start_ns": epoch_ns(freeze.start), "end_ns": epoch_ns(freeze.end), "reason": "holidays"}
    ]


# strictest


def test_the_strictest_of_no_requirements_is_none() -> None:
    assert stricter([]) is None


def test_roles_that_all_name_are_kept_and_a_wildcard_stands_for_its_classes() -> None:
    either = world.requirement(roles=["approver:process", "admin"])
    assert stricter([either, world.requirement(roles=["admin", "owner"])]) == world.requirement(
        roles=["admin"]
    )
    assert stricter([either, world.requirement(roles=["approver:*"])]) == world.requirement(
        roles=["approver:process"]
    )
    assert stricter([world.requirement(roles=["approver:*"]), either]) == world.requirement(
        roles=["approver:process"]
    )


# the shipped policy behind the guard


@pytest.mark.parametrize(
    ("change", "count", "strength"),
    [
        ({}, 1, Strength.REACTION),
        ({"risk": Risk.HIGH}, 1, Strength.COMMAND),
        ({"target": world.target(name="orders-db"), "risk": Risk.HIGH}, 2, Strength.COMMAND),
        ({"evidence_age": 3601.0}, 2, Strength.REACTION),
        ({"band": None}, 2, Strength.REACTION),
    ],
)
async def test_the_shipped_policy_asks_for(change: dict[str, Any], count: int, strength: Strength) -> None:
    engine = load_engine(POLICIES, policy_data(PolicySettings(), RiskSettings()))
    decision = await PolicyGuard(engine, 1.0).decide(world.question(**change))
    assert decision.requirement == world.requirement(count, strength)
    assert "one-approval" in decision.rules
    assert all(reason for reason in decision.reasons)


async def test_the_shipped_policy_lets_each_class_approve_its_own() -> None:
    engine = load_engine(POLICIES, policy_data(PolicySettings(), RiskSettings()))
    spec = builtin_catalogue()["alertmanager.silence"]
    action = Action(name=spec.name, executor=spec.executor, params={"matchers": "a=b"})
    decision = await PolicyGuard(engine, 1.0).decide(world.question(spec=spec, action=action))
    assert decision.requirement == world.requirement(roles=["approver:alertmanager"])
