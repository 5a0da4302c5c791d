"""Where the trouble comes from, by all that changed: series, time lost, ways taken in code, log lines."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import exp, log

from bot.domain.evidence import Evidence, Fact, TraceSpan
from investigators.facts.charge import Subject
from investigators.signals.behaviour import Behaviour, behaviours
from investigators.signals.blame import Blame, assign
from investigators.signals.curves import Curve, curves_of
from investigators.signals.delays import Delay, delays, split
from investigators.signals.deviation import Deviation, deviations
from investigators.signals.loglines import Talk, periods, talk
from investigators.signals.meaning import Meaning, is_headroom, meaning_of
from investigators.world.world import World, texts_of

_SYMPTOMS = frozenset({Meaning.LATENCY, Meaning.ERRORS, Meaning.SUCCESS})
_METRICS_WEIGHT = 25.0
_FULL = 30.0
"""Nats up to which evidence counts fully; beyond, ten times more of it counts as 23 nats."""
_DOUBT = 12.0
_CLEAR_Z = 6.0
_SLIGHT = 0.1
_ANYWHERE, _ANYWHERE_TRACED = 0.7, 0.2
_HIGHEST = 0.92
_GAP_DOMINATES = 3.0
_PAUSE = 3.0
"""Steps without a value after which a series counts as over."""
_RESOURCES: Mapping[Meaning, str] = {
    Meaning.CPU: "cpu_saturation",
    Meaning.THROTTLING: "cpu_throttling",
    Meaning.MEMORY: "resource_pressure",
    Meaning.DISK: "resource_pressure",
    Meaning.CONNECTIONS: "pool_exhausted",
}
_MOST_FACTS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """``weights`` are nats of evidence for each object; ``facts`` one or two for each that has some;
    ``steady`` are objects whose own traffic and errors were judged, go on until now, and are as ever.

    ``painless`` is True where the alert is about a quantity of its own object that is at hand and normal.
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    facts: tuple[Fact, ...] = ()
    painless: bool = False
    steady: frozenset[str] = frozenset()


class Witness(StrEnum):
    """What is compared with a time in which all was well."""

    SERIES = "series"
    DELAYS = "delays"
    BEHAVIOUR = "behaviour"
    LINES = "lines"


WITNESSES = frozenset(Witness)


def locate(world: World, witnesses: Collection[Witness] = WITNESSES) -> Located:
    """Everything that speaks for an object, added up."""
    curves = curves_of(world.tracks) if Witness.SERIES in witnesses else []
    wanted = _wanted(world)
    found, judged = deviations(world, curves, wanted)
    known = [curve for curve in curves if curve.identity in judged]
    strength, painless = _strength(world, known, found, wanted)
    metrics = assign(found, curves, world.graph, world.subjects, wanted)
    healthy, since = split(world.spans, world.healthy_spans, world.onset)
    lost = delays(healthy, since) if Witness.DELAYS in witnesses else ()
    ways = _ways(world, healthy, since) if Witness.BEHAVIOUR in witnesses else ()
    said: tuple[Talk, ...] = ()
    if Witness.LINES in witnesses:
        parts = periods(world.lines, world.healthy_lines, (healthy, since), world.onset)
        said = talk(*parts, world.graph, world.derived(texts_of))
    weights: dict[str, float] = {}
    for one in metrics:
        own = min(1.0, one.why.z / 10)
        weights[one.object] = (
            _METRICS_WEIGHT * one.share * max(strength, 0.5 * own if strength > 0.1 else 0.0)
        )
    for delay in lost:
        weights[delay.service] = weights.get(delay.service, 0.0) + _counted(delay.amount)
    for way in ways:
        weights[way.service] = weights.get(way.service, 0.0) + _counted(way.amount)
    for words in said:
        weights[words.service] = weights.get(words.service, 0.0) + _counted(words.amount)
    facts = _facts(world, weights, metrics, lost, ways, said, found)
    steady = _steady(world.now.timestamp(), known, found)
    return Located(weights=weights, facts=facts, painless=painless, steady=steady)


def confidence(weight: float, greatest: float) -> float:
    """How sure the evidence makes us: by its amount, and by how it compares with that for others."""
    if weight <= 0 or greatest <= 0:
        return 0.0
    return _HIGHEST * (1 - exp(-weight / _DOUBT)) * (0.5 + 0.5 * weight / greatest)


