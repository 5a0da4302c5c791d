"""Nezha's TrainTicket faults (ESEC/FSE 2023): three minutes of logs and traces, metrics, a fault-free minute.

``inject_time`` and the logs are in UTC. The first of the three minutes ends about when the fault begins.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.convert.writing import CaseWriter

_BEFORE = timedelta(hours=1)
_AFTER = timedelta(minutes=3)
_CLIENT = re.compile(r"HTTP (?:GET|POST|PUT|DELETE|PATCH)")
_LEVEL = re.compile(r"^\S+ +(TRACE|DEBUG|INFO|WARN|ERROR|FATAL)\b")
_FAULTS = {
    "cpu_contention": "cpu_saturation",
    "cpu_consumed": "cpu_saturation",
    "network_delay": "network_delay",
}


def convert(source: Path, target: Path) -> int:
    """Write a case per fault; returns how many."""
    count = 0
    for truth in sorted((source / "rca_data").glob("*/*-fault_list.json")):
        day = truth.parent
        healthy = source / "construct_data" / day.name
        for fault in (one for hour in json.loads(truth.read_text()).values() for one in hour):
            begun = datetime.strptime(fault["inject_time"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
            _case(day, healthy, fault, begun, target / f"{begun:%m%d-%H%M}")
            count += 1
    return count


def _case(day: Path, healthy: Path, fault: Mapping[str, str], begun: datetime, out: Path) -> None:
    writer = CaseWriter(out)
    minutes = [f"{begun + timedelta(minutes=offset):%H_%M}" for offset in range(3)]
    service = service_of(fault["inject_pod"])
    writer.alert("TrainTicketDegraded", begun, "Requests of passengers are slow, fail or answer wrongly", {})
    writer.meta(begun + _AFTER)
    kind = _FAULTS.get(fault["inject_type"])
    cause = {"object": service, "object_kind": "service"}
    tags = [kind or fault["inject_type"], "trainticket"]
    writer.expected({"healthy": False, "causes": [cause], "tags": tags})
    writer.lines("logs/app.jsonl", (one for minute in minutes for one in _logs(day, minute)))
    writer.lines("spans/app.jsonl", (one for minute in minutes for one in _spans(day, minute)))
    for log in sorted((healthy / "log").glob("*_log.csv")):
        minute = log.name.removesuffix("_log.csv")
        writer.lines("baseline/logs/app.jsonl", _logs(healthy, minute))
        writer.lines("baseline/spans/app.jsonl", _spans(healthy, minute))
    writer.metrics("metrics/pods", ("service", "pod"), _metrics(day, begun - _BEFORE, begun + _AFTER))


def service_of(pod: str) -> str:
    """A pod's workload: its name without the two suffixes that a ReplicaSet adds."""
    return pod.rsplit("-", 2)[0]


def _logs(day: Path, minute: str) -> Iterator[dict[str, Any]]:
    for row in _rows(day / "log" / f"{minute}_log.csv"):
        text = row["Log"]
        if text.startswith("{"):
            text = str(json.loads(text)["log"])
        level = _LEVEL.match(text)
        yield {
            "ts": int(row["TimeUnixNano"]) / 1e9,
            "message": text.rstrip("\n"),
            "service": service_of(row["PodName"]),
            "pod": row["PodName"],
            "node": row["Node"],
            "level": level.group(1).lower() if level else None,
            "labels": {"trace_id": row["TraceID"], "span_id": row["SpanID"]},
        }


def _spans(day: Path, minute: str) -> Iterator[dict[str, Any]]:
    for row in _rows(day / "trace" / f"{minute}_trace.csv"):
        operation = row["OperationName"]
        yield {
            "trace_id": row["TraceID"],
            "span_id": row["SpanID"],
            "parent_id": None if row["ParentID"] == "root" else row["ParentID"],
            "service": service_of(row["PodName"]),
            "pod": row["PodName"],
            "operation": operation,
            "kind": "client" if _CLIENT.fullmatch(operation) else None,
            "start": int(row["StartTimeUnixNano"]) / 1e9,
            "duration_ms": int(row["Duration"]) / 1000,
        }


def _metrics(day: Path, start: datetime, end: datetime) -> Iterator[tuple[Any, ...]]:
    for path in sorted((day / "metric").glob("*.csv")):
        for row in _rows(path):
            at = int(row["TimeStamp"])
            if not start.timestamp() <= at <= end.timestamp():
                continue
            pod = row.get("PodName", "")
            service = service_of(pod) if pod else row.get("ServiceName", path.stem)
            for name, value in row.items():
                if name not in ("Time", "TimeStamp", "PodName", "ServiceName") and value:
                    yield at, name, value, service, pod


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="", errors="replace") as text:
        yield from csv.DictReader(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="the unpacked nezha-trainticket folder")
    parser.add_argument("target", type=Path, help="where the cases go")
    arguments = parser.parse_args()
    print(f"{convert(arguments.source, arguments.target)} cases in {arguments.target}")


if __name__ == "__main__":
    main()
