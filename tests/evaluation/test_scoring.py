"""What counts as right: each rule of the report, alone and together."""

from __future__ import annotations

from typing import Any

import pytest

from bot.domain.diagnosis import Band, Diagnosis, DiagnosisVerdict, Hypothesis, Origin, Suspect
from bot.domain.ids import DiagnosisId, EvidenceId, IncidentId
from bot.evaluation.cases import Answer, Expected
from bot.evaluation.scoring import score
from tests.fakes.evidence import NOW


def diagnosis(
    *ranked: tuple[str, ...],
    changes: tuple[str, ...] = (),
    verdict: str = "action_needed",
    no_culprit: bool | None = None,
) -> Diagnosis:
    """``ranked`` are (object, fault) or (object, fault, kind)."""
    return Diagnosis(
        id=DiagnosisId("d"),
        incident_id=IncidentId("i"),
        run=1,
        at=NOW,
        verdict=DiagnosisVerdict(verdict),
        summary="",
        root_cause=None,
        band=Band.LOW,
        origin=Origin.RULES,
        citations=(),
        hypotheses=tuple(
            Hypothesis(
                object=one[0],
                fault=one[1],
                object_kind=one[2] if len(one) > 2 else "",
                score=0.5,
                statement="",
                evidence_ids=(EvidenceId("e"),),
            )
            for one in ranked
        ),
        suspects=tuple(
            Suspect(change_id=change, kind="deploy", score=0.5, why="", evidence_ids=()) for change in changes
        ),
        no_culprit=no_culprit,
    )


def right(expected: dict[str, Any], given: Diagnosis) -> tuple[bool, bool]:
    expected = dict(expected)
    for key in ("causes", "forbidden"):
        expected[key] = tuple(Answer(**one) for one in expected.get(key, ()))
    scored = score(Expected(**expected), given)
    return scored.right_at_1, scored.right_at_3


CART = {"object": "cart", "object_kind": "service", "fault": "oom_killed"}
ANY = {"object": "cart"}
BOTH, NONE, LATER = (True, True), (False, False), (False, True)


@pytest.mark.parametrize(
    ("cause", "ranked", "expected"),
    [
        (CART, [("cart", "oom_killed", "service")], BOTH),
        (CART, [("cart", "oom_killed", "")], BOTH),
        (CART, [("cart", "oom_killed", "pod")], NONE),
        (CART, [("Cart", "oom_killed", "service")], NONE),
        (CART, [("cart", "cpu_saturation", "service")], NONE),
        (CART, [("cart", "cpu_saturation"), ("cart", "oom_killed")], LATER),
        (CART, [("a", "x"), ("b", "x"), ("c", "x"), ("cart", "oom_killed")], NONE),
        (CART, [], NONE),
        (ANY, [("cart", "anything")], BOTH),
        (ANY, [("a", "x"), ("a", "y"), ("a", "z"), ("b", "x"), ("cart", "x")], LATER),
        (ANY, [("a", "x"), ("a", "y"), ("b", "x"), ("c", "x"), ("cart", "x")], NONE),
    ],
)
def test_a_cause_is_found_by_object_kind_and_fault_and_an_object_counts_once_without_a_fault(
    cause: dict[str, str], ranked: list[tuple[str, ...]], expected: tuple[bool, bool]
) -> None:
    assert right({"causes": [cause]}, diagnosis(*ranked)) == expected


def test_any_one_of_several_causes_is_right() -> None:
    causes = [{"object": "a", "fault": "x"}, {"object": "b"}]
    assert right({"causes": causes}, diagnosis(("b", "y"))) == BOTH
    assert right({"causes": causes}, diagnosis(("a", "y"), ("c", "z"), ("b", "q"))) == LATER


@pytest.mark.parametrize(
    ("forbidden", "expected"),
    [
        ([{"fault": "recent_deploy"}], BOTH),
        ([{"fault": "oom_killed"}], NONE),
        ([{"object": "cart"}], NONE),
        ([{"object": "web"}], BOTH),
        ([{"culprit_change": "c1"}], NONE),
        ([{"culprit_change": "c2"}], BOTH),
    ],
)
def test_a_forbidden_answer_on_top_makes_the_case_wrong(
    forbidden: list[dict[str, str]], expected: tuple[bool, bool]
) -> None:
    given = diagnosis(("cart", "oom_killed"), ("web", "recent_deploy"), changes=("c1", "c2"))
    assert right({"causes": [CART], "forbidden": forbidden}, given) == expected


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [("no_action", BOTH), ("inconclusive", BOTH), ("action_needed", NONE), ("action_suggested", NONE)],
)
def test_a_healthy_case_is_right_when_nothing_is_said_to_be_wrong(
    verdict: str, expected: tuple[bool, bool]
) -> None:
    given = diagnosis(("cart", "oom_killed"), verdict=verdict)
    assert right({"healthy": True, "forbidden": [{"object": "cart"}]}, given) == expected


@pytest.mark.parametrize(
    ("wanted", "changes", "no_culprit", "expected"),
    [
        ("c1", ("c1", "c2"), None, BOTH),
        ("c2", ("c1", "c2"), None, LATER),
        ("c4", ("c1", "c2", "c3", "c4"), None, NONE),
        ("c1", (), True, NONE),
        (None, (), True, BOTH),
        (None, ("c1",), False, NONE),
        (None, (), None, NONE),
    ],
)
def test_the_change_to_blame_is_on_top_or_said_to_be_none(
    wanted: str | None, changes: tuple[str, ...], no_culprit: bool | None, expected: tuple[bool, bool]
) -> None:
    given = diagnosis(changes=changes, no_culprit=no_culprit)
    assert right({"judges_changes": True, "culprit_change": wanted}, given) == expected


def test_a_case_with_cause_and_culprit_needs_both_and_tells_them_apart() -> None:
    expected = Expected(causes=(Answer(**CART),), judges_changes=True, culprit_change="c1")
    scored = score(expected, diagnosis(("cart", "oom_killed"), changes=("c2", "c1")))
    assert (scored.right_at_1, scored.right_at_3) == LATER
    assert (scored.cause_at_1, scored.culprit_at_1, scored.culprit_at_3) == (True, False, True)
