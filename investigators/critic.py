"""Try to refute every hypothesis with the facts at hand, in code, before anybody believes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from bot.domain.evidence import Fact, FactVerdict
from investigators.hypotheses import Candidate, concerns
from investigators.ranking import human_time
from investigators.refutations import REFUTATIONS, Grounds, chronic

_CLEARLY = 0.2
"""An absence must be this much surer than the finding to refute it; nearer than that is a conflict."""
_AFTER = timedelta(minutes=2)
_MUST_PRECEDE = frozenset({"cpu_saturation", "log_template_new"})
"""Faults of which a later onset than the alert's proves that they are consequences."""
_NEEDS: Mapping[str, tuple[tuple[str, FactVerdict, str], ...]] = {
    "process_hang": (
        ("process_not_running", FactVerdict.FOUND, "the process does not run at all"),
        ("target_down", FactVerdict.ABSENT, "its endpoint answers"),
    ),
    "process_not_running": (("target_down", FactVerdict.ABSENT, "its endpoint answers"),),
    "process_stopped": (("process_not_running", FactVerdict.ABSENT, "it runs again"),),
}
"""Fault → (other kind, verdict, why) that cannot be true beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Candidates that stand, best first, and those that fell, with why in ``refuted_by``."""

    standing: tuple[Candidate, ...]
    refuted: tuple[Candidate, ...]


def criticise(
    candidates: Sequence[Candidate], raw: Sequence[Fact], grounds: Grounds | None = None
) -> Verdict:
    """``raw`` are the facts before conflicts were capped: how sure each rule was by itself. Without
    ``grounds`` only facts are held against each other."""
    reasons: dict[tuple[str, str], str] = {}
    for candidate in candidates:
        reason = next((text for test in _TESTS if (text := test(candidate, raw))), None)
        if reason is None and grounds is not None and candidate.of_world:
            reason = next((text for test in REFUTATIONS if (text := test(candidate, grounds))), None)
        if reason is not None:
            reasons[candidate.key] = reason
    standing = _lifted([one for one in candidates if one.key not in reasons], reasons)
    if grounds is not None:
        old = {
            candidate.key: reason
            for candidate in standing
            if candidate.of_world and (reason := chronic(candidate, standing, grounds))
        }
        reasons |= old
        standing = _lifted([one for one in standing if one.key not in old], reasons)
    refuted = tuple(
        replace(one, hypothesis=replace(one.hypothesis, refuted_by=reasons[one.key]))
        for one in candidates
        if one.key in reasons
    )
    return Verdict(standing=standing, refuted=refuted)


def _lifted(standing: Sequence[Candidate], fallen: Mapping[tuple[str, str], str]) -> tuple[Candidate, ...]:
    """What was the symptom of fallen causes only is nobody's symptom, and ranks by itself again."""
    lifted = [
        replace(one, hypothesis=replace(one.hypothesis, score=one.alone), symptom_of=(), alone=0.0)
        if one.symptom_of and all(cause in fallen for cause in one.symptom_of)
        else one
        for one in standing
    ]
    if lifted == list(standing):
        return tuple(standing)
    return tuple(sorted(lifted, key=lambda c: (-c.hypothesis.score, c.hypothesis.fault, c.hypothesis.object)))


def _outweighed(candidate: Candidate, raw: Sequence[Fact]) -> str | None:
    """A surer witness looked at the same thing and it was not there."""
    key = (candidate.hypothesis.object, candidate.hypothesis.fault)
    same = [fact for fact in raw if (fact.subject, fact.kind) == key]
    sure = max((f.confidence for f in same if f.verdict is FactVerdict.FOUND), default=0.0)
    against = [f for f in same if f.verdict is FactVerdict.ABSENT and f.confidence >= sure + _CLEARLY]
    return against[0].detail if against else None


def _impossible(candidate: Candidate, raw: Sequence[Fact]) -> str | None:
    """Another fact excludes this fault."""
    for kind, verdict, why in _NEEDS.get(candidate.hypothesis.fault, ()):
        for fact in raw:
            about = fact.kind == kind and fact.verdict is verdict and concerns(candidate.entity, fact)
            if about and fact.confidence >= max(f.confidence for f in candidate.direct) - _CLEARLY:
                return f"{why}: {fact.detail}"
    return None


def _too_late(candidate: Candidate, raw: Sequence[Fact]) -> str | None:
    """A cause does not begin after its effect."""
    if candidate.hypothesis.fault not in _MUST_PRECEDE:
        return None
    onsets = [fact.values["onset"] for fact in candidate.direct if "onset" in fact.values]
    if not onsets or len(onsets) < len(candidate.direct):
        return None
    late = datetime.fromtimestamp(min(onsets), UTC) - candidate.entity.onset
    if late <= _AFTER:
        return None
    return f"it began {human_time(late)} after the alert did, so it is a consequence"


_TESTS: tuple[Callable[[Candidate, Sequence[Fact]], str | None], ...] = (_outweighed, _impossible, _too_late)
