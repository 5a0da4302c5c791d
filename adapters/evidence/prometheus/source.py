"""PrometheusMetrics: the MetricSource and EvidenceSource ports over the HTTP API."""

from __future__ import annotations

import asyncio
import math
import shlex
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import overload
from urllib.parse import quote, urlencode

import aiohttp

from adapters.evidence.asked import Asked
from adapters.evidence.build import Record, answered, nothing
from adapters.evidence.http import Malformed, Refused, base
from adapters.evidence.prometheus.client import Answer, Client
from adapters.evidence.prometheus.parse import (
    Parsed,
    parse_result,
    parse_rules,
    parse_targets,
)
from adapters.evidence.prometheus.promql import duration, render, survey_selector
from adapters.evidence.prometheus.survey import Survey
from bot.domain.clock import Clock, to_rfc3339
from bot.domain.evidence import Evidence, EvidenceStatus, Series, Window
from config.schema import PrometheusSource
from investigators.ports import Matcher, MetricQuery
from investigators.queries import Query, SurveyQuery

_MAX_POINTS = 2_000
"""Points per series we ask for; Prometheus itself refuses more than 11,000."""
_PARSE_IN_THREAD = 2_000
"""Samples beyond which parsing moves to a thread, so that the event loop is not held for long."""
_SHORTEST = timedelta(milliseconds=1)
"""PromQL knows nothing shorter."""
_SHOWN = 20


