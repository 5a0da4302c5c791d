"""cpu_saturation of a process (about a whole core or more) and of a machine (hardly any idle time)."""

from __future__ import annotations

from datetime import timedelta

from bot.domain.evidence import Evidence, Fact, FactVerdict
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
from investigators.ranking import CRITICAL_Z, counter_rate, level_shift, rate_shift, robust_z

KIND = "cpu_saturation"
_METRIC = "process_cpu_seconds_total"
_BUSY_CORES = 0.9
_CALM_CORES = 0.6
_SHARE_OF_STARVED = 0.15
_BUSY_MACHINE = 0.9
_CALM_MACHINE = 0.75


def check(pack: Pack, entity: Entity) -> list[Fact]:
    facts = [] if entity.machine else _process(pack, entity)
    return facts + _machine(pack, entity)


def _process(pack: Pack, entity: Entity) -> list[Fact]:
    recent = pack.ranges(entity.subject, _METRIC, Span.RECENT)
    facts = [_from_counter(pack, entity, item) for item in recent if answered(item)]
    if entity.process is not None:
        facts += [
            fact
            for item in pack.host(entity.subject, HostPart.PROCESSES)
            if (fact := _from_table(entity, item)) is not None
        ]
    if not facts:
        looked = (*recent, *pack.host(entity.subject, HostPart.PROCESSES))
        facts = [unknown(KIND, entity.subject, looked, KIND, why_nothing(looked, "no CPU series"))]
    return facts


def _from_counter(pack: Pack, entity: Entity, evidence: Evidence) -> Fact:
    rule = f"{KIND}.counter"
    sustained = _highest(pack, evidence, (30, 60, 120))
    if sustained is None:
        return unknown(
            KIND, entity.subject, (evidence,), rule, "the CPU counter has too few current readings"
        )
    brief = _highest(pack, evidence, (10,)) or 0.0
    young = sustained < _BUSY_CORES <= brief
    cores = brief if young else sustained
    history = pack.ranges(entity.subject, _METRIC, Span.LONG)
    if cores >= _BUSY_CORES:
        normal = [s.value for _, one in series_of(history) for s in one.samples if s.at < entity.onset]
        z = robust_z(normal, cores)
        shifts = [shift for _, one in series_of(history) if (shift := level_shift(one.samples))]
        detail = f"{entity.subject} uses {cores:.1f} CPU cores"
        values: dict[str, float] = {"cores": cores}
        if z is not None:
            values["z"] = z
        if shifts and shifts[-1].after > shifts[-1].before:
            values["onset"] = shifts[-1].at.timestamp()
            detail += f", {shifts[-1].before:.2f} before"
        elif z is not None:
            detail += f" (robust z {z:.0f} against its normal)"
        usual = z is not None and z < 3.5
        if usual:
            detail += ", which is usual for it"
        if young:
            detail += ", in the last 10 s only"
        confidence = 0.5 if usual else 0.6 if young else 0.85 if z is not None else 0.7
        return found(KIND, entity.subject, confidence, (evidence, *history), rule, detail, **values)
    starved = any(fact.verdict is FactVerdict.FOUND for fact in _machine(pack, entity))
    if starved and cores >= _SHARE_OF_STARVED:
        return _starved(entity, evidence, history, cores)
    if cores < _CALM_CORES and complete(evidence):
        return absent(KIND, entity.subject, 0.85, (evidence,), rule, f"it uses {cores:.2f} CPU cores")
    return unknown(KIND, entity.subject, (evidence,), rule, f"it uses {cores:.2f} CPU cores")


def _starved(entity: Entity, evidence: Evidence, history: tuple[Evidence, ...], cores: float) -> Fact:
    """On a machine without idle time nobody gets a whole core: then a jump in its own use tells."""
    rule = f"{KIND}.counter"
    shifts = [shift for _, one in series_of((evidence,)) if (shift := rate_shift(one.samples)) is not None]
    detail = f"{entity.subject} uses {cores:.2f} CPU cores of a machine that has none left"
    if shifts and shifts[-1].z >= CRITICAL_Z and shifts[-1].after >= 4 * shifts[-1].before:
        detail += f", {shifts[-1].before:.2f} before"
        onset = shifts[-1].at.timestamp()
        return found(KIND, entity.subject, 0.65, (evidence, *history), rule, detail, cores=cores, onset=onset)
    return unknown(KIND, entity.subject, (evidence,), rule, detail)


def _highest(pack: Pack, evidence: Evidence, spans: tuple[int, ...]) -> float | None:
    """Cores of the busiest series, over the shortest span that the scrapes can tell."""
    rates = []
    for _, one in series_of((evidence,)):
        if not current(one, pack.now):
            continue
        tried = (counter_rate(one.samples, timedelta(seconds=span)) for span in spans)
        rates.append(next((rate for rate in tried if rate is not None), None))
    return max((rate for rate in rates if rate is not None), default=None)


def _from_table(entity: Entity, evidence: Evidence) -> Fact | None:
    """A third of a second of measuring: a hint, no more, and no proof of calm."""
    rule = f"{KIND}.glimpse"
    for record in evidence.records if answered(evidence) else ():
        percent = record.get("cpu_percent")
        if record.get("name") != entity.process or not isinstance(percent, int | float):
            continue
        if percent >= 100 * _BUSY_CORES:
            detail = f"{entity.process} used {percent:.0f} % of a CPU core while we looked"
            return found(KIND, entity.subject, 0.65, (evidence,), rule, detail, cores=percent / 100)
        detail = f"{entity.process} used {percent:.0f} % of a CPU core in a short look"
        return unknown(KIND, entity.subject, (evidence,), rule, detail)
    return None


def _machine(pack: Pack, entity: Entity) -> list[Fact]:
    name = entity.machine_name
    if name is None:
        return []
    facts: list[Fact] = []
    idle = pack.ranges(entity.host or "", "node_cpu_seconds_total", Span.LONG)
    for evidence, one in series_of(idle):
        if not current(one, pack.now):
            continue
        load = [
            f"load1 {other.samples[-1].value:.1f}"
            for _, other in series_of(pack.ranges(entity.host or "", "node_load1", Span.LONG))
        ]
        facts.append(_judge(name, evidence, 1 - one.samples[-1].value, load[:1], "idle", 0.85))
    for evidence in pack.host(entity.subject, HostPart.RESOURCES):
        for record in evidence.records if answered(evidence) else ():
            percent = record.get("cpu_percent")
            if isinstance(percent, int | float):
                load = [f"load1 {record.get('load1')} on {record.get('cpu_count')} CPUs"]
                facts.append(_judge(name, evidence, percent / 100, load, "glimpse", 0.6))
    if not facts:
        looked = (*idle, *pack.host(entity.subject, HostPart.RESOURCES))
        facts = [unknown(KIND, name, looked, KIND, why_nothing(looked, "no CPU data of the machine"))]
    return facts


def _judge(name: str, evidence: Evidence, busy: float, load: list[str], how: str, confidence: float) -> Fact:
    rule = f"{KIND}.machine_{how}"
    detail = "; ".join([f"{name}: {busy:.0%} of the machine's CPU is busy", *load])
    if busy >= _BUSY_MACHINE:
        return found(KIND, name, confidence, (evidence,), rule, detail, busy=busy)
    if busy < _CALM_MACHINE and complete(evidence) and how == "idle":
        return absent(KIND, name, confidence, (evidence,), rule, detail)
    return unknown(KIND, name, (evidence,), rule, detail)
