"""PromQL over recorded series, with the semantics of Prometheus 2: an expression's tree and its value.

Ranges are closed at both ends and an instant looks back five minutes; ``rate``, ``increase`` and ``delta``
extrapolate to the edges of their range as ``promql/functions.go`` of Prometheus does.
"""

from __future__ import annotations

import math
import operator
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from adapters.evidence.snapshot.metrics import Track, Tracks, as_samples
from bot.domain.evidence import Series
from investigators.ports import Matcher

LOOKBACK = 300.0
"""Seconds for which a sample stands for its series."""

Values = list[float | None]
"""One value per step; None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    metric: str
    matchers: tuple[Matcher, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OverTime:
    """A function of the samples in a range; ``over`` in seconds."""

    function: str
    selector: Selector
    over: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """``without``: the labels are those that do not group."""

    operation: str
    labels: tuple[str, ...]
    of: Node
    without: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """Arithmetic or a comparison; at most one side is a vector. ``as_bool``: 0 or 1 instead of a filter."""

    operator: str
    left: Node
    right: Node
    as_bool: bool = False


Node = Number | Selector | OverTime | Aggregate | Binary


class Unanswerable(Exception):
    """The expression is PromQL that a recording cannot answer. Never leaves this package."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One series of a result. ``name`` is "" where PromQL drops it."""

    name: str
    labels: Mapping[str, str]
    values: Values


_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}
OPERATORS = frozenset({"+", "-", "*", "/", "%", "^", *_COMPARE})
AGGREGATES = frozenset({"sum", "avg", "max", "min", "count"})


def evaluate(node: Node, tracks: Tracks, steps: Sequence[float]) -> list[Series]:
    """The series of the expression at these moments, in epoch seconds. Raises Unanswerable, and ValueError
    for a bad pattern."""
    result = _value(node, tracks, steps)
    if isinstance(result, float):
        result = [_Row("", {}, [result] * len(steps))]
    series = []
    for row in result:
        kept = [(t, v) for t, v in zip(steps, row.values, strict=True) if v is not None and math.isfinite(v)]
        if kept:
            times, values = zip(*kept, strict=True)
            series.append(Series(name=row.name, labels=row.labels, samples=as_samples(times, values)))
    return series


def _value(node: Node, tracks: Tracks, steps: Sequence[float]) -> list[_Row] | float:
    match node:
        case Number():
            return node.value
        case Selector():
            return [
                _Row(track.name, track.labels, _instants(track, steps))
                for track in tracks.select(node.metric, node.matchers)
            ]
        case OverTime():
            function = FUNCTIONS[node.function]
            keeps_name = node.function == "last_over_time"
            return [
                _Row(track.name if keeps_name else "", track.labels, _over(track, steps, node.over, function))
                for track in tracks.select(node.selector.metric, node.selector.matchers)
            ]
        case Aggregate():
            inner = _value(node.of, tracks, steps)
            if isinstance(inner, float):
                raise Unanswerable(f"{node.operation} of a number")
            return _aggregate(node, inner, len(steps))
        case Binary():
            return _binary(node, _value(node.left, tracks, steps), _value(node.right, tracks, steps))


def _instants(track: Track, steps: Sequence[float]) -> Values:
    times, values = track.times, track.values
    found: Values = []
    for step in steps:
        index = bisect_right(times, step) - 1
        found.append(values[index] if index >= 0 and times[index] >= round(step - LOOKBACK, 3) else None)
    return found


Function = Callable[[Sequence[float], Sequence[float], float, float], "float | None"]
"""Takes times, values, and the start and end of the range."""


def _over(track: Track, steps: Sequence[float], over: float, function: Function) -> Values:
    times, values = track.times, track.values
    found: Values = []
    for step in steps:
        start = round(step - over, 3)
        low, high = bisect_left(times, start), bisect_right(times, step)
        found.append(function(times[low:high], values[low:high], start, step) if high > low else None)
    return found


def _extrapolated(
    times: Sequence[float], values: Sequence[float], start: float, end: float, *, counter: bool, rate: bool
) -> float | None:
    if len(times) < 2:
        return None
    change = values[-1] - values[0]
    if counter:
        change += sum(before for before, after in pairwise(values) if after < before)
    # Epoch seconds carry 0.2 µs of noise, which a short interval would show.
    to_start, to_end = round(times[0] - start, 6), round(end - times[-1], 6)
    sampled = round(times[-1] - times[0], 6)
    if sampled <= 0:
        return None
    average = sampled / (len(times) - 1)
    if counter and change > 0 and values[0] >= 0:
        # A counter cannot have been below zero.
        to_start = min(to_start, sampled * (values[0] / change))
    threshold = average * 1.1
    interval = sampled
    interval += to_start if to_start < threshold else average / 2
    interval += to_end if to_end < threshold else average / 2
    return change * (interval / sampled) / (end - start if rate else 1.0)


