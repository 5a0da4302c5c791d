"""RootCauseBench (edgedelta/root-cause-bench) → snapshots.

    python -m benchmarks.convert.rootcausebench SRC OUT

What becomes of what:

- ``alert.json`` is a generic alert; the monitor is its name, metric, threshold and observed value are labels
  and text.
- ``metrics/metrics.csv``, ``spans/spans.jsonl`` as they are; a span's further fields are its ``attributes``.
- ``logs/service.jsonl`` the lines; a line's further fields are its ``labels``.
- ``logs/patterns.jsonl`` the clustered signatures: each stands for ``labels.count`` lines of the window,
  ``labels.delta`` more than before, and carries the time at which it was counted (the end of the window).
  Signatures that did not become more frequent are left out: their lines are among the raw ones.
- ``logs/status.jsonl`` what status pages said, one line per announcement; numbers they published are
  ``metrics/status.csv``.
- ``changes.jsonl`` one change per commit. A deployed commit is a ``deploy`` at the moment of its first
  deployment and has the service and version of that; the others are ``commit`` at their commit's time.
  Deployments of commits that are not listed stand alone. Flags are ``flag``.
- ``expected.yaml`` is all that is taken from ``ground_truth.json``.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Row = dict[str, Any]

_LINE_FIELDS = ("timestamp", "service", "severity_text", "msg", "trace_id")
_SPAN_FIELDS = ("trace_id", "span_id", "parent_id", "service", "name", "start", "duration_ms", "status")


def convert(source: Path, target: Path) -> None:
    """One incident. ``source`` holds ``data/`` and, where the truth is known, ``ground_truth.json``."""
    data = source / "data"
    alert = _load(data / "alert.json")
    lines = [json.loads(line) for line in (data / "logs.ndjson").read_text().splitlines() if line.strip()]
    spans = _load(data / "traces.json")
    with (data / "metrics.csv").open(newline="") as file:
        samples = list(csv.DictReader(file))
    end = max(
        _moment(text)
        for text in (
            *(line["timestamp"] for line in lines),
            *(span["start"] for span in spans),
            *(sample["timestamp"] for sample in samples),
            alert["fired_at"],
        )
    )
    _write(target / "alert.json", json.dumps(_alert(alert), indent=1))
    _write(target / "meta.yaml", f"now: {_text(end)}\n")
    _write_rows(target / "logs" / "service.jsonl", (_line(line) for line in lines))
    _write_rows(target / "logs" / "patterns.jsonl", _patterns(_load(data / "patterns.json"), end))
    feed = next(iter(sorted(data.rglob("status_feed.json"))), None)
    if feed is not None:
        _write_rows(target / "logs" / "status.jsonl", _announcements(_load(feed)))
        _write_samples(target / "metrics" / "status.csv", _feed_samples(_load(feed)))
    _write_rows(target / "spans" / "spans.jsonl", (_span(span) for span in spans))
    _write_samples(target / "metrics" / "metrics.csv", samples)
    context = data / "context"
    changes = _changes(*(_load(context / f"{name}.json") for name in ("commits", "deploys", "flags")))
    _write_rows(target / "changes.jsonl", changes)
    truth = source / "ground_truth.json"
    if truth.exists():
        # JSON is YAML, and this package then needs no writer for it.
        _write(target / "expected.yaml", json.dumps(_expected(_load(truth)), indent=1) + "\n")


def _alert(alert: Row) -> Row:
    told = f"{alert['metric']} is {alert['observed']}, threshold {alert['threshold']}"
    return {
        "alertname": alert["monitor"],
        "severity": alert["severity"],
        "summary": alert["summary"],
        "description": " ".join((told + ".", alert.get("detail", ""))).strip(),
        "labels": {"service": alert["service"], "metric": alert["metric"]},
        "startsAt": alert["fired_at"],
    }


def _line(line: Row) -> Row:
    row = {"ts": line["timestamp"], "message": line["msg"], "service": line["service"]}
    if line.get("severity_text"):
        row["level"] = line["severity_text"].lower()
    labels = {key: str(value) for key, value in line.items() if key not in _LINE_FIELDS}
    return row | ({"labels": labels} if labels else {})


def _patterns(patterns: Iterable[Row], end: datetime) -> Iterable[Row]:
    for pattern in patterns:
        if pattern["count"] > 0 and int(pattern["delta_vs_baseline"]) > 0:
            yield {
                "ts": _text(end),
                "message": pattern["signature"],
                "service": pattern["service"],
                "labels": {
                    "aggregate": "pattern",
                    "count": str(pattern["count"]),
                    "delta": str(int(pattern["delta_vs_baseline"])),
                    "sentiment": pattern["sentiment"],
                },
            }


def _announcements(feed: Row) -> Iterable[Row]:
    """The two shapes there are: events of one component, and a status page with incidents."""
    name = str(feed.get("component") or feed.get("provider") or feed.get("source") or "status")
    for event in feed.get("events", ()):
        yield _announcement(event["timestamp"], name, f"{event.get('status', '')}: {event.get('detail', '')}")
    for incident in feed.get("incidents", ()):
        title = f"{incident['name']} (impact {incident.get('impact', 'unknown')})"
        yield _announcement(incident["started_at"], name, title)
        for update in incident.get("updates", ()):
            yield _announcement(update["timestamp"], name, update["body"])


def _feed_samples(feed: Row) -> Iterable[Row]:
    """The provider's own measurements, under the metric's name and the provider's."""
    name = str(feed.get("provider") or feed.get("component") or "status")
    for metric, points in feed.items():
        for point in points if isinstance(points, list) else ():
            if isinstance(point, dict) and {"timestamp", "value"} <= point.keys():
                yield {
                    "timestamp": point["timestamp"],
                    "metric": metric,
                    "value": point["value"],
                    "service": name,
                }


