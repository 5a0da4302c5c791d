"""usual_at_this_hour: is the alert's quantity what it is at this time of every day?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from bot.domain.evidence import Evidence, Fact, FactVerdict, Series
from investigators.entities import Entity
from investigators.expression import Threshold, alert_expression, split_threshold
from investigators.pack import Pack, absent, complete, current, found, series_of, unknown, why_nothing
from investigators.ranking import WARN_Z, robust_z

KIND = "usual_at_this_hour"
_MOST_DAYS = 0.5
_NEW = timedelta(hours=6)
"""What has fired for longer is not of this time of day."""


def check(pack: Pack, entity: Entity) -> list[Fact]:
    """One fact for each alert with a limit whose quantity could be looked at; found where it is beyond the
    limit on most days at this time, and now as far as then."""
    looked = [item for _, item in pack.same_hours(entity.subject)]
    if not looked or pack.now - entity.onset > _NEW:
        return []
    facts = []
    for alert in entity.alerts[:3]:
        threshold = split_threshold(alert_expression(alert) or "")
        if threshold is not None:
            facts += _judged(pack, entity, threshold, alert.labels)
    if facts:
        return facts
    why = why_nothing(looked, "fewer than eight earlier days are at hand")
    return [unknown(KIND, entity.subject, looked, f"{KIND}.days", why)]


def usual(facts: Sequence[Fact], subjects: Sequence[str]) -> Fact | None:
    """What says that each of these is as it is every day; None where one is not, or is not known to be."""
    told = {fact.subject: fact for fact in facts if fact.kind == KIND and fact.verdict is FactVerdict.FOUND}
    doubted = {fact.subject for fact in facts if fact.kind == KIND and fact.verdict is not FactVerdict.FOUND}
    if not subjects or doubted or any(subject not in told for subject in subjects):
        return None
    return told[subjects[0]]


def _judged(pack: Pack, entity: Entity, threshold: Threshold, labels: Mapping[str, str]) -> list[Fact]:
    quantity = threshold.quantity
    present = [item for text, item in pack.expressions(entity.subject, bare=True) if text == quantity]
    earlier = [item for text, item in pack.same_hours(entity.subject) if text == quantity]
    then = {_key(one): (item, one) for item, one in series_of(earlier)}
    facts = []
    for item, one in series_of(present):
        known = then.get(_key(one))
        mine = all(labels.get(key, value) == value for key, value in one.labels.items())
        if known is not None and mine and current(one, pack.now):
            fact = _fact(entity, threshold, item, one, *known)
            if fact is not None:
                facts.append(fact)
    return facts[:1]


def _key(one: Series) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(one.labels.items()))


def _fact(
    entity: Entity, threshold: Threshold, now: Evidence, one: Series, evidence: Evidence, days: Series
) -> Fact | None:
    value, values = one.values[-1], list(days.values)
    z = robust_z(values, value)
    if z is None:
        return None
    middle = sorted(values)[len(values) // 2]
    beyond = sum(threshold.crossed(each) for each in values)
    words = (
        f"at this time of day the alert's quantity was beyond its limit on {beyond} of the last "
        f"{len(values)} days (median {middle:.4g}), now it is {value:.4g}"
    )
    rule, cited = f"{KIND}.days", (now, evidence)
    if abs(z) < WARN_Z and beyond > _MOST_DAYS * len(values):
        return found(KIND, entity.subject, 0.8, cited, rule, words, z=z, days=len(values), beyond=beyond)
    if all(complete(item) for item in cited):
        return absent(KIND, entity.subject, 0.8, cited, rule, words)
    return unknown(KIND, entity.subject, cited, rule, words)
