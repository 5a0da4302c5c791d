"""alert_onset: when the alert's own quantity changed, which may be long before the alert fired."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.domain.clock import to_rfc3339
from bot.domain.evidence import Evidence, Fact, Sample
from investigators.entities import Entity
from investigators.expression import Threshold, alert_expression, split_threshold
from investigators.pack import Pack, answered, found, series_of
from investigators.queries import SurveyQuery
from investigators.ranking import human_time, level_shift

KIND = "alert_onset"
_CLEARLY = timedelta(minutes=1)
_LONGEST = timedelta(hours=2)
"""A rule that waits longer than this does so for another reason than to be sure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Began:
    """``at`` is earlier than the alert; ``before`` and ``after`` are levels of its quantity, None where only
    the rule's ``for`` says so."""

    at: datetime
    evidence: Evidence
    before: float | None = None
    after: float | None = None


def check(pack: Pack, entity: Entity) -> list[Fact]:
    """Nothing where the alert's start is the best that is known."""
    began = onset_seen(pack, entity)
    if began is None:
        return []
    early = human_time(entity.onset - began.at)
    clock = to_rfc3339(began.at)[:19] + "Z"
    if began.before is None or began.after is None:
        detail = f"the alert's condition has held since {clock}: its rule waits for {early} before it fires"
        since = began.at.timestamp()
        return [found(KIND, entity.subject, 0.8, (began.evidence,), f"{KIND}.for", detail, onset=since)]
    detail = (
        f"the alert's own quantity went from {began.before:.4g} to {began.after:.4g} at {clock}, {early} "
        "before the alert fired"
    )
    return [
        found(
            KIND, entity.subject, 0.8, (began.evidence,), f"{KIND}.curve", detail,
            onset=began.at.timestamp(), before=began.before, after=began.after,
        )
    ]  # fmt: skip


def began_at(pack: Pack, entity: Entity) -> datetime:
    """When the trouble began, as far as it can be told."""
    began = onset_seen(pack, entity)
    return entity.onset if began is None else began.at


def onset_seen(pack: Pack, entity: Entity) -> Began | None:
    """The change of the quantity where it lies clearly before the alert, else the rule's ``for``."""
    seen = [one for one in _curves(pack, entity) if one.at <= entity.onset - _CLEARLY]
    if seen:
        return min(seen, key=lambda one: one.at)
    waits = [
        Began(at=entity.onset - timedelta(seconds=seconds), evidence=item)
        for item in pack.rules(entity.subject)
        if answered(item)
        for record in item.records
        if isinstance(seconds := record.get("duration_s"), int | float)
        and _CLEARLY.total_seconds() <= seconds <= _LONGEST.total_seconds()
    ]
    return min(waits, key=lambda one: one.at, default=None)


def _curves(pack: Pack, entity: Entity) -> Iterator[Began]:
    curves = dict(pack.curves(entity.subject))
    for alert in entity.alerts[:3]:
        threshold = split_threshold(alert_expression(alert) or "")
        if threshold is None:
            continue
        evidence = curves.get(threshold.quantity)
        answers = [] if evidence is None else series_of((evidence,))
        if not answers and threshold.plain_metric is not None:
            answers = [
                (item, one)
                for query, item in pack.wide
                if isinstance(query, SurveyQuery) and not query.healthy
                for _, one in series_of((item,))
                if one.name == threshold.plain_metric
            ]
        for item, one in answers:
            if all(alert.labels.get(key, value) == value for key, value in one.labels.items()):
                began = _change(item, one.samples, threshold)
                if began is not None:
                    yield began


def _change(evidence: Evidence, samples: Sequence[Sample], threshold: Threshold) -> Began | None:
    """A change of level towards the alert's limit that led beyond it."""
    shift = level_shift(samples)
    if shift is None or threshold.crossed(shift.before) or not threshold.crossed(shift.after):
        return None
    return Began(at=shift.at, evidence=evidence, before=shift.before, after=shift.after)
