"""The summary that needs no model: what it says of the ways an incident can end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from bot.domain.diagnosis import Band, DiagnosisVerdict, Gap, Origin, Suspect
from bot.domain.outcome import ExecutionState, OutcomeVerdict
from bot.domain.past import PastCause, Recurrence
from bot.domain.summary import Finding
from investigators.retrospect.account import write
from investigators.retrospect.story import Story
from tests.investigators.retrospect.stories import (
    BEGAN,
    LEAK,
    OPENED,
    RESOLVED,
    RSS,
    alert,
    deed,
    diagnosis,
    evidence,
    incident,
    inconclusive,
    onset,
    story,
)

NOT_RUN = deed(
    None, began_at=None, state=None, people=(), result="", ended="expired (nobody decided in time)"
)


def texts(findings: tuple[Finding, ...]) -> list[str]:
    return [finding.text for finding in findings]


CAUSE = "cart: memory keeps growing (confidence high)"
BY_ITSELF = "nothing was run by the bot: the alerts resolved after 42 min"


@pytest.mark.parametrize(
    ("told", "cause", "done"),
    [
        pytest.param(story(), [CAUSE], [BY_ITSELF], id="resolved by itself"),
        pytest.param(
            story(deeds=(deed(),)),
            [CAUSE],
            ["process.restart of cart, approved by ana, was run; verified: it helped"],
            id="approved and verified",
        ),
        pytest.param(
            story(deeds=(deed(OutcomeVerdict.FAILED),)),
            [CAUSE, "this is in doubt: process.restart of cart was run for it and did not help"],
            ["process.restart of cart, approved by ana, was run; it did not help"],
            id="run and did not help",
        ),
        pytest.param(
            story(deeds=(deed(None, state=ExecutionState.FAILED, result="exit 1"),)),
            [CAUSE],
            ["process.restart of cart, approved by ana, failed (exit 1)"],
            id="the action failed",
        ),
        pytest.param(
            story(deeds=(deed(None, state=ExecutionState.UNKNOWN, result=""),)),
            [CAUSE],
            ["process.restart of cart, approved by ana, may or may not have run"],
            id="outcome unknown",
        ),
        pytest.param(
            story(deeds=(NOT_RUN,)),
            [CAUSE],
            [
                "process.restart of cart was proposed and not run: expired (nobody decided in time)",
                BY_ITSELF,
            ],
            id="nobody decided",
        ),
        pytest.param(
            story(advice=("execution is not enabled, so this is advice only",)),
            [CAUSE],
            [BY_ITSELF, "nothing was proposed: execution is not enabled, so this is advice only"],
            id="advice only",
        ),
        pytest.param(
            story(diagnoses=(inconclusive(),)),
            ["not found: nothing stood out"],
            [BY_ITSELF],
            id="inconclusive",
        ),
        pytest.param(
            story(diagnoses=(inconclusive(2), diagnosis(1))),
            ["not found: nothing stood out", f"run 1 had put it down to {CAUSE}"],
            [BY_ITSELF],
            id="inconclusive in the end",
        ),
        pytest.param(
            story(
                diagnoses=(
                    diagnosis(
                        verdict=DiagnosisVerdict.NO_ACTION,
                        root_cause=None,
                        hypotheses=(),
                        summary="cart is healthy",
                    ),
                )
            ),
            ["nothing was found to be wrong: cart is healthy"],
            [BY_ITSELF],
            id="healthy",
        ),
        pytest.param(
            story(diagnoses=(diagnosis(2, root_cause="db: its disk is full"), diagnosis(1))),
            ["db: its disk is full (confidence high)", f"run 1 had put it down to {CAUSE}"],
            [BY_ITSELF],
            id="a rerun found another cause",
        ),
        pytest.param(
            story(
                incident=incident(reopened=1),
                diagnoses=(diagnosis(2, at=RESOLVED - timedelta(minutes=1)), diagnosis(1)),
                deeds=(deed(OutcomeVerdict.FAILED),),
            ),
            [CAUSE],
            ["process.restart of cart, approved by ana, was run; it did not help"],
            id="an action of before the newest diagnosis does not cast doubt on it",
        ),
    ],
)
def test_cause_and_deeds_are_told_as_they_were(told: Story, cause: list[str], done: list[str]) -> None:
    made = write(told)
    assert (texts(made.cause), texts(made.what_was_done)) == (cause, done)
    assert made.origin is Origin.RULES
    assert made.timeline == told.timeline


def test_the_cause_and_an_action_cite_the_evidence_they_stand_on() -> None:
    made = write(story(deeds=(deed(),)))
    assert made.cause[0].evidence_ids == (RSS,)
    assert made.what_was_done[0].evidence_ids == (RSS,)


def test_the_same_story_makes_the_same_summary() -> None:
    assert write(story(deeds=(deed(),))) == write(story(deeds=(deed(),)))


DEPENDENT = replace(LEAK, object="orders-db", object_kind="datastore", fault="disk_filling")
DEPLOY = Suspect(
    change_id="a1b2c3",
    kind="deploy",
    score=0.8,
    why="it changed the cache",
    evidence_ids=(RSS,),
    service="cart",
    at=BEGAN - timedelta(minutes=30),
)
GAPS = (
    Gap(what="loki: {app=cart}", reason="it did not answer in time"),
    Gap(what="metrics", reason="no metric source is configured"),
)
RULE = evidence(
    RSS, kind="metric.rules", records=({"name": "MemoryHigh", "query": "rss > 1", "duration_s": 600},)
)


@pytest.mark.parametrize(
    ("told", "sooner"),
    [
        pytest.param(story(), [], id="nothing to say"),
        pytest.param(
            story(diagnoses=(diagnosis(facts=(onset(18),)),)),
            [
                "its quantity changed at 01:42:00 UTC: a lower threshold or a shorter `for` fires up to "
                "18 min earlier"
            ],
            id="the curve had changed long before",
        ),
        pytest.param(
            story(diagnoses=(diagnosis(facts=(onset(10, "alert_onset.for"),)),), evidence=(RULE,)),
            [
                "the alert's rule waits for 10 min (MemoryHigh): a shorter `for` fires up to 10 min earlier",
            ],
            id="its rule waits",
        ),
        pytest.param(story(diagnoses=(diagnosis(facts=(onset(1),)),)), [], id="hardly earlier"),
        pytest.param(
            story(diagnoses=(diagnosis(hypotheses=(DEPENDENT,)),)),
            [
                "no alert was about the datastore orders-db, where disk_filling was found; only MemoryHigh "
                "of cart fired: an alert on it would have named it at once"
            ],
            id="only what depends on it alerted",
        ),
        pytest.param(
            story(
                diagnoses=(diagnosis(hypotheses=(DEPENDENT,)),),
                alerts=(alert(), alert("DiskFull", datastore="orders-db")),
            ),
            [],
            id="the object at fault had an alert",
        ),
        pytest.param(
            story(incident=incident(opened_at=BEGAN + timedelta(minutes=12))),
            [
                "the alert fired 12 min before it got here: the sender's grouping and waiting times, or "
                "whether somebody was away"
            ],
            id="told late",
        ),
        pytest.param(
            story(diagnoses=(diagnosis(suspects=(DEPLOY,)),)),
            [
                "the deploy of cart (a1b2c3) was 30 min before the alert: a check right after a change, or a "
                "first part of the traffic, would have shown it"
            ],
            id="a change is to blame",
        ),
        pytest.param(
            story(diagnoses=(diagnosis(suspects=(DEPLOY,), no_culprit=True),)), [], id="no change is to blame"
        ),
        pytest.param(
            story(
                recurrence=Recurrence(
                    day=2,
                    week=2,
                    resolved_within_week=True,
                    last_cause=PastCause(object="cart", object_kind="service", fault="memory_growth"),
                )
            ),
            [
                "the same service was resolved within the last 7 days, last of memory_growth at cart, and "
                "what brought it about then was not removed"
            ],
            id="it came back",
        ),
        pytest.param(
            story(diagnoses=(diagnosis(band=Band.LOW, gaps=GAPS),)),
            ["metrics: nothing could be asked about it (no metric source is configured)"],
            id="no source was there to ask",
        ),
        pytest.param(
            story(diagnoses=(replace(inconclusive(), gaps=GAPS[:1]),)),
            ["loki: {app=cart}: could not be looked at (it did not answer in time)"],
            id="a source was away",
        ),
        pytest.param(story(diagnoses=(diagnosis(gaps=GAPS),)), [], id="gaps beside a plain cause"),
        pytest.param(
            story(incident=incident(resolved_at=OPENED + timedelta(minutes=3))),
            [
                "it went away by itself after 3 min: nothing to find sooner, and a longer `for` would have "
                "woken nobody"
            ],
            id="resolved without action",
        ),
        pytest.param(
            story(incident=incident(resolved_at=OPENED + timedelta(minutes=3)), deeds=(deed(),)),
            [],
            id="soon over because of an action",
        ),
    ],
)
def test_what_would_have_found_it_sooner(told: Story, sooner: list[str]) -> None:
    assert texts(write(told).sooner) == sooner


def test_what_stands_on_evidence_cites_it() -> None:
    told = story(diagnoses=(diagnosis(facts=(onset(18),), suspects=(DEPLOY,), hypotheses=(DEPENDENT,)),))
    made = write(told).sooner
    assert len(made) == 3
    assert all(finding.evidence_ids == (RSS,) for finding in made)


def test_a_wall_of_outside_text_stays_one_line_each() -> None:
    wall = "x" * 5_000 + "\n## Heading\n\u202e"
    told = story(diagnoses=(diagnosis(root_cause=wall, summary=wall),), advice=(wall,))
    made = write(told)
    for text in texts((*made.cause, *made.what_was_done, *made.sooner)):
        assert len(text) < 350
        assert "\n" not in text
