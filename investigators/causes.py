"""Facts about a world → ranked causes: what is at fault, where, and what it explains elsewhere.

A fault counts by how sure its facts are, how close such a fault is to a cause, how near its object is to what
the alert is about, and how much of what changed points there. What a stronger cause brings about, at its own
object or at those that depend on it, is its symptom.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bot.domain.diagnosis import Hypothesis
from bot.domain.evidence import Evidence, Fact, FactVerdict
from bot.domain.ids import EvidenceId
from investigators.entities import Entity
from investigators.facts.known import COMPARED, FAULTS, SYMPTOMS
from investigators.facts.platform.machine_faults import CONTROL_PLANE
from investigators.facts.spread import Spread, spread_of
from investigators.hypotheses import (
    CONFLICT_CAP,
    SYMPTOM,
    Candidate,
    Conflict,
    combined,
    demoted,
    families_of,
)
from investigators.signals.locate import Located
from investigators.world.world import World

_MOST = 0.98
_SUPPORT = 0.02
_FAR = 0.6
"""Nearness of what depends on the alert's object, rather than the other way round."""
_UNRELATED = 0.5
_SHARED = 0.9
_OF_EVERYBODY = frozenset({"dns_failure"})
"""Faults of what everything depends on and no graph draws: callers do not call the resolver by name."""
_STEP = 0.97
_TOLD = 0.5
"""From here on a specific fault of an object is sure enough to be named before the change behind it."""
_ENOUGH_WEIGHT = 6.0
"""Nats from which on the evidence of changes tells objects apart."""
_SHIFTS = frozenset({"latency_shift", "error_rate_shift"})
"""That something is slower or fails is its fault only as far as the trouble was traced to it."""
_KIND_OF_NODE = frozenset({"node", "host"})
_FITS_SPREAD = 0.04
"""For a cause whose place fits how far the trouble spreads: it breaks ties, no more."""


@dataclass(frozen=True, slots=True)
class _Place:
    """How near each object is to what the alert is about."""

    world: World
    located: Located
    spread: Spread

    def fits(self, name: str, kind: str, fault: str) -> bool:
        """Trouble everywhere fits nodes and the control plane; one bad pod fits itself and its node."""
        if self.spread.wide:
            return kind in _KIND_OF_NODE or fault in CONTROL_PLANE
        for subject in self.world.subjects:
            pod = self.spread.only_pod(subject)
            if pod is not None and name in (subject, pod.name, pod.at("spec", "nodeName")):
                return True
        return False

    def nearness(self, name: str, kind: str, fault: str) -> float:
        if kind == "namespace":
            return 1.0
        graph = self.world.graph
        starts = [subject for subject in self.world.subjects if subject in graph.kinds]
        if not starts or name in self.world.subjects:
            return 1.0
        best = 0.0
        for start in starts:
            down = graph.distances(start).get(name)
            if down is not None:
                best = max(best, _STEP**down)
            elif name in graph.distances(start, upstream=True):
                best = max(best, _FAR)
        if best:
            return float(best)
        if fault in _OF_EVERYBODY and not any(edge.kind == "calls" for edge in graph.dependents(name)):
            return _SHARED
        return _UNRELATED if name in graph.kinds and graph.edges else 0.75

    def pointed_at(self, name: str, kind: str) -> float | None:
        """How much of what changed points at the object, relative to the most; None when nothing does."""
        weights = self.located.weights
        greatest = max(weights.values(), default=0.0)
        if greatest < _ENOUGH_WEIGHT:
            return None
        share = weights.get(name, 0.0)
        if kind in _KIND_OF_NODE:
            on_it = [edge.source for edge in self.world.graph.dependents(name) if edge.kind == "runs_on"]
            share = max([share, *(weights.get(one, 0.0) for one in on_it)])
        return share / greatest


