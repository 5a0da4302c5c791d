"""How sure a diagnosis is, by rules: witnesses, contradictions, rivals, disagreement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from bot.domain.diagnosis import Band
from bot.domain.evidence import Fact
from bot.domain.ids import EvidenceId
from investigators.hypotheses import Candidate
from investigators.pack import Pack
from investigators.queries import ObjectQuery

CLOSE = 0.10
"""Scores this near each other do not tell two causes apart."""
_SURE = 0.7
_HIGH, _MEDIUM = 0.8, 0.55
_LEAST_COMPARED = 0.45
"""What rests on comparing alone must be this likely to be called a cause."""
_LOWER = {Band.HIGH: Band.MEDIUM, Band.MEDIUM: Band.LOW, Band.LOW: Band.LOW}


class Family(StrEnum):
    """Evidence of one family stands or falls together."""

    OBJECTS = "kubernetes objects"
    EVENTS = "kubernetes events"
    LOGS = "logs"
    METRICS = "metrics"
    TRACES = "traces"
    CHANGES = "changes"
    HOSTS = "hosts"


_BY_KIND: Mapping[str, Family] = {
    "kubernetes.objects": Family.OBJECTS,
    "kubernetes.log": Family.LOGS,
    "log.lines": Family.LOGS,
    "log.expression": Family.LOGS,
    "log.tail": Family.LOGS,
    "trace.spans": Family.TRACES,
    "change.list": Family.CHANGES,
    "osquery.table": Family.HOSTS,
    "osquery.select": Family.HOSTS,
}


def families_by_id(pack: Pack) -> Mapping[EvidenceId, Family]:
    """The family of every usable answer that can be a witness; texts, tickets and the past are none."""
    found: dict[EvidenceId, Family] = {}
    for answer in pack.answers:
        family = family_of(answer.evidence.kind)
        if isinstance(answer.query, ObjectQuery) and answer.query.object_kind == "Event":
            family = Family.EVENTS
        if family is not None and answer.evidence.usable:
            found[answer.evidence.id] = family
    return found


def family_of(kind: str) -> Family | None:
    """The family of evidence of this kind; None for what is no witness, such as texts and the past."""
    if kind.startswith("metric."):
        return Family.METRICS
    return Family.HOSTS if kind.startswith("host.") else _BY_KIND.get(kind)


def witnesses(facts: Sequence[Fact], families: Mapping[EvidenceId, Family]) -> frozenset[Family]:
    """Who speaks for a cause independently of each other. Objects and events come from one API server: they
    are two witnesses only where each tells another part of the story by itself."""
    by_kind: dict[str, set[Family]] = {}
    for fact in facts:
        said = by_kind.setdefault(fact.kind, set())
        said |= {families[i] for i in fact.evidence_ids if i in families}
    every = frozenset(family for said in by_kind.values() for family in said)
    if {Family.OBJECTS, Family.EVENTS} <= every:
        told_by_objects = any(
            Family.EVENTS not in said and Family.OBJECTS in said for said in by_kind.values()
        )
        told_by_events = any(
            Family.OBJECTS not in said and Family.EVENTS in said for said in by_kind.values()
        )
        if not (told_by_objects and told_by_events):
            every -= {Family.EVENTS}
    return every


def band_of(
    top: Candidate | None,
    standing: Sequence[Candidate],
    families: Mapping[EvidenceId, Family],
    *,
    disputed: bool = False,
) -> Band:
    """High needs two independent witnesses, one of them sure, no contradiction, and no rival nearby. Where
    perspectives disagree (``disputed``) it is one lower than it would be."""
    if top is None:
        return Band.LOW
    score = top.hypothesis.score
    sure = any(fact.confidence >= _SURE for fact in top.direct)
    count = len(witnesses(top.facts, families)) if top.of_world else len(top.families)
    rivals = [other for other in standing if other is not top and _rivals(top, other)]
    rests = score >= _HIGH and count >= 2 and sure and not top.conflicted
    band = Band.LOW
    if rests and (disputed or not rivals):
        band = Band.HIGH
    elif score >= _MEDIUM and not top.conflicted and (sure or count >= 2 or not rivals):
        band = Band.MEDIUM
    return _LOWER[band] if disputed else band


def _rivals(top: Candidate, other: Candidate) -> bool:
    """Another explanation about as likely: what the cause explains is none, nor is another name for the same
    trouble at the same object of a world."""
    if other.hypothesis.score < top.hypothesis.score - CLOSE:
        return False
    if top.key in other.symptom_of or other.hypothesis.fault in {fact.kind for fact in top.supporting}:
        return False
    return not top.of_world or other.hypothesis.object != top.hypothesis.object


def only_compared(candidate: Candidate) -> bool:
    """Whether nothing but a comparison with a healthy time speaks for it."""
    return all("nats" in fact.values for fact in candidate.direct)


def too_weak(candidate: Candidate) -> bool:
    """What is only statistical and weak is a place to look at first, not a cause."""
    return only_compared(candidate) and candidate.hypothesis.score < _LEAST_COMPARED
