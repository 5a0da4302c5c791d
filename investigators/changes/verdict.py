"""Which change is to blame: what its diff can break, against what broke, where and when."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.domain.diagnosis import Suspect
from bot.domain.evidence import Fact
from bot.domain.ids import EvidenceId
from bot.domain.redaction import clean
from investigators.changes import facts, operational, signals, symptoms, tokens
from investigators.changes.candidates import Candidate, candidates
from investigators.changes.mechanisms import ALL, Hit, Mechanism
from investigators.changes.naming import Naming
from investigators.changes.operational import Operational
from investigators.changes.signals import Signals
from investigators.changes.symptoms import Symptom
from investigators.world.world import World

_LEAST = 0.22
"""Below this nothing in the change explains the fault."""
_LISTED = 0.12
_MOST = 10
_SYMPTOMS = 80
"""The weightiest are looked at: a fault that shows in more places than that shows the same everywhere."""
_OF_FLAGS = frozenset(("switch_turned",))
_WHY_LIMIT = 600
_SLACK = timedelta(seconds=60)
"""Clocks and scrape intervals blur which came first by as much."""
_OVERLAP_FULL = 4.0
"""Four rare words in common are as much as words can tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What may be used: for measuring what each part is worth. ``without`` names mechanisms left out."""

    tokens: bool = True
    mechanisms: bool = True
    time: bool = True
    causes_without_change: bool = True
    without: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeVerdict:
    """``suspects`` likeliest first. ``no_culprit`` True where changes were looked at and none explains the
    fault (then there are no suspects, and ``reason`` says what does or that nothing fits); None where there
    was no change to look at."""

    suspects: tuple[Suspect, ...]
    no_culprit: bool | None
    facts: tuple[Fact, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Match:
    mechanism: Mechanism
    hit: Hit
    symptom: Symptom
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scored:
    candidate: Candidate
    score: float
    match: _Match | None
    words: tuple[str, ...]
    frame: str


def suspects(world: World, now: datetime, rules: Rules | None = None) -> ChangeVerdict:
    """Every change before the fault began, ranked by how its content explains the fault. ``now`` bounds what
    is looked at: changes after it do not count."""
    rules = rules or Rules()
    seen = signals.gather(world)
    changes = [change for change in world.changes if change.at <= now]
    if not changes:
        return ChangeVerdict(suspects=(), no_culprit=None, facts=facts.about_changes(world, (), None))
    environment = next(
        (alert.labels.get("environment", alert.labels.get("env", "")) for alert in world.alerts), ""
    )
    found = candidates(changes, seen.services, environment, seen.began)
    shown = symptoms.find(seen, world)[:_SYMPTOMS]
    outside = operational.find(seen, shown, world) if rules.causes_without_change else ()
    ranked = _rank(found, shown, seen, outside[0] if outside else None, world, rules)
    best = ranked[0].score if ranked else 0.0
    told = ""
    if outside and outside[0].weight > best:
        told = f"{outside[0].kind.replace('_', ' ')}: {outside[0].told[:160]}"
    elif best < _LEAST:
        told = "nothing that was changed explains the fault"
    named = () if told else tuple(_suspect(one, world) for one in ranked[:_MOST] if one.score >= _LISTED)
    return ChangeVerdict(
        suspects=named,
        no_culprit=bool(told),
        facts=facts.about_changes(world, found, named[0] if named else None),
        reason=clean(told, limit=_WHY_LIMIT),
    )


def _rank(
    found: Sequence[Candidate],
    shown: Sequence[Symptom],
    seen: Signals,
    outside: Operational | None,
    world: World,
    rules: Rules,
) -> list[_Scored]:
    words = [tokens.of_change(one.diff, one.change.title) for one in found]
    rarity = dict(tokens.rarity(words))
    # A service's name is all over its files and its errors alike.
    for word in tokens.words(" ".join(seen.services)):
        rarity[word] = 0.3 * rarity.get(word, 1.0)
    evidence = tokens.of_evidence(
        [(signal.text, signal.weight) for signal in seen.texts] + [(moved.name, 0.6) for moved in seen.moved]
    )
    frames = _frames(seen)
    naming = Naming(seen, shown)
    reach = _reach(shown, rules.without)
    scored = []
    for one, own in zip(found, words, strict=True):
        match = _best_match(one, shown, outside, naming, reach, world, rules) if rules.mechanisms else None
        mass, top = own.overlap(evidence, rarity) if rules.tokens else (0.0, ())
        overlap = min(1.0, mass / _OVERLAP_FULL)
        frame = next((file for file in one.diff.files if file.rsplit("/", 1)[-1] in frames), "")
        base = match.score if match else 0.0
        weight = 0.35 if rules.mechanisms else 1.0
        if outside is not None:
            weight *= 1 - 0.5 * outside.weight
        score = 1 - (1 - base) * (1 - weight * overlap) * (1 - (0.2 if frame and rules.tokens else 0.0))
        score *= _standing(one, seen, rules)
        scored.append(_Scored(candidate=one, score=score, match=match, words=top, frame=frame))
    return sorted(scored, key=lambda s: (-s.score, -s.candidate.at.timestamp(), s.candidate.change.id))


def _standing(one: Candidate, seen: Signals, rules: Rules) -> float:
    """How far a change can be to blame at all, whatever it says."""
    value = 1.0
    if one.diff.inert:
        value *= 0.1
    elif not one.diff.known:
        value *= 0.3
    if one.elsewhere:
        value *= 0.1
    if rules.time:
        if one.at > seen.began + _SLACK:
            value *= 0.4 if one.at <= seen.onset else 0.05
        if not one.carried:
            value *= 0.6
        age = seen.began - one.at
        value *= 0.7 if age > timedelta(days=7) else 0.85 if age > timedelta(days=1) else 1.0
    return value


def _best_match(
    one: Candidate,
    shown: Sequence[Symptom],
    outside: Operational | None,
    naming: Naming,
    reach: Sequence[tuple[Mechanism, float]],
    world: World,
    rules: Rules,
) -> _Match | None:
    if one.diff.inert or not one.diff.known:
        return None
    best: _Match | None = None
    kept = 0.4 if _is_rearrangement(one) else 1.0
    near = {service: _near(one, service, world) for service in {symptom.service for symptom in shown}}
    for mechanism, most in reach:
        # Of a flag no more is known than that it was turned.
        if one.change.kind == "flag" and mechanism.name not in _OF_FLAGS:
            continue
        if most <= (best.score if best else 0.02):
            continue
        hit = mechanism.detect(one.diff)
        if hit is None:
            continue
        for symptom in shown:
            fit = mechanism.explains.get(symptom.kind, 0.0)
            if not fit or (rules.time and one.at > symptom.first + _SLACK):
                continue
            score = hit.strength * fit * symptom.weight * near[symptom.service]
            score *= 1.0 if hit.alone else kept
            if outside and symptom.kind in outside.explains and mechanism.name not in outside.unless:
                score *= 1 - 0.65 * outside.weight
            # Looking for names is dear, and can only lower the score.
            if score <= (best.score if best else 0.02):
                continue
            score *= naming.factor(hit, symptom)
            if score > (best.score if best else 0.02):
                best = _Match(mechanism=mechanism, hit=hit, symptom=symptom, score=score)
    return best


def _reach(shown: Sequence[Symptom], without: frozenset[str]) -> list[tuple[Mechanism, float]]:
    """Each mechanism with the most it can score on these symptoms, the farthest first."""
    weights: dict[str, float] = {}
    for symptom in shown:
        weights[symptom.kind] = max(weights.get(symptom.kind, 0.0), symptom.weight)
    found = [
        (
            mechanism,
            max((fit * weights.get(kind, 0.0) for kind, fit in mechanism.explains.items()), default=0.0),
        )
        for mechanism in ALL
        if mechanism.name not in without
    ]
    return sorted((one for one in found if one[1]), key=lambda one: -one[1])


def _near(one: Candidate, service: str, world: World) -> float:
    """How close the change is to where a symptom shows."""
    if not service:
        return 0.85
    if service in one.services:
        return 1.0
    if one.shared:
        return 0.92
    if not one.services:
        return 0.75
    down = world.graph.distances(service)
    steps = [down[name] for name in one.services if name in down]
    if steps:
        return 0.85 if min(steps) == 1 else 0.7
    up = world.graph.distances(service, upstream=True)
    return 0.75 if any(name in up for name in one.services) else 0.4


def _is_rearrangement(one: Candidate) -> bool:
    """Nearly every name and every number that went came back, with little that is new: the same, put
    differently."""
    pattern = re.compile(r"[A-Za-z_]\w+|\d+(?:\.\d+)?")
    gone, come = set(pattern.findall(one.diff.removed_text)), set(pattern.findall(one.diff.added_text))
    if len(gone) < 5:
        return False
    lost = gone - come
    if len(come - gone) > 0.8 * len(gone):
        return False
    return len(lost) <= 0.15 * len(gone) and not any(word[0].isdigit() for word in lost)


def _frames(seen: Signals) -> frozenset[str]:
    """Source files that errors name."""
    files = re.compile(
        r"\b([\w\-]+\.(?:go|py|js|ts|tsx|jsx|java|kt|rb|rs|cs|php|scala|cpp|cc|c|ex|swift"
        r"|sql))\b(?:[:\"(]|, line| line)"
    )
    return frozenset(name for s in seen.texts if s.weight >= 0.5 for name in files.findall(s.text))


def _suspect(one: _Scored, world: World) -> Suspect:
    change = one.candidate.change
    return Suspect(
        change_id=change.id,
        kind=change.kind,
        score=round(one.score, 4),
        why=_why(one),
        evidence_ids=_cited(one, world),
        title=clean(change.title, limit=_WHY_LIMIT),
        service=change.service or min(one.candidate.services, default=""),
        at=one.candidate.at,
    )


def _why(one: _Scored) -> str:
    parts = []
    if one.match is not None:
        what = f" ({one.match.hit.what})" if one.match.hit.what else ""
        place = f"{one.match.symptom.service}: " if one.match.symptom.service else ""
        parts.append(f"It {one.match.mechanism.says}{what}, and {place}{one.match.symptom.text[:120]}")
    if one.frame:
        parts.append(f"the errors name {one.frame.rsplit('/', 1)[-1]}")
    if one.words:
        parts.append(f"both speak of {', '.join(one.words)}")
    # A diff can hold a secret that its source did not know for one.
    return (
        clean("; ".join(parts) + ".", limit=_WHY_LIMIT)
        if parts
        else "It came before the fault; nothing in it meets the evidence."
    )


def _cited(one: _Scored, world: World) -> tuple[EvidenceId, ...]:
    ids = [
        e.id for e in world.looked("change.list") if any(c.id == one.candidate.change.id for c in e.changes)
    ]
    if one.match is not None:
        ids += one.match.symptom.evidence_ids
    return tuple(dict.fromkeys(ids))
