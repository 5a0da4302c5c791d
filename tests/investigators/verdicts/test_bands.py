"""How sure a cause in a world is called, by its witnesses and its rivals."""

from __future__ import annotations

import pytest

from bot.domain.diagnosis import Band, DiagnosisVerdict
from bot.domain.evidence import EvidenceStatus, Fact
from investigators.bands import Family, band_of, families_by_id, too_weak, witnesses
from investigators.critic import Verdict
from investigators.diagnosis import Findings, write_diagnosis
from investigators.queries import LogQuery, ObjectQuery, SpanQuery, SurveyQuery
from tests.investigators.platform.build import world
from tests.investigators.verdicts.judging import answer, candidates, fact, pack

PACK = pack(
    answer("pods", "kubernetes.objects", ObjectQuery(object_kind="Pod")),
    answer("events", "kubernetes.objects", ObjectQuery(object_kind="Event")),
    answer("lines", "log.lines", LogQuery()),
    answer("series", "metric.survey", SurveyQuery()),
    answer("spans", "trace.spans", SpanQuery(services=())),
    answer("broken", "trace.spans", SpanQuery(services=()), status=EvidenceStatus.FAILED, reason="timeout"),
    answer("text", "runbook.text"),
)
FAMILIES = families_by_id(PACK)


def banded(*facts: Fact, disputed: bool = False) -> Band:
    found = candidates(world(), *facts)
    return band_of(found[0], found, FAMILIES, disputed=disputed)


def test_a_sure_cause_with_two_independent_witnesses_is_of_high_confidence() -> None:
    assert banded(fact("oom_killed", "cart", evidence=["pods", "series"])) is Band.HIGH


@pytest.mark.parametrize(
    "evidence", [["pods"], ["pods", "events"], ["pods", "broken"], ["pods", "text"]], ids=str
)
def test_one_witness_however_sure_is_of_medium_confidence(evidence: list[str]) -> None:
    assert banded(fact("oom_killed", "cart", 0.95, evidence=evidence)) is Band.MEDIUM


def test_events_are_a_witness_of_their_own_only_where_they_tell_another_part() -> None:
    killed, looping = fact("oom_killed", "cart"), fact("crashloop", "cart", evidence=["events"])
    assert witnesses([killed, looping], FAMILIES) == {Family.OBJECTS, Family.EVENTS}
    both = fact("crashloop", "cart", evidence=["pods", "events"])
    assert witnesses([killed, both], FAMILIES) == {Family.OBJECTS}
    assert banded(killed, looping) is Band.HIGH
    assert banded(killed, both) is Band.MEDIUM


def test_two_unsure_witnesses_do_not_make_a_sure_one() -> None:
    unsure = [fact("oom_killed", "cart", 0.65, evidence=[one], rule=one) for one in ("pods", "lines")]
    assert banded(*unsure) is Band.MEDIUM


def test_a_rival_at_another_object_keeps_it_from_high() -> None:
    killed = fact("oom_killed", "cart", evidence=["pods", "series"])
    assert banded(killed, fact("secret_missing", "db", 0.85)) is Band.MEDIUM
    assert banded(killed, fact("secret_missing", "db", 0.6)) is Band.HIGH
    assert banded(killed, fact("secret_missing", "cart", 0.85)) is Band.HIGH


def test_a_contradiction_makes_it_low() -> None:
    one = fact("image_registry_unreachable", "cart", evidence=["pods", "lines"])
    assert banded(one, fact("image_tag_missing", "cart")) is Band.LOW


def test_a_vague_cause_is_low() -> None:
    assert banded(fact("dependency_slow", "cart")) is Band.LOW


def test_where_perspectives_disagree_the_band_is_one_lower() -> None:
    high = fact("oom_killed", "cart", evidence=["pods", "series"])
    medium = fact("oom_killed", "cart")
    assert banded(high, disputed=True) is Band.MEDIUM
    assert banded(medium, disputed=True) is Band.LOW


def test_nothing_found_is_low() -> None:
    assert band_of(None, (), FAMILIES) is Band.LOW


def test_only_what_rests_on_comparing_alone_can_be_too_weak_to_be_called_a_cause() -> None:
    (weak,) = candidates(world(), fact("latency_shift", "cart", 0.5, nats=8.0))
    (clear,) = candidates(world(), fact("latency_shift", "cart", 0.8, nats=30.0))
    (seen,) = candidates(world(), fact("dependency_slow", "cart", 0.9))
    assert [too_weak(one) for one in (weak, clear, seen)] == [True, False, False]


@pytest.mark.parametrize(
    ("nats", "verdict"), [(8.0, DiagnosisVerdict.INCONCLUSIVE), (None, DiagnosisVerdict.NO_ACTION)], ids=str
)
def test_a_weak_finding_keeps_what_looks_normal_from_being_called_well(
    nats: float | None, verdict: DiagnosisVerdict
) -> None:
    found = () if nats is None else candidates(world(), fact("latency_shift", "cart", 0.5, nats=nats))
    findings = Findings(
        pack=PACK, facts=(), conflicts=(), trouble=(), painless=True,
        verdict=Verdict(standing=found, refuted=()),
    )  # fmt: skip
    diagnosis = write_diagnosis(findings, PACK.now, 0.1, more_entities=0)
    assert diagnosis.verdict is verdict
    assert diagnosis.root_cause is None
