"""volume_mount: a volume that cannot be attached, mounted or used by the program."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bot.domain.evidence import Fact
from investigators.facts.charge import Fault
from investigators.facts.workloads.boxes import leaving, mapping, objects
from investigators.facts.workloads.effects import CALLERS, CRASHING
from investigators.facts.workloads.findings import Findings, Source
from investigators.facts.workloads.scene import USUAL, Unit, alike, failing, scene_of
from investigators.facts.workloads.startup import mount_of, paths_in, said_at_start, user_of
from investigators.world.cluster import KubeEvent, Thing
from investigators.world.world import World

KIND = "volume_mount"
NEEDS: Mapping[str, tuple[str, ...]] = {KIND: ("Pod", "Event")}
_REASONS = frozenset({"FailedMount", "FailedAttachVolume", "FailedMapVolume", "VolumeFailedDelete"})
_START = re.compile(
    r"failed to (?:prepare|create) subPath|error mounting|not a directory: unknown"
    r"|mount a directory onto a file|has volumeMode (?:Block|Filesystem)|failed to generate .*mounts?",
    re.IGNORECASE,
)
_TIMEOUT = re.compile(r"timed out waiting for the condition|context deadline exceeded", re.IGNORECASE)
_MULTI = re.compile(r"Multi-Attach error", re.IGNORECASE)
_NEEDLES = ("permission denied", "eacces", "read-only file", "erofs", "no space left")
_REFUSED = re.compile(
    r"permission denied|EACCES|read-only file ?system|\bEROFS\b|no space left on device", re.IGNORECASE
)


def check(world: World) -> list[Fact]:
    scene = scene_of(world)
    findings = Findings(scene=scene, rule="mounts")
    for unit in scene.units:
        for pod in unit.pods:
            if pod.at("status", "phase") == "Pending" and not leaving(pod):
                _not_mounted(findings, unit, pod)
        for box in unit.boxes:
            text = said_at_start(box)
            if text and not leaving(box.pod) and scene.recent(box.ended_at) and _START.search(text):
                detail = f"a volume of {box.where} cannot be mounted: {text[:260]}"
                findings.found(KIND, unit, 0.92, (box.pod,), detail, of=box.pod.name, began=box.ended_at)
        _not_usable(findings, unit)
        if not unit.pods:
            _of_gone_pods(findings, unit)
    return findings.facts(NEEDS)


def _not_mounted(findings: Findings, unit: Unit, pod: Thing) -> None:
    """Kubelet tries mounts again at a start of its own accord, so only a pod that still waits counts."""
    events = [event for event in findings.scene.events_of(pod) if event.reason in _REASONS]
    if not events or any(box.running_since for box in unit.boxes if box.pod is pod):
        return
    event = _telling(events)
    detail = f"a volume of pod {pod.name} cannot be mounted: {' '.join(event.message.split())[:260]}"
    if _MULTI.search(event.message):
        detail += _holder(findings, pod)
    findings.found(KIND, unit, 0.93, (pod, event), detail, of=pod.name, began=pod.created_at)


def _telling(events: list[KubeEvent]) -> KubeEvent:
    """The last one that says more than that waiting took too long."""
    return next((event for event in reversed(events) if not _TIMEOUT.search(event.message)), events[-1])


def _holder(findings: Findings, pod: Thing) -> str:
    wanted = _claims(pod)
    for other in findings.scene.cluster.of("Pod", pod.namespace):
        if other.name != pod.name and other.at("spec", "nodeName") and wanted & _claims(other):
            return f"; pod {other.name} on node {other.at('spec', 'nodeName')} holds it"
    return ""


def _claims(pod: Thing) -> set[str]:
    volumes = objects(pod.at("spec", "volumes"))
    return {str(mapping(one.get("persistentVolumeClaim")).get("claimName")) for one in volumes} - {"None"}


def _not_usable(findings: Findings, unit: Unit) -> None:
    """It is mounted, and the program may not write to it or finds it full."""
    scene = findings.scene
    lines = scene.grep(
        unit, ("permission denied", "eacces", "read-only file", "erofs", "no space left"), _REFUSED
    )
    for line in reversed(lines):
        mount = next((one for path in paths_in(line.text) if (one := mount_of(unit, path))), None)
        if mount is None:
            continue
        why = ""
        if mount.get("readOnly"):
            why = " is mounted readOnly"
        elif re.search("denied|eacces", line.text, re.IGNORECASE):
            users = {user_of(box) for box in unit.boxes} - {None}
            group = mapping(unit.spec.get("securityContext")).get("fsGroup")
            why = f" is not writable for user {', '.join(map(str, users))}" if users else " is not writable"
            why += "" if group is not None else " and no fsGroup is set"
        detail = f"volume {mount.get('name')} at {mount.get('mountPath')}{why}: {line.text.strip()[:180]!r}"
        sure = any(failing(scene, box) for box in unit.boxes)
        confidence = USUAL if scene.usual(unit, alike(line)) else 0.88 if sure else 0.6
        sources: list[Source] = [*unit.evidence, line]
        findings.found(
            KIND,
            unit,
            confidence,
            sources,
            detail,
            of=unit.name,
            began=line.at,
        )
        return


def _of_gone_pods(findings: Findings, unit: Unit) -> None:
    events = [e for e in unit.events if e.reason in _REASONS and findings.scene.recent(e.last)]
    if events:
        event = _telling(events)
        confidence = 0.4 if findings.scene.cluster.knows("Pod") else 0.75
        detail = (
            f"a volume of pod {event.about[2]} cannot be mounted: {' '.join(event.message.split())[:260]}"
        )
        findings.found(KIND, unit, confidence, (event,), detail, of=event.about[2], began=event.first)


FAULTS = {
    KIND: Fault(
        title="a volume cannot be mounted or used",
        weight=0.9,
        explains=CRASHING | {"container_config", "init_container_failed"},
        spreads=CALLERS,
        steps=("Read the mount's error: kubectl describe pod.",),
    )
}
