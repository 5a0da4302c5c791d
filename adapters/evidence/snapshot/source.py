"""SnapshotSource: the EvidenceSource port over a snapshot's directory."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Any

from adapters.evidence.build import answered, nothing
from adapters.evidence.snapshot import lines, metrics, records
from adapters.evidence.snapshot.cluster import plurals
from adapters.evidence.snapshot.files import Malformed, moment
from adapters.evidence.snapshot.found import (
    MAX_LINE,
    SHOWN_LINES,
    Found,
    accepting,
    cut_to,
    find_changes,
    find_objects,
    find_pod_log,
    wanted_logs,
)
from adapters.evidence.snapshot.showing import shown_records, shown_series
from adapters.evidence.snapshot.snapshot import Contents, Part, Snapshot
from adapters.evidence.trust import rows_by_outsiders
from bot.domain.evidence import Evidence, EvidenceStatus, LogLine, Window
from bot.domain.threads import in_thread
from investigators.ports import Matcher
from investigators.queries import (
    ChangeQuery,
    GraphQuery,
    LogQuery,
    ObjectQuery,
    PastQuery,
    PodLogQuery,
    Query,
    RunbookQuery,
    SelectQuery,
    SpanQuery,
    SurveyQuery,
    TableQuery,
    TicketQuery,
)

MAX_SERIES = 20_000
MAX_SAMPLES = 2_000_000

PARTS: Mapping[type[Query], Part] = {
    SurveyQuery: Part.METRICS,
    LogQuery: Part.LOGS,
    ObjectQuery: Part.KUBERNETES,
    PodLogQuery: Part.KUBERNETES,
    SpanQuery: Part.TRACES,
    ChangeQuery: Part.CHANGES,
    GraphQuery: Part.TOPOLOGY,
    TableQuery: Part.HOSTS,
    SelectQuery: Part.HOSTS,
    RunbookQuery: Part.RUNBOOKS,
    PastQuery: Part.INCIDENTS,
    TicketQuery: Part.TICKETS,
}


class SnapshotSource:
    """Answers every typed question for which the directory has the part. Parsing runs in a thread."""

    answers: frozenset[type[Query]] = frozenset(PARTS)

    def __init__(self, snapshot: Snapshot | Path, name: str = "snapshot") -> None:
        self.snapshot = snapshot if isinstance(snapshot, Snapshot) else Snapshot(snapshot)
        self.name = name

    def command(self, query: Query, window: Window) -> str | None:
        return None

    def covers(self, query: Query) -> bool:
        part = PARTS.get(type(query))
        if part is None:
            return False
        if isinstance(query, LogQuery):
            return self._logs(query) != (False, False) or self.snapshot.failure(part) is not None
        if self.snapshot.failure(part) is not None:
            return True
        if self.snapshot.absent(part):
            return False
        main = self.snapshot.main
        try:
            match query:
                case ObjectQuery():
                    return main.has(part) and not main.kinds.get().isdisjoint(plurals(query.object_kind))
                case PodLogQuery():
                    return bool(wanted_logs(main, query))
                case TableQuery():
                    return main.hosts.get().has(query.host, query.table)
                case SelectQuery():
                    return query.host in main.hosts.get().names
                case RunbookQuery():
                    return records.runbook_for(main.runbooks.get(), query.url) is not None
        except Malformed:
            return True
        return self.snapshot.has(part)

    async def ask(self, query: Query, window: Window, subject: str) -> Evidence:
        return await in_thread(self.snapshot.pool, self.answer, query, window, subject)

    def answer(self, query: Query, window: Window, subject: str) -> Evidence:
        """The same, at once and in this thread."""
        part = PARTS.get(type(query))
        failure = f"a snapshot does not answer {query.kind}" if part is None else self.snapshot.failure(part)
        if part is not None and failure is None and not self.covers(query):
            failure = "not in the snapshot"
        if failure is None:
            try:
                found = self._find(query, window)
            except (Malformed, ValueError) as error:
                failure = str(error)
            except RecursionError:
                failure = f"{part}: nested too deeply"
            else:
                return self._evidence(query, window, subject, found)
        return self._nothing(query, window, subject, failure, EvidenceStatus.FAILED)

    def _evidence(self, query: Query, window: Window, subject: str, found: Found) -> Evidence:
        if not found.filled:
            # Nothing found in a part that was cut is not the same as nothing there.
            status = EvidenceStatus.EMPTY if found.reason is None else EvidenceStatus.FAILED
            reason = found.empty if found.reason is None else f"{found.empty}; {found.reason}"
            return self._nothing(query, found.window or window, subject, reason, status)
        return answered(
            source=self.name,
            kind=query.kind,
            query=canonical(query),
            window=found.window or window,
            taken_at=self.snapshot.now,
            summary=found.summary,
            subject=subject,
            excerpt=found.excerpt or found.summary,
            series=found.series,
            lines=found.lines,
            records=found.records,
            spans=found.spans,
            changes=found.changes,
            objects=found.objects,
            reason=found.reason,
            outsider_writable=found.outsider_writable,
        )

    def _nothing(
        self, query: Query, window: Window, subject: str, reason: str, status: EvidenceStatus
    ) -> Evidence:
        return nothing(
            source=self.name,
            kind=query.kind,
            query=canonical(query),
            window=window,
            taken_at=self.snapshot.now,
            subject=subject,
            reason=reason,
            status=status,
        )

    def _find(self, query: Query, window: Window) -> Found:
        main = self.snapshot.main
        match query:
            case SurveyQuery():
                return self._survey(query, window)
            case LogQuery():
                return self._lines(query, window)
            case ObjectQuery():
                return find_objects(main, query)
            case PodLogQuery():
                return find_pod_log(main, query)
            case SpanQuery():
                return self._spans(query, window)
            case ChangeQuery():
                return find_changes(main, query, self._inside(window))
            case GraphQuery():
                graph = main.graph.get()
                return Found(
                    summary=f"{len(graph)} edges and lone nodes",
                    empty="the topology is empty",
                    excerpt=shown_records(graph),
                    records=graph,
                )
            case TableQuery():
                rows = main.hosts.get().rows(query.host, query.table)
                return Found(
                    summary=f"{len(rows)} rows of {query.table}",
                    empty="no rows",
                    excerpt=shown_records(rows),
                    records=rows,
                    outsider_writable=rows_by_outsiders(query),
                )
            case SelectQuery():
                rows = main.hosts.get().select(query.host, query.sql)
                return Found(
                    summary=f"{len(rows)} rows",
                    empty="no rows",
                    excerpt=shown_records(rows),
                    records=rows,
                    outsider_writable=rows_by_outsiders(query),
                )
            case RunbookQuery():
                name = records.runbook_for(main.runbooks.get(), query.url)
                assert name is not None
                text = records.runbook_text(main.folder, name)
                return Found(
                    summary=f"{name}: {len(text)} lines",
                    empty="the runbook is empty",
                    excerpt="\n".join(text),
                    lines=tuple(LogLine(at=None, text=line) for line in text) if any(text) else (),
                )
            case PastQuery():
                past = main.past.get()
                return Found(
                    summary=f"{len(past)} past incidents",
                    empty="no past incidents",
                    excerpt="\n".join(str(one.get("title") or one.get("id") or "") for one in past[:20]),
                    objects=past[: query.limit],
                    reason=cut_to(len(past), query.limit, "incidents, the newest"),
                )
            case _:
                raise Malformed(f"a snapshot does not answer {query.kind}")

    def _inside(self, window: Window) -> Callable[[float], bool]:
        """Half-open, but what happened at the snapshot's own moment belongs to it."""
        start, end = window.start.timestamp(), window.end.timestamp()
        if window.end >= self.snapshot.now:
            return lambda time: start <= time <= end
        return lambda time: start <= time < end

    def _healthy(self, part: Part, wanted: bool) -> Contents | None:
        baseline = self.snapshot.baseline
        return baseline if wanted and baseline is not None and baseline.has(part) else None

    def _survey(self, query: SurveyQuery, window: Window) -> Found:
        healthy = self._healthy(Part.METRICS, query.healthy)
        tracks = (healthy or self.snapshot.main).tracks.get()
        start, end = window.start.timestamp(), window.end.timestamp()
        if healthy is not None:
            start, end = tracks.first, tracks.last
        found = metrics.survey(
            tracks.select("", query.matchers),
            start,
            end,
            query.step.total_seconds(),
            max_series=MAX_SERIES,
            max_samples=MAX_SAMPLES,
        )
        return Found(
            summary=f"{len(found.series)} series",
            empty="no such series in the window",
            excerpt=shown_series(found.series),
            series=found.series,
            reason=cut_to(found.total, len(found.series), "series"),
            window=Window(start=moment(start), end=moment(end)) if healthy is not None else None,
        )

    def _logs(self, query: LogQuery) -> tuple[bool, bool]:
        """Whether logs/ and kubernetes/logs take part in the answer."""
        contents = self._healthy_logs(query) or self.snapshot.main
        state = self.snapshot
        whole = contents.has(Part.LOGS) and not state.absent(Part.LOGS)
        pods = bool(contents.pod_logs.get()) and not state.absent(Part.KUBERNETES)
        return whole, pods and state.failure(Part.KUBERNETES) is None

    def _healthy_logs(self, query: LogQuery) -> Contents | None:
        baseline = self.snapshot.baseline
        if not query.healthy or baseline is None:
            return None
        return baseline if baseline.has(Part.LOGS) or baseline.pod_logs.get() else None

    def _lines(self, query: LogQuery, window: Window) -> Found:
        healthy = self._healthy_logs(query)
        with_records, with_pods = self._logs(query)
        entries = (healthy or self.snapshot.main).entries(records=with_records, pods=with_pods)
        inside = self._inside(window)
        wanted = tuple(text.lower() for text in query.contains)
        accepted = accepting(query.matchers)
        chosen = [
            entry
            for entry in entries
            if (healthy is not None or entry.order is None or inside(entry.order))
            and accepted(entry.labels)
            and (not wanted or any(text in entry.text.lower() for text in wanted))
        ]
        kept = lines.as_lines(chosen[-query.limit :], MAX_LINE)
        times = [entry.order for entry in entries if entry.order is not None]
        return Found(
            summary=f"{len(kept)} lines",
            empty="no such line in the window",
            excerpt="\n".join(line.text for line in kept[-SHOWN_LINES:]),
            lines=kept,
            reason=cut_to(len(chosen), query.limit, "lines, the last"),
            window=Window(start=moment(times[0]), end=moment(times[-1])) if healthy and times else None,
            outsider_writable=True,
        )

    def _spans(self, query: SpanQuery, window: Window) -> Found:
        healthy = self._healthy(Part.TRACES, query.healthy)
        spans = (healthy or self.snapshot.main).spans.get()
        inside = self._inside(window)
        traces: dict[str, None] = {}
        for span in spans:
            there = healthy is not None or inside(span.start.timestamp())
            if there and (not query.services or span.service in query.services):
                traces[span.trace_id] = None
        sizes: dict[str, int] = {}
        for span in spans:
            if span.trace_id in traces:
                sizes[span.trace_id] = sizes.get(span.trace_id, 0) + 1
        kept, total = set(), 0
        for trace in reversed(traces):
            if total + sizes[trace] > query.limit:
                break
            total += sizes[trace]
            kept.add(trace)
        chosen = tuple(span for span in spans if span.trace_id in kept)
        errors = sum(span.error for span in chosen)
        return Found(
            summary=f"{len(chosen)} spans of {len(kept)} traces, {errors} with an error",
            empty="no such trace in the window",
            spans=chosen,
            reason=cut_to(len(traces), len(kept), "traces, the last"),
            window=Window(start=spans[0].start, end=spans[-1].start) if healthy and spans else None,
        )


def canonical(query: Query) -> str:
    """The query as one line, equal for equal queries."""
    parts = {field.name: getattr(query, field.name) for field in fields(query)}
    given = {name: _plain(value) for name, value in sorted(parts.items()) if value not in (None, ())}
    return f"{query.kind} {json.dumps(given, ensure_ascii=False)}"


def _plain(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Matcher):
        return f"{value.label}{value.op.value}{value.value}"
    return [_plain(one) for one in value] if isinstance(value, tuple) else value
