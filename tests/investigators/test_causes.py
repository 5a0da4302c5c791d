"""Found faults → ranked causes: nearness, symptoms, pointing, conflicts, how many are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from bot.domain.evidence import Evidence, Fact, FactVerdict
from bot.domain.ids import EvidenceId
from investigators.causes import world_candidates
from investigators.entities import entities_of
from investigators.facts.known import FAULTS, SYMPTOMS
from investigators.hypotheses import CONFLICT_CAP, Candidate, settle
from investigators.queries import GraphQuery, LogQuery, ObjectQuery, SurveyQuery
from investigators.signals.locate import Located
from investigators.world.world import World
from tests.investigators.signals.build import NOW, evidence, told, world
from tests.investigators.world import case

CALLS = [("front", "cart"), ("cart", "db"), ("shop", "front"), ("far", "away")]
OBJECTS = evidence(ObjectQuery(object_kind="Pod"), source="kubernetes")
METRICS = evidence(SurveyQuery(), source="prometheus")
LOGS = evidence(LogQuery(), source="loki")


def fact(
    kind: str,
    subject: str,
    sure: float = 0.9,
    *,
    of: str = "service",
    verdict: FactVerdict = FactVerdict.FOUND,
    nats: float | None = None,
    seen: Evidence = OBJECTS,
) -> Fact:
    return Fact(
        kind=kind,
        verdict=verdict,
        confidence=sure,
        subject=subject,
        subject_kind=of,
        evidence_ids=(seen.id,),
        rule="test",
        detail=f"{kind} at {subject}",
        values={} if nats is None else {"nats": nats},
    )


def ranked(
    facts: Sequence[Fact],
    *,
    edges: Sequence[tuple[str, str]] = tuple(CALLS),
    weights: Mapping[str, float] | None = None,
    runs_on: Sequence[tuple[str, str]] = (),
) -> list[Candidate]:
    alert = told(service="front")
    query = GraphQuery()
    records = tuple({"from": a, "to": b, "kind": "runs_on"} for a, b in runs_on)
    more = [(query, evidence(query, source="placed", records=records))] if records else []
    built: World = world(alert=alert, edges=edges, more=more)
    entities, _ = entities_of(case(alert, now=NOW), ())
    settled, conflicts = settle(facts)
    known: dict[EvidenceId, Evidence] = {one.id: one for one in (OBJECTS, METRICS, LOGS)}
    located = Located(weights=weights or {})
    return list(world_candidates(built, located, settled, conflicts, known, entities))


def order(candidates: Sequence[Candidate]) -> list[str]:
    return [one.hypothesis.object for one in candidates]


def scores(candidates: Sequence[Candidate]) -> dict[str, float]:
    return {one.hypothesis.object: one.hypothesis.score for one in candidates}


def test_the_same_fault_counts_by_how_near_it_is_to_the_alert() -> None:
    found = scores(
        ranked([fact("oom_killed", name) for name in ("front", "cart", "db", "shop", "away", "new")])
    )
    # Itself, what it depends on, what no graph knows, what depends on it, what has nothing to do with it.
    assert found["front"] > found["cart"] > found["db"] > found["new"] > found["shop"] > found["away"]


def test_a_namespace_is_near_everything_in_it() -> None:
    kind = next(kind for kind, fault in FAULTS.items() if kind == "quota_exceeded" and fault.weight > 0)
    found = ranked([fact(kind, "shop-ns", of="namespace")])
    alone = ranked([fact(kind, "front")])
    assert found[0].hypothesis.score == alone[0].hypothesis.score


def test_a_node_is_as_near_as_what_runs_on_it() -> None:
    found = scores(
        ranked(
            [fact("node_not_ready", name, of="node") for name in ("n-front", "n-db", "n-away")],
            runs_on=[("front", "n-front"), ("db", "n-db"), ("away", "n-away")],
        )
    )
    assert found["n-front"] > found["n-db"] > found["n-away"]


def test_without_a_graph_nothing_is_far() -> None:
    found = scores(ranked([fact("oom_killed", "front"), fact("oom_killed", "cart")], edges=()))
    assert found["front"] == found["cart"]


def test_a_symptom_of_a_stronger_cause_at_the_same_object_loses() -> None:
    symptom = next(iter(FAULTS["oom_killed"].explains & set(FAULTS) - {"oom_killed"}))
    facts = [fact("oom_killed", "cart"), fact(symptom, "cart", nats=9.0)]
    both = ranked(facts)
    assert both[0].hypothesis.fault == "oom_killed"
    alone = ranked(facts[1:])
    if FAULTS[symptom].weight > 0:
        assert both[1].hypothesis.score < alone[0].hypothesis.score


@pytest.mark.parametrize("symptom", ["error_rate_shift", "latency_shift", "log_template_new"])
def test_what_depends_on_something_broken_only_shows_it(symptom: str) -> None:
    found = ranked([fact("oom_killed", "db", 0.8), fact(symptom, "front", nats=20.0)])
    assert order(found) == ["db", "front"]


def test_what_is_compared_explains_nothing_that_is_compared_elsewhere() -> None:
    """Blame has been shared out between them already."""
    front = fact("latency_shift", "front", 0.6, nats=20.0)
    alone = scores(ranked([front]))["front"]
    assert scores(ranked([front, fact("latency_shift", "cart", 0.9, nats=20.0)]))["front"] == alone


def test_something_broken_downstream_does_not_excuse_what_is_broken_by_itself() -> None:
    front = fact("oom_killed", "front")
    alone = scores(ranked([front]))["front"]
    assert scores(ranked([front, fact("oom_killed", "cart")]))["front"] == alone


def test_what_is_broken_upstream_explains_nothing_below_it() -> None:
    found = fact("latency_shift", "db", 0.9, nats=20.0)
    assert scores(ranked([found, fact("oom_killed", "front")]))["db"] == scores(ranked([found]))["db"]


def test_many_causes_of_one_symptom_demote_it_once() -> None:
    front = fact("error_rate_shift", "front", nats=20.0)
    once = scores(ranked([front, fact("oom_killed", "db")]))["front"]
    assert scores(ranked([front, fact("oom_killed", "db"), fact("oom_killed", "cart")]))["front"] == once


def test_a_structural_fault_beats_a_statistical_one_elsewhere() -> None:
    found = ranked(
        [fact("oom_killed", "cart", 0.9), fact("latency_shift", "away", 0.9, nats=20.0)],
        weights={"away": 20.0},
    )
    assert order(found)[0] == "cart"


def test_a_statistical_fault_needs_what_changed_to_point_at_it() -> None:
    facts = [fact("latency_shift", name, 0.9, nats=10.0) for name in ("cart", "db")]
    found = scores(ranked(facts, weights={"db": 20.0, "cart": 2.0}))
    assert found["db"] > 1.5 * found["cart"]


def test_little_that_changed_points_at_nothing() -> None:
    facts = [fact("latency_shift", name, 0.9, nats=1.0) for name in ("cart", "db")]
    assert scores(ranked(facts, weights={"db": 3.0})) == scores(ranked(facts))


def test_a_shift_that_was_not_traced_is_no_cause() -> None:
    assert ranked([fact("latency_shift", "cart"), fact("error_rate_shift", "cart")]) == []


def test_facts_that_contradict_each_other_cap_the_cause() -> None:
    found = ranked(
        [fact("oom_killed", "cart", 0.95), fact("oom_killed", "cart", 0.95, verdict=FactVerdict.ABSENT)]
    )
    assert found[0].conflicted
    assert found[0].hypothesis.score <= CONFLICT_CAP


def test_what_is_absent_or_unknown_is_no_cause() -> None:
    assert (
        ranked([fact("oom_killed", "cart", verdict=one) for one in (FactVerdict.ABSENT, FactVerdict.UNKNOWN)])
        == []
    )


def test_what_only_supports_is_no_cause() -> None:
    support = [kind for kind, fault in FAULTS.items() if fault.weight == 0]
    assert ranked([fact(kind, "cart") for kind in support]) == []
    assert ranked([fact("no_such_fault", "cart")]) == []


def test_every_cause_is_kept_however_many_there_are() -> None:
    found = ranked([fact("oom_killed", f"svc-{n:02}", 0.9 - n / 100) for n in range(25)])
    assert len(found) == 25
    assert order(found)[:3] == ["svc-00", "svc-01", "svc-02"]


def test_ties_go_by_name_and_not_by_the_order_of_the_facts() -> None:
    facts = [fact("oom_killed", name) for name in ("new-b", "new-a", "new-c")]
    assert order(ranked(facts)) == order(ranked(facts[::-1])) == ["new-a", "new-b", "new-c"]


def test_two_independent_witnesses_are_surer_than_one() -> None:
    one = scores(ranked([fact("oom_killed", "cart", 0.6)]))["cart"]
    both = scores(ranked([fact("oom_killed", "cart", 0.6), fact("oom_killed", "cart", 0.6, seen=LOGS)]))[
        "cart"
    ]
    assert both > one


def test_what_supports_a_cause_raises_it_and_is_cited_with_it() -> None:
    support = next(kind for kind in sorted(FAULTS["oom_killed"].explains))
    facts = [fact("oom_killed", "cart", 0.7), replace(fact(support, "cart", 0.7), evidence_ids=(METRICS.id,))]
    lead = next(one for one in ranked(facts) if one.hypothesis.fault == "oom_killed")
    assert lead.hypothesis.score > scores(ranked(facts[:1]))["cart"]
    assert set(lead.hypothesis.evidence_ids) == {OBJECTS.id, METRICS.id}


def test_no_score_leaves_the_scale() -> None:
    facts = [fact(kind, "front", 1.0, nats=99.0) for kind in FAULTS]
    assert all(0 <= one.hypothesis.score <= 1 for one in ranked(facts, weights={"front": 1e6}))


def test_without_an_entity_there_is_nothing_to_be_near_to() -> None:
    built = world()
    assert world_candidates(built, Located(), [fact("oom_killed", "cart")], (), {}, ()) == ()


def test_every_fault_that_spreads_or_explains_names_kinds_that_exist_somewhere() -> None:
    assert set(FAULTS) >= {"latency_shift", "error_rate_shift", "network_delay"}
    assert SYMPTOMS.isdisjoint({"oom_killed", "node_not_ready"})
    assert all(0 <= fault.weight <= 1 for fault in FAULTS.values())
    assert all(kind not in fault.explains or kind in SYMPTOMS for kind, fault in FAULTS.items())


def test_of_two_that_explain_each_other_only_the_weaker_is_the_symptom() -> None:
    assert "wrong_env_value" in FAULTS["service_name_wrong"].explains
    assert "service_name_wrong" in FAULTS["wrong_env_value"].explains
    found = ranked([fact("wrong_env_value", "front", 0.95), fact("service_name_wrong", "front", 0.9)])
    first, second = found
    assert (first.hypothesis.fault, first.symptom_of) == ("wrong_env_value", ())
    assert second.symptom_of == (("front", "wrong_env_value"),)


def test_the_resolver_is_near_to_everybody_though_no_graph_draws_it() -> None:
    found = scores(ranked([fact("dns_failure", "coredns"), fact("dns_failure", "away")]))
    assert found["coredns"] == pytest.approx(0.9 * 0.85 * 0.9, abs=0.001)
    assert found["away"] == pytest.approx(0.9 * 0.85 * 0.5, abs=0.001)