def _rate(times: Sequence[float], values: Sequence[float], start: float, end: float) -> float | None:
    return _extrapolated(times, values, start, end, counter=True, rate=True)


def _increase(times: Sequence[float], values: Sequence[float], start: float, end: float) -> float | None:
    return _extrapolated(times, values, start, end, counter=True, rate=False)


def _delta(times: Sequence[float], values: Sequence[float], start: float, end: float) -> float | None:
    return _extrapolated(times, values, start, end, counter=False, rate=False)


def _irate(times: Sequence[float], values: Sequence[float], start: float, end: float) -> float | None:
    if len(times) < 2:
        return None
    change = values[-1] - values[-2] if values[-1] >= values[-2] else values[-1]
    passed = round(times[-1] - times[-2], 6)
    return change / passed if passed > 0 else None


FUNCTIONS: Mapping[str, Function] = {
    "rate": _rate,
    "increase": _increase,
    "delta": _delta,
    "irate": _irate,
    "avg_over_time": lambda times, values, start, end: math.fsum(values) / len(values),
    "max_over_time": lambda times, values, start, end: max(values),
    "min_over_time": lambda times, values, start, end: min(values),
    "sum_over_time": lambda times, values, start, end: math.fsum(values),
    "count_over_time": lambda times, values, start, end: float(len(values)),
    "last_over_time": lambda times, values, start, end: values[-1],
}


def _aggregate(node: Aggregate, rows: Sequence[_Row], count: int) -> list[_Row]:
    groups: dict[tuple[tuple[str, str], ...], list[Values]] = {}
    for row in rows:
        if node.without:
            pairs = tuple(sorted((k, v) for k, v in row.labels.items() if k not in node.labels))
        else:
            named = {**row.labels, "__name__": row.name}
            pairs = tuple((label, named[label]) for label in sorted(node.labels) if named.get(label))
        groups.setdefault(pairs, []).append(row.values)
    found = []
    for pairs, members in sorted(groups.items()):
        values: Values = []
        for index in range(count):
            there = [value for member in members if (value := member[index]) is not None]
            values.append(_combine(node.operation, there) if there else None)
        labels = dict(pairs)
        found.append(_Row(labels.pop("__name__", ""), labels, values))
    return found


def _combine(operation: str, values: Sequence[float]) -> float:
    match operation:
        case "sum":
            return math.fsum(values)
        case "avg":
            return math.fsum(values) / len(values)
        case "max":
            return max(values)
        case "min":
            return min(values)
        case _:
            return float(len(values))


def _binary(node: Binary, left: list[_Row] | float, right: list[_Row] | float) -> list[_Row] | float:
    symbol = node.operator
    if isinstance(left, float) and isinstance(right, float):
        if symbol in _COMPARE and not node.as_bool:
            raise Unanswerable("a comparison of two numbers without bool")
        return _calculate(symbol, left, right)
    if isinstance(left, list) and isinstance(right, list):
        raise Unanswerable("an operation between two vectors")
    rows = left if isinstance(left, list) else right
    assert isinstance(rows, list)
    filters = symbol in _COMPARE and not node.as_bool
    found = []
    for row in rows:
        values: Values = []
        for value in row.values:
            if value is None:
                values.append(None)
                continue
            one = left if isinstance(left, float) else value
            other = right if isinstance(right, float) else value
            result = _calculate(symbol, one, other)
            values.append(result if not filters else value if result else None)
        found.append(_Row(row.name if filters else "", row.labels, values))
    return found


def _calculate(symbol: str, left: float, right: float) -> float:
    """As IEEE 754 has it: a division by zero is infinite or no number, never an error."""
    compare = _COMPARE.get(symbol)
    if compare is not None:
        return float(compare(left, right))
    match symbol:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/" if right == 0:
            return math.nan if left == 0 or math.isnan(left) else math.copysign(math.inf, left)
        case "/":
            return left / right
        case "%":
            return math.nan if right == 0 or math.isinf(left) else math.fmod(left, right)
        case _:
            try:
                power = left**right
            except (OverflowError, ZeroDivisionError):
                return math.inf
            return math.nan if isinstance(power, complex) else power
