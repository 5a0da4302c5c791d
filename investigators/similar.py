"""Past incidents that look like this one: by the kinds of fact that were found, the rare ones above all."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.domain.diagnosis import Similar
from bot.domain.evidence import Fact
from bot.domain.ids import IncidentId
from bot.domain.past import OFFERED, PastFact, Role, names_of, past_facts
from investigators.ports import Case

MOST = 3
_LEAST = 0.3
_KINDS_SHOWN = 4

_FACTS, _SERVICE, _ALERT = 0.7, 0.15, 0.15
"""What the overlap of facts, the same service and the same alert make of the score."""

_GENERIC: Mapping[str, float] = {
    "alert_condition": 0.1,
    "log_errors": 0.15,
    "scope_one_instance": 0.15,
    "scope_cluster_wide": 0.15,
    "process_restarted": 0.3,
    "log_template_new": 0.3,
    "target_down": 0.4,
}
"""Kinds that most incidents have, whatever their cause: how often is not known from a handful of them."""
_TELLING = 0.5
"""The least that all shared kinds must weigh together: below it they may be shared by chance."""
_CAUSE = 2.0
"""How much more the kind counts that the past incident was put down to."""
_OTHER_KIND, _OTHER_ROLE = 0.8, 0.5
"""What is left of a shared kind that was found at another kind of thing, at a thing of another role."""

_HALF_LIFE = timedelta(days=90)
_OLDEST = 0.5
"""What age leaves of the score in the end: systems change, but not altogether."""
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

_Place = tuple[str, str]
"""Where a kind was found: subject kind and role."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Past:
    """A past incident as far as it can be compared."""

    id: str
    short_id: str
    title: str
    service: str
    alert_names: frozenset[str]
    kinds: Mapping[str, frozenset[_Place]]
    fault: str
    cause: str
    resolution: str
    resolved_at: datetime | None


def similar(facts: Sequence[Fact], case: Case, past: Sequence[Mapping[str, Any]]) -> tuple[Similar, ...]:
    """The past incidents most like this one, at most 3, best first.

    ``past`` as :class:`investigators.queries.PastQuery` answers it; what is no such object, is not good
    enough to learn from, or is this incident itself is passed over.
    """
    alerts = case.alerts
    names = names_of(case.incident.service, alerts)
    kinds = _by_kind(past_facts(facts, names))
    read = [one for entry in past if (one := _read(entry)) is not None and one.id != case.incident.id]
    rarity = _rarity(read)
    alert_names = frozenset(alert.name for alert in alerts)
    found = [
        match
        for one in read
        if (match := _compare(one, kinds, rarity, case.incident.service, alert_names, case.now)) is not None
    ]
    found.sort(key=lambda m: (-m.score, -(m.resolved_at or _LONG_AGO).timestamp(), m.incident_id))
    return tuple(found[:MOST])


def _compare(
    one: _Past,
    kinds: Mapping[str, frozenset[_Place]],
    rarity: Mapping[str, float],
    service: str | None,
    alert_names: frozenset[str],
    now: datetime,
) -> Similar | None:
    shared = {kind: _nearness(kinds[kind], one.kinds[kind]) for kind in kinds.keys() & one.kinds.keys()}
    same_service = bool(service) and service == one.service
    same_alerts = sorted(alert_names & one.alert_names)
    weights = {kind: rarity.get(kind, 1.0) * _GENERIC.get(kind, 1.0) for kind in {*kinds, *one.kinds}}
    # A kind that every past incident has says little by itself, unless it is the same thing again.
    known = same_service and bool(same_alerts)
    telling = {
        kind: near * (_GENERIC.get(kind, 1.0) if known else weights[kind]) for kind, near in shared.items()
    }
    generic = max((telling[kind] for kind in telling if kind in _GENERIC), default=0.0)
    if generic + sum(telling[kind] for kind in telling if kind not in _GENERIC) < _TELLING:
        return None
    if one.fault in weights:
        weights[one.fault] *= _CAUSE
    common = sum(weights[kind] * near for kind, near in shared.items())
    total = sum(weights[kind] for kind in kinds) + sum(weights[kind] for kind in one.kinds)
    score = _FACTS * 2 * common / total + _SERVICE * same_service + _ALERT * bool(same_alerts)
    score = round(score * _freshness(one.resolved_at, now), 3)
    if score < _LEAST:
        return None
    ranked = sorted(shared, key=lambda kind: (-weights[kind] * shared[kind], kind))
    return Similar(
        incident_id=IncidentId(one.id),
        short_id=one.short_id,
        title=one.title,
        service=one.service,
        resolved_at=one.resolved_at,
        cause=one.cause,
        resolution=one.resolution,
        shared=(
            *ranked[:_KINDS_SHOWN],
            *(["the same service"] if same_service else []),
            *(f"the alert {name}" for name in same_alerts[:1]),
        ),
        score=score,
    )


