"""Objects as ``kubectl get`` would show them: a table a person can read, what is not well first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from adapters.evidence.kubernetes.look import (
    Object,
    age,
    at,
    condition,
    created,
    each,
    moment,
    name,
    namespace,
    texts,
    whole,
)
from adapters.evidence.kubernetes.pods import pod_row

_SHOWN = 60
_CELL = 220

Row = Callable[[Object, datetime], tuple[list[str], bool]]
"""Columns of an object and whether it looks well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """``text`` for an excerpt, ``unwell`` how many objects do not look well."""

    text: str
    unwell: int


def table(kind: str, objects: Sequence[Object], now: datetime) -> Table:
    """The objects of one kind. Events come newest first, all others with the unwell first."""
    heads, row = _ROWS.get(kind, (("NAME", "STATUS", "AGE"), _other))
    several = len({namespace(one) for one in objects}) > 1
    rows = []
    for one in objects:
        cells, well = row(one, now)
        rows.append(([namespace(one), *cells] if several else cells, well, one))
    if kind == "Event":
        rows.sort(
            key=lambda entry: event_time(entry[2]) or datetime.min.replace(tzinfo=now.tzinfo), reverse=True
        )
    else:
        rows.sort(key=lambda entry: (entry[1], namespace(entry[2]), name(entry[2])))
    head = ("NAMESPACE", *heads) if several else heads
    lines = _aligned([list(head), *(cells for cells, _, _ in rows[:_SHOWN])])
    if len(rows) > _SHOWN:
        lines.append(f"… and {len(rows) - _SHOWN} more")
    return Table(text="\n".join(lines), unwell=sum(not well for _, well, _ in rows))


def event_time(event: Object) -> datetime | None:
    """When an event was last seen."""
    for path in (
        ("series", "lastObservedTime"),
        ("lastTimestamp",),
        ("eventTime",),
        ("metadata", "creationTimestamp"),
    ):
        if found := moment(at(event, *path)):
            return found
    return None


