"""Snapshots that tests write."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from bot.domain.evidence import Window

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR = Window(start=NOW - timedelta(hours=1), end=NOW)


def put(root: Path, name: str, content: str | bytes | list[Any] | dict[str, Any]) -> Path:
    """Write one file of a snapshot; lists become JSON lines in .jsonl files, else JSON or YAML."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, str):
        path.write_text(content)
    elif name.endswith(".jsonl"):
        path.write_text("".join(f"{json.dumps(one)}\n" for one in content))
    elif name.endswith(".json"):
        path.write_text(json.dumps(content))
    else:
        path.write_text(yaml.safe_dump(content))
    return path


def meta(root: Path, **sources: str) -> Path:
    return put(root, "meta.yaml", {"now": NOW.isoformat(), "sources": sources})


def ago(seconds: float) -> float:
    """Epoch seconds, so long before the snapshot's moment."""
    return NOW.timestamp() - seconds


def samples(root: Path, name: str, rows: Iterable[tuple[float, str, float | str, Mapping[str, str]]]) -> Path:
    """A metrics file from (time, metric, value, labels)."""
    rows = list(rows)
    columns = sorted({label for *_, labels in rows for label in labels})
    lines = [",".join(["timestamp", "metric", "value", *columns])]
    for at, metric, value, labels in rows:
        lines.append(",".join([repr(at), metric, str(value), *(labels.get(c, "") for c in columns)]))
    return put(root, name, "\n".join(lines) + "\n")


def pod(name: str, namespace: str = "shop", **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"containers": [{"name": "main"}]},
    }
