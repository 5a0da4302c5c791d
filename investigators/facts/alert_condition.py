"""alert_condition: is what the alert complains about still so, as seen now and by others?"""

from __future__ import annotations

from datetime import timedelta

from bot.domain.alert import Alert
from bot.domain.evidence import Evidence, Fact
from investigators.entities import Entity
from investigators.expression import Threshold, alert_expression, split_threshold
from investigators.pack import Pack, absent, answered, complete, found, series_of, unknown, why_nothing
from investigators.plan import ExpressionAsk, HostPart

KIND = "alert_condition"
_RECORD_OF = {"process_resident_memory_bytes": "rss_bytes", "process_open_fds": "open_files"}
"""Metrics whose value the process table shows as well, so that it can confirm an alert by itself."""


def check(pack: Pack, entity: Entity) -> list[Fact]:
    facts: list[Fact] = []
    for alert in entity.alerts[:3]:
        promql = alert_expression(alert)
        if promql is None:
            continue
        answers = [item for text, item in pack.expressions(entity.subject, bare=False) if text == promql]
        facts += [_from_expression(pack, entity, alert, item) for item in answers if item.usable]
        threshold = split_threshold(promql)
        if threshold is not None:
            facts += _from_host(pack, entity, threshold)
    if not facts:
        looked = tuple(item for _, item in pack.expressions(entity.subject, bare=False))
        why = why_nothing(looked, "the alert does not carry its expression")
        facts = [unknown(KIND, entity.subject, looked, KIND, why)]
    return facts


def _from_expression(pack: Pack, entity: Entity, alert: Alert, evidence: Evidence) -> Fact:
    rule = f"{KIND}.expression"
    step = next(
        (a.ask.step for a in pack.answers if a.evidence is evidence and isinstance(a.ask, ExpressionAsk)),
        timedelta(seconds=15),
    )
    recent = pack.now - max(2 * step, timedelta(seconds=5))
    mine = [
        one
        for _, one in series_of((evidence,))
        if all(alert.labels.get(key, value) == value for key, value in one.labels.items())
    ]
    current = [one for one in mine if one.samples[-1].at >= recent]
    if current:
        detail = f"the alert's expression still holds, value {current[0].samples[-1].value:.6g}"
        return found(KIND, entity.subject, 0.9, (evidence,), rule, detail)
    if complete(evidence):
        detail = "the alert's expression does not hold any more"
        return absent(KIND, entity.subject, 0.85, (evidence,), rule, detail)
    return unknown(KIND, entity.subject, (evidence,), rule, why_nothing((evidence,), "incomplete answer"))


def _from_host(pack: Pack, entity: Entity, threshold: Threshold) -> list[Fact]:
    """The same quantity in the process table: another witness than the metrics."""
    field = _RECORD_OF.get(threshold.plain_metric or "")
    if field is None or entity.process is None:
        return []
    rule = f"{KIND}.process_table"
    for evidence in pack.host(entity.subject, HostPart.PROCESSES):
        for record in evidence.records if answered(evidence) else ():
            value = record.get(field)
            if record.get("name") != entity.process or not isinstance(value, int | float):
                continue
            words = f"{field} is {value:.6g}, the alert's limit {threshold.operator} {threshold.limit:.6g}"
            if threshold.crossed(value):
                return [found(KIND, entity.subject, 0.9, (evidence,), rule, words)]
            if complete(evidence):
                return [absent(KIND, entity.subject, 0.8, (evidence,), rule, words)]
    return []
