"""Pods, revisions and workloads before they are printed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

Doc = dict[str, Any]
NOW = datetime(2026, 5, 12, 9, 30, tzinfo=UTC)


def ago(minutes: float = 0.0, *, days: float = 0.0) -> str:
    return (NOW - timedelta(minutes=minutes, days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(slots=True, kw_only=True)
class Pod:
    """A pod before it is printed. Times are minutes before now."""

    name: str
    template: Doc
    node: str | None
    created: float
    ready: bool = True
    phase: str = "Running"
    restarts: int = 0
    started: float | None = None
    waiting: tuple[str, str] | None = None
    last: Doc | None = None
    terminated: Doc | None = None
    unscheduled: str | None = None
    init: list[Doc] | None = None
    reason: str | None = None
    message: str | None = None
    unreachable: float | None = None
    deleted: float | None = None
    ready_since: float | None = None
    ip: str = ""
    until: float = 0.0


@dataclass(slots=True, kw_only=True)
class Revision:
    number: int
    hash: str
    template: Doc
    created: float
    replicas: int
    pods: list[Pod] = field(default_factory=list)
    conditions: list[Doc] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Workload:
    """A Deployment, StatefulSet or DaemonSet with its Service and its revisions, newest last."""

    kind: str
    name: str
    namespace: str
    replicas: int
    labels: Doc
    created: float
    revisions: list[Revision] = field(default_factory=list)
    conditions: list[Doc] | None = None
    claims: list[Doc] = field(default_factory=list)
    retired: list[Pod] = field(default_factory=list)

    @property
    def pods(self) -> list[Pod]:
        return [pod for revision in self.revisions for pod in revision.pods]

    @property
    def template(self) -> Doc:
        return self.revisions[-1].template
