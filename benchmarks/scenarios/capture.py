"""What is then to be seen on the machine, written in the snapshot format under neutral names."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.scenarios import hosts
from benchmarks.scenarios.children import Child, interpreter
from benchmarks.scenarios.monitoring import HOST, Metrics
from benchmarks.scenarios.truth import Truth

_LINES_PER_LOG = 400
_SPANS = 1_500
_PACK_ABOVE = 4_000
_TIMED = re.compile(r"^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d(?:[.,]\d+)?)(?:Z| UTC)?(?: \[\d+\])?[ -]*")
_LEVEL = re.compile(r"\b(DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL|FATAL|PANIC|LOG|STATEMENT|DETAIL|HINT)\b")
_LEVELS = {"LOG": "info", "STATEMENT": "info", "DETAIL": "info", "HINT": "info", "WARN": "warning"}
_FOREIGN = re.compile(r"(?<![\w./-])/(?:work|root|home|tmp)/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """File name → text, before scrubbing done; ``write`` puts the truth beside it."""

    files: Mapping[str, str]

    def write(self, root: Path, truth: Truth) -> None:
        """Replaces what was there. Raises ValueError when a path or name of this machine is in it."""
        files = {**self.files, "expected.yaml": truth.text()}
        for name, text in files.items():
            found = _FOREIGN.search(text) or re.search(rf"\b{re.escape(socket.gethostname())}\b", text)
            if found is not None:
                around = text[max(found.start() - 60, 0) : found.end() + 60]
                raise ValueError(f"{root.name}/{name} speaks of this machine: {around!r}")
        for old in sorted(root.rglob("*"), reverse=True):
            old.rmdir() if old.is_dir() else old.unlink()
        for name, text in files.items():
            data = text.encode()
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if len(data) > _PACK_ABOVE and name != "alert.json":
                path.with_name(path.name + ".gz").write_bytes(gzip.compress(data, mtime=0))
            else:
                path.write_bytes(data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    folders: Sequence[Path]
    children: Sequence[Child]
    jobs: Sequence[str]
    metrics: Metrics
    mounts: Mapping[Path, str]
    alert: Mapping[str, Any]
    spans: Path | None
    changes: Sequence[Mapping[str, Any]]
    edges: Sequence[tuple[str, str, str]]
    kinds: Mapping[str, str]

    async def take(self) -> Recorded:
        now = datetime.now(UTC)
        roots = [child.pid for child in self.children]
        tables: dict[str, hosts.Rows] = {
            "processes": hosts.processes(roots),
            "listening_ports": hosts.listening_ports(roots),
            "exits": [row for child in self.children for row in child.exits],
            "log": [],
        }
        if self.mounts:
            tables["mounts"] = hosts.mounts(self.mounts)
        samples = await self.metrics.samples(self.jobs)
        files = {
            "alert.json": json.dumps(self.alert, indent=1) + "\n",
            "meta.yaml": f"now: {now.isoformat(timespec='milliseconds')}\n",
            "metrics/prometheus.csv": as_csv(samples),
        }
        for child in self.children:
            lines = read_log(child.log, child.name)
            files[f"logs/{child.name}.jsonl"] = as_lines(lines)
            tables["log"] += [
                {"ts": line["ts"], "message": line["message"], "process": child.name} for line in lines
            ]
        tables["log"].sort(key=lambda row: str(row["ts"]))
        for table, rows in tables.items():
            files[f"hosts/{HOST}/{table}.json"] = as_rows(rows)
        if self.spans is not None and self.spans.exists():
            spans = self.spans.read_text().splitlines()[-_SPANS:]
            files["spans/spans.jsonl"] = "\n".join(spans) + "\n"
        if self.changes:
            files["changes.jsonl"] = as_lines(self.changes)
        if self.edges:
            files["topology.json"] = json.dumps(
                {
                    "nodes": [{"id": name, "kind": kind} for name, kind in sorted(self.kinds.items())],
                    "edges": [{"from": a, "to": b, "kind": kind} for a, b, kind in sorted(set(self.edges))],
                },
                indent=1,
            )
        return Recorded(files={name: self.scrub(text) for name, text in files.items()})

    def scrub(self, text: str) -> str:
        """The names that a neutral machine would have. Nothing else is changed."""
        for old, new in self._names():
            text = text.replace(old, new)
        return text

    def _names(self) -> list[tuple[str, str]]:
        found = [
            (self.metrics.url, "http://prometheus.example:9090"),
            (str(self.alert.get("externalURL")), "http://alertmanager.example:9093"),
            (interpreter(), "/usr/bin/python3"),
        ]
        found += [(str(path), f"/srv/{path.name.rpartition('-')[2]}") for path in self.mounts]
        found += [(str(one), "/srv") for one in self.folders]
        virtual = Path(__file__).parents[2] / ".venv"
        found += [(str(one), "/opt/venv") for one in (virtual.resolve(), virtual)]
        name = socket.gethostname()
        if len(name) > 3:
            found.append((name, HOST))
        return found


def as_csv(samples: Iterable[Mapping[str, Any]]) -> str:
    """The result of a range selector, a column per label."""
    series = [(dict(one["metric"]), one["values"]) for one in samples]
    labels = sorted({key for metric, _ in series for key in metric} - {"__name__"})
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("timestamp", "metric", "value", *labels))
    series.sort(key=lambda one: sorted(one[0].items()))
    for metric, values in series:
        for at, value in values:
            writer.writerow((at, metric["__name__"], value, *(metric.get(key, "") for key in labels)))
    return out.getvalue()


def read_log(path: Path, service: str) -> list[dict[str, Any]]:
    """The end of a log as a collector ships it: a line without a time has that of the line before it."""
    if not path.exists():
        return []
    found: list[dict[str, Any]] = []
    at = ""
    for line in path.read_text(errors="replace").splitlines():
        if not line.strip():
            continue
        timed = _TIMED.match(line)
        record: dict[str, Any] = {"ts": at, "message": line, "service": service}
        if timed is not None:
            at = f"{timed[1]}T{timed[2].replace(',', '.')}Z"
            named = _LEVEL.search(line)
            level = _LEVELS.get(named[1], named[1].lower()) if named is not None else "info"
            record |= {"ts": at, "message": line[timed.end() :], "level": level}
        if at:
            found.append(record)
    return found[-_LINES_PER_LOG:]


def as_lines(records: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(dict(one), ensure_ascii=False) + "\n" for one in records)


def as_rows(rows: Sequence[Mapping[str, Any]]) -> str:
    return "[" + ",\n ".join(json.dumps(dict(row), ensure_ascii=False) for row in rows) + "]\n"