def world_candidates(
    world: World,
    located: Located,
    facts: Sequence[Fact],
    conflicts: Sequence[Conflict],
    evidence: Mapping[EvidenceId, Evidence],
    entities: Sequence[Entity],
) -> tuple[Candidate, ...]:
    """A candidate for every found fault that can be a cause, best first."""
    if not entities:
        return ()
    place = _Place(world, located, spread_of(world))
    found: dict[tuple[str, str, str], list[Fact]] = {}
    about: dict[str, list[Fact]] = {}
    for fact in facts:
        if fact.verdict is FactVerdict.FOUND and fact.subject_kind:
            about.setdefault(fact.subject, []).append(fact)
            shifted = fact.kind in _SHIFTS and "nats" not in fact.values
            if fact.kind in FAULTS and FAULTS[fact.kind].weight > 0 and not shifted:
                found.setdefault((fact.subject, fact.subject_kind, fact.kind), []).append(fact)
    disputed = {(one.subject, one.kind) for c in conflicts for one in (c.one, c.other)}
    candidates = []
    for (name, kind, fault), direct in found.items():
        known = FAULTS[fault]
        supporting = [fact for fact in about[name] if fact.kind in known.explains and fact.kind != fault]
        entity = next((one for one in entities if one.subject == name), entities[0])
        candidates.append(
            _candidate(
                place, (name, kind, fault), direct, supporting, evidence, entity, (name, fault) in disputed
            )
        )
    return tuple(sorted(_what_before_why(_demoted(world, candidates)), key=_order))


def _what_before_why(candidates: Sequence[Candidate]) -> list[Candidate]:
    """A change is why something is broken; what is broken, where a rule can tell, goes before it."""
    told: dict[str, float] = {}
    for candidate in candidates:
        one = candidate.hypothesis
        if one.fault not in COMPARED and one.score >= _TOLD:
            told[one.object] = max(told.get(one.object, 0.0), one.score)
    return [
        replace(candidate, hypothesis=replace(one, score=round(min(one.score, told[one.object] - 0.01), 3)))
        if (one := candidate.hypothesis).fault == "bad_change" and one.object in told
        else candidate
        for candidate in candidates
    ]


def _order(candidate: Candidate) -> tuple[float, str, str]:
    hypothesis = candidate.hypothesis
    return -hypothesis.score, hypothesis.fault, hypothesis.object


def _candidate(
    place: _Place,
    key: tuple[str, str, str],
    direct: Sequence[Fact],
    supporting: Sequence[Fact],
    evidence: Mapping[EvidenceId, Evidence],
    entity: Entity,
    disputed: bool,
) -> Candidate:
    name, kind, fault = key
    lead = max(direct, key=lambda fact: fact.confidence)
    nearness = place.nearness(name, kind, fault)
    score = combined(direct, evidence) * FAULTS[fault].weight * nearness
    pointed = place.pointed_at(name, kind)
    if pointed is not None:
        # What objects say of themselves needs little pointing at; what is only compared needs it all.
        compared = all("nats" in fact.values for fact in direct)
        score *= 0.5 + 0.5 * pointed if compared else 0.85 + 0.15 * pointed
    score += _FITS_SPREAD if place.fits(name, kind, fault) else 0.0
    score += _SUPPORT * min(4, len({fact.kind for fact in supporting}))
    if disputed:
        score = min(score, CONFLICT_CAP)
    ids = dict.fromkeys(i for fact in (*direct, *supporting) for i in fact.evidence_ids)
    return Candidate(
        entity=entity,
        hypothesis=Hypothesis(
            object=name,
            object_kind=kind,
            fault=fault,
            score=round(min(score, _MOST), 3),
            statement=lead.detail,
            evidence_ids=tuple(ids),
        ),
        direct=tuple(sorted(direct, key=lambda fact: -fact.confidence)),
        supporting=tuple(supporting),
        families=families_of((*direct, *supporting), evidence),
        conflicted=disputed,
        nearness=nearness,
    )


def _demoted(world: World, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Symptoms of a stronger cause lose: once, however many causes explain them."""
    ordered = sorted(candidates, key=_order)
    result = []
    upstream = {
        c.hypothesis.object: world.graph.distances(c.hypothesis.object, upstream=True) for c in ordered
    }
    for number, candidate in enumerate(ordered):
        causes = [
            other
            for place, other in enumerate(ordered)
            if place != number
            and other.hypothesis.score >= candidate.hypothesis.score * SYMPTOM
            and _brings_about(other, candidate, upstream)
            # Of two that explain each other the likelier one is the cause.
            and (place < number or not _brings_about(candidate, other, upstream))
        ]
        result.append(demoted(candidate, causes))
    return result


def _brings_about(cause: Candidate, effect: Candidate, upstream: Mapping[str, Mapping[str, int]]) -> bool:
    one, other = cause.hypothesis, effect.hypothesis
    known = FAULTS[one.fault]
    if one.object == other.object:
        return other.fault in known.explains
    if other.object not in upstream[one.object]:
        return False
    if one.fault in COMPARED:
        # Two things that merely look worse than before: blame has been shared out between them already.
        return False
    return other.fault in known.spreads or other.fault in SYMPTOMS
