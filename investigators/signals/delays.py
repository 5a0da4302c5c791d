"""Where time is lost between services and inside them, from spans, against a time in which all was well.

The gap between a client's span and the server's span below it is the network's, or the time that a busy
process did not read or write. A gap at one edge may be either end's; a service whose every edge has one is at
fault, so each end is charged by the share of its edges that have it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import log
from statistics import median

from bot.domain.evidence import TraceSpan

_LEAST = 3
_UNUSUAL = 6.0
_FLOOR_MS = 1.0
_OWN = 0.5
"""Own time counts half: it grows with load and with what is asked, a gap between two services does not."""
_LEAST_OWN_MS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """Time lost at a service. ``amount`` grows with how many calls lost how much (nats, see ``_weight``);
    ``gap_ms`` and ``own_ms`` are the greatest median losses per call on an edge and inside."""

    service: str
    amount: float
    gap_ms: float
    own_ms: float
    calls: int
    edges: tuple[str, ...]


def delays(healthy: Sequence[TraceSpan], incident: Sequence[TraceSpan]) -> tuple[Delay, ...]:
    """Services that lose time, the greatest loss first."""
    gaps_before, own_before = _times(healthy)
    gaps_now, own_now = _times(incident)
    every_gap = [gap for gaps in gaps_before.values() for gap in gaps]
    lost: dict[tuple[str, str], tuple[float, float, int]] = {}
    for edge, gaps in gaps_now.items():
        known = gaps_before.get(edge, ())
        usual = known if len(known) >= _LEAST else every_gap
        weight, excess = _weight(gaps, usual)
        if weight > 0:
            lost[edge] = (weight, excess, len(gaps))
    charged = _charge(lost, gaps_now)
    for (service, _), times in own_now.items():
        weight, excess = _weight(times, own_before.get((service, _), ()))
        if weight > 0 and excess >= _LEAST_OWN_MS:
            known_charge = charged.setdefault(service, _Charge())
            known_charge.amount += weight * _OWN
            known_charge.own_ms = max(known_charge.own_ms, excess)
            known_charge.calls = max(known_charge.calls, len(times))
    return tuple(
        sorted(
            (
                Delay(
                    service=name,
                    amount=one.amount,
                    gap_ms=one.gap_ms,
                    own_ms=one.own_ms,
                    calls=one.calls,
                    edges=tuple(one.edges),
                )
                for name, one in charged.items()
            ),
            key=lambda one: (-one.amount, one.service),
        )
    )


class _Charge:
    __slots__ = ("amount", "calls", "edges", "gap_ms", "own_ms")

    def __init__(self) -> None:
        self.amount = 0.0
        self.gap_ms = 0.0
        self.own_ms = 0.0
        self.calls = 0
        self.edges: list[str] = []

    def add(self, weight: float, excess: float, calls: int, edge: str) -> None:
        self.amount += weight
        self.gap_ms = max(self.gap_ms, excess)
        self.calls += calls
        self.edges.append(edge)


def _charge(
    lost: Mapping[tuple[str, str], tuple[float, float, int]], edges: Iterable[tuple[str, str]]
) -> dict[str, _Charge]:
    callers: dict[str, set[str]] = {}
    callees: dict[str, set[str]] = {}
    for caller, callee in edges:
        callers.setdefault(callee, set()).add(caller)
        callees.setdefault(caller, set()).add(callee)
    charged: dict[str, _Charge] = {}
    for (caller, callee), (weight, excess, calls) in lost.items():
        at_callee = sum((other, callee) in lost for other in callers[callee]) / len(callers[callee])
        charged.setdefault(callee, _Charge()).add(weight * at_callee, excess, calls, f"{caller} → {callee}")
        at_caller = sum((caller, other) in lost for other in callees[caller]) / len(callees[caller])
        if at_caller >= 0.5 and len(callees[caller]) >= 2:
            charged.setdefault(caller, _Charge()).add(
                weight * at_caller, excess, calls, f"{caller} → {callee}"
            )
    return charged


def _times(
    spans: Sequence[TraceSpan],
) -> tuple[dict[tuple[str, str], list[float]], dict[tuple[str, str], list[float]]]:
    """Milliseconds between client and server by (caller, callee), and inside by (service, operation)."""
    # Some tracers use the same span ids again in other traces.
    by_id = {(span.trace_id, span.span_id): span for span in spans}
    below: dict[tuple[str, str], list[TraceSpan]] = {}
    for span in spans:
        parent = (span.trace_id, span.parent_id or "")
        if parent in by_id:
            below.setdefault(parent, []).append(span)
    gaps: dict[tuple[str, str], list[float]] = {}
    own: dict[tuple[str, str], list[float]] = {}
    for span in spans:
        above = (span.trace_id, span.parent_id or "")
        caller = by_id.get(above)
        if caller is not None and caller.service != span.service and _alone(span, below[above]):
            gaps.setdefault((caller.service, span.service), []).append(
                max(0.0, caller.duration_ms - span.duration_ms)
            )
        children = below.get((span.trace_id, span.span_id), ())
        if not any(child.service != span.service for child in children):
            inside = span.duration_ms - sum(child.duration_ms for child in children)
            own.setdefault((span.service, span.operation), []).append(max(0.0, inside))
    return gaps, own


def _alone(span: TraceSpan, siblings: Sequence[TraceSpan]) -> bool:
    """Only a client span with one server below it has a gap; with several it is the caller's own span."""
    return len(siblings) == 1 or all(one is span or one.service == span.service for one in siblings)


def _weight(now: Sequence[float], usual: Sequence[float]) -> tuple[float, float]:
    """(calls x log of how many times longer, median excess in ms); zeros where it is not unusual."""
    if len(usual) < _LEAST or len(now) < 2:
        return 0.0, 0.0
    middle = median(usual)
    spread = max(1.4826 * median(abs(one - middle) for one in usual), _FLOOR_MS, 0.1 * middle)
    excess = median(now) - middle
    if excess / spread < _UNUSUAL:
        return 0.0, 0.0
    return len(now) * log(1 + excess / (middle + _FLOOR_MS)), excess


def split(
    spans: Sequence[TraceSpan], healthy: Sequence[TraceSpan], onset: datetime, guard_s: float = 15.0
) -> tuple[tuple[TraceSpan, ...], tuple[TraceSpan, ...]]:
    """(healthy, incident): spans of the baseline, or where there is none those well before the onset; and
    those since."""
    spans = _once(spans)
    since = tuple(span for span in spans if span.start >= onset)
    if healthy:
        return _once(healthy), since
    before = tuple(span for span in spans if (onset - span.start).total_seconds() > guard_s)
    return before, since


def _once(spans: Sequence[TraceSpan]) -> tuple[TraceSpan, ...]:
    """Each span once: collectors deliver some twice."""
    known = {
        (one.trace_id, one.span_id, one.service, one.kind, one.operation): one for one in reversed(spans)
    }
    return tuple(known.values())[::-1]
