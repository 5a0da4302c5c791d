"""Which ends of a container are kubelet's doing: a probe that failed too often."""

from __future__ import annotations

import re
from datetime import timedelta

from investigators.facts.workloads.boxes import Box, mapping, whole
from investigators.facts.workloads.scene import Scene
from investigators.world.cluster import KubeEvent

_KILLED = re.compile(r"failed (?:liveness|startup) probe|Container failed liveness probe", re.IGNORECASE)
_FAILED = re.compile(r"(Liveness|Startup) probe failed")
_AROUND = timedelta(minutes=3)
"""A kill is announced before the grace period, and its event is one for many kills."""
SIGKILL, SIGTERM = 137, 143


def container_of(event: KubeEvent) -> str:
    """The container an event is about; empty where it says none."""
    path = event.thing.at("involvedObject", "fieldPath") or event.thing.at("regarding", "fieldPath")
    match = re.search(r"containers\{([^}]+)\}", str(path or ""))
    return match[1] if match else ""


def about(event: KubeEvent, box: Box) -> bool:
    """Whether an event of its pod is about this container; events of one-container pods need not say."""
    name = container_of(event)
    return name == box.name or (not name and len(box.pod.items("spec", "containers")) == 1)


def probe_kill(scene: Scene, box: Box) -> KubeEvent | None:
    """The event that says kubelet killed the container for a failing liveness or startup probe, if its
    latest end lies within what the event covers. Kills are events of type Normal, which some keep for less
    long or not at all: then a probe that failed as often as it may is enough, for an end by a signal."""
    events = [event for event in reversed(scene.events_of(box.pod)) if about(event, box)]
    for event in events:
        if event.reason == "Killing" and _KILLED.search(event.message) and _covers(box, event):
            return event
    if box.exit_code not in (SIGKILL, SIGTERM) or box.ended.get("reason") == "OOMKilled":
        return None
    for event in events:
        match = _FAILED.match(event.message) if event.reason == "Unhealthy" else None
        if match:
            probe = mapping(box.spec.get(f"{match[1].lower()}Probe"))
            if event.count >= whole(probe.get("failureThreshold"), 3) and _covers(box, event):
                return event
    return None


def _covers(box: Box, event: KubeEvent) -> bool:
    at, first, last = box.ended_at, event.first, event.last
    if at is None or first is None or last is None:
        return True
    grace = timedelta(seconds=whole(box.pod.at("spec", "terminationGracePeriodSeconds"), 30))
    return first - _AROUND <= at <= last + _AROUND + grace
