"""What intrusion detection writes to the log: files that changed under watch (Wazuh and other file integrity
monitors), and alerts about traffic (Suricata). Log text may be forged, so these facts weigh little unless the
time and the place fit."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bot.domain.clock import to_rfc3339
from bot.domain.evidence import Fact
from investigators.entities import bare_host
from investigators.facts.charge import Fault, Subject, WorldRule, service
from investigators.queries import SECURITY_MARKS
from investigators.ranking import human_time
from investigators.world.world import Line, World

FILE, TRAFFIC = "file_integrity_changed", "ids_alert"
_BEFORE = timedelta(minutes=30)
_SLACK = timedelta(seconds=30)
"""A monitor sees a change some time after it was made, never before; clocks differ a little."""
_LONGEST = 65_536
_MOST = 10
_SURE, _SLIGHT = 0.75, 0.3
_CONFIGURATION = re.compile(
    r"/etc/|/conf(?:ig|\.d)?/|\.(?:conf|cnf|cfg|ini|ya?ml|toml|json|xml|env|properties|service|timer|rules|crt"
    r"|pem|key|hcl|lua|vcl)\Z",
    re.I,
)
_UNIMPORTANT = re.compile(
    r"/etc/(?:mtab|adjtime|ld\.so\.cache)|\.(?:log|pid|sw[op]|tmp|bak|lock)\Z|~\Z|/log/", re.I
)
_SYMPTOMS = frozenset({
    "error_rate_shift", "upstream_degraded", "target_down", "latency_shift", "log_template_new", "log_errors",
    "log_template_missing", "connection_refused", "dependency_down", "process_crash",
})  # fmt: skip
_HOST_LABELS = ("instance", "node", "host", "hostname", "nodename")

FAULTS: Mapping[str, Fault] = {
    FILE: Fault(
        title="a watched file was changed right before",
        weight=0.85,
        explains=_SYMPTOMS,
        spreads=_SYMPTOMS,
        steps=("Ask who changed the file, compare it with the copy under version control, and put it back.",),
    ),
    TRAFFIC: Fault(
        title="intrusion detection raises an alert",
        weight=0.0,
        steps=("Show the alert to whoever is on call for security before changing the machine.",),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    line: Line
    host: str
    data: Mapping[str, Any]


def check(world: World) -> Sequence[Fact]:
    """Nothing is said where no such line is at hand: who has no monitor has no absence either."""
    files: list[Fact] = []
    alerts: dict[str, list[_Event]] = {}
    near = _near(world)
    for event in _events(world):
        syscheck = _object(event.data.get("syscheck"))
        if syscheck.get("path"):
            fact = _file(world, near, event, syscheck)
            if fact is not None and len(files) < _MOST:
                files.append(fact)
        elif _object(event.data.get("alert")).get("signature") and _timely(world, event.line.at):
            alerts.setdefault(event.host or str(event.data.get("dest_ip") or ""), []).append(event)
    return [*files, *(_traffic(world, host, seen) for host, seen in list(alerts.items())[:_MOST] if host)]


def _events(world: World) -> Iterator[_Event]:
    for line in world.lines:
        if not any(mark in line.text for mark in SECURITY_MARKS):
            continue
        data = _parsed(line.text)
        # Wazuh wraps what other systems report.
        inner = _object(data.get("data"))
        host = str(_object(data.get("agent")).get("name") or data.get("host") or line.node or "")
        if inner.get("event_type") == "alert":
            data = inner
        if data:
            yield _Event(line=line, host=bare_host(host)[:255], data=data)


def _parsed(text: str) -> Mapping[str, Any]:
    start = text.find("{")
    if start < 0 or len(text) > _LONGEST:
        return {}
    try:
        value = json.loads(text[start:])
    except (ValueError, RecursionError):
        return {}
    return _object(value)


def _file(world: World, near: frozenset[str], event: _Event, syscheck: Mapping[str, Any]) -> Fact | None:
    path, at = _plain(syscheck["path"]), event.line.at
    if _UNIMPORTANT.search(path) or at is None or at > world.onset + _SLACK:
        return None
    whose = _whose(world, path)
    subject = service(whose) if whose else _host(world, event.host)
    if not subject.name:
        return None
    before = world.onset - at
    right_before = before <= _BEFORE and _CONFIGURATION.search(path) is not None
    concerned = whose is not None or event.host in near
    verb = _plain(syscheck.get("event") or "modified")
    who = _plain(syscheck.get("uname_after") or _object(syscheck.get("audit")).get("login_user") or "")
    detail = f"{path} was {verb} on {event.host or 'a host that is not told'} at {_clock(at)}"
    detail += f", {human_time(max(before, timedelta()))} before the onset" + (
        f" (its owner is {who})" if who else ""
    )
    confidence = _SURE if right_before and concerned else _SLIGHT
    return subject.found(
        FILE, confidence, (event.line.evidence,), "security.files", detail, {"onset": at.timestamp()}
    )


def _traffic(world: World, host: str, events: Sequence[_Event]) -> Fact:
    def severity(event: _Event) -> int:
        value = _object(event.data.get("alert")).get("severity")
        return value if isinstance(value, int) and 1 <= value <= 4 else 4

    worst = min(events, key=severity)
    alert = _object(worst.data.get("alert"))
    detail = f"{len(events)} alerts about the traffic of {host}, such as “{_plain(alert.get('signature'))}”"
    source, target = _plain(worst.data.get("src_ip") or ""), _plain(worst.data.get("dest_ip") or "")
    detail += f" from {source} to {target}" if source and target else ""
    confidence = {1: 0.6, 2: 0.5}.get(severity(worst), 0.35)
    values = {"alerts": float(len(events)), "severity": float(severity(worst))}
    return _host(world, host).found(
        TRAFFIC, confidence, (worst.line.evidence,), "security.traffic", detail, values
    )


def _timely(world: World, at: datetime | None) -> bool:
    return at is None or at >= world.onset - _BEFORE


def _whose(world: World, path: str) -> str | None:
    """The service of the incident whose name is a part of the path."""
    parts = {part.partition(".")[0].lower() for part in path.split("/")}
    return next((name for name in world.subjects if len(name) > 2 and name.lower() in parts), None)


def _near(world: World) -> frozenset[str]:
    """Machines that the alerts name, and those on which their services run."""
    named = [
        bare_host(alert.labels[key]) for alert in world.alerts for key in _HOST_LABELS if key in alert.labels
    ]
    below = [
        edge.target
        for name in world.subjects
        for edge in world.graph.dependencies(name)
        if edge.kind == "runs_on"
    ]
    return frozenset([*named, *map(bare_host, world.subjects), *below])


def _host(world: World, name: str) -> Subject:
    known = world.graph.kinds.get(name) == "node" or world.cluster.get("Node", "", name) is not None
    return Subject(name=name, kind="node" if known else "host")


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _plain(value: object) -> str:
    return " ".join(str(value).split())[:200]


def _clock(moment: datetime) -> str:
    return to_rfc3339(moment)[:19] + "Z"


WORLD_RULES: tuple[WorldRule, ...] = (WorldRule(name="security", check=check),)
