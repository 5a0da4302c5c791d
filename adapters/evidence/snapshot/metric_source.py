"""SnapshotMetrics: the MetricSource port over metrics/*.csv."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from adapters.evidence.build import Record, answered, nothing
from adapters.evidence.snapshot.evaluate import LOOKBACK, Node, Unanswerable, evaluate
from adapters.evidence.snapshot.files import Malformed, moment
from adapters.evidence.snapshot.promql import node_of, parse, written
from adapters.evidence.snapshot.showing import shown_records, shown_series
from adapters.evidence.snapshot.snapshot import Part, Snapshot
from bot.domain.clock import to_rfc3339
from bot.domain.evidence import Evidence, EvidenceStatus, Series, Window
from bot.domain.redaction import redact, strip_invisible
from bot.domain.threads import in_thread
from investigators.ports import Matcher, MetricQuery

UNANSWERABLE = "this PromQL cannot be answered from a recording"
MAX_SERIES = 20_000
_MAX_POINTS = 2_000
"""Points per series of one answer, as of a live Prometheus."""


class SnapshotMetrics:
    """Answers metric questions with the semantics of Prometheus. Evaluation runs in a thread."""

    def __init__(self, snapshot: Snapshot | Path, name: str = "snapshot") -> None:
        self.snapshot = snapshot if isinstance(snapshot, Snapshot) else Snapshot(snapshot)
        self.name = name

    def command(self, query: MetricQuery | str, window: Window) -> str:
        """The recorded samples that the query reads, as a person finds them in the directory."""
        if isinstance(query, str):
            # On one line: what follows a line break would be run as a command of its own.
            shown = " ".join(strip_invisible(redact(query)).split())
            return f"grep -rh . metrics/  # {shown}"
        return f"grep -rhF -- {shlex.quote(query.metric)} metrics/"

    async def range(self, query: MetricQuery, window: Window, step: timedelta, subject: str) -> Evidence:
        return await self._ask("metric.range", written(query), lambda: node_of(query), window, step, subject)

    async def instant(self, query: MetricQuery, at: datetime, subject: str) -> Evidence:
        window = Window(start=at, end=at)
        return await self._ask(
            "metric.instant", written(query), lambda: node_of(query), window, None, subject
        )

    async def expression(self, promql: str, window: Window, step: timedelta, subject: str) -> Evidence:
        return await self._ask("metric.expression", promql, lambda: parse(promql), window, step, subject)

    async def targets(self, matchers: Sequence[Matcher], at: datetime, subject: str) -> Evidence:
        """From the series of ``up``, the only thing that a recording of samples says about targets."""
        window = Window(start=at, end=at)
        query = f"targets{{{','.join(f'{m.label}{m.op.value}{m.value}' for m in matchers)}}}"
        try:
            ups = await in_thread(self.snapshot.pool, self._ups, matchers, at)
        except (Malformed, ValueError) as error:
            return self._nothing("metric.targets", query, window, subject, str(error), failed=True)
        if not ups:
            return self._nothing("metric.targets", query, window, subject, "no such scrape target")
        records: list[Record] = [
            {
                "job": labels.get("job", ""),
                "instance": labels.get("instance", ""),
                "health": "up" if value == 1 else "down",
                "last_error": "",
                "last_scrape": to_rfc3339(moment(time)),
            }
            for labels, time, value in ups
        ]
        down = sum(record["health"] == "down" for record in records)
        return answered(
            source=self.name,
            kind="metric.targets",
            query=query,
            window=window,
            taken_at=self.snapshot.now,
            summary=f"{down} of {len(records)} targets down",
            subject=subject,
            excerpt=shown_records(records),
            records=records,
        )

    async def rules(self, name: str, at: datetime) -> Evidence:
        window = Window(start=at, end=at)
        reason = self.snapshot.failure(Part.METRICS) or "alerting rules are not in the snapshot"
        return self._nothing("metric.rules", f"rules{{{name}}}", window, "", reason, failed=True)

    def _ups(self, matchers: Sequence[Matcher], at: datetime) -> list[tuple[Mapping[str, str], float, float]]:
        """Labels, time and value of the newest sample of each target that still counts."""
        self._available()
        tracks = self.snapshot.main.tracks.get()
        if not tracks.select("up", ()):
            raise Malformed("the list of targets is not in the snapshot")
        now = at.timestamp()
        found: list[tuple[Mapping[str, str], float, float]] = []
        for track in tracks.select("up", matchers):
            part = track.between(now - LOOKBACK, now)
            if track.times[part]:
                found.append((track.labels, track.times[part][-1], track.values[part][-1]))
        return found

    def _available(self) -> None:
        failure = self.snapshot.failure(Part.METRICS)
        if failure is not None:
            raise Malformed(failure)
        if not self.snapshot.has(Part.METRICS):
            raise Malformed("metrics are not in the snapshot")

    async def _ask(
        self,
        kind: str,
        text: str,
        read: Callable[[], Node],
        window: Window,
        step: timedelta | None,
        subject: str,
    ) -> Evidence:
        manual = self.command(text, window)
        if step is not None and (window.length <= timedelta(0) or step <= timedelta(0)):
            reason = "the window or the step is empty"
            return self._nothing(kind, text, window, subject, reason, failed=True, manual=manual)
        try:
            series, dropped = await in_thread(self.snapshot.pool, self._evaluate, read, window, step)
        except Unanswerable as error:
            reason = f"{UNANSWERABLE}: {error}"
            return self._nothing(kind, text, window, subject, reason, failed=True, manual=manual)
        except (Malformed, ValueError) as error:
            return self._nothing(kind, text, window, subject, str(error), failed=True, manual=manual)
        if not series:
            reason = "every sample is NaN or infinite" if dropped else "no such series"
            return self._nothing(kind, text, window, subject, reason, manual=manual)
        kept = series[:MAX_SERIES]
        return answered(
            source=self.name,
            kind=kind,
            query=text,
            window=window,
            taken_at=self.snapshot.now,
            summary=f"{text}: {_summary(kept)}",
            subject=subject,
            excerpt=shown_series(kept),
            series=kept,
            reason=f"showing {len(kept)} of {len(series)} series" if len(series) > len(kept) else None,
            manual=manual,
        )

    def _evaluate(
        self, read: Callable[[], Node], window: Window, step: timedelta | None
    ) -> tuple[list[Series], int]:
        self._available()
        node = read()
        tracks = self.snapshot.main.tracks.get()
        return evaluate(node, tracks, _moments(window, step)), tracks.dropped

    def _nothing(
        self,
        kind: str,
        query: str,
        window: Window,
        subject: str,
        reason: str,
        *,
        failed: bool = False,
        manual: str | None = None,
    ) -> Evidence:
        return nothing(
            source=self.name,
            kind=kind,
            query=query,
            window=window,
            taken_at=self.snapshot.now,
            subject=subject,
            reason=reason,
            status=EvidenceStatus.FAILED if failed else EvidenceStatus.EMPTY,
            manual=manual,
        )


def _moments(window: Window, step: timedelta | None) -> list[float]:
    """The moments of a range, counted back from its end as the live source does; one for an instant."""
    end = round(window.end.timestamp(), 3)
    if step is None:
        return [end]
    width = max(step.total_seconds(), math.ceil(window.length.total_seconds() / _MAX_POINTS))
    count = int(window.length.total_seconds() // width)
    return [round(end - width * back, 3) for back in range(count, -1, -1)]


def _summary(series: Sequence[Series]) -> str:
    if len(series) > 1:
        return f"{len(series)} series"
    samples = series[0].samples
    if len(samples) == 1:
        return f"{samples[0].value:.6g}"
    return f"{samples[0].value:.6g} → {samples[-1].value:.6g}"
