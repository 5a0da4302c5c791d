"""Which known dependents of a faulty object show symptoms, and that nothing follows where none do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from bot.domain.evidence import Fact, FactVerdict
from bot.domain.graph import Edge, Graph
from bot.domain.ids import EvidenceId
from investigators.dependents import dependents_affected
from tests.investigators.platform.build import NOW, world

EDGES = [("web", "cart"), ("cart", "db"), ("jobs", "db"), ("mail", "queue")]


def fact(
    kind: str, subject: str, verdict: FactVerdict = FactVerdict.FOUND, ids: Sequence[str] = ("e1",)
) -> Fact:
    return Fact(
        kind=kind,
        verdict=verdict,
        confidence=0.9,
        subject=subject,
        subject_kind="service",
        evidence_ids=tuple(EvidenceId(one) for one in ids),
        rule="test",
    )


FAULT = fact("oom_killed", "db")


def test_dependents_with_symptoms_are_named_with_where_that_is_known_from() -> None:
    facts = [FAULT, fact("error_rate_shift", "web", ids=("e2",)), fact("latency_shift", "cart", ids=("e3",))]
    found, _cart = dependents_affected(world(edges=EDGES, subjects=()), facts)
    assert (found.kind, found.subject, found.verdict) == ("dependents_affected", "db", FactVerdict.FOUND)
    assert found.values == {"affected": 2.0, "known": 3.0}
    assert found.detail == (
        "2 of 3 known to depend on db show symptoms: cart (latency_shift; calls it: spans, just now); "
        "web (error_rate_shift; calls it through cart: spans, just now)"
    )
    assert found.evidence_ids == ("e3", "e2")


def test_a_dependent_whose_alert_fires_counts() -> None:
    (found,) = dependents_affected(world(edges=EDGES, subjects=("jobs",)), [FAULT])
    assert "jobs (its alert fires; calls it: spans, just now)" in found.detail


@pytest.mark.parametrize(
    "facts",
    [
        [FAULT],
        [FAULT, fact("error_rate_shift", "mail")],
        [FAULT, fact("error_rate_shift", "web", FactVerdict.ABSENT)],
        [FAULT, fact("error_rate_shift", "web", FactVerdict.UNKNOWN)],
        [fact("oom_killed", "db", FactVerdict.UNKNOWN), fact("error_rate_shift", "web")],
    ],
    ids=["no symptom", "elsewhere", "absent", "unknown", "no fault"],
)
def test_nothing_is_concluded_where_no_dependent_shows_anything(facts: list[Fact]) -> None:
    found = dependents_affected(world(edges=EDGES, subjects=()), facts)
    assert [one for one in found if one.subject == "db"] == []


def test_dependents_further_than_two_steps_are_left_out() -> None:
    edges = [("a", "b"), ("b", "c"), ("c", "db")]
    found = dependents_affected(world(edges=edges, subjects=()), [FAULT, fact("error_rate_shift", "a")])
    assert [one for one in found if one.subject == "db"] == []


def test_services_that_depend_on_each_other_are_no_dependents() -> None:
    edges = [("db", "cart"), ("cart", "db")]
    facts = [FAULT, fact("error_rate_shift", "cart")]
    assert dependents_affected(world(edges=edges, subjects=()), facts) == ()


def test_what_is_at_fault_itself_is_told_with_the_age_of_its_edges() -> None:
    made = world(subjects=("cart",))
    old = Edge(source="cart", target="db", kind="uses", origin="volume", evidence_id="e9")
    made = replace(made, graph=Graph.build({"db": "datastore"}, [replace(old, origin="configuration")]))
    (found,) = dependents_affected(made, [replace(FAULT, subject_kind="datastore")])
    assert "cart (its alert fires; uses it: configuration)" in found.detail
    assert found.subject_kind == "datastore"
    assert found.evidence_ids == ("e9",)
    assert made.now == NOW
