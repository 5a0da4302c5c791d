"""log_template_new: kinds of error lines that appear only after the onset; log_errors where newness
cannot be told. Log text is chosen by others: these facts support a cause and never outweigh numbers."""

from __future__ import annotations

from datetime import datetime, timedelta

from bot.domain.evidence import Evidence, Fact, LogLine
from investigators.entities import Entity
from investigators.pack import Pack, absent, answered, complete, found, unknown, why_nothing
from investigators.plan import HostPart
from investigators.templates import Level, Template, mine

NEW = "log_template_new"
ERRORS = "log_errors"
_LEAST_BASELINE = 5
"""Timed lines before the onset without which nothing can be called new."""
_LEAD = timedelta(minutes=1)
"""An alert fires some time after the trouble began, beyond its own ``for``."""
_SHOWN = 160


def check(pack: Pack, entity: Entity) -> list[Fact]:
    if entity.process is None:
        return []
    looked = pack.host(entity.subject, HostPart.LOG)
    onset = onset_of(pack, entity)
    facts = [fact for item in looked if answered(item) for fact in _judge(entity, item, onset)]
    if not facts:
        facts = [unknown(NEW, entity.subject, looked, NEW, why_nothing(looked, "no log is configured"))]
    return facts


def onset_of(pack: Pack, entity: Entity) -> datetime:
    """When the trouble began at the latest: the alert's start less its ``for`` and a minute."""
    waits = [
        float(record["duration_s"] or 0)
        for item in pack.rules(entity.subject)
        for record in item.records
        if isinstance(record.get("duration_s"), int | float)
    ]
    return entity.onset - timedelta(seconds=max(waits, default=0.0)) - _LEAD


def _judge(entity: Entity, evidence: Evidence, onset: datetime) -> list[Fact]:
    lines = evidence.lines
    before, after = _split(lines, onset)
    errors_after = [t for t in mine(after).templates if t.level >= Level.ERROR]
    if sum(line.at is not None for line in before) < _LEAST_BASELINE:
        facts = []
        if errors_after:
            facts.append(_errors(entity, evidence, errors_after))
        why = "the log has no lines from before the onset to compare with"
        return [*facts, unknown(NEW, entity.subject, (evidence,), NEW, why)]
    # Mined together, so that one template is the same template on both sides.
    mined = mine([*before, *after])
    border = len(before)
    new = [
        template
        for template in mined.templates
        if template.level >= Level.ERROR and template.members and template.members[0] >= border
    ]
    if new:
        new.sort(key=lambda template: (-template.level, -template.count))
        first = min((t.first for t in new if t.first is not None), default=None)
        values = {"templates": float(len(new)), "lines": float(sum(t.count for t in new))}
        if first is not None:
            values["onset"] = first.timestamp()
        top = new[0]
        detail = f"new in the log since the onset, {top.count} times: {top.sample[:_SHOWN]!r}"
        if len(new) > 1:
            detail += f" (and {len(new) - 1} other new kinds)"
        return [found(NEW, entity.subject, 0.65, (evidence,), NEW, detail, **values)]
    facts = [_errors(entity, evidence, errors_after)] if errors_after else []
    if complete(evidence) and not mined.overflow:
        detail = f"no new kind of error among {len(after)} lines since the onset"
        return [*facts, absent(NEW, entity.subject, 0.8, (evidence,), NEW, detail)]
    return [*facts, unknown(NEW, entity.subject, (evidence,), NEW, "the log was cut")]


def _errors(entity: Entity, evidence: Evidence, templates: list[Template]) -> Fact:
    worst = max(templates, key=lambda template: (template.level, template.count))
    detail = f"errors in the log, {worst.count} times: {worst.sample[:_SHOWN]!r}"
    total = float(sum(template.count for template in templates))
    return found(ERRORS, entity.subject, 0.45, (evidence,), ERRORS, detail, lines=total)


def _split(lines: tuple[LogLine, ...], onset: datetime) -> tuple[list[LogLine], list[LogLine]]:
    """Lines before and from the onset; a line without a time goes with the one before it, and a log
    without any times is all after."""
    before: list[LogLine] = []
    after: list[LogLine] = []
    earlier = any(line.at is not None for line in lines) and _first_time(lines) < onset
    for line in lines:
        if line.at is not None:
            earlier = line.at < onset
        (before if earlier else after).append(line)
    return before, after


def _first_time(lines: tuple[LogLine, ...]) -> datetime:
    return next(line.at for line in lines if line.at is not None)
