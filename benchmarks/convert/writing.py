"""Write one case directory in the snapshot format."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from bot.domain.clock import to_rfc3339


@dataclass(frozen=True, slots=True)
class CaseWriter:
    """``root`` is created; writing the same part twice replaces it."""

    root: Path

    def alert(self, name: str, started: datetime, summary: str, labels: Mapping[str, str]) -> None:
        body = {
            "alertname": name,
            "summary": summary,
            "severity": "critical",
            "startsAt": to_rfc3339(started),
            "labels": dict(labels),
        }
        self._json("alert.json", body)

    def meta(self, now: datetime, **more: Any) -> None:
        self._path("meta.yaml").write_text(yaml.safe_dump({"now": to_rfc3339(now), **more}, sort_keys=True))

    def expected(self, truth: Mapping[str, Any]) -> None:
        self._path("expected.yaml").write_text(yaml.safe_dump(dict(truth), sort_keys=True))

    def topology(self, nodes: Sequence[tuple[str, str]], edges: Sequence[tuple[str, str, str]]) -> None:
        """Nodes as (id, kind), edges as (from, to, kind)."""
        body = {
            "nodes": [{"id": name, "kind": kind} for name, kind in nodes],
            "edges": [{"from": a, "to": b, "kind": kind} for a, b, kind in edges],
        }
        self._json("topology.json", body)

    def metrics(self, name: str, labels: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Rows of (epoch seconds, metric, value, one value per label)."""
        with self._path(f"{name}.csv").open("w", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(("timestamp", "metric", "value", *labels))
            writer.writerows(rows)

    def lines(self, name: str, records: Iterable[Mapping[str, Any]]) -> None:
        """JSON lines; fields that are None are left out."""
        with self._path(name).open("w") as out:
            for record in records:
                kept = {key: value for key, value in record.items() if value is not None}
                out.write(json.dumps(kept, ensure_ascii=False) + "\n")

    def _json(self, name: str, body: Any) -> None:
        self._path(name).write_text(json.dumps(body, indent=1))

    def _path(self, name: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path