def _counted(amount: float) -> float:
    return amount if amount <= _FULL else _FULL + 10 * log(amount / _FULL)


def _wanted(world: World) -> frozenset[Meaning]:
    """The symptoms that the alerts speak of."""
    found: set[Meaning] = set()
    for alert in world.alerts:
        text = " ".join((alert.name, *alert.annotations.values(), alert.labels.get("metric", "")))
        for word in re.findall(r"[A-Za-z0-9_]+", text):
            meaning = meaning_of(word)
            if meaning in _SYMPTOMS:
                found.add(meaning)
    if found & {Meaning.ERRORS, Meaning.SUCCESS}:
        found |= {Meaning.ERRORS, Meaning.SUCCESS}
    return frozenset(found)


def _strength(
    world: World, curves: Sequence[Curve], found: Sequence[Deviation], wanted: frozenset[Meaning]
) -> tuple[float, bool]:
    """How much pain the alert's own objects show (0 to 1), and whether they were seen to have none."""
    meanings = wanted or _SYMPTOMS
    looked = [c for c in curves if c.object in world.subjects and c.meaning in meanings]
    pained = [
        one.z
        for one in found
        if one.curve.object in world.subjects and one.curve.meaning in meanings and one.excess > 0
    ]
    if not looked:
        # Where nobody says what is in pain, traces tell better than series what is.
        return (_ANYWHERE_TRACED if world.spans else _ANYWHERE), False
    worst = max(pained, default=0.0)
    return min(1.0, worst / _CLEAR_Z), bool(wanted) and worst < 0.5 * _CLEAR_Z


def _steady(now: float, known: Sequence[Curve], found: Sequence[Deviation]) -> frozenset[str]:
    unusual = {one.curve.object for one in found if one.curve.meaning in (_SYMPTOMS | {Meaning.TRAFFIC})}
    lasting = [
        curve
        for curve in known
        if len(curve.times) > 1 and now - curve.times[-1] <= _PAUSE * (curve.times[-1] - curve.times[-2])
    ]
    busy = {curve.object for curve in lasting if curve.meaning is Meaning.TRAFFIC}
    counted = {curve.object for curve in lasting if curve.meaning in (Meaning.ERRORS, Meaning.SUCCESS)}
    return frozenset((busy & counted) - unusual)


def _ways(world: World, healthy: Sequence[TraceSpan], since: Sequence[TraceSpan]) -> tuple[Behaviour, ...]:
    if not since or not healthy:
        return ()
    onset = world.onset
    before = world.healthy_lines if world.healthy_spans else world.lines
    usual = [
        line
        for line in before
        if world.healthy_spans or (line.at is not None and (onset - line.at).total_seconds() > 15)
    ]
    now = [line for line in world.lines if line.at is not None and line.at >= onset]
    return behaviours((healthy, usual), (since, now))


def _facts(
    world: World,
    weights: Mapping[str, float],
    metrics: Sequence[Blame],
    lost: Sequence[Delay],
    ways: Sequence[Behaviour],
    said: Sequence[Talk],
    found: Sequence[Deviation],
) -> tuple[Fact, ...]:
    if not weights:
        return ()
    greatest = max(weights.values())
    by_metrics = {one.object: one for one in metrics}
    by_delay = {one.service: one for one in lost}
    by_way = {one.service: one for one in ways}
    by_words = {one.service: one for one in said}
    resources = _resources(found)
    facts: list[Fact] = []
    for name in sorted(weights, key=lambda one: (-weights[one], one))[:_MOST_FACTS]:
        if weights[name] <= 0:
            continue
        sure = confidence(weights[name], greatest)
        subject = Subject(name=name, kind=world.graph.kinds.get(name, "service"))
        told = [
            fact
            for fact in (
                _delay_fact(world, subject, by_delay.get(name), resources.get(name), sure),
                _way_fact(world, subject, by_way.get(name), sure),
                _words_fact(world, subject, by_words.get(name), sure),
                _metric_fact(subject, by_metrics.get(name), resources.get(name), sure),
            )
            if fact is not None
        ]
        strongest = max(told, key=lambda fact: fact.values["nats"], default=None)
        for fact in told:
            # What one object shows in several ways is one finding; only the clearest leads.
            if fact is strongest:
                facts.append(fact)
            elif fact.kind != (strongest.kind if strongest else ""):
                facts.append(replace(fact, confidence=fact.confidence * 0.8))
    return tuple(facts)


