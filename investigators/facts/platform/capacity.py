"""Too little of something: CPU within a limit, memory, replicas, room to scale, room on the node."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from bot.domain.evidence import Fact
from investigators.facts.charge import service
from investigators.facts.platform.layout import WorkloadView, containers_of
from investigators.facts.platform.levels import levels, quantity
from investigators.facts.platform.reading import mapping
from investigators.facts.platform.scene import Scene, listed
from investigators.world.cluster import Thing
from investigators.world.world import Track

_SCALED_DOWN = re.compile(
    r"Scaled down replica set \S+(?: from (?P<before>\d+))? to "
    r"(?P<after>\d+)(?: from (?P<late>\d+))?"
)
_SCALE_WINDOW = timedelta(hours=2)
_METRIC_KINDS = ("cpu_throttling", "cpu_saturation", "memory_near_limit")


def check(scene: Scene) -> list[Fact]:
    facts = [
        *_throttled(scene),
        *_saturated(scene),
        *_memory(scene),
        *_replicas(scene),
        *_scalers(scene),
    ]
    detail = "as many replicas are wanted as before, and they are there"
    facts += scene.silent(("replica_shortage",), ("Deployment", "Pod"), "capacity.replicas", detail, facts)
    detail = "no autoscaler of it is at its limit or blind"
    kinds = ("autoscaler_limit", "autoscaler_broken")
    facts += scene.silent(kinds, ("HorizontalPodAutoscaler",), "capacity.autoscaler", detail, facts)
    return [*facts, *_quiet(scene, facts)]


def _quiet(scene: Scene, facts: list[Fact]) -> Iterator[Fact]:
    """From the subject's own container metrics, where they are there and whole."""
    needed = {
        "cpu_throttling": "container_cpu_cfs_throttled_periods_total",
        "cpu_saturation": "container_cpu_usage_seconds_total",
        "memory_near_limit": "container_memory_working_set_bytes",
    }
    if not scene.world.looked("metric.survey"):
        return
    taken = {(fact.kind, fact.subject) for fact in facts}
    for name in scene.services:
        for kind in _METRIC_KINDS:
            own = [track for track in scene.tracks.get(needed[kind], ()) if track.object == name]
            if (kind, name) in taken:
                continue
            cited = tuple({one.evidence.id: one.evidence for one in own}.values())
            if own and all(item.reason is None for item in cited):
                detail = f"{needed[kind]} shows nothing of it"
                yield service(name).absent(kind, 0.8, cited, "capacity.metrics", detail)
            else:
                looked = scene.world.looked("metric.survey")
                detail = f"no complete {needed[kind]} of it is at hand"
                yield service(name).unknown(kind, looked, "capacity.metrics", detail)


def _throttled(scene: Scene) -> Iterator[Fact]:
    """The share of scheduling periods in which a container hit its CPU limit."""
    periods = {
        (one.pod, one.series.labels.get("container")): one
        for one in scene.tracks.get("container_cpu_cfs_periods_total", ())
    }
    worst: dict[str, tuple[float, Track, Track]] = {}
    for track in scene.tracks.get("container_cpu_cfs_throttled_periods_total", ()):
        whole = periods.get((track.pod, track.series.labels.get("container")))
        if whole is None or not track.object:
            continue
        hit, every = levels(scene, track, counter=True), levels(scene, whole, counter=True)
        if hit is None or every is None or every.now <= 0:
            continue
        share = hit.now / every.now
        usual = hit.before / every.before if hit.before is not None and every.before else 0.0
        if share >= 0.25 and share >= 1.5 * usual and share > worst.get(track.object, (0.0,))[0]:
            worst[track.object] = (share, track, whole)
    for name, (share, track, whole) in worst.items():
        limit = _limit(scene, name, "cpu")
        said = f" at a CPU limit of {limit}" if limit else ""
        detail = f"{name} is throttled in {share:.0%} of its periods{said}"
        cited = (track.evidence, whole.evidence)
        confidence = 0.9 if share >= 0.5 else 0.75
        values = {"share": share}
        yield service(name).found("cpu_throttling", confidence, cited, "capacity.throttling", detail, values)


