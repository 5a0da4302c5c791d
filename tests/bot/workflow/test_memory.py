"""What is kept of an incident that is over, and how far it may be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.domain.diagnosis import Band, Diagnosis, DiagnosisVerdict, Hypothesis
from bot.domain.evidence import Fact, FactVerdict
from bot.domain.incident import IncidentState
from bot.domain.outcome import Outcome, OutcomeVerdict
from bot.domain.past import PastCause, PastFact, PastIncident, Role
from bot.workflow.memory import cause_of, past_incident, quality_of
from tests.contracts.store_nouns import NOW, alert, diagnosis, execution, incident, proposal

LEAK = Hypothesis(
    object="checkout",
    object_kind="service",
    fault="memory_growth",
    score=0.9,
    statement="it leaks",
    evidence_ids=(),
)
DISK = replace(LEAK, object="db", object_kind="datastore", fault="disk_filling")
OVER = incident(state=IncidentState.RESOLVED, resolved_at=NOW + timedelta(hours=1), run=1)


def run(number: int = 1, *hypotheses: Hypothesis, band: Band = Band.HIGH) -> Diagnosis:
    return replace(diagnosis(run=number, band=band), hypotheses=hypotheses or (LEAK,))


def outcome(verdict: OutcomeVerdict) -> Outcome:
    return Outcome(execution_id=execution().id, verdict=verdict, at=NOW, attempt=1, checks=(), last=True)


def kept(diagnoses: Sequence[Diagnosis], *outcomes: Outcome, executed: bool = False) -> PastIncident:
    done = (execution(), proposal()) if executed else (None, None)
    return past_incident(OVER, [alert("a"), alert("b")], diagnoses, *done, outcomes)


@pytest.mark.parametrize(
    ("diagnoses", "verdict", "quality"),
    [
        ([run()], None, 0.8),
        ([run(band=Band.MEDIUM)], None, 0.6),
        ([run(band=Band.LOW)], None, 0.0),
        ([run(band=Band.LOW)], OutcomeVerdict.VERIFIED, 0.0),
        ([run()], OutcomeVerdict.VERIFIED, 1.0),
        ([run(band=Band.MEDIUM)], OutcomeVerdict.VERIFIED, 0.8),
        ([run()], OutcomeVerdict.FAILED, 0.5),
        ([run(band=Band.MEDIUM)], OutcomeVerdict.FAILED, 0.3),
        ([run()], OutcomeVerdict.UNKNOWN, 0.8),
        ([run(2), run(1)], None, 0.8),
        ([run(2), run(1, DISK)], None, 0.6),
        ([run(2, band=Band.MEDIUM), run(1, DISK)], None, 0.4),
        ([run(3, band=Band.MEDIUM), run(2, DISK), run(1, replace(DISK, object="queue"))], None, 0.2),
        ([replace(run(), verdict=DiagnosisVerdict.INCONCLUSIVE)], None, 0.0),
        ([replace(run(), root_cause=None)], None, 0.0),
        ([run(2), replace(run(1, DISK), verdict=DiagnosisVerdict.INCONCLUSIVE)], None, 0.8),
        ([replace(run(2), verdict=DiagnosisVerdict.INCONCLUSIVE), run(1)], None, 0.0),
    ],
)
def test_a_diagnosis_is_trusted_by_its_band_its_outcome_and_its_other_runs(
    diagnoses: list[Diagnosis], verdict: OutcomeVerdict | None, quality: float
) -> None:
    assert quality_of(diagnoses, verdict) == quality
    outcomes = () if verdict is None else (outcome(verdict),)
    assert kept(diagnoses, *outcomes).offered is (quality >= 0.5)


def test_the_cause_is_the_best_that_was_not_refuted() -> None:
    refuted = replace(DISK, refuted_by="the disk is empty")
    assert cause_of(run(1, refuted, LEAK)) == PastCause(
        object="checkout", object_kind="service", fault="memory_growth"
    )
    assert cause_of(run(1, refuted)) is None
    assert cause_of(diagnosis()) is None


def test_facts_are_kept_without_the_names_that_only_this_incident_had() -> None:
    def fact(subject: str, subject_kind: str, verdict: FactVerdict = FactVerdict.FOUND) -> Fact:
        return Fact(
            kind="oom_killed",
            verdict=verdict,
            confidence=0.9,
            subject=subject,
            evidence_ids=(),
            rule="r",
            subject_kind=subject_kind,
        )

    facts = (
        fact("checkout-0", "pod"),
        fact("checkout-1", "pod"),
        fact("db", "datastore"),
        fact("n1", "node", FactVerdict.ABSENT),
    )
    one = kept([replace(run(), facts=facts)])
    assert one.facts == (
        PastFact(kind="oom_killed", subject_kind="datastore", role=Role.DEPENDENCY),
        PastFact(kind="oom_killed", subject_kind="pod", role=Role.OWN),
    )
    assert one.alert_names == ("HighMemory",)
    assert (one.service, one.opened_at, one.resolved_at) == ("checkout", NOW, NOW + timedelta(hours=1))


@pytest.mark.parametrize(
    ("outcomes", "resolution"),
    [
        ([OutcomeVerdict.VERIFIED], "process.restart of leaky, verified: it helped"),
        ([OutcomeVerdict.PENDING, OutcomeVerdict.VERIFIED], "process.restart of leaky, verified: it helped"),
        ([OutcomeVerdict.FAILED], "process.restart of leaky did not help; later its alerts resolved"),
        (
            [OutcomeVerdict.UNKNOWN],
            "process.restart of leaky, whether it helped is not known; its alerts resolved",
        ),
        ([], "process.restart of leaky, whether it helped is not known; its alerts resolved"),
    ],
)
def test_what_ended_it_is_said_as_far_as_it_is_known(outcomes: list[OutcomeVerdict], resolution: str) -> None:
    assert kept([run()], *map(outcome, outcomes), executed=True).resolution == resolution


def test_without_an_action_of_the_bot_nobody_claims_to_know_what_helped() -> None:
    assert kept([run()]).resolution == "its alerts resolved without an action of the bot"