class PrometheusMetrics:
    """Queries one Prometheus or VictoriaMetrics. The session belongs to the caller and is not closed here."""

    def __init__(self, config: PrometheusSource, session: aiohttp.ClientSession, clock: Clock) -> None:
        self.name = config.name
        self.answers: frozenset[type[Query]] = frozenset({SurveyQuery})
        self._max_series = config.max_series
        self._survey_series = config.survey_series
        self._public = base(config.external_url or config.url)
        self._client = Client(config, session)
        self._clock = clock

    @overload
    def command(self, query: MetricQuery | SurveyQuery | str, window: Window) -> str: ...

    @overload
    def command(self, query: Query, window: Window) -> str | None: ...

    def command(self, query: MetricQuery | Query | str, window: Window) -> str | None:
        """A promtool line (ships with Prometheus) for the query over the window."""
        try:
            if isinstance(query, SurveyQuery):
                promql = survey_selector(query.matchers)
            elif isinstance(query, MetricQuery):
                promql = render(query)
            elif isinstance(query, str):
                promql = query
            else:
                return None
        except ValueError as error:
            return f"# no PromQL for this: {error}"
        step = _step(window, timedelta(seconds=max(1, round(window.length.total_seconds() / 240))))
        end = math.ceil(window.end.timestamp())
        start = end - int(window.length // step) * int(step.total_seconds())
        return (
            f"promtool query range --start={start} --end={end} --step={duration(step)} "
            f"{shlex.quote(self._client.address)} {shlex.quote(promql)}"
        )

    def covers(self, query: Query) -> bool:
        """A survey of everything is for a recording; a live system is asked for something."""
        return isinstance(query, SurveyQuery) and bool(query.matchers)

    async def ask(self, query: Query, window: Window, subject: str) -> Evidence:
        """A survey; the time asked for is also the healthy one, as nothing here says which was."""
        kind = query.kind
        if not isinstance(query, SurveyQuery):
            return self._failed(kind, kind, window, subject, f"{self.name} does not answer {kind}")
        if window.length < _SHORTEST or query.step < _SHORTEST:
            return self._failed(kind, kind, window, subject, "the window or the step is empty")
        try:
            promql = survey_selector(query.matchers)
        except ValueError as error:
            return self._failed(kind, kind, window, subject, str(error))
        asked = Asked(
            source=self.name,
            kind=kind,
            text=promql,
            window=window,
            subject=subject,
            clock=self._clock,
            link=self._graph_link(promql, window),
            manual=self.command(query, window),
        )
        return await Survey(self._client, query, asked, max_series=self._survey_series).run()

    async def range(self, query: MetricQuery, window: Window, step: timedelta, subject: str) -> Evidence:
        try:
            promql = render(query)
        except ValueError as error:
            return self._failed("metric.range", str(query.metric), window, subject, str(error))
        return await self._series("metric.range", promql, window, step, subject)

    async def expression(self, promql: str, window: Window, step: timedelta, subject: str) -> Evidence:
        return await self._series("metric.expression", promql, window, step, subject)

    async def instant(self, query: MetricQuery, at: datetime, subject: str) -> Evidence:
        window = Window(start=at, end=at)
        try:
            promql = render(query)
        except ValueError as error:
            return self._failed("metric.instant", str(query.metric), window, subject, str(error))
        params = [("query", promql), ("time", _time(at)), ("timeout", duration(self._client.timeout))]
        return await self._query("metric.instant", "/api/v1/query", promql, params, window, subject)

    async def targets(self, matchers: Sequence[Matcher], at: datetime, subject: str) -> Evidence:
        window = Window(start=at, end=at)
        text = ",".join(f"{m.label}{m.op.value}{m.value}" for m in matchers)
        query = f"targets{{{text}}}"
        manual = f"curl -s {shlex.quote(f'{self._client.address}/api/v1/targets?state=active')}"
        try:
            answer = await self._client.call("/api/v1/targets", [("state", "active")], form=False)
            records = await asyncio.to_thread(parse_targets, answer.data, matchers)
        except (Refused, Malformed) as error:
            return self._failed("metric.targets", query, window, subject, str(error), manual=manual)
        lines = [
            f"{r['job']} {r['instance']}: {r['health']}"
            + (f" ({r['last_error']})" if r["last_error"] else "")
            for r in records
        ]
        down = sum(r["health"] == "down" for r in records)
        return self._records(
            "metric.targets",
            query,
            window,
            subject,
            records,
            lines,
            answer,
            summary=f"{down} of {len(records)} targets down",
            empty="no such scrape target",
            link=f"{self._public}/targets",
            manual=manual,
        )

    async def rules(self, name: str, at: datetime) -> Evidence:
        window = Window(start=at, end=at)
        query = f"rules{{{name}}}"
        url = f"{self._client.address}/api/v1/rules?type=alert&rule_name[]={quote(name, safe='')}"
        manual = f"curl -sg {shlex.quote(url)}"
        try:
            answer = await self._client.call(
                "/api/v1/rules", [("type", "alert"), ("rule_name[]", name)], form=False
            )
            records = await asyncio.to_thread(parse_rules, answer.data, name)
        except (Refused, Malformed) as error:
            return self._failed("metric.rules", query, window, "", str(error), manual=manual)
        lines = [f"{r['name']}: {r['query']} for {r['duration_s']:g} s, {r['state']}" for r in records]
        return self._records(
            "metric.rules",
            query,
            window,
            "",
            records,
            lines,
            answer,
            summary=lines[0] if lines else name,
            empty="no rule of this name",
            link=f"{self._public}/alerts",
            manual=manual,
        )

    async def _series(
        self, kind: str, promql: str, window: Window, step: timedelta, subject: str
    ) -> Evidence:
        if window.length <= timedelta(0) or step <= timedelta(0):
            return self._failed(kind, promql, window, subject, "the window or the step is empty")
        step = _step(window, step)
        # Counted back from the end, so that the newest sample is seen.
        start = window.end - (window.length // step) * step
        params = [
            ("query", promql),
            ("start", _time(start)),
            ("end", _time(window.end)),
            ("step", f"{step.total_seconds():g}"),
            ("timeout", duration(self._client.timeout)),
        ]
        return await self._query(kind, "/api/v1/query_range", promql, params, window, subject)

    async def _query(
        self, kind: str, path: str, promql: str, params: list[tuple[str, str]], window: Window, subject: str
    ) -> Evidence:
        link = self._graph_link(promql, window)
        manual = self.command(promql, window)
        try:
            answer = await self._client.call(path, params, form=True)
            parsed = await self._parse(answer)
        except (Refused, Malformed) as error:
            return self._failed(kind, promql, window, subject, str(error), link=link, manual=manual)
        notes = list(answer.warnings)
        if parsed.left_out:
            notes.append(f"showing {len(parsed.series)} of {len(parsed.series) + parsed.left_out} series")
        if not parsed.series:
            reason = "every sample is NaN or infinite" if parsed.not_finite else "no such series"
            partial = "; ".join(answer.warnings)
            return nothing(
                source=self.name,
                kind=kind,
                query=promql,
                window=window,
                taken_at=self._clock.now(),
                subject=subject,
                reason=f"{reason}; {partial}" if partial else reason,
                # Nothing found in a partial answer is not the same as nothing there.
                status=EvidenceStatus.FAILED if partial else EvidenceStatus.EMPTY,
                link=link,
                manual=manual,
                outsider_writable=bool(partial),
            )
        summary = f"{promql}: {_summary(parsed)}"
        return answered(
            source=self.name,
            kind=kind,
            query=promql,
            window=window,
            taken_at=self._clock.now(),
            summary=summary,
            subject=subject,
            excerpt=_excerpt(parsed.series),
            series=parsed.series,
            reason="; ".join(notes) or None,
            link=link,
            manual=manual,
        )

    async def _parse(self, answer: Answer) -> Parsed:
        result = answer.data.get("result")
        items = result if isinstance(result, list) else []
        points = (item.get("values") for item in items if isinstance(item, dict))
        if sum(len(values) for values in points if isinstance(values, list)) > _PARSE_IN_THREAD:
            return await asyncio.to_thread(parse_result, answer.data, max_series=self._max_series)
        return parse_result(answer.data, max_series=self._max_series)

    def _records(
        self,
        kind: str,
        query: str,
        window: Window,
        subject: str,
        records: list[Record],
        lines: list[str],
        answer: Answer,
        *,
        summary: str,
        empty: str,
        link: str,
        manual: str,
    ) -> Evidence:
        notes = list(answer.warnings)
        if not records:
            return nothing(
                source=self.name,
                kind=kind,
                query=query,
                window=window,
                taken_at=self._clock.now(),
                subject=subject,
                reason="; ".join([empty, *notes]),
                status=EvidenceStatus.FAILED if notes else EvidenceStatus.EMPTY,
                link=link,
                manual=manual,
                outsider_writable=bool(notes),
            )
        if len(records) > self._max_series:
            notes.append(f"showing {self._max_series} of {len(records)}")
            records = records[: self._max_series]
        return answered(
            source=self.name,
            kind=kind,
            query=query,
            window=window,
            taken_at=self._clock.now(),
            summary=summary,
            subject=subject,
            excerpt="\n".join(lines),
            records=records,
            reason="; ".join(notes) or None,
            link=link,
            manual=manual,
        )

    def _failed(
        self,
        kind: str,
        query: str,
        window: Window,
        subject: str,
        reason: str,
        *,
        link: str | None = None,
        manual: str | None = None,
    ) -> Evidence:
        return nothing(
            source=self.name,
            kind=kind,
            query=query,
            window=window,
            taken_at=self._clock.now(),
            subject=subject,
            reason=reason,
            status=EvidenceStatus.FAILED,
            link=link,
            manual=manual,
            # The server repeats the expression in what it says of it.
            outsider_writable=True,
        )

    def _graph_link(self, promql: str, window: Window) -> str:
        span = max(60, int(window.length.total_seconds()))
        query = {
            "g0.expr": promql,
            "g0.tab": "0",
            "g0.range_input": f"{span}s",
            "g0.end_input": to_rfc3339(window.end)[:19].replace("T", " "),
        }
        return f"{self._public}/graph?{urlencode(query)}"


def _time(moment: datetime) -> str:
    return f"{moment.timestamp():.3f}"


def _step(window: Window, wanted: timedelta) -> timedelta:
    """The wanted step, made coarser where the window would have too many points."""
    least = timedelta(seconds=math.ceil(window.length.total_seconds() / _MAX_POINTS))
    return max(wanted, least)


def _summary(parsed: Parsed) -> str:
    first = parsed.series[0].samples
    text = f"{len(parsed.series)} series"
    if len(parsed.series) == 1:
        text = (
            f"{first[-1].value:.6g}" if len(first) == 1 else f"{first[0].value:.6g} → {first[-1].value:.6g}"
        )
    return f"{text}; {parsed.not_finite} samples were NaN or infinite" if parsed.not_finite else text


def _excerpt(series: Sequence[Series]) -> str:
    lines = []
    for one in series[:_SHOWN]:
        labels = ",".join(f'{key}="{value}"' for key, value in sorted(one.labels.items()))
        values = one.values
        lines.append(
            f"{one.name}{{{labels}}} first {values[0]:.6g} last {values[-1]:.6g} "
            f"min {min(values):.6g} max {max(values):.6g} ({len(values)} samples)"
        )
    if len(series) > _SHOWN:
        lines.append(f"… and {len(series) - _SHOWN} more series")
    return "\n".join(lines)
