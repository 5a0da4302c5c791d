"""Past incidents that look like this one, and those that only seem to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.domain.evidence import Fact, FactVerdict
from bot.domain.past import Role, names_of, past_facts, role_of
from investigators.ports import Case
from investigators.similar import similar
from tests.fakes.evidence import NOW
from tests.investigators.world import alert, case

Kinds = Sequence[str | tuple[str, str, str]]


def fact(kind: str, subject: str = "demo", subject_kind: str = "", verdict: str = "found") -> Fact:
    return Fact(
        kind=kind,
        verdict=FactVerdict(verdict),
        confidence=0.9,
        subject=subject,
        evidence_ids=(),
        rule="r",
        subject_kind=subject_kind,
    )


def entry(number: int, kinds: Kinds, *, days: float = 1, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"inc_past{number}",
        "short_id": f"P{number}",
        "service": "elsewhere",
        "environment": None,
        "title": "something",
        "alert_names": ["SomethingElse"],
        "facts": [[kind, "", "own"] if isinstance(kind, str) else list(kind) for kind in kinds],
        "cause": {"object": "elsewhere", "object_kind": "service", "fault": "none_of_these"},
        "root_cause": "elsewhere: it broke",
        "resolution": "process.restart of elsewhere, verified: it helped",
        "opened_at": (NOW - timedelta(days=days, hours=1)).isoformat(),
        "resolved_at": (NOW - timedelta(days=days)).isoformat(),
        "quality": 0.8,
        **changes,
    }


def noise(
    count: int, kinds: Kinds = ("alert_condition", "log_errors", "cpu_saturation")
) -> list[dict[str, Any]]:
    return [entry(100 + number, kinds, days=2) for number in range(count)]


def about(service: str | None) -> Case:
    asked = case(alert("MemoryHigh"))
    return replace(asked, incident=replace(asked.incident, service=service))


def found(facts: Sequence[Fact], past: Sequence[Any], service: str | None = None) -> list[str]:
    return [one.short_id for one in similar(facts, about(service), past)]


USUAL = [fact("alert_condition"), fact("log_errors")]
LEAK = [*USUAL, fact("memory_growth"), fact("oom_killed")]


def test_the_incident_with_the_same_rare_facts_is_found_among_many() -> None:
    past = [*noise(40), entry(1, ["alert_condition", "memory_growth", "oom_killed"])]
    (one,) = similar(LEAK, case(alert("MemoryHigh")), past)
    assert one.short_id == "P1"
    assert one.cause == "elsewhere: it broke"
    assert one.resolution == "process.restart of elsewhere, verified: it helped"
    assert set(one.shared[:2]) == {"memory_growth", "oom_killed"}
    assert one.resolved_at == NOW - timedelta(days=1)
    assert 0 < one.score <= 1


@pytest.mark.parametrize("count", [1, 2, 5, 50])
@pytest.mark.parametrize(
    "kinds",
    [
        ("alert_condition",),
        ("log_errors",),
        ("target_down",),
        ("alert_condition", "log_errors"),
        ("alert_condition", "log_errors", "scope_one_instance"),
    ],
)
def test_common_kinds_alone_never_make_a_match(count: int, kinds: tuple[str, ...]) -> None:
    past = [entry(n, kinds, service="demo", alert_names=["MemoryHigh"]) for n in range(count)]
    facts = [fact(kind) for kind in kinds]
    assert found(facts, past) == []
    assert found(facts, past, service="demo") == []


def test_a_kind_that_every_past_incident_has_makes_no_match_alone() -> None:
    facts = [fact("cpu_saturation")]
    assert found(facts, noise(40, ("cpu_saturation",))) == []
    assert found(facts, [entry(1, ["cpu_saturation"])]) == ["P1"], (
        "of a single one nobody knows how common it is"
    )


def test_the_same_trouble_of_the_same_service_is_found_however_often_it_came() -> None:
    again = [
        entry(n, ["memory_growth"], days=n, service="demo", alert_names=["MemoryHigh"]) for n in range(1, 20)
    ]
    assert found([fact("memory_growth")], again) == [], "of another service it would be a lone common kind"
    matches = similar([fact("memory_growth")], about("demo"), again)
    assert [one.short_id for one in matches] == ["P1", "P2", "P3"], "at most three, the newest first"
    assert matches[0].shared == ("memory_growth", "the same service", "the alert MemoryHigh")


def test_what_was_only_looked_for_is_not_shared() -> None:
    past = [entry(1, ["memory_growth", "oom_killed"])]
    facts = [fact("memory_growth", verdict="absent"), fact("oom_killed", verdict="unknown")]
    assert found(facts, past) == []


def test_a_much_larger_incident_that_shares_one_kind_is_not_alike() -> None:
    big = entry(1, [f"kind_{n}" for n in range(12)] + ["memory_growth"])
    assert found([fact("memory_growth")], [big, *noise(5)]) == []


def test_the_kind_that_was_the_cause_counts_more() -> None:
    kinds = ["memory_growth", "fd_exhaustion", "dns_failure", "disk_filling"]
    facts = [fact("memory_growth"), fact("quota_exceeded")]
    cause = {"object": "x", "object_kind": "", "fault": "memory_growth"}
    assert found(facts, [entry(1, kinds)]) == []
    assert found(facts, [entry(1, kinds, cause=cause)]) == ["P1"]


def test_the_same_fault_of_a_dependency_is_less_alike_than_of_the_service_itself() -> None:
    past = [
        entry(1, [("oom_killed", "pod", "dependency")]),
        entry(2, [("oom_killed", "pod", "own")]),
        entry(3, [("oom_killed", "", "own")]),
        *noise(9),
    ]
    facts = [fact("oom_killed", "demo-0", "pod")]
    assert found(facts, past, "demo") == ["P2", "P3"]


def test_an_old_incident_counts_less_than_a_new_one() -> None:
    kinds = ["memory_growth", "oom_killed"]
    past = [entry(1, kinds, days=400), entry(2, kinds, days=3), entry(3, kinds, days=90)]
    assert found(LEAK, past) == ["P2", "P3", "P1"]
    assert found([fact("memory_growth")], [entry(1, [*kinds, "dns_failure"], days=400)]) == []


def test_this_incident_and_bad_examples_are_passed_over() -> None:
    kinds = ["memory_growth", "oom_killed"]
    past = [entry(1, kinds, id="inc_1"), entry(2, kinds, quality=0.4), entry(3, kinds)]
    assert found(LEAK, past) == ["P3"]


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"id": "x"},
        {"id": "x", "facts": "memory_growth"},
        {"id": "x", "facts": [1, None, [], [1, 2, 3], {}]},
        {"id": 7, "facts": [["memory_growth", "", "own"]]},
        {"id": "x", "facts": ["memory_growth"], "quality": "good"},
    ],
)
def test_what_is_no_past_incident_is_passed_over(broken: dict[str, Any]) -> None:
    assert found(LEAK, [broken, entry(1, ["memory_growth", "oom_killed"])]) == ["P1"]


def test_a_recording_written_by_hand_needs_little() -> None:
    by_hand = {
        "short_id": "OLD",
        "facts": ["memory_growth", ["oom_killed", "pod", "nobody"]],
        "cause": {"object": "cart", "fault": "oom_killed"},
        "resolved_at": "2026-01-01",
        "alert_names": 3,
    }
    (one,) = similar(LEAK, case(alert()), [by_hand])
    assert (one.short_id, one.incident_id, one.cause, one.resolution) == (
        "OLD",
        "OLD",
        "oom_killed at cart",
        "",
    )
    assert one.resolved_at is not None
    assert one.resolved_at.tzinfo is not None


def test_the_answer_does_not_depend_on_the_order_of_the_past() -> None:
    past = [entry(n, ["memory_growth", "oom_killed"], days=1) for n in range(6)]
    assert found(LEAK, past) == found(LEAK, past[::-1]) == ["P0", "P1", "P2"]


def test_no_past_and_no_facts_are_like_nothing() -> None:
    assert found(LEAK, []) == []
    assert found([], [entry(1, ["memory_growth"])]) == []


@pytest.mark.parametrize(
    ("subject", "subject_kind", "role"),
    [
        ("whatever", "", Role.OWN),
        ("cart", "service", Role.OWN),
        ("cart-0", "pod", Role.OWN),
        ("cart-7d9f8b6c5-x2k4j", "pod", Role.OWN),
        ("cart-x2k4j", "pod", Role.OWN),
        ("cart-redis", "pod", Role.OTHER),
        ("cart-cache", "service", Role.DEPENDENCY),
        ("db", "datastore", Role.DEPENDENCY),
        ("node-1", "node", Role.NODE),
        ("cart", "host", Role.NODE),
        ("shop", "namespace", Role.OTHER),
    ],
)
def test_what_a_subject_is_to_the_incident(subject: str, subject_kind: str, role: Role) -> None:
    assert role_of(fact("k", subject, subject_kind), names_of("cart", [])) is role


def test_facts_are_kept_by_kind_and_role_and_not_by_name() -> None:
    own = names_of("cart", [alert(labels={"pod": "cart-1", "app": "shop"})])
    assert own == {"cart", "cart-1", "shop"}
    kept = past_facts(
        [
            fact("oom_killed", "cart-1", "pod"),
            fact("oom_killed", "cart-2", "pod"),
            fact("oom_killed", "db-0", "pod"),
            fact("dns_failure", "cart", "service", verdict="absent"),
        ],
        own,
    )
    assert [(one.kind, one.role) for one in kept] == [("oom_killed", Role.OTHER), ("oom_killed", Role.OWN)]
