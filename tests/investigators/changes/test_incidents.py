"""Invented incidents in many languages, each among changes of every day: is the culprit named, and only then?

The sets were written one after the other, each before the rules were run on it. On first sight they named
23 of 30, 7 of 11, 7 of 10, 6 of 8, 3 of 5 and 4 of 9 culprits (the last set was chosen to be odd), saw all 32
absences, and put a decoy first once: what they do not know they pass over. What they missed was then added as
far as it is a rule about diffs, so that this table now guards against falling back and no longer measures.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from investigators.changes.verdict import suspects
from tests.investigators.changes.invented import NOW, Incident, incidents, world

SETS = ("code", "settings", "outside", "more", "third", "fourth", "fifth", "sixth")
ALL = [pytest.param(one, id=f"{name}: {one.name}") for name in SETS for one in incidents(name)]
CAUSED = [case for case in ALL if case.values[0].culprit is not None]
UNCAUSED = [case for case in ALL if case.values[0].culprit is None]


@pytest.mark.parametrize("incident", CAUSED)
def test_the_change_whose_diff_produces_the_fault_is_named_first(incident: Incident) -> None:
    verdict = suspects(world(incident), NOW)

    assert [one.change_id for one in verdict.suspects][:1] == [incident.culprit], verdict.reason
    assert verdict.no_culprit is False


@pytest.mark.parametrize("incident", CAUSED)
def test_a_suspect_says_why_and_cites_what_it_stands_on(incident: Incident) -> None:
    verdict = suspects(world(incident), NOW)

    first = verdict.suspects[0]
    assert first.why.startswith("It ")
    assert "ev-change" in first.evidence_ids
    assert 0 < first.score <= 1
    assert [one.score for one in verdict.suspects] == sorted(
        (one.score for one in verdict.suspects), reverse=True
    )


@pytest.mark.parametrize("incident", UNCAUSED)
def test_no_change_is_blamed_for_what_came_from_outside(incident: Incident) -> None:
    verdict = suspects(world(incident), NOW)

    assert verdict.no_culprit is True, [(one.change_id, one.why) for one in verdict.suspects[:2]]
    assert verdict.suspects == ()
    assert verdict.reason


def test_with_the_culprit_withheld_hardly_ever_another_change_is_blamed() -> None:
    blamed = {}
    for case in CAUSED:
        incident = case.values[0]
        rest = [one for one in incident.changes if one.id != incident.culprit]
        verdict = suspects(world(replace(incident, changes=rest)), NOW)
        if verdict.suspects:
            blamed[incident.name] = verdict.suspects[0].why

    assert len(blamed) <= 0.1 * len(CAUSED), blamed


def test_there_are_enough_of_both_kinds() -> None:
    assert len(CAUSED) >= 25
    assert len(UNCAUSED) >= 8
