"""A snapshot's directory: which parts are there, what time it is in it, and each part read when wanted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from adapters.evidence.snapshot import cluster, lines, metrics, records, tables
from adapters.evidence.snapshot.files import Folder, Lazy, Malformed, epoch, moment
from bot.domain.errors import InputError
from bot.domain.redaction import clean

_KIND = re.compile(rb"kind[\"']?:\s*[\"']?([A-Za-z]+)")
_WORD = re.compile(r"[A-Za-z]+")


class Part(StrEnum):
    """What ``sources`` of meta.yaml speaks of, by the names people use for it."""

    METRICS = "metrics"
    LOGS = "logs"
    KUBERNETES = "kubernetes"
    TRACES = "traces"
    CHANGES = "changes"
    TOPOLOGY = "topology"
    HOSTS = "hosts"
    RUNBOOKS = "runbooks"
    INCIDENTS = "incidents"
    TICKETS = "tickets"


ALIASES: Mapping[str, Part] = {
    "prometheus": Part.METRICS,
    "victoriametrics": Part.METRICS,
    "mimir": Part.METRICS,
    "thanos": Part.METRICS,
    "loki": Part.LOGS,
    "log": Part.LOGS,
    "elasticsearch": Part.LOGS,
    "k8s": Part.KUBERNETES,
    "kube": Part.KUBERNETES,
    "tempo": Part.TRACES,
    "jaeger": Part.TRACES,
    "spans": Part.TRACES,
    "deploys": Part.CHANGES,
    "deployments": Part.CHANGES,
    "github": Part.CHANGES,
    "gitlab": Part.CHANGES,
    "argocd": Part.CHANGES,
    "flux": Part.CHANGES,
    "teamcity": Part.CHANGES,
    "graph": Part.TOPOLOGY,
    "host": Part.HOSTS,
    "osquery": Part.HOSTS,
    "fleet": Part.HOSTS,
    "runbook": Part.RUNBOOKS,
    "past": Part.INCIDENTS,
    "jira": Part.TICKETS,
    **{part.value: part for part in Part},
}


class Contents:
    """The parts of one folder: the snapshot's own, or its baseline's."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.tracks = Lazy(lambda: metrics.read_tracks(folder))
        self.objects = Lazy(lambda: cluster.read_objects(folder))
        self.spans = Lazy(lambda: records.read_spans(folder))
        self.changes = Lazy(lambda: records.read_changes(folder))
        self.graph = Lazy(lambda: records.read_graph(folder))
        self.past = Lazy(lambda: records.read_past(folder))
        self.runbooks = Lazy(lambda: records.runbooks(folder))
        self.pod_logs = Lazy(lambda: lines.pod_logs(folder))
        self.hosts = Lazy(lambda: tables.Hosts(folder))
        self.kinds = Lazy(self._mentioned_kinds)
        self._records = Lazy(lambda: lines.read_records(folder))
        self._entries = Lazy(self._every_line)
        self._present: dict[Part, bool] = {}

    def has(self, part: Part) -> bool:
        if part not in self._present:
            self._present[part] = _PRESENT[part](self.folder)
        return self._present[part]

    def entries(self, *, records: bool, pods: bool) -> list[lines.Entry]:
        """Log lines of logs/ and of kubernetes/logs, as far as wanted, by time."""
        if records and pods:
            return self._entries.get()
        found = list(self._records.get()) if records else self._of_pods() if pods else []
        return sorted(found, key=_line_order)

    def _every_line(self) -> list[lines.Entry]:
        return sorted([*self._records.get(), *self._of_pods()], key=_line_order)

    def _of_pods(self) -> list[lines.Entry]:
        services = self._services()
        return [
            entry
            for log in self.pod_logs.get()
            for entry in lines.read_pod_log(
                self.folder,
                log,
                services.get((log.namespace, log.pod)) or lines.service_of_pod(log.pod),
            )
        ]

    def _services(self) -> dict[tuple[str, str], str]:
        """What the labels of pods say about the service they are of; a pod's log can be read without."""
        try:
            pods = self.objects.get().of("Pod", None, None)
        except Malformed:
            return {}
        found = {}
        for pod in pods:
            metadata = pod["metadata"]
            labels = metadata.get("labels") or {}
            for key in ("app.kubernetes.io/name", "app", "k8s-app", "name"):
                if isinstance(labels, dict) and isinstance(labels.get(key), str):
                    found[metadata.get("namespace", ""), metadata["name"]] = labels[key]
                    break
        return found

    def _mentioned_kinds(self) -> frozenset[str]:
        """Words that stand behind ``kind:``, and those of file names: what may be there, without parsing."""
        found = set()
        for name in self.folder.names("kubernetes", ".yaml", ".yml", ".json"):
            found |= {word.decode().lower() for word in _KIND.findall(self.folder.data(name))}
            found |= {word.lower() for word in _WORD.findall(name.rpartition("/")[2])}
        return frozenset(found)