def _limit(scene: Scene, name: str, resource: str) -> str | None:
    """The largest limit among a workload's containers, as it is written."""
    workload = scene.layout.workload(name)
    if workload is None:
        return None
    found = [
        str(limit)
        for one in containers_of(mapping(workload.thing.at("spec", "template", "spec")))
        if (limit := mapping(mapping(one.get("resources")).get("limits")).get(resource)) is not None
    ]
    return max(found, key=lambda text: quantity(text) or 0.0, default=None)


def _by_pod(scene: Scene, metric: str) -> Mapping[str, Track]:
    """The busiest container's series of each pod; the pod's own sum where there is one."""
    found: dict[str, Track] = {}
    for track in scene.tracks.get(metric, ()):
        if track.pod and track.series.labels.get("container") not in ("POD", "istio-proxy"):
            before = found.get(track.pod)
            last = track.series.samples[-1].value if track.series.samples else 0.0
            if before is None or last > before.series.samples[-1].value:
                found[track.pod] = track
    return found


def _saturated(scene: Scene) -> Iterator[Fact]:
    done: set[str] = set()
    for track in _by_pod(scene, "container_cpu_usage_seconds_total").values():
        used = levels(scene, track, counter=True)
        limit = quantity(_limit(scene, track.object, "cpu") or "")
        if used is None or track.object in done:
            continue
        cited = (track.evidence,)
        if limit and used.now >= 0.95 * limit:
            done.add(track.object)
            detail = f"{track.pod} uses {used.now:.2f} of {limit:g} cores"
            yield service(track.object).found("cpu_saturation", 0.85, cited, "capacity.cpu", detail)
        elif used.now >= 0.5 and used.grew(3, 0.4):
            done.add(track.object)
            detail = f"{track.pod} uses {used.now:.2f} cores, {used.before or 0:.2f} before"
            yield service(track.object).found("cpu_saturation", 0.65, cited, "capacity.cpu", detail)


def _memory(scene: Scene) -> Iterator[Fact]:
    done: set[str] = set()
    for track in _by_pod(scene, "container_memory_working_set_bytes").values():
        limit = quantity(_limit(scene, track.object, "memory") or "")
        used = levels(scene, track)
        if used is None or not limit or track.object in done or track.series.samples[-1].value < 0.9 * limit:
            continue
        usual = used.before is not None and used.before >= 0.9 * limit
        done.add(track.object)
        share = track.series.samples[-1].value / limit
        said = _limit(scene, track.object, "memory")
        detail = f"{track.pod} holds {share:.0%} of its memory limit of {said}"
        confidence = 0.4 if usual else 0.8
        yield service(track.object).found(
            "memory_near_limit", confidence, (track.evidence,), "capacity.memory", detail
        )


def _replicas(scene: Scene) -> Iterator[Fact]:
    for workload in scene.layout.workloads:
        if workload.thing.kind == "DaemonSet":
            continue
        subject = scene.subject_named(workload.name)
        before, why = _before(scene, workload)
        cited = (workload.thing.evidence,)
        used = workload.name in scene.world.subjects or any(
            use.callee.name == workload.name for use in scene.uses
        )
        if workload.wanted == 0:
            detail = f"{workload.name} is scaled to 0 replicas" + (f" ({why})" if why else "")
            confidence = 0.97 if before else 0.9 if used else 0.3
            yield subject.found("replica_shortage", confidence, cited, "capacity.replicas", detail)
            continue
        if before and workload.wanted < before:
            detail = f"{workload.name} was scaled down from {before} to {workload.wanted} replicas ({why})"
            yield subject.found("replica_shortage", 0.8, cited, "capacity.replicas", detail)
            continue
        ready = workload.thing.at("status", "readyReplicas", default=0)
        if isinstance(ready, int) and ready < workload.wanted and "status" in workload.thing.data:
            detail = f"{workload.name} has {ready} of {workload.wanted} replicas ready"
            confidence = 0.7 if ready == 0 else 0.55
            yield subject.found("replicas_unavailable", confidence, cited, "capacity.ready", detail)


