"""memory_pressure of a machine, and fd_exhaustion of a process."""

from __future__ import annotations

from bot.domain.evidence import Evidence, Fact
from investigators.entities import Entity
from investigators.pack import (
    Pack,
    absent,
    answered,
    complete,
    current,
    found,
    series_of,
    unknown,
    why_nothing,
)
from investigators.plan import HostPart, Span
from investigators.ranking import human_bytes

MEMORY = "memory_pressure"
_MEMORY_LOW = 0.07
MEMORY_FINE = 0.15
_STALLED = 10.0
"""Percent of the last ten seconds in which some task waited for memory (PSI ``some avg10``)."""
_FDS_LOW = 0.9
_FDS_FINE = 0.7


def check(pack: Pack, entity: Entity) -> list[Fact]:
    return [*_memory(pack, entity), *_descriptors(pack, entity)]


def _memory(pack: Pack, entity: Entity) -> list[Fact]:
    kind, name = MEMORY, entity.machine_name
    if name is None:
        return []
    host = entity.host or ""
    facts: list[Fact] = []
    available = pack.ranges(host, "node_memory_MemAvailable_bytes", Span.LONG)
    total = pack.ranges(host, "node_memory_MemTotal_bytes", Span.RECENT)
    for (item, free), (whole, size) in zip(series_of(available), series_of(total), strict=False):
        if not current(free, pack.now):
            continue
        share = free.samples[-1].value / max(size.samples[-1].value, 1)
        facts.append(judge_memory(name, (item, whole), free.samples[-1].value, share, 0.0, "series"))
    for item in pack.host(entity.subject, HostPart.RESOURCES):
        for record in item.records if answered(item) else ():
            free_bytes, size_bytes = record.get("memory_available_bytes"), record.get("memory_total_bytes")
            stalled = record.get("memory_pressure_avg10")
            if isinstance(free_bytes, int | float) and isinstance(size_bytes, int | float) and size_bytes:
                pressure = float(stalled) if isinstance(stalled, int | float) else 0.0
                facts.append(
                    judge_memory(name, (item,), free_bytes, free_bytes / size_bytes, pressure, "now")
                )
    if not facts:
        looked = (*available, *total, *pack.host(entity.subject, HostPart.RESOURCES))
        facts = [unknown(kind, name, looked, kind, why_nothing(looked, "no memory data of the machine"))]
    return facts


def judge_memory(
    name: str, evidence: tuple[Evidence, ...], free: float, share: float, stalled: float, how: str
) -> Fact:
    """``stalled`` is the share of time, in percent, in which tasks waited for memory."""
    kind = MEMORY
    rule = f"{kind}.{how}"
    detail = f"{name} has {human_bytes(free)} of memory available ({share:.0%})"
    if stalled >= _STALLED:
        detail += f"; tasks waited for memory {stalled:.0f} % of the last 10 s"
    if share <= _MEMORY_LOW or stalled >= _STALLED:
        return found(kind, name, 0.85, evidence, rule, detail, share_available=share)
    if share >= MEMORY_FINE and all(complete(item) for item in evidence):
        return absent(kind, name, 0.9, evidence, rule, detail)
    return unknown(kind, name, evidence, rule, detail)


def _descriptors(pack: Pack, entity: Entity) -> list[Fact]:
    kind = "fd_exhaustion"
    if entity.machine:
        return []
    opened = pack.ranges(entity.subject, "process_open_fds", Span.RECENT)
    limits = pack.ranges(entity.subject, "process_max_fds", Span.RECENT)
    by_instance = {(i.source, one.labels.get("instance")): (i, one) for i, one in series_of(limits)}
    facts: list[Fact] = []
    for item, one in series_of(opened):
        limit = by_instance.get((item.source, one.labels.get("instance")))
        if limit is None or limit[1].samples[-1].value <= 0 or not current(one, pack.now):
            continue
        used, most = one.samples[-1].value, limit[1].samples[-1].value
        evidence = (item, limit[0])
        detail = f"{used:.0f} of {most:.0f} file descriptors are open"
        if used >= _FDS_LOW * most:
            facts.append(found(kind, entity.subject, 0.9, evidence, kind, detail, share=used / most))
        elif used <= _FDS_FINE * most and complete(item) and complete(limit[0]):
            facts.append(absent(kind, entity.subject, 0.9, evidence, kind, detail))
        else:
            facts.append(unknown(kind, entity.subject, evidence, kind, detail))
    if not facts:
        looked = (*opened, *limits)
        facts = [unknown(kind, entity.subject, looked, kind, why_nothing(looked, "not exported"))]
    return facts
