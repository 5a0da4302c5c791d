"""Every series with some label: counted first, then read in batches, never more than the caps."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from adapters.evidence.asked import Asked
from adapters.evidence.http import Malformed, Refused, TooLarge
from adapters.evidence.prometheus.client import Answer, Client
from adapters.evidence.prometheus.parse import Parsed, parse_result
from adapters.evidence.prometheus.promql import duration, survey_selector
from bot.domain.evidence import Evidence, Series, Window
from investigators.queries import SurveyQuery

MAX_SURVEY_SAMPLES = 120_000
"""Samples of one survey: 500 series over an hour at 15 s. The garbage collector walks through all of them,
and with twice as many holds up everything else for a tenth of a second."""
_LEAST_POINTS = 60
"""Of each series, before any is left out: over an hour, one a minute."""
_RAW_SAMPLES = 20_000
"""As many samples are read raw, however dense they are."""
_BATCH_SAMPLES = 20_000
"""Samples of one request, about a megabyte of JSON."""
_SHOWN = 30
_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What will be read: metric names in batches, raw or at ``step``, with so many samples of ``each``
    series; ``points`` is what ``step`` gives."""

    batches: tuple[tuple[str, ...], ...]
    raw: bool
    step: timedelta
    each: float
    points: float


class Survey:
    """Answers one survey; ``max_series`` of a survey are kept, and no more are asked for."""

    def __init__(self, client: Client, query: SurveyQuery, asked: Asked, *, max_series: int) -> None:
        self._client = client
        self._query = query
        self._asked = asked
        self._window: Window = asked.window
        self._max_series = max_series
        self._until = client.deadline()
        self._timeout = duration(client.timeout)
        self._notes: list[str] = []

    async def run(self) -> Evidence:
        """Raises nothing: whatever goes wrong is the evidence."""
        try:
            counts = await self._count()
            if not counts:
                return self._asked.empty("no such series", self._notes)
            plan = self._planned(counts, await self._density(counts))
        except (Refused, Malformed) as error:
            return self._asked.failed(str(error))
        answers = await asyncio.gather(*(self._batch(names, plan, counts) for names in plan.batches))
        found = sorted(
            (one for series in answers for one in series),
            key=lambda one: (one.name, sorted(one.labels.items())),
        )
        if not found:
            return self._asked.empty("no samples in this window", self._notes)
        total = sum(counts.values())
        how = "raw" if plan.raw else f"at {duration(plan.step)}"
        summary = f"{len(found)} of {total} series of {len(counts)} metrics, {how}"
        notes = tuple(dict.fromkeys(self._notes))
        return self._asked.found(summary, _excerpt(found), series=found, notes=notes)

    async def _count(self) -> dict[str, int]:
        """Series by metric name, those that ended within the window too."""
        selector = survey_selector(self._query.matchers)
        promql = f"count by (__name__) (last_over_time({selector}[{duration(self._window.length)}]))"
        answer = await self._instant(promql)
        counts: dict[str, int] = {}
        for item in _vector(answer):
            try:
                counts[str(item["metric"]["__name__"])] = max(0, int(float(item["value"][1])))
            except (KeyError, IndexError, TypeError, ValueError, OverflowError):
                raise Malformed("a count is not a metric name and a number") from None
        return counts

    async def _density(self, counts: dict[str, int]) -> float:
        """Samples of a series in the window, of the metric with the most series: nearly all are alike."""
        name = max(counts, key=lambda name: (not name.endswith("_bucket"), counts[name], name))
        selector = survey_selector(self._query.matchers, [name])
        answer = await self._instant(f"max(count_over_time({selector}[{duration(self._window.length)}]))")
        try:
            (item,) = _vector(answer)
            return max(1.0, float(item["value"][1]))
        except (KeyError, IndexError, TypeError, ValueError):
            raise Malformed("a count of samples is not a number") from None

    def _planned(self, counts: dict[str, int], density: float) -> _Plan:
        # Many different metrics say more than all the buckets of one histogram.
        order = sorted(counts, key=lambda name: (name.endswith("_bucket"), counts[name], name))
        room = min(self._max_series, MAX_SURVEY_SAMPLES // _LEAST_POINTS)
        chosen: list[str] = []
        for name in order:
            if counts[name] <= room:
                chosen.append(name)
                room -= counts[name]
        left = [name for name in order if name not in set(chosen)]
        if left:
            self._notes.append(_left_out(left, counts))

        series = max(1, sum(counts[name] for name in chosen))
        step = self._query.step
        points = self._window.length / step + 1
        # Reading at a step finer than the samples would only repeat them.
        sparse = density <= points * 1.25 and density * series <= MAX_SURVEY_SAMPLES
        raw = sparse or density * series <= _RAW_SAMPLES
        if points * series > MAX_SURVEY_SAMPLES:
            points = MAX_SURVEY_SAMPLES / series
            step = timedelta(seconds=math.ceil(self._window.length.total_seconds() / (points - 1)))
        each = density if raw else points
        return _Plan(
            batches=tuple(_batches(chosen, counts, each)), raw=raw, step=step, each=each, points=points
        )

    async def _batch(self, names: tuple[str, ...], plan: _Plan, counts: dict[str, int]) -> Sequence[Series]:
        series = sum(counts[name] for name in names)
        try:
            try:
                parsed = await self._read(names, plan, series)
                dense = plan.raw and parsed.left_out > 0
            except TooLarge:
                if not plan.raw:
                    raise
                dense = True
            if dense:
                # Some of them have more samples than the one we looked at.
                parsed = await self._read(names, replace(plan, raw=False, each=plan.points), series)
        except (Refused, Malformed) as error:
            self._notes.append(f"{_list(names)} not read: {error}")
            return ()
        if parsed.left_out:
            self._notes.append(f"{_list(names)}: {parsed.left_out} series more than were counted, left out")
        return _within(parsed.series, self._window)

    async def _read(self, names: tuple[str, ...], plan: _Plan, series: int) -> Parsed:
        selector = survey_selector(self._query.matchers, names)
        if plan.raw:
            answer = await self._instant(f"{selector}[{duration(self._window.length)}]")
        else:
            answer = await self._range(selector, plan.step)
            if plan.step > self._query.step:
                self._notes.append(f"read at {duration(plan.step)}: the series have too many samples")
        room = math.ceil(1.5 * series * plan.each)
        return await asyncio.to_thread(parse_result, answer.data, max_series=series, max_samples=room)

    async def _range(self, promql: str, step: timedelta) -> Answer:
        end = self._window.end
        params = [
            ("query", promql),
            ("start", _time(end - (self._window.length // step) * step)),
            ("end", _time(end)),
            ("step", f"{step.total_seconds():g}"),
            ("timeout", self._timeout),
        ]
        answer = await self._client.call("/api/v1/query_range", params, form=True, until=self._until)
        self._notes += answer.warnings
        return answer

    async def _instant(self, promql: str) -> Answer:
        params = [("query", promql), ("time", _time(self._window.end)), ("timeout", self._timeout)]
        answer = await self._client.call("/api/v1/query", params, form=True, until=self._until)
        self._notes += answer.warnings
        return answer


def _vector(answer: Answer) -> list[Any]:
    result = answer.data.get("result")
    if answer.data.get("resultType") != "vector" or not isinstance(result, list):
        raise Malformed("a count is not a vector")
    return result


def _within(series: Sequence[Series], window: Window) -> list[Series]:
    """Servers align and look back; samples of another time are not the window's."""
    kept = []
    for one in series:
        samples = one.samples
        if samples[0].at < window.start or samples[-1].at > window.end:
            samples = tuple(sample for sample in samples if window.start <= sample.at <= window.end)
        if samples:
            kept.append(replace(one, samples=samples))
    return kept


def _batches(names: Sequence[str], counts: dict[str, int], each: float) -> list[tuple[str, ...]]:
    batches: list[tuple[str, ...]] = []
    batch: list[str] = []
    size = 0.0
    for name in names:
        if batch and size + counts[name] * each > _BATCH_SAMPLES:
            batches.append(tuple(batch))
            batch, size = [], 0.0
        batch.append(name)
        size += counts[name] * each
    if batch:
        batches.append(tuple(batch))
    return batches


def _left_out(names: Sequence[str], counts: dict[str, int]) -> str:
    series = sum(counts[name] for name in names)
    return (
        f"left out {len(names)} of {len(counts)} metrics with {series} of {sum(counts.values())} series: "
        f"{_list([f'{name} ({counts[name]})' for name in reversed(names)])}"
    )


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _excerpt(series: Sequence[Series]) -> str:
    by_name: dict[str, list[Series]] = {}
    for one in series:
        by_name.setdefault(one.name, []).append(one)
    lines = []
    for name, group in list(by_name.items())[:_SHOWN]:
        values = [value for one in group for value in one.values]
        lines.append(f"{name}: {len(group)} series, min {min(values):.6g} max {max(values):.6g}")
    if len(by_name) > _SHOWN:
        lines.append(f"… and {len(by_name) - _SHOWN} more metrics")
    return "\n".join(lines)


def _time(moment: datetime) -> str:
    return f"{moment.timestamp():.3f}"
