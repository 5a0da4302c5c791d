"""A claim stands only on words that were sent, of the evidence that it names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain.evidence import EvidenceStatus
from bot.domain.ids import EvidenceId
from investigators.analyst.citations import Claim, Exhibits
from tests.investigators.analyst.test_envelope import evidence

TEXT = 'ERROR  cache "main" kept\t41233 entries\nFATAL oom\nC:\\logs ok ok ok'
ONE = replace(evidence(TEXT, query="sum(rate(errors_total[5m]))"), id=EvidenceId("ev_1"))
OTHER = replace(evidence("another text altogether"), id=EvidenceId("ev_2"))


def exhibits() -> Exhibits:
    made = Exhibits(limit=6_000)
    made.show(ONE)
    made.show(OTHER)
    return made


def problem(evidence_id: str, quote: str) -> str | None:
    checked = exhibits().check([Claim(evidence_id=evidence_id, quote=quote)])
    assert len(checked.verified) + len(checked.unverified) == 1
    return checked.unverified[0][1] if checked.unverified else None


@pytest.mark.parametrize(
    "quote",
    [
        'ERROR cache "main" kept 41233 entries',
        'cache "main"  kept\n 41233',
        r"cache \"main\" kept",
        r"entries\nFATAL oom",
        "FATAL oom",
        "C:\\\\logs ok ok ok",
    ],
)
def test_words_that_stand_there_are_verified(quote: str) -> None:
    assert problem("ev_1", quote) is None


@pytest.mark.parametrize(
    ("known", "quote", "why"),
    [
        ("ev_1", 'error cache "main" kept', "does not hold"),
        ("ev_1", "cache main kept 41233", "does not hold"),
        ("ev_2", 'cache "main" kept 41233', "does not hold"),
        ("ev_3", 'cache "main" kept 41233', "no evidence with this id"),
        ("", 'cache "main" kept 41233', "no evidence with this id"),
        ("ev_1", "FATAL", "shorter than"),
        ("ev_1", "", "shorter than"),
        ("ev_1", " " * 40, "shorter than"),
        ("ev_1", "sum(rate(errors_total[5m]))", "repeats the question"),
    ],
)
def test_other_words_are_not(known: str, quote: str, why: str) -> None:
    assert why in (problem(known, quote) or "")


def test_evidence_that_was_taken_and_not_shown_cannot_be_cited() -> None:
    made = Exhibits(limit=6_000)
    claim = Claim(evidence_id="ev_1", quote='cache "main" kept 41233')
    assert made.check([claim]).unverified
    made.show(ONE)
    assert made.check([claim]).verified


def test_what_was_cut_away_before_it_was_sent_cannot_be_cited() -> None:
    long = replace(ONE, excerpt="a" * 1_000 + " the middle of it all " + "b" * 1_000)
    made = Exhibits(limit=500)
    made.show(long)
    assert made.check([Claim(evidence_id="ev_1", quote="the middle of it all")]).unverified


@pytest.mark.parametrize("status", [EvidenceStatus.FAILED, EvidenceStatus.EMPTY])
def test_an_answer_that_is_none_proves_nothing(status: EvidenceStatus) -> None:
    """Its words are ours or the question's."""
    made = Exhibits(limit=500)
    made.show(replace(ONE, status=status))
    assert made.check([Claim(evidence_id="ev_1", quote='cache "main" kept 41233')]).unverified