def _aligned(rows: list[list[str]]) -> list[str]:
    rows = [[" ".join(cell.split())[:_CELL] for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _deployment(one: Object, now: datetime) -> tuple[list[str], bool]:
    wanted = at(one, "spec", "replicas", default=1)
    ready = whole(one, "status", "readyReplicas")
    progressing = condition(one, "Progressing")
    stuck = progressing.get("status") == "False"
    cells = [
        name(one),
        f"{ready}/{wanted}",
        str(whole(one, "status", "updatedReplicas")),
        str(whole(one, "status", "availableReplicas")),
        age(created(one), now),
        _images(one),
        f"{progressing.get('reason')}" if stuck else "",
    ]
    return cells, ready >= wanted and not stuck


def _set(one: Object, now: datetime) -> tuple[list[str], bool]:
    wanted = at(one, "spec", "replicas", default=1)
    ready = whole(one, "status", "readyReplicas")
    return [name(one), f"{ready}/{wanted}", age(created(one), now), _images(one)], ready >= wanted


def _daemonset(one: Object, now: datetime) -> tuple[list[str], bool]:
    wanted = whole(one, "status", "desiredNumberScheduled")
    ready = whole(one, "status", "numberReady")
    return [name(one), f"{ready}/{wanted}", age(created(one), now), _images(one)], ready >= wanted


def _job(one: Object, now: datetime) -> tuple[list[str], bool]:
    failed = condition(one, "Failed")
    done = f"{whole(one, 'status', 'succeeded')}/{at(one, 'spec', 'completions', default=1)}"
    bad = failed.get("status") == "True"
    status = f"Failed: {failed.get('reason')}" if bad else ""
    return [name(one), done, str(whole(one, "status", "failed")), age(created(one), now), status], not bad


def _cronjob(one: Object, now: datetime) -> tuple[list[str], bool]:
    last = age(moment(at(one, "status", "lastScheduleTime")), now)
    paused = at(one, "spec", "suspend") is True
    return [name(one), str(at(one, "spec", "schedule", default="")), str(paused), last], not paused


def _node(one: Object, now: datetime) -> tuple[list[str], bool]:
    ready = condition(one, "Ready")
    said = ["Ready" if ready.get("status") == "True" else f"NotReady ({ready.get('reason', 'unknown')})"]
    said += [
        str(entry.get("type"))
        for entry in each(one, "status", "conditions")
        if entry.get("type") != "Ready" and entry.get("status") == "True"
    ]
    if at(one, "spec", "unschedulable") is True:
        said.append("SchedulingDisabled")
    taints = ", ".join(f"{t.get('key')}:{t.get('effect')}" for t in each(one, "spec", "taints"))
    version = str(at(one, "status", "nodeInfo", "kubeletVersion", default=""))
    return [name(one), ",".join(said), age(created(one), now), version, taints], said == ["Ready"]


def _service(one: Object, now: datetime) -> tuple[list[str], bool]:
    ports = ",".join(
        f"{port.get('port')}→{port.get('targetPort', port.get('port'))}/{port.get('protocol', 'TCP')}"
        for port in each(one, "spec", "ports")
    )
    selector = _pairs(texts(one, "spec", "selector")) or str(at(one, "spec", "externalName", default=""))
    kind = str(at(one, "spec", "type", default="ClusterIP"))
    return [name(one), kind, str(at(one, "spec", "clusterIP", default="<none>")), ports, selector], True


def _endpoints(one: Object, now: datetime) -> tuple[list[str], bool]:
    ready = sum(len(each(subset, "addresses")) for subset in each(one, "subsets"))
    late = sum(len(each(subset, "notReadyAddresses")) for subset in each(one, "subsets"))
    return [name(one), str(ready), str(late), age(created(one), now)], ready > 0


def _slice(one: Object, now: datetime) -> tuple[list[str], bool]:
    # Unset means ready: https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#ready
    ready = sum(at(end, "conditions", "ready") is not False for end in each(one, "endpoints"))
    late = len(each(one, "endpoints")) - ready
    return [name(one), str(ready), str(late), age(created(one), now)], ready > 0


def _event(one: Object, now: datetime) -> tuple[list[str], bool]:
    about = at(one, "involvedObject") or at(one, "regarding") or {}
    count = whole(one, "series", "count") or whole(one, "count") or 1
    message = str(one.get("message") or one.get("note") or "")
    cells = [
        age(event_time(one), now),
        str(one.get("type", "")),
        str(one.get("reason", "")),
        f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}",
        f"(x{count}) {message}" if count > 1 else message,
    ]
    return cells, one.get("type") != "Warning"


def _claim(one: Object, now: datetime) -> tuple[list[str], bool]:
    phase = str(at(one, "status", "phase", default=""))
    modes = ",".join(str(mode) for mode in at(one, "spec", "accessModes", default=[]))
    size = at(one, "status", "capacity", "storage") or at(one, "spec", "resources", "requests", "storage")
    size = size or at(one, "spec", "capacity", "storage", default="")
    storage = str(at(one, "spec", "storageClassName", default=""))
    return [name(one), phase, str(size), modes, storage, age(created(one), now)], phase in (
        "Bound",
        "Available",
    )


def _ingress(one: Object, now: datetime) -> tuple[list[str], bool]:
    routes = []
    for rule in each(one, "spec", "rules"):
        for path in each(rule, "http", "paths"):
            service = at(path, "backend", "service", "name", default="?")
            port = at(path, "backend", "service", "port", "number") or at(
                path, "backend", "service", "port", "name", default="?"
            )
            routes.append(f"{rule.get('host', '*')}{path.get('path', '/')}→{service}:{port}")
    return [name(one), str(at(one, "spec", "ingressClassName", default="<none>")), " ".join(routes)], True


def _autoscaler(one: Object, now: datetime) -> tuple[list[str], bool]:
    target = at(one, "spec", "scaleTargetRef", default={})
    limited = condition(one, "ScalingLimited").get("status") == "True"
    able = condition(one, "ScalingActive").get("status") != "False"
    status = "" if able else str(condition(one, "ScalingActive").get("reason"))
    if limited:
        status = f"{status} {condition(one, 'ScalingLimited').get('reason')}".strip()
    cells = [
        name(one),
        f"{target.get('kind')}/{target.get('name')}",
        f"{at(one, 'spec', 'minReplicas', default=1)}-{at(one, 'spec', 'maxReplicas')}",
        str(whole(one, "status", "currentReplicas")),
        status,
    ]
    return cells, able and not limited


def _quota(one: Object, now: datetime) -> tuple[list[str], bool]:
    hard, used = texts(one, "status", "hard"), texts(one, "status", "used")
    full = [key for key in hard if used.get(key) == hard[key] and hard[key] != "0"]
    return [name(one), ", ".join(f"{key} {used.get(key, '?')}/{hard[key]}" for key in sorted(hard))], not full


def _keys(one: Object, now: datetime) -> tuple[list[str], bool]:
    keys = sorted(texts(one, "data"))
    return [name(one), str(one.get("type", "")), str(len(keys)), ", ".join(keys)], True


def _application(one: Object, now: datetime) -> tuple[list[str], bool]:
    synced = str(at(one, "status", "sync", "status", default="Unknown"))
    health = str(at(one, "status", "health", "status", default="Unknown"))
    revision = str(at(one, "status", "sync", "revision", default=""))[:40]
    said = str(at(one, "status", "operationState", "message", default=""))
    return [name(one), synced, health, revision, said], synced == "Synced" and health == "Healthy"


def _other(one: Object, now: datetime) -> tuple[list[str], bool]:
    """Any kind: its Ready or Available condition, else its phase."""
    for kind in ("Ready", "Available", "Established", "Accepted"):
        found = condition(one, kind)
        if found:
            well = found.get("status") != "False"
            said = kind if found.get("status") == "True" else f"{kind}={found.get('status')}"
            why = "" if found.get("status") == "True" else f": {found.get('reason')} {found.get('message')}"
            return [name(one), f"{said}{why}", age(created(one), now)], well
    phase = str(at(one, "status", "phase", default=""))
    return [name(one), phase, age(created(one), now)], phase not in ("Failed", "Error")


def _images(one: Object) -> str:
    return ",".join(
        str(container.get("image", "")) for container in each(one, "spec", "template", "spec", "containers")
    )


def _pairs(mapping: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(mapping.items()))


_ENDS = ("NAME", "READY", "NOT READY", "AGE")
_SETS = ("NAME", "READY", "AGE", "IMAGES")
_DATA = ("NAME", "TYPE", "KEYS", "NAMES OF KEYS")
_VOLUMES = ("NAME", "STATUS", "CAPACITY", "ACCESS", "CLASS", "AGE")

_ROWS: Mapping[str, tuple[tuple[str, ...], Row]] = {
    "Pod": (("NAME", "READY", "STATUS", "RESTARTS", "AGE", "NODE", "REASON"), pod_row),
    "Deployment": (("NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "IMAGES", "REASON"), _deployment),
    "StatefulSet": (_SETS, _set),
    "ReplicaSet": (_SETS, _set),
    "DaemonSet": (_SETS, _daemonset),
    "Job": (("NAME", "DONE", "FAILED", "AGE", "REASON"), _job),
    "CronJob": (("NAME", "SCHEDULE", "SUSPEND", "LAST"), _cronjob),
    "Node": (("NAME", "STATUS", "AGE", "VERSION", "TAINTS"), _node),
    "Service": (("NAME", "TYPE", "CLUSTER-IP", "PORTS", "SELECTOR"), _service),
    "Endpoints": (_ENDS, _endpoints),
    "EndpointSlice": (_ENDS, _slice),
    "Event": (("LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"), _event),
    "PersistentVolumeClaim": (_VOLUMES, _claim),
    "PersistentVolume": (_VOLUMES, _claim),
    "Ingress": (("NAME", "CLASS", "ROUTES"), _ingress),
    "HorizontalPodAutoscaler": (("NAME", "TARGET", "MIN-MAX", "REPLICAS", "REASON"), _autoscaler),
    "ResourceQuota": (("NAME", "USED/HARD"), _quota),
    "Secret": (_DATA, _keys),
    "ConfigMap": (_DATA, _keys),
    "Application": (("NAME", "SYNC", "HEALTH", "REVISION", "MESSAGE"), _application),
}
