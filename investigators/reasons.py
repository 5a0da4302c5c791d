"""Several causes beside each other: which is a second fault of its own, and why the others lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from investigators.bands import only_compared
from investigators.entities import Entity
from investigators.hypotheses import Candidate
from investigators.refutations import Grounds

_SURE = 0.7
_SCORE = 0.6
_AS_FAR = 0.95
INDEPENDENT = "a second fault, independent of the first"


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """A fault that explains alerts which the first cause does not."""

    candidate: Candidate
    explains: tuple[Entity, ...]


def second_fault(standing: Sequence[Candidate], grounds: Grounds) -> Second | None:
    """The likeliest sure cause elsewhere that the first neither brings about nor comes from."""
    if not standing:
        return None
    top = standing[0]
    covered = {entity.subject for entity in grounds.explained(top)}
    if not covered:
        # Who does not know what the first one explains cannot say what it leaves open.
        return None
    for candidate in standing[1:]:
        open_alerts = tuple(one for one in grounds.explained(candidate) if one.subject not in covered)
        if open_alerts and _stands_alone(candidate) and not _connected(candidate, top, grounds):
            return Second(candidate=candidate, explains=open_alerts)
    return None


def _stands_alone(candidate: Candidate) -> bool:
    sure = any(fact.confidence >= _SURE for fact in candidate.direct)
    own = not candidate.symptom_of and not only_compared(candidate)
    return sure and own and candidate.hypothesis.score >= _SCORE


def _connected(one: Candidate, other: Candidate, grounds: Grounds) -> bool:
    graph = grounds.world.graph
    a, b = one.hypothesis.object, other.hypothesis.object
    return a == b or a in graph.distances(b) or b in graph.distances(a)


def with_reasons(
    standing: Sequence[Candidate], refuted: Sequence[Candidate], second: Candidate | None
) -> tuple[Candidate, ...]:
    """All candidates, best first, each but the first with why it lost."""
    told = list(standing[:1])
    told += [_lost(one, _why(one, standing, second)) for one in standing[1:]]
    told += [_lost(one, "refuted") for one in refuted]
    return tuple(told)


def _lost(candidate: Candidate, why: str) -> Candidate:
    return replace(candidate, hypothesis=replace(candidate.hypothesis, lost_to=why))


def _why(candidate: Candidate, standing: Sequence[Candidate], second: Candidate | None) -> str:
    top = standing[0]
    if second is not None and candidate.key == second.key:
        return INDEPENDENT
    cause = next((one for one in standing if one.key in candidate.symptom_of), None)
    if cause is not None:
        return f"symptom of {cause.hypothesis.fault} at {cause.hypothesis.object}"
    if candidate.hypothesis.fault == "bad_change" and candidate.hypothesis.object == top.hypothesis.object:
        return "it is why that broke, not what"
    if candidate.hypothesis.score >= top.hypothesis.score:
        return "as likely by its evidence"
    if candidate.conflicted and not top.conflicted:
        return "its evidence is contradicted"
    if _would_win(candidate, top):
        return "farther from the alert"
    return "weaker evidence"


def _would_win(candidate: Candidate, top: Candidate) -> bool:
    """Whether only its distance keeps it behind."""
    if not 0 < candidate.nearness < top.nearness:
        return False
    near = candidate.hypothesis.score / candidate.nearness
    return near >= _AS_FAR * top.hypothesis.score / top.nearness
