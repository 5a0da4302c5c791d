"""What services log differently where lines do not say which span they belong to.

Kinds of lines are counted for each service, now and when all was well, and compared as rates of one process:
so many per second, corrected by how much more or less work the service does. The order of lines is lost, and
lines come in bursts, so this is a weak witness: an error that is new says much, a plain line little.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import log
from statistics import median

from bot.domain.evidence import TraceSpan
from investigators.signals.vocabulary import Vocabulary
from investigators.templates import Texts
from investigators.world.graph import Graph
from investigators.world.world import Line

_BAD = frozenset({"error", "err", "fatal", "critical", "crit", "panic", "severe", "emergency", "alert"})
_WARNINGS = frozenset({"warn", "warning"})
_ERROR, _WARNING, _PLAIN = (1.0, 12.0), (0.4, 5.0), (0.15, 3.0)
"""Weight, and the nats that one kind of line can be worth, however often it comes."""
_ANOTHER = re.compile(
    r"connection (?:refused|reset|timed? ?out|closed|aborted)|econn(?:refused|reset)|etimedout|enotfound"
    r"|time(?:d ?|-)?out|deadline ?exceeded|unreachable|unavailable|no route to host|no such host"
    r"|reset by peer|name resolution|(?:resolve|unknown) ?host|broken pipe|bad gateway|upstream|downstream"
    r"|dial tcp|(?:cannot|could not|unable to|failed to|can't) (?:connect|reach|call|contact|resolve)"
    r"|(?:returned|answered|responded|responds|replied)\b|circuit ?breaker",
    re.IGNORECASE,
)
"""A line that says somebody else failed speaks against whoever that is; rules that read it charge them."""
_LEAST = 2
_OFTEN = 2.0
_NOTABLE = 2.0
_RARE = 0.34
_LEAST_S = 60.0
_LEAST_LINES = 10
_LEAST_USUAL = 5
"""Lines of a kind before it can be missed, or tell how busy a service is."""
_LEAST_SPANS = 10
_EXPLAINED = 0.5
"""Share of its own strength that something below must have to explain a service's errors."""
_LEFT = 0.3
_MOST_LINES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """One kind of line that comes more or less often; ``before`` and ``now``: lines a minute, ``before``
    at the amount of work of now."""

    text: str
    level: str
    before: float
    now: float
    strength: float

    @property
    def bad(self) -> bool:
        return self.level in _BAD


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """How differently a service logs, in nats, with the strongest shifts first."""

    service: str
    amount: float
    shifts: tuple[Shift, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """What was logged in one time. ``whole`` False: lines may be left out, so none can be missed."""

    lines: Sequence[Line]
    spans: Sequence[TraceSpan] = ()
    whole: bool = True


def talk(healthy: Period, incident: Period, graph: Graph, texts: Texts | None = None) -> tuple[Talk, ...]:
    """Services that log differently, the most different first. What a dependency's errors explain of a
    service's own is left out."""
    vocabulary = Vocabulary(texts)
    usual, usual_s = _counted(healthy.lines, vocabulary)
    now, now_s = _counted(incident.lines, vocabulary)
    if (
        usual_s < _LEAST_S
        or now_s <= 0
        or sum(sum(kinds.values()) for kinds in usual.values()) < _LEAST_LINES
    ):
        return ()
    spans_before, spans_now = _served(healthy.spans), _served(incident.spans)
    whole = healthy.whole and incident.whole
    amounts: dict[str, float] = {}
    shifts: dict[str, tuple[Shift, ...]] = {}
    for service in sorted({*usual, *now}):
        before, after = usual.get(service, Counter()), now.get(service, Counter())
        work = _work(before, after, spans_before[service], spans_now[service], now_s / usual_s)
        found = []
        for kind in {*before, *after}:
            # Of a service that says nothing, nobody knows whether it was asked anything.
            if after[kind] < before[kind] * work and not (whole and after):
                continue
            text = vocabulary.text(kind[1])
            strength = _strength(kind[0], text, before[kind], after[kind], work)
            if strength >= _NOTABLE:
                found.append(
                    Shift(
                        text=text,
                        level=kind[0],
                        before=60 * before[kind] * work / now_s,
                        now=60 * after[kind] / now_s,
                        strength=strength,
                    )
                )
        if found:
            found.sort(key=lambda one: (-one.strength, one.text))
            amounts[service] = found[0].strength + 0.2 * sum(one.strength for one in found[1:4])
            shifts[service] = tuple(found[:6])
    result = [
        Talk(service=service, amount=_left(service, amounts, graph), shifts=shifts[service])
        for service in amounts
    ]
    return tuple(sorted(result, key=lambda one: (-one.amount, one.service)))


def periods(
    lines: Sequence[Line],
    healthy_lines: Sequence[Line],
    spans: tuple[Sequence[TraceSpan], Sequence[TraceSpan]],
    onset: datetime,
    guard_s: float = 60.0,
) -> tuple[Period, Period]:
    """(healthy, incident): the baseline or, where there is none, the time well before the onset; and the time
    since. Without lines whose span is at hand: what they say is compared in its order there."""
    traced = {one.span_id for part in spans for one in part}
    since = [one for one in lines if one.at is not None and one.at >= onset and one.span_id not in traced]
    before: Iterable[Line] = healthy_lines
    if not healthy_lines:
        before = (one for one in lines if one.at is not None and (onset - one.at).total_seconds() > guard_s)
    usual = [one for one in before if one.at is not None and one.span_id not in traced]
    answers = {one.evidence.id: one.evidence for one in (*usual, *since)}
    whole = all(one.reason is None for one in answers.values())
    return Period(lines=usual, spans=spans[0], whole=whole), Period(lines=since, spans=spans[1], whole=whole)


_Kind = tuple[str, int]
"""Level and number of the template."""


def _counted(lines: Sequence[Line], vocabulary: Vocabulary) -> tuple[Mapping[str, Counter[_Kind]], float]:
    """Lines of each kind by service, and how many seconds they are of."""
    kept = lines[-_MOST_LINES:]
    kinds: dict[str, Counter[_Kind]] = {}
    times = [one.at.timestamp() for one in kept if one.at is not None]
    for one in kept:
        if one.service and one.at is not None and not one.previous:
            number = vocabulary.number(one.service, one.level, one.text)
            kinds.setdefault(one.service, Counter())[one.level, number] += 1
    return kinds, max(times) - min(times) if times else 0.0


def _served(spans: Sequence[TraceSpan]) -> Counter[str]:
    return Counter(one.service for one in spans)


def _work(
    before: Counter[_Kind], after: Counter[_Kind], spans_before: int, spans_now: int, time: float
) -> float:
    """How many lines a kind should have now for one of before: by the spans of the service, else by the plain
    lines that both times have, else by time."""
    if spans_before >= _LEAST_SPANS and spans_now >= _LEAST_SPANS:
        return spans_now / spans_before
    ratios = [
        after[kind] / count
        for kind, count in before.items()
        if count >= _LEAST_USUAL and after[kind] and kind[0] not in _BAD and kind[0] not in _WARNINGS
    ]
    return median(ratios) if ratios else time


def _strength(level: str, text: str, before: int, now: int, work: float) -> float:
    """Nats by which a kind of line is commoner, or (no error) rarer, than the work explains."""
    weight, most = _ERROR if level in _BAD else _WARNING if level in _WARNINGS else _PLAIN
    if _ANOTHER.search(text):
        return 0.0
    expected = before * work
    if now <= expected:
        if level in _BAD or level in _WARNINGS or before < _LEAST_USUAL or now > _RARE * expected:
            return 0.0
    elif now < _LEAST or now < _OFTEN * expected:
        return 0.0
    # Two Poisson rates, with half a line more in each so that "never" is not infinitely surprising.
    together = (now + before + 1) / (1 + work)
    gain = (now + 0.5) * log((now + 0.5) / (together * work)) + (before + 0.5) * log(
        (before + 0.5) / together
    )
    return min(gain * weight, most)


def _left(service: str, amounts: Mapping[str, float], graph: Graph) -> float:
    below = max((amounts.get(name, 0.0) for name in graph.distances(service) if name != service), default=0.0)
    return amounts[service] * (_LEFT if below >= _EXPLAINED * amounts[service] else 1.0)