def _resources(found: Iterable[Deviation]) -> Mapping[str, Deviation]:
    """The most unusual resource of each object, where clearly more of it is used than normal."""
    worst: dict[str, Deviation] = {}
    for one in found:
        used = -one.z if is_headroom(one.curve.key) else one.z
        if one.curve.meaning in _RESOURCES and used >= _CLEAR_Z:
            known = worst.get(one.curve.object)
            if known is None or abs(known.z) < used:
                worst[one.curve.object] = one
    return worst


def _delay_fact(
    world: World, subject: Subject, delay: Delay | None, resource: Deviation | None, sure: float
) -> Fact | None:
    if delay is None:
        return None
    evidence = world.looked("trace.spans")
    starved = resource is not None and resource.curve.meaning in (Meaning.CPU, Meaning.THROTTLING)
    if delay.gap_ms >= _GAP_DOMINATES * max(delay.own_ms, 1.0) and not starved:
        kind = "network_delay"
        where = f"between client and server on {', '.join(delay.edges[:3])}"
        detail = f"{delay.gap_ms:.0f} ms are lost {where}, in {delay.calls} calls"
    else:
        kind = _RESOURCES[resource.curve.meaning] if starved and resource is not None else "latency_shift"
        detail = f"its own time per call is {max(delay.own_ms, delay.gap_ms):.0f} ms longer than it was"
        if starved and resource is not None:
            detail += f"; {_said(resource)}"
            evidence = (*evidence, resource.curve.evidence)
    return subject.found(
        kind, sure, _cited(evidence), "signals.delays", detail, {"nats": _counted(delay.amount)}
    )


def _way_fact(world: World, subject: Subject, way: Behaviour | None, sure: float) -> Fact | None:
    if way is None or not way.changes:
        return None
    lead = way.changes[0]
    share = f"in {lead.now:.0%} of cases, {lead.before:.0%} before"
    inside = f"in {lead.operation}, after {lead.after}"
    if lead.new:
        kind, detail = "log_template_new", f"{inside} comes {lead.step} {share}"
    else:
        kind, detail = "log_template_missing", f"{inside} comes {lead.step} only {share}"
    errors = [change for change in way.changes if change.error and change.new]
    if errors and not lead.error:
        kind = "log_template_new"
        detail += f"; new error {errors[0].step}"
    evidence = _cited((*world.looked("trace.spans"), *world.looked("log.lines")))
    return subject.found(kind, sure, evidence, "signals.behaviour", detail, {"nats": _counted(way.amount)})


def _words_fact(world: World, subject: Subject, said: Talk | None, sure: float) -> Fact | None:
    if said is None:
        return None
    lead = said.shifts[0]
    kind = "log_template_new" if lead.now > lead.before else "log_template_missing"
    detail = f"“{lead.text[:160]}” is logged {lead.now:.2g} times a minute, normally {lead.before:.2g}"
    evidence = _cited(world.looked("log.lines", "kubernetes.log"))
    return subject.found(kind, sure, evidence, "signals.loglines", detail, {"nats": _counted(said.amount)})


def _metric_fact(
    subject: Subject, blame: Blame | None, resource: Deviation | None, sure: float
) -> Fact | None:
    if blame is None:
        return None
    why = blame.why
    kind = "latency_shift" if why.curve.meaning is Meaning.LATENCY else "error_rate_shift"
    detail = f"{blame.share:.0%} of the symptom comes from here: {_said(why)}"
    evidence: tuple[Evidence, ...] = (why.curve.evidence,)
    if resource is not None:
        detail += f"; {_said(resource)}"
        evidence = (*evidence, resource.curve.evidence)
        if kind == "latency_shift":
            kind = _RESOURCES[resource.curve.meaning]
    return subject.found(
        kind, sure, _cited(evidence), "signals.blame", detail, {"nats": _METRICS_WEIGHT * blame.share}
    )


def _said(one: Deviation) -> str:
    return f"{one.curve.key} is {one.now:.4g}, normally {one.normal:.4g} (robust z {one.z:.0f})"


def _cited(evidence: Iterable[Evidence]) -> tuple[Evidence, ...]:
    return tuple(one for one in evidence if one.usable and one.filled)
