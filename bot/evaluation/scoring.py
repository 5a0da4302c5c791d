"""Whether an answer is right: pure functions of the diagnosis and of what was expected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.domain.diagnosis import Diagnosis, DiagnosisVerdict
from bot.evaluation.cases import Answer, Expected

_NOTHING_WRONG = frozenset({DiagnosisVerdict.NO_ACTION, DiagnosisVerdict.INCONCLUSIVE})
_DEEP = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """One candidate of a diagnosis, best first."""

    object: str
    object_kind: str
    fault: str
    score: float
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Right at the first and within the first three. What the case does not judge is None."""

    right_at_1: bool
    right_at_3: bool
    cause_at_1: bool | None = None
    cause_at_3: bool | None = None
    culprit_at_1: bool | None = None
    culprit_at_3: bool | None = None


def ranked_of(diagnosis: Diagnosis) -> tuple[Ranked, ...]:
    return tuple(
        Ranked(
            object=one.object,
            object_kind=one.object_kind,
            fault=one.fault,
            score=one.score,
            evidence=tuple(one.evidence_ids),
        )
        for one in diagnosis.hypotheses
    )


def score(expected: Expected, diagnosis: Diagnosis) -> Score:
    """A case with causes and a culprit needs both. A forbidden answer on top makes it wrong throughout."""
    ranked = ranked_of(diagnosis)
    changes = [suspect.change_id for suspect in diagnosis.suspects]
    cause_1 = cause_3 = culprit_1 = culprit_3 = None
    if expected.healthy:
        cause_1 = cause_3 = diagnosis.verdict in _NOTHING_WRONG
    elif expected.causes:
        place = min((_place(cause, ranked) for cause in expected.causes), default=0)
        cause_1, cause_3 = place == 1, place <= _DEEP
    if expected.judges_changes:
        if expected.culprit_change is None:
            culprit_1 = culprit_3 = diagnosis.no_culprit is True
        else:
            culprit_1 = changes[:1] == [expected.culprit_change]
            culprit_3 = expected.culprit_change in changes[:_DEEP]
    # Where nothing is said to be wrong, the ranking claims nothing.
    claims = not (expected.healthy and diagnosis.verdict in _NOTHING_WRONG)
    allowed = not any(_is_forbidden(one, ranked if claims else (), changes) for one in expected.forbidden)
    return Score(
        right_at_1=allowed and cause_1 is not False and culprit_1 is not False,
        right_at_3=allowed and cause_3 is not False and culprit_3 is not False,
        cause_at_1=cause_1,
        cause_at_3=cause_3,
        culprit_at_1=culprit_1,
        culprit_at_3=culprit_3,
    )


def matches(wanted: Answer, given: Ranked) -> bool:
    """The object to the letter; its kind where both say it; the fault where one is wanted."""
    if wanted.object and wanted.object != given.object:
        return False
    if wanted.object_kind and given.object_kind and wanted.object_kind != given.object_kind:
        return False
    return not wanted.fault or wanted.fault == given.fault


def _place(cause: Answer, ranked: Sequence[Ranked]) -> int:
    """From 1, or beyond the end. Where no fault is wanted, each object counts once, by its best."""
    candidates = list(ranked) if cause.fault else _best_of_each(ranked)
    return next(
        (n for n, given in enumerate(candidates, 1) if matches(cause, given)), len(ranked) + _DEEP + 1
    )


def _best_of_each(ranked: Sequence[Ranked]) -> list[Ranked]:
    best: dict[tuple[str, str], Ranked] = {}
    for one in ranked:
        best.setdefault((one.object, one.object_kind), one)
    return list(best.values())


def _is_forbidden(answer: Answer, ranked: Sequence[Ranked], changes: Sequence[str]) -> bool:
    if answer.culprit_change:
        return changes[:1] == [answer.culprit_change]
    return bool(ranked) and matches(answer, ranked[0])
