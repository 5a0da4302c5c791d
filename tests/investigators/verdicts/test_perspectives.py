"""Four perspectives: each has a say where it could look, none stops the others, and they may disagree."""

from __future__ import annotations

from collections.abc import Callable

from bot.domain.diagnosis import PerspectiveState, PerspectiveView
from bot.domain.evidence import Evidence, LogLine
from investigators.facts.known import FAULTS
from investigators.hypotheses import WEIGHTS
from investigators.pack import Pack
from investigators.perspectives import (
    PERSPECTIVE_OF,
    PERSPECTIVES,
    Perspective,
    disagreements,
    perspective_of,
    views,
)
from investigators.queries import LogQuery, ObjectQuery
from tests.investigators.platform.build import world
from tests.investigators.verdicts.judging import answer, candidates, chain, fact, judged, pack

PODS = answer("pods", "kubernetes.objects", ObjectQuery(object_kind="Pod"), objects=({"kind": "Pod"},))
NODES = answer("nodes", "kubernetes.objects", ObjectQuery(object_kind="Node"), objects=({"kind": "Node"},))
LINES = answer("lines", "log.lines", LogQuery(), lines=(LogLine(at=None, text="well"),))


def unguarded(_: str, work: Callable[[], PerspectiveView], broken: PerspectiveView) -> PerspectiveView:
    return work()


def seen(of: Pack, *standing: object) -> dict[str, PerspectiveView]:
    found = views(PERSPECTIVES, of, standing, unguarded)  # type: ignore[arg-type]
    return {view.name: view for view in found}


def test_every_kind_of_fault_belongs_to_one_of_four_perspectives() -> None:
    names = {one.name for one in PERSPECTIVES}
    assert names == {"app", "infra", "deps", "runtime"}
    assert {*FAULTS, *WEIGHTS} == set(PERSPECTIVE_OF)
    assert set(PERSPECTIVE_OF.values()) == names


def test_what_is_wrong_with_a_machine_is_the_infrastructures() -> None:
    assert perspective_of("cpu_saturation", "service") == "runtime"
    assert perspective_of("cpu_saturation", "host") == "infra"
    assert perspective_of("network_delay", "node") == "infra"


def test_each_gives_its_best_hypothesis_or_says_that_it_has_none_or_could_not_look() -> None:
    found = candidates(world(), fact("oom_killed", "cart"), fact("crashloop", "cart"))
    all_seen = seen(pack(PODS, LINES), *found)
    assert all_seen["runtime"].state is PerspectiveState.FOUND
    assert (all_seen["runtime"].object, all_seen["runtime"].fault) == ("cart", "oom_killed")
    assert all_seen["runtime"].evidence_ids == ("pods",)
    assert all_seen["app"].state is PerspectiveState.NOTHING
    assert all_seen["infra"].state is PerspectiveState.BLIND
    assert "nodes" in all_seen["infra"].reason
    assert seen(pack(PODS, NODES))["infra"].state is PerspectiveState.NOTHING


def test_a_hypothesis_without_evidence_that_was_taken_is_dropped() -> None:
    found = candidates(world(), fact("oom_killed", "cart", evidence=["invented"]))
    assert seen(pack(PODS), *found)["runtime"].state is PerspectiveState.NOTHING


def test_an_empty_answer_is_no_look() -> None:
    nothing = answer("lines", "log.lines", LogQuery())
    assert seen(pack(nothing))["app"].state is PerspectiveState.BLIND


def test_one_perspective_that_breaks_does_not_stop_the_others() -> None:
    def breaks(evidence: Evidence, kind: str) -> bool:
        raise RuntimeError("a bug")

    def guard(name: str, work: Callable[[], PerspectiveView], broken: PerspectiveView) -> PerspectiveView:
        try:
            return work()
        except RuntimeError:
            return broken

    bad = Perspective(name="app", needs="luck", looked=breaks)
    found = candidates(world(), fact("oom_killed", "cart"))
    told = views((bad, *PERSPECTIVES[1:]), pack(PODS), found, guard)
    assert [view.state for view in told[:2]] == [PerspectiveState.FAILED, PerspectiveState.FOUND]


def against(*standing: object, second: object = None) -> dict[str, str]:
    found = views(PERSPECTIVES, pack(PODS, NODES, LINES), standing, unguarded)  # type: ignore[arg-type]
    marked = disagreements(found, standing, second)  # type: ignore[arg-type]
    return {view.name: view.against for view in marked if view.against}


def test_two_objects_named_about_as_surely_are_a_disagreement() -> None:
    killed, blocked = fact("oom_killed", "cart"), fact("network_policy_blocked", "db", 0.92)
    assert against(*candidates(world(), killed, blocked)) == {"deps": "runtime"}


def test_a_weaker_word_a_symptom_or_a_second_fault_is_none() -> None:
    killed = fact("oom_killed", "cart")
    assert not against(*candidates(world(), killed, fact("network_policy_blocked", "db", 0.7)))
    both = candidates(world(), killed, fact("network_policy_blocked", "db", 0.92))
    assert not against(*both, second=both[1])
    read_only, errors = fact("db_read_only", "db"), fact("log_template_new", "cart", 0.95)
    assert not against(*judged(chain(), read_only, errors).standing)


def test_kinds_of_one_object_disagree_only_where_they_exclude_each_other() -> None:
    pulled = [fact("oom_killed", "cart"), fact("network_policy_blocked", "cart", 0.92)]
    assert not against(*candidates(world(), *pulled))