def _announcement(at: str, name: str, text: str) -> Row:
    return {"ts": at, "message": f"status page of {name}: {text}", "labels": {"origin": "status_page"}}


def _span(span: Row) -> Row:
    attributes = {key: _flat(value) for key, value in span.items() if key not in _SPAN_FIELDS}
    return {
        "trace_id": span["trace_id"],
        "span_id": span["span_id"],
        "parent_id": span.get("parent_id"),
        "service": span["service"],
        "operation": span["name"],
        "start": span["start"],
        "duration_ms": span["duration_ms"],
        "status": "ok" if str(span.get("status", "OK")).upper() == "OK" else "error",
        "peer": str(span.get("peer.service", "")),
        "attributes": attributes,
    }


def _changes(commits: list[Row], deploys: list[Row], flags: list[Row]) -> Iterable[Row]:
    first: dict[str, Row] = {}
    for deploy in sorted(deploys, key=lambda one: _moment(one["timestamp"])):
        first.setdefault(deploy["commit_sha"], deploy)
    rows: list[Row] = []
    for commit in commits:
        deploy = first.pop(commit["sha"], None)
        row = {
            "ts": commit["timestamp"] if deploy is None else deploy["timestamp"],
            "kind": "commit" if deploy is None else "deploy",
            "id": commit["sha"],
            "title": commit["message"],
            "author": commit["author"],
            "files": commit["files_changed"],
            "diff": commit.get("diff") or "",
        }
        if deploy is not None:
            row |= {"service": deploy["service"], "version": deploy["version"]}
        rows.append(row)
    for sha, deploy in first.items():
        rows.append(
            {
                "ts": deploy["timestamp"],
                "kind": "deploy",
                "id": sha,
                "service": deploy["service"],
                "version": deploy["version"],
                "title": f"deploy {deploy['service']} {deploy['version']}",
            }
        )
    for flag in flags:
        before, _, after = flag["change"].partition("->")
        rows.append(
            {
                "ts": flag["timestamp"],
                "kind": "flag",
                "id": f"flag:{flag['flag']}@{flag['timestamp']}",
                "title": f"{flag['flag']} {flag['change']}",
                "service": flag["service"],
                "author": flag["actor"],
                "from": before,
                "to": after,
            }
        )
    return sorted(rows, key=lambda row: (_moment(row["ts"]), row["id"]))


def _expected(truth: Row) -> Row:
    culprit = None if truth["root_cause_commit"] == "none" else truth["root_cause_commit"]
    return {
        "healthy": False,
        "causes": [{"object": truth["first_failing_service"], "object_kind": "service"}],
        "culprit_change": culprit,
        "forbidden": [{"culprit_change": decoy} for decoy in truth["decoy_deploy_commits"]],
        "tags": ["rootcausebench", "change" if culprit else "no_change"],
    }


def _flat(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key}={item}" for key, item in value.items())
    return str(value)


def _load(path: Path) -> Any:
    return json.loads(path.read_text())


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _write_rows(path: Path, rows: Iterable[Row]) -> None:
    _write(path, "".join(json.dumps(row) + "\n" for row in rows))


def _write_samples(path: Path, samples: Iterable[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["timestamp", "metric", "value", "service"])
        writer.writeheader()
        writer.writerows({key: sample[key] for key in writer.fieldnames} for sample in samples)


def cases(source: Path) -> list[Path]:
    """The incidents below a directory, by name."""
    return sorted(path.parent.parent for path in source.glob("*/data/alert.json"))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, metavar="SRC")
    parser.add_argument("target", type=Path, metavar="OUT")
    given = parser.parse_args()
    found = cases(given.source)
    for case in found:
        convert(case, given.target / case.name)
    print(f"{len(found)} incidents → {given.target}")
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
