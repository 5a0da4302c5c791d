"""recent_deploy and config_changed: what the latest revision of a workload changed. Never a cause alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from bot.domain.evidence import Fact
from investigators.facts.charge import Fault
from investigators.facts.workloads.boxes import Json, mapping, objects
from investigators.facts.workloads.findings import Findings, Source
from investigators.facts.workloads.scene import Unit, pod_spec_of, revision_of, scene_of
from investigators.ranking import human_time
from investigators.world.cluster import Thing
from investigators.world.world import World

NEEDS: Mapping[str, tuple[str, ...]] = {"recent_deploy": ("ReplicaSet",), "config_changed": ("ReplicaSet",)}
_LATELY = timedelta(hours=6)
_SCALED = re.compile(r"Scaled up replica set (\S+) (?:from 0 )?to ")
_POD_PARTS = ("nodeSelector", "affinity", "tolerations", "serviceAccountName", "securityContext", "volumes",
              "schedulerName", "topologySpreadConstraints", "imagePullSecrets", "hostNetwork", "dnsPolicy",
              "priorityClassName", "terminationGracePeriodSeconds")  # fmt: skip
_BOX_PARTS = ("command", "args", "envFrom", "resources", "readinessProbe", "livenessProbe", "startupProbe",
              "ports", "volumeMounts", "securityContext", "lifecycle")  # fmt: skip
_SHOWN = 6


def check(world: World) -> list[Fact]:
    scene = scene_of(world)
    findings = Findings(scene=scene, rule="revisions")
    for unit in scene.units:
        if unit.revisions:
            _latest(findings, unit)
    return findings.facts(NEEDS)


def _latest(findings: Findings, unit: Unit) -> None:
    scene, current = findings.scene, unit.revisions[0]
    previous = next(iter(unit.revisions[1:]), None)
    at, event = _rolled_out(unit, current, previous)
    if at is None or previous is None or at < scene.world.onset - _LATELY:
        return
    changes = list(differences(previous, current))
    images = [one for one in changes if ".image " in one]
    others = [one for one in changes if ".image " not in one and not one.startswith("annotation ")]
    shown = "; ".join([*images, *others][:_SHOWN]) or "the template only"
    gap = scene.world.onset - at
    when = f"{human_time(gap)} before" if gap >= timedelta() else f"{human_time(-gap)} after"
    number = f"revision {revision_of(current)} " if revision_of(current) else ""
    detail = f"{number}of {unit.service} was rolled out {when} the alert began; it changed {shown}"
    sources: list[Source] = [current, previous, *event]
    confidence = 0.85 if gap >= timedelta() else 0.5
    findings.found("recent_deploy", unit, confidence, sources, detail, of=unit.name, began=at)
    if others:
        detail = (
            f"configuration of {unit.service} changed {when} the alert began: {'; '.join(others[:_SHOWN])}"
        )
        findings.found("config_changed", unit, confidence, sources, detail, of=unit.name, began=at)


def _rolled_out(unit: Unit, current: Thing, previous: Thing | None) -> tuple[datetime | None, list[Source]]:
    """When the revision became the present one. A rollback brings an old object back, whose creation says
    nothing; then only the event of its scaling does."""
    for event in reversed(unit.events):
        match = _SCALED.search(event.message) if event.reason == "ScalingReplicaSet" else None
        if match and match[1] == current.name:
            return event.first or event.last, [event]
    made, before = current.created_at, previous.created_at if previous is not None else None
    again = "deployment.kubernetes.io/revision-history" in mapping(current.at("metadata", "annotations"))
    if again or (made is not None and before is not None and made < before):
        return None, []
    return made, []


def differences(old: Thing, new: Thing) -> Iterator[str]:
    """What two revisions' templates differ in, a short sentence each."""
    before, after = (pod_spec_of(one) for one in (old, new))
    for kind in ("containers", "initContainers"):
        then = {str(one.get("name")): one for one in objects(before.get(kind))}
        now = {str(one.get("name")): one for one in objects(after.get(kind))}
        for name in [*now, *(name for name in then if name not in now)]:
            if name not in then:
                yield f"container {name} added"
            elif name not in now:
                yield f"container {name} removed"
            else:
                yield from _container(name, then[name], now[name])
    for part in _POD_PARTS:
        if before.get(part) != after.get(part):
            yield f"{part} {_text(before.get(part))} → {_text(after.get(part))}"


def _container(name: str, old: Json, new: Json) -> Iterator[str]:
    if old.get("image") != new.get("image"):
        yield f"{name}.image {old.get('image')} → {new.get('image')}"
    then, now = ({str(one.get("name")): one for one in objects(side.get("env"))} for side in (old, new))
    for key in sorted({*then, *now}):
        if then.get(key) != now.get(key):
            yield f"{name}.env {key} {_value(then.get(key))} → {_value(now.get(key))}"
    for part in _BOX_PARTS:
        if old.get(part) != new.get(part):
            yield from _nested(f"{name}.{part}", old.get(part), new.get(part))


def _nested(path: str, old: Any, new: Any) -> Iterator[str]:
    """Down to the fields that differ, where both sides have the same shape."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            if old.get(key) != new.get(key):
                yield from _nested(f"{path}.{key}", old.get(key), new.get(key))
        return
    yield f"{path} {_text(old)} → {_text(new)}"


def _value(variable: Json | None) -> str:
    if variable is None:
        return "unset"
    if "value" in variable:
        return re.sub(r"://[^/@\s]+@", "://…@", str(variable["value"]))[:80] or '""'
    return _text(variable.get("valueFrom"))


def _text(value: Any) -> str:
    return "unset" if value is None else str(value)[:80]


FAULTS = {
    "recent_deploy": Fault(title="a new revision was rolled out", weight=0.0),
    "config_changed": Fault(title="its configuration was changed", weight=0.0),
}