def _before(scene: Scene, workload: WorkloadView) -> tuple[int, str]:
    """How many replicas were wanted before somebody scaled it, and what shows it; 0 where nothing does."""
    for change in reversed(scene.world.changes):
        scaled = change.kind == "scale" and change.service == workload.name and change.before.isdecimal()
        if scaled and scene.current(change.at, _SCALE_WINDOW):
            return int(change.before), f"change {change.id}"
    for track in scene.world.tracks_of(workload.name, re.compile(r"\Akube_\w+_(?:spec_)?replicas\Z")):
        if track.series.name in ("kube_deployment_spec_replicas", "kube_statefulset_replicas"):
            most = max((one.value for one in track.series.samples), default=0.0)
            if most > workload.wanted:
                return int(most), track.series.name
    for event in reversed(scene.cluster.events_about(workload.thing)):
        match = _SCALED_DOWN.search(event.message)
        if match and event.reason == "ScalingReplicaSet" and scene.current(event.last, _SCALE_WINDOW):
            before = int(match["before"] or match["late"] or 0)
            # A rollout scales its old ReplicaSet down too; only the wanted number tells them apart.
            if before > workload.wanted and int(match["after"]) == workload.wanted:
                return before, "event ScalingReplicaSet"
    return 0, ""


def _scalers(scene: Scene) -> Iterator[Fact]:
    for thing in scene.cluster.of("HorizontalPodAutoscaler"):
        name = str(thing.at("spec", "scaleTargetRef", "name", default=thing.name))
        conditions = {str(one.get("type")): one for one in thing.items("status", "conditions")}
        cited, subject = (thing.evidence,), service(name)
        active = conditions.get("ScalingActive", {})
        if active.get("status") == "False" and active.get("reason") != "ScalingDisabled":
            said = f"{active.get('reason')}, {active.get('message')}"
            detail = f"autoscaler {thing.name} cannot scale: {said}"
            yield subject.found("autoscaler_broken", 0.85, cited, "capacity.autoscaler", detail)
        able = conditions.get("AbleToScale", {})
        if able.get("status") == "False" and able.get("reason") not in ("BackoffBoth", "BackoffUpscale"):
            detail = f"autoscaler {thing.name} cannot scale: {able.get('reason')}, {able.get('message')}"
            yield subject.found("autoscaler_broken", 0.85, cited, "capacity.autoscaler", detail)
        current, most = thing.at("status", "currentReplicas"), thing.at("spec", "maxReplicas")
        limited = conditions.get("ScalingLimited", {})
        over = _over_target(thing)
        topped = limited.get("status") == "True" and limited.get("reason") == "TooManyReplicas"
        if isinstance(current, int) and current == most and (topped or over):
            detail = f"autoscaler {thing.name} is at its maximum of {most} replicas"
            detail += f", with {listed(over)}" if over else ""
            confidence = 0.9 if over else 0.7
            yield subject.found("autoscaler_limit", confidence, cited, "capacity.autoscaler", detail)


def _over_target(thing: Thing) -> list[str]:
    """Metrics above their target, in words."""
    targets = dict(_measures(thing.items("spec", "metrics"), "target"))
    current = dict(_measures(thing.items("status", "currentMetrics"), "current"))
    old = thing.at("spec", "targetCPUUtilizationPercentage")
    now = thing.at("status", "currentCPUUtilizationPercentage")
    if isinstance(old, int) and isinstance(now, int):
        targets["cpu", "averageUtilization"], current["cpu", "averageUtilization"] = old, now
    return [
        f"{name} at {current[name, unit]:g}{percent} of a wanted {target:g}{percent}"
        for (name, unit), target in targets.items()
        if current.get((name, unit), 0.0) > target
        for percent in (" %" if unit == "averageUtilization" else "",)
    ]


def _measures(metrics: Iterable[Mapping[str, Any]], side: str) -> Iterator[tuple[tuple[str, str], float]]:
    """((metric, unit), value) of an autoscaler's targets or of what it reads."""
    for metric in metrics:
        for kind in ("resource", "containerResource", "pods", "external", "object"):
            part = mapping(metric.get(kind))
            name = str(part.get("name") or mapping(part.get("metric")).get("name"))
            for unit in ("averageUtilization", "averageValue", "value"):
                value = quantity(mapping(part.get(side)).get(unit, ""))
                if value is not None:
                    yield (name, unit), value
