"""What was read, written as the parts of a snapshot, for whoever asks the recording something new."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from bot.domain.clock import to_rfc3339
from bot.domain.evidence import Change, Evidence, EvidenceStatus, LogLine, Series, TraceSpan, Window
from investigators.ports import MetricQuery
from investigators.queries import (
    ChangeQuery,
    GraphQuery,
    LogExpressionQuery,
    LogQuery,
    ObjectQuery,
    PastQuery,
    PodLogQuery,
    Query,
    RunbookQuery,
    SpanQuery,
    SurveyQuery,
    TableQuery,
    TicketQuery,
)

_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,200}")
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_HOST_TABLES = {
    "host.process": "processes",
    "host.resources": "resources",
    "host.disk": "mounts",
    "host.ports": "listening_ports",
    "host.exits": "exits",
}
_PARTS: Mapping[str, str] = {
    SurveyQuery.kind: "metrics",
    LogQuery.kind: "logs",
    LogExpressionQuery.kind: "logs",
    ObjectQuery.kind: "kubernetes",
    PodLogQuery.kind: "kubernetes",
    SpanQuery.kind: "traces",
    ChangeQuery.kind: "changes",
    GraphQuery.kind: "topology",
    TableQuery.kind: "hosts",
    RunbookQuery.kind: "runbooks",
    PastQuery.kind: "incidents",
    TicketQuery.kind: "tickets",
}


class Parts:
    """Collects answers and writes them as files. The same thing answered twice is written once."""

    def __init__(self) -> None:
        self._samples: dict[tuple[str, str, frozenset[tuple[str, str]]], dict[datetime, float]] = {}
        self._json_lines: dict[str, Counter[str]] = {}
        self._objects: dict[str, dict[tuple[str, str], Mapping[str, Any]]] = {}
        self._whole: dict[str, str] = {}
        self._edges: dict[str, dict[str, Any]] = {}
        self._nodes: dict[str, str] = {}
        self._states: dict[str, set[str | None]] = {}

    def metrics(self, query: MetricQuery, evidence: Evidence) -> None:
        """Samples as they are; what a function or an aggregation made is no sample."""
        if query.function is None and query.aggregate is None:
            self._series("metrics/samples.csv", evidence.series)

    def host(self, host: str, evidence: Evidence) -> None:
        table = _HOST_TABLES.get(evidence.kind)
        if evidence.status is EvidenceStatus.FAILED or not _SAFE.fullmatch(host):
            return
        if table is not None:
            self._rows(host, table, evidence.records, replace=False)
            return
        rows = [{"ts": to_rfc3339(line.at), "message": line.text} for line in evidence.lines if line.at]
        self._rows(host, "log", rows, replace=False)

    def wide(self, query: Query, window: Window, evidence: Evidence) -> None:
        """An answer from another window than was asked for is of the baseline."""
        failed = evidence.status is EvidenceStatus.FAILED
        part = _PARTS.get(query.kind)
        if part is not None:
            self._states.setdefault(part, set()).add(evidence.reason if failed else None)
        if failed:
            return
        base = "baseline/" if getattr(query, "healthy", False) and evidence.window != window else ""
        match query:
            case SurveyQuery():
                self._series(f"{base}metrics/samples.csv", evidence.series)
            case LogQuery() | LogExpressionQuery():
                self._add(f"{base}logs/lines.jsonl", _log_records(evidence.lines))
            case SpanQuery():
                self._add(f"{base}spans/spans.jsonl", [_span(span) for span in evidence.spans])
            case ObjectQuery():
                self._things(query, evidence.objects)
            case PodLogQuery():
                self._pod_log(query, evidence.lines)
            case ChangeQuery():
                self._add("changes.jsonl", [_change(change) for change in evidence.changes])
            case GraphQuery():
                self._graph(evidence.records)
            case TableQuery():
                if _SAFE.fullmatch(query.host) and _SAFE.fullmatch(query.table):
                    self._rows(query.host, query.table, evidence.records, replace=True)
            case RunbookQuery():
                name = _UNSAFE.sub("-", query.url)[-80:].strip("-")
                text = "\n".join(line.text for line in evidence.lines)
                self._whole[f"runbooks/{name}.md"] = f"<!-- {query.url} -->\n{text}"
            case PastQuery():
                self._add("incidents.jsonl", evidence.objects)

    def write(self, directory: Path, now: datetime) -> None:
        """Every file, and meta.yaml with what failed throughout."""
        for name, text in self._files(now).items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def _files(self, now: datetime) -> dict[str, str]:
        files = dict(self._whole)
        for name in {name for name, _, _ in self._samples}:
            files[name] = self._csv(name)
        for name, counted in self._json_lines.items():
            files[name] = "".join(f"{line}\n" for line in counted.elements())
        for kind, things in self._objects.items():
            body = {"apiVersion": "v1", "kind": f"{kind}List", "items": list(things.values())}
            files[f"kubernetes/{kind.lower()}.json"] = json.dumps(body, ensure_ascii=False, indent=1)
        if self._edges or self._nodes:
            nodes = [{"id": node, "kind": kind} for node, kind in self._nodes.items()]
            body = {"nodes": nodes, "edges": list(self._edges.values())}
            files["topology.json"] = json.dumps(body, ensure_ascii=False, indent=1)
        failed = {
            part: f"failed: {reasons.pop()}"
            for part, reasons in self._states.items()
            if len(reasons) == 1 and None not in reasons
        }
        meta: dict[str, Any] = {"now": to_rfc3339(now)}
        if failed:
            meta["sources"] = failed
        files["meta.yaml"] = yaml.safe_dump(meta, sort_keys=False, allow_unicode=True)
        return files

    def _series(self, name: str, series: Iterable[Series]) -> None:
        for one in series:
            samples = self._samples.setdefault((name, one.name, frozenset(one.labels.items())), {})
            samples.update(zip(one.times, one.values, strict=True))

    def _csv(self, name: str) -> str:
        mine = [
            (metric, dict(labels), s) for (file, metric, labels), s in self._samples.items() if file == name
        ]
        columns = sorted({label for _, labels, _ in mine for label in labels})
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["timestamp", "metric", "value", *columns])
        for metric, labels, samples in mine:
            row = [labels.get(column, "") for column in columns]
            for at, value in sorted(samples.items()):
                writer.writerow([to_rfc3339(at), metric, repr(value), *row])
        return text.getvalue()

    def _add(self, name: str, records: Iterable[Mapping[str, Any]]) -> None:
        """A line that one answer holds twice is there twice; two answers may hold the same line."""
        counted = Counter(json.dumps(record, ensure_ascii=False) for record in records)
        there = self._json_lines.setdefault(name, Counter())
        for line, count in counted.items():
            there[line] = max(there[line], count)

    def _things(self, query: ObjectQuery, objects: Sequence[Mapping[str, Any]]) -> None:
        whole = query.namespace is None and query.name is None
        if not (objects or whole) or not _SAFE.fullmatch(query.object_kind):
            return
        things = self._objects.setdefault(query.object_kind, {})
        for one in objects:
            metadata = one.get("metadata") or {}
            things[str(metadata.get("namespace") or ""), str(metadata.get("name") or "")] = one

    def _pod_log(self, query: PodLogQuery, lines: Sequence[LogLine]) -> None:
        texts: dict[str, list[str]] = {}
        for line in lines:
            container = line.labels.get("container") or query.container or ""
            text = line.text if line.at is None else f"{to_rfc3339(line.at)} {line.text}"
            texts.setdefault(container, []).append(text)
        ending = ".previous.log" if query.previous else ".log"
        for container, written in texts.items():
            names = [query.namespace, query.pod, *([container] if container else [])]
            if all(_SAFE.fullmatch(name) for name in names):
                self._whole[f"kubernetes/logs/{'/'.join(names)}{ending}"] = "\n".join([*written, ""])

    def _graph(self, records: Iterable[Mapping[str, Any]]) -> None:
        for record in records:
            self._nodes.setdefault(str(record["from"]), str(record.get("from_kind") or "service"))
            if record.get("to") is None:
                continue
            self._nodes.setdefault(str(record["to"]), str(record.get("to_kind") or "service"))
            edge = {
                key: record[key] for key in ("from", "to", "kind", "origin", "seen_at") if record.get(key)
            }
            self._edges[json.dumps(edge)] = edge

    def _rows(self, host: str, table: str, rows: Sequence[Mapping[str, Any]], *, replace: bool) -> None:
        name = f"hosts/{host}/{table}.json"
        if replace or name not in self._whole:
            self._whole[name] = json.dumps([dict(row) for row in rows], ensure_ascii=False, indent=1)


def _log_records(lines: Sequence[LogLine]) -> list[dict[str, Any]]:
    """A line without a time gets that of the line before it, where there is one."""
    found = []
    last: datetime | None = None
    for line in lines:
        last = line.at or last
        if last is not None:
            found.append({"ts": to_rfc3339(last), "message": line.text, "labels": dict(line.labels)})
    return found


def _span(span: TraceSpan) -> dict[str, Any]:
    return {
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "parent_id": span.parent_id,
        "service": span.service,
        "operation": span.operation,
        "kind": span.kind,
        "start": to_rfc3339(span.start),
        "duration_ms": span.duration_ms,
        "status": "error" if span.error else "ok",
        "peer": span.peer,
        "pod": span.pod,
        "attributes": dict(span.attributes),
    }


def _change(change: Change) -> dict[str, Any]:
    made = {
        "ts": to_rfc3339(change.at),
        "kind": change.kind,
        "id": change.id,
        "service": change.service,
        "title": change.title,
        "author": change.author,
        "files": list(change.files),
        "diff": change.diff,
        "version": change.version,
        "from": change.before,
        "to": change.after,
        "link": change.link,
    }
    return {key: value for key, value in made.items() if value not in ("", [])}
