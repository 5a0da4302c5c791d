"""Which object a symptom comes from: the excess at the thing in pain, followed along what it depends on.

At each object the excess is divided among the dependencies that have the same symptom, by how much of it
they bring about; what none of them explains stays with the object. A symptom at many callers thus gathers at
their common callee. A dependency that was never seen before and only fails is no dependency in trouble but a
wrong call of its caller: without a normal there is no deviation, so the blame stays with the caller.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from investigators.signals.curves import Curve
from investigators.signals.deviation import Deviation
from investigators.signals.meaning import Meaning, words_of
from investigators.world.graph import Graph

_SYMPTOMS = (Meaning.LATENCY, Meaning.ERRORS, Meaning.SUCCESS)
_ENOUGH = 0.25
"""A dependency that accounts for this share of an excess accounts for all of it: waiting for a slow one costs
its caller more than the waiting itself (queues, retries), and not every request waits."""
_FEEBLE = 0.1
"""A dependency that brings about less than this share of the excess does not explain it."""
_SURE_Z = 10.0
"""From here on a deviation counts fully as a dependency's share of the trouble."""
_DEEPEST = 20
_APART = 0.2
"""What is left of a share when the two do not move together at all."""
_WINDOW = 40
"""Samples in which two curves are compared."""
_ADDRESS = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+(?:[:_][a-z0-9]+)?", re.IGNORECASE)
"""A host name is where something answers, not what answers there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blame:
    """``share`` between 0 and 1 of the symptoms that comes from ``object``; ``why`` its worst deviation."""

    object: str
    share: float
    why: Deviation


@dataclass(frozen=True, slots=True)
class _Symptom:
    """One kind of trouble at every object that has it, by quantity (the mean, a quantile, …)."""

    meaning: Meaning
    members: Mapping[str, Mapping[str, Deviation]]
    traffic: Mapping[str, float]
    graph: Graph

    def z(self, name: str) -> float:
        return max(one.z for one in self.members[name].values())

    def brought(self, target: str, source: str) -> float:
        """How much of the source's excess the target brings about, as a ratio; may exceed 1.

        Each quantity counts by how unusual it is at the source, and only as far as both move together.
        """
        theirs, ours = self.members[target], self.members[source]
        weights = {key: min(one.z, _SURE_Z) for key, one in ours.items()}
        both = {key: weight for key, weight in weights.items() if key in theirs}
        if not both:
            lead = max(ours.values(), key=lambda one: one.z)
            other = max(theirs.values(), key=lambda one: one.z)
            return _ENOUGH * min(1.0, other.z / _SURE_Z) * _together(other.curve, lead.curve)
        brought = 0.0
        for key, weight in both.items():
            sure = min(1.0, theirs[key].z / _SURE_Z) * _together(theirs[key].curve, ours[key].curve)
            brought += weight * sure * self._ratio(theirs[key], ours[key])
        return brought / sum(weights.values())

    def _ratio(self, theirs: Deviation, ours: Deviation) -> float:
        ratio = theirs.excess / ours.excess
        asked, served = self.traffic.get(ours.curve.object), self.traffic.get(theirs.curve.object)
        taking_part = served / asked if asked and served else None
        quantile = _quantile(ours.curve.key)
        if quantile is None:
            return ratio if taking_part is None else ratio * taking_part
        # What takes part in few requests cannot move a quantile that most requests decide.
        return min(1.0, ratio) * (1.0 if taking_part is None else min(1.0, taking_part / (1 - quantile)))

    def flow(self, name: str, mass: float, into: dict[str, float], path: tuple[str, ...] = ()) -> None:
        below = {
            edge.target: self.brought(edge.target, name)
            for edge in self.graph.dependencies(name)
            if edge.target in self.members and edge.target not in path
        }
        below = {target: ratio for target, ratio in below.items() if ratio >= _FEEBLE}
        answering = {target: ratio for target, ratio in below.items() if not _ADDRESS.fullmatch(target)}
        below = answering or below
        kept = mass
        if below and len(path) < _DEEPEST:
            kept = mass * max(0.0, 1 - sum(below.values()) / _ENOUGH)
            for target, ratio in below.items():
                self.flow(target, (mass - kept) * ratio / sum(below.values()), into, (*path, name))
        if kept > 0:
            into[name] = into.get(name, 0.0) + kept

    def uppermost(self) -> list[str]:
        """Objects in pain on which no other object in pain depends."""
        top = [
            name
            for name in self.members
            if not any(edge.source in self.members for edge in self.graph.dependents(name))
        ]
        return top or sorted(self.members)


def assign(
    deviations: Sequence[Deviation],
    curves: Sequence[Curve],
    graph: Graph,
    entries: Sequence[str],
    wanted: Collection[Meaning] = (),
) -> tuple[Blame, ...]:
    """Everything with a share in the symptoms of the entries or, where none of them has any, of whatever no
    other object in pain depends on; greatest share first.

    ``curves`` give the traffic that weighs a dependency; ``wanted`` are the meanings that the alert is about,
    others count a third.
    """
    traffic = _traffic(curves)
    shares: dict[str, float] = {}
    worst: dict[str, Deviation] = {}
    total = 0.0
    symptoms = _symptoms(deviations, traffic, graph)
    felt = [one for one in symptoms if any(name in one.members for name in entries)]
    for symptom in felt or symptoms:
        starts = [name for name in entries if name in symptom.members] or symptom.uppermost()
        weight = max(min(1.0, symptom.z(name) / 6) for name in starts)
        weight *= 1.0 if not wanted or symptom.meaning in wanted else 1 / 3
        total += weight
        into: dict[str, float] = {}
        for name in starts:
            symptom.flow(name, 1 / len(starts), into)
        for name, share in into.items():
            shares[name] = shares.get(name, 0.0) + share * weight
            own = max(symptom.members[name].values(), key=lambda one: one.z)
            if name not in worst or worst[name].z < own.z:
                worst[name] = own
    _resolve(shares, graph)
    found = [Blame(object=name, share=share / total, why=worst[name]) for name, share in shares.items()]
    return tuple(sorted(found, key=lambda one: (-one.share, one.object)))


def _resolve(shares: dict[str, float], graph: Graph) -> None:
    """Give an address's share to what most likely answers there: another dependency of the same callers that
    is in the same trouble."""
    for address in [name for name in shares if _ADDRESS.fullmatch(name)]:
        callers = {edge.source for edge in graph.dependents(address)}
        beside = [
            name
            for name in shares
            if not _ADDRESS.fullmatch(name) and callers & {edge.source for edge in graph.dependents(name)}
        ]
        answering = max(beside, key=lambda name: (shares[name], name), default=None)
        if answering is not None and shares[answering] >= _FEEBLE * shares[address]:
            shares[answering] += shares.pop(address)


def _together(one: Curve, other: Curve) -> float:
    """How far two curves rise and fall together, between 0.2 and 1; 1 where there is too little to tell."""
    values = dict(zip(other.times, other.values, strict=True))
    pairs = [(value, values[at]) for at, value in zip(one.times, one.values, strict=True) if at in values]
    pairs = pairs[-_WINDOW:]
    if len(pairs) < 4:
        return 1.0
    mean_x = sum(x for x, _ in pairs) / len(pairs)
    mean_y = sum(y for _, y in pairs) / len(pairs)
    sxx = sum((x - mean_x) ** 2 for x, _ in pairs)
    syy = sum((y - mean_y) ** 2 for _, y in pairs)
    if sxx <= 0 or syy <= 0:
        return 1.0
    sxy = sum((x - mean_x) * (y - mean_y) for x, y in pairs)
    return float(max(_APART, sxy / (sxx * syy) ** 0.5))


def _quantile(key: str) -> float | None:
    """0.95 for a curve whose name says p95."""
    for word in words_of(key):
        if word[:1] == "p" and word[1:].isdigit():
            return min(0.999, float(f"0.{word[1:]}"))
    return None


def _symptoms(deviations: Sequence[Deviation], traffic: Mapping[str, float], graph: Graph) -> list[_Symptom]:
    """The worst deviation of each object for each quantity; the pods of one service count as one."""
    groups: dict[Meaning, dict[str, dict[str, Deviation]]] = {}
    for one in deviations:
        if one.curve.meaning in _SYMPTOMS and one.excess > 0:
            quantities = groups.setdefault(one.curve.meaning, {}).setdefault(one.curve.object, {})
            known = quantities.get(one.curve.key)
            if known is None or known.excess < one.excess:
                quantities[one.curve.key] = one
    return [_Symptom(meaning, members, traffic, graph) for meaning, members in groups.items()]


def _traffic(curves: Sequence[Curve]) -> Mapping[str, float]:
    """The mean traffic of each object that says so, over its last samples."""
    found: dict[str, float] = {}
    for curve in curves:
        if curve.meaning is Meaning.TRAFFIC:
            recent = curve.values[-5:]
            found[curve.object] = max(found.get(curve.object, 0.0), sum(recent) / len(recent))
    return found