def _rarity(past: Sequence[_Past]) -> dict[str, float]:
    """Inverse document frequency of each kind, between 0 and 1: 1 for one that a single incident has."""
    having = Counter(kind for one in past for kind in one.kinds)
    scale = math.log(1 + len(past))
    return {kind: math.log(1 + len(past) / count) / scale for kind, count in having.items()}


def _nearness(one: frozenset[_Place], other: frozenset[_Place]) -> float:
    """1 where the kind was found at the same kind of thing in the same role, less where it was not."""
    if one & other:
        return 1.0
    return _OTHER_KIND if {role for _, role in one} & {role for _, role in other} else _OTHER_ROLE


def _freshness(resolved_at: datetime | None, now: datetime) -> float:
    if resolved_at is None:
        return _OLDEST
    halvings = max(timedelta(0), now - resolved_at) / _HALF_LIFE
    return _OLDEST + (1 - _OLDEST) * math.exp2(-halvings)


def _by_kind(facts: Iterable[PastFact]) -> dict[str, frozenset[_Place]]:
    kinds: dict[str, set[_Place]] = {}
    for fact in facts:
        kinds.setdefault(fact.kind, set()).add((fact.subject_kind, fact.role.value))
    return {kind: frozenset(places) for kind, places in kinds.items()}


def _read(entry: Mapping[str, Any]) -> _Past | None:
    """None for what is no past incident, or none to learn from. Recordings may be written by hand."""
    quality = entry.get("quality", OFFERED)
    if not isinstance(quality, int | float) or quality < OFFERED:
        return None
    identity = _text(entry, "id") or _text(entry, "short_id")
    facts = entry.get("facts")
    kinds = _by_kind(_facts(facts)) if isinstance(facts, list | tuple) else {}
    if not identity or not kinds:
        return None
    cause = entry.get("cause")
    fault = _text(cause, "fault") if isinstance(cause, Mapping) else ""
    at = _text(cause, "object") if isinstance(cause, Mapping) else ""
    names = entry.get("alert_names")
    return _Past(
        id=identity,
        short_id=_text(entry, "short_id") or identity,
        title=_text(entry, "title"),
        service=_text(entry, "service"),
        alert_names=frozenset(str(name) for name in names)
        if isinstance(names, list | tuple)
        else frozenset(),
        kinds=kinds,
        fault=fault,
        cause=_text(entry, "root_cause") or " at ".join(part for part in (fault, at) if part),
        resolution=_text(entry, "resolution"),
        resolved_at=_time(_text(entry, "resolved_at")),
    )


def _facts(facts: Iterable[Any]) -> Iterable[PastFact]:
    """A kind alone, or a list of kind, subject kind and role; what is missing is the incident's own."""
    roles = {role.value for role in Role}
    for fact in facts:
        parts = [fact] if isinstance(fact, str) else fact
        if isinstance(parts, list | tuple) and parts and all(isinstance(part, str) for part in parts):
            kind, subject_kind, role = (*parts, "", "")[:3]
            yield PastFact(kind=kind, subject_kind=subject_kind, role=Role(role if role in roles else "own"))


def _text(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name)
    return value if isinstance(value, str) else ""


def _time(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
