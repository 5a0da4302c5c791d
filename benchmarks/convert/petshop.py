"""PetShop (Hardt et al., CLeaR 2024): five-minute metrics of 41 components, a call graph, performance issues.

Also writes healthy cases: hours of the fault-free recording, judged against the rest of it.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.convert.writing import CaseWriter

_HEADER = 4
_HOUR = 12
"""Rows of an hour."""
_HEALTHY = 12
_Columns = Sequence[tuple[str, str, str]]


def convert(source: Path, target: Path) -> int:
    """Write every issue with a fault-free recording beside it, and the healthy hours; returns how many."""
    count = 0
    for scenario in sorted(source.glob("dataset/*")):
        recording = scenario / "noissue" / "metrics.csv"
        if not recording.exists():
            continue
        graph = _graph(scenario / "graph.csv")
        for truth in sorted(scenario.glob("t*/issue_*/target.json")):
            out = target / f"{scenario.name}-{truth.parent.parent.name}-{truth.parent.name}"
            _issue(truth, recording, graph, out)
            count += 1
        count += _healthy(recording, graph, target, scenario.name)
    return count


def _issue(truth: Path, recording: Path, graph: Sequence[tuple[str, str]], out: Path) -> None:
    told = json.loads(truth.read_text())
    node, metric = told["target"]["node"], told["target"]["metric"]
    begun = datetime.fromtimestamp(told["target"]["timestamp"], UTC)
    writer = CaseWriter(out)
    columns, rows = _table(truth.parent / "metrics.csv")
    _alert(writer, node, metric, begun)
    writer.meta(datetime.fromtimestamp(float(rows[-1][0]), UTC) + timedelta(minutes=5))
    cause = {"object": told["root_cause"]["node"]}
    writer.expected({"healthy": False, "causes": [cause], "tags": [metric, "petshop"]})
    writer.metrics("metrics/services", ("service", "statistic"), _samples(columns, rows))
    base_columns, base_rows = _table(recording)
    writer.metrics("baseline/metrics/services", ("service", "statistic"), _samples(base_columns, base_rows))
    _topology(writer, columns, graph)


def _healthy(recording: Path, graph: Sequence[tuple[str, str]], target: Path, name: str) -> int:
    """Hours spread over the recording in which nothing was injected; each is left out of its own baseline."""
    columns, rows = _table(recording)
    for number in range(_HEALTHY):
        start = len(rows) * (number + 1) // (_HEALTHY + 1)
        hour, rest = rows[start : start + _HOUR], rows[:start] + rows[start + _HOUR :]
        writer = CaseWriter(target / f"{name}-healthy-{number}")
        metric = "latency" if number % 2 else "availability"
        _alert(writer, "PetSite", metric, datetime.fromtimestamp(float(hour[-3][0]), UTC))
        writer.meta(datetime.fromtimestamp(float(hour[-1][0]), UTC) + timedelta(minutes=5))
        writer.expected({"healthy": True, "causes": [], "tags": ["healthy", "petshop"]})
        writer.metrics("metrics/services", ("service", "statistic"), _samples(columns, hour))
        writer.metrics("baseline/metrics/services", ("service", "statistic"), _samples(columns, rest))
        _topology(writer, columns, graph)
    return _HEALTHY


def _alert(writer: CaseWriter, node: str, metric: str, begun: datetime) -> None:
    writer.alert(f"{node} {metric}", begun, f"{metric} of {node} is worse than usual", {"service": node})


def _topology(writer: CaseWriter, columns: _Columns, graph: Sequence[tuple[str, str]]) -> None:
    names = dict.fromkeys((*(node for node, _, _ in columns), *(name for edge in graph for name in edge)))
    writer.topology([(name, "service") for name in names], [(a, b, "calls") for a, b in graph])


def _samples(columns: _Columns, rows: Sequence[Sequence[str]]) -> Iterator[tuple[float, str, str, str, str]]:
    for row in rows:
        at = float(row[0])
        for (node, metric, statistic), value in zip(columns, row[1:], strict=True):
            if value not in ("", "nan"):
                yield at, metric, value, node, statistic


def _table(path: Path) -> tuple[_Columns, list[list[str]]]:
    rows = list(csv.reader(path.open(newline="")))
    columns = list(zip(rows[0][1:], rows[1][1:], rows[2][1:], strict=True))
    return columns, rows[_HEADER:]


def _graph(path: Path) -> list[tuple[str, str]]:
    """Caller and callee of each edge; a row is a caller."""
    rows = list(csv.reader(path.open(newline="")))
    names = rows[0][1:]
    return [
        (row[0], name)
        for row in rows[1:]
        for name, value in zip(names, row[1:], strict=True)
        if value not in ("", "0", "0.0")
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="the unpacked petshop folder")
    parser.add_argument("target", type=Path, help="where the cases go")
    arguments = parser.parse_args()
    print(f"{convert(arguments.source, arguments.target)} cases in {arguments.target}")


if __name__ == "__main__":
    main()