def _line_order(entry: lines.Entry) -> float:
    return float("-inf") if entry.order is None else entry.order


_PRESENT: Mapping[Part, Callable[[Folder], bool]] = {
    Part.METRICS: lambda folder: bool(folder.names("metrics", ".csv")),
    Part.LOGS: lambda folder: bool(folder.names("logs", ".jsonl")),
    Part.KUBERNETES: lambda folder: bool(folder.names("kubernetes", ".yaml", ".yml", ".json")),
    Part.TRACES: lambda folder: bool(folder.names("spans", ".jsonl")),
    Part.CHANGES: lambda folder: folder.has("changes.jsonl"),
    Part.TOPOLOGY: lambda folder: folder.has("topology.json"),
    Part.HOSTS: lambda folder: bool(folder.folders("hosts")),
    Part.RUNBOOKS: lambda folder: bool(folder.names("runbooks", ".md")),
    Part.INCIDENTS: lambda folder: folder.has("incidents.jsonl"),
    Part.TICKETS: lambda folder: False,
}


class Snapshot:
    """One directory in the snapshot format. Reads only; each part once, when it is first asked for."""

    def __init__(self, root: Path, pool: Executor | None = None) -> None:
        """Files are read in the ``pool``, or in the event loop's own.

        Raises InputError when there is no such directory or its meta.yaml cannot be understood.
        """
        if not root.is_dir():
            raise InputError(f"{root} is not a directory")
        self.root = root
        self.pool = pool
        self.main = Contents(Folder(root))
        baseline = root / "baseline"
        self.baseline = Contents(Folder(baseline, "baseline/")) if baseline.is_dir() else None
        meta = _meta(self.main.folder)
        self._now = meta.get("now")
        self._states = _states(meta.get("sources"))
        self._clock: Lazy[datetime] = Lazy(self._time)

    @property
    def now(self) -> datetime:
        """The investigation's clock: of meta.yaml, else the newest time in any part. Raises InputError."""
        try:
            return self._clock.get()
        except Malformed as error:
            raise InputError(str(error)) from None

    def absent(self, part: Part) -> bool:
        return self._states.get(part) == ""

    def failure(self, part: Part) -> str | None:
        """Why a source did not answer when the snapshot was made; None when it did."""
        return self._states.get(part) or None

    def has(self, part: Part) -> bool:
        """Whether there is a source for this part, be it one that fails."""
        if part in self._states:
            return bool(self._states[part])
        return self.main.has(part)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The machines that were looked at from inside."""
        return self.main.hosts.get().names if self.has(Part.HOSTS) else ()

    def _time(self) -> datetime:
        if self._now is not None:
            try:
                return moment(epoch(self._now))
            except ValueError as error:
                raise Malformed(f"meta.yaml: now: {error}") from None
        newest = self._newest()
        if newest is None:
            raise Malformed(f"{self.root}: meta.yaml gives no time (now), and no part has one")
        return moment(newest)

    def _newest(self) -> float | None:
        """The newest time of what was measured. A part that cannot be read says so when it is asked."""
        times: list[float] = []
        looks: tuple[Callable[[], list[float]], ...] = (
            lambda: [self.main.tracks.get().last] if self.main.tracks.get().all else [],
            lambda: [e.order for e in self.main.entries(records=True, pods=True)[-1:] if e.order is not None],
            lambda: [span.start.timestamp() for span in self.main.spans.get()[-1:]],
            lambda: (
                [change.at.timestamp() for change in self.main.changes.get()[-1:]]
                if self.main.has(Part.CHANGES)
                else []
            ),
        )
        for look in looks:
            try:
                times += look()
            except Malformed:
                continue
        return max(times, default=None)


def _meta(folder: Folder) -> dict[str, Any]:
    name = next((name for name in ("meta.yaml", "meta.yml") if folder.has(name)), None)
    if name is None:
        return {}
    try:
        value = yaml.load(folder.text(name), Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, Malformed, ValueError) as error:
        raise InputError(f"{name}: {error}") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError(f"{name}: not a mapping")
    return value


def _states(value: Any) -> dict[Part, str]:
    """Parts that are absent ("") or failed (the reason)."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError("meta.yaml: sources: not a mapping")
    states: dict[Part, str] = {}
    for name, text in value.items():
        part = ALIASES.get(str(name).lower())
        state, _, reason = str(text).partition(":")
        if part is None or state.strip() == "ok":
            continue
        if state.strip() == "absent":
            states.setdefault(part, "")
        elif state.strip() == "failed":
            states[part] = clean(f"{name}: {reason.strip() or 'no reason given'}", limit=300)
        else:
            raise InputError(
                f"meta.yaml: sources: {name}: {text!r} is not 'failed: reason', 'absent' or 'ok'"
            )
    return states
