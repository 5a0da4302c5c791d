"""Nodes by their metrics: CPU, memory and disk under pressure, and who takes the CPU from the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bot.domain.evidence import Fact
from investigators.facts.charge import node, service
from investigators.facts.platform.levels import Levels, levels, quantity
from investigators.facts.platform.scene import Scene, listed
from investigators.world.world import Track


@dataclass(frozen=True, slots=True, kw_only=True)
class _Busy:
    name: str
    used: float
    usual: float
    track: Track


def check(scene: Scene) -> list[Fact]:
    busy = {one.name: one for one in _busy_nodes(scene)}
    facts = [
        node(one.name).found(
            "node_cpu_pressure", 0.85, (one.track.evidence,), "node.cpu",
            f"{one.name} is {one.used:.0%} busy ({one.usual:.0%} before)",
        )
        for one in busy.values()
    ]  # fmt: skip
    facts += _stalled(scene)
    facts += _short(scene)
    facts += _neighbours(scene, busy)
    return [*facts, *_quiet(scene, facts)]


def _quiet(scene: Scene, facts: list[Fact]) -> Iterator[Fact]:
    """Of nodes that the incident's services run on, where their idle time is known."""
    if not scene.world.looked("metric.survey"):
        return
    names = {pod.node for name in scene.services for pod in scene.layout.pods_of(name) if pod.node}
    hit = {fact.subject for fact in facts if fact.kind == "node_cpu_pressure"}
    for name in sorted(names - hit):
        idle = [one for one in scene.tracks.get("node_cpu_seconds_total", ()) if one.object == name]
        cited = tuple({one.evidence.id: one.evidence for one in idle}.values())
        if idle and all(item.reason is None for item in cited):
            detail = "its CPUs have idle time left"
            yield node(name).absent("node_cpu_pressure", 0.8, cited, "node.cpu", detail)
        else:
            looked = scene.world.looked("metric.survey")
            detail = "no complete node_cpu_seconds_total of it is at hand"
            yield node(name).unknown("node_cpu_pressure", looked, "node.cpu", detail)


def _busy_nodes(scene: Scene) -> Iterator[_Busy]:
    idle: dict[str, list[tuple[Levels, Track]]] = {}
    for track in scene.tracks.get("node_cpu_seconds_total", ()):
        if track.series.labels.get("mode") == "idle" and track.object:
            level = levels(scene, track, counter=True)
            if level is not None:
                idle.setdefault(track.object, []).append((level, track))
    for name, found in idle.items():
        used = 1 - sum(level.now for level, _ in found) / len(found)
        known = [level.before for level, _ in found if level.before is not None]
        usual = 1 - sum(known) / len(known) if known else 0.0
        if used >= 0.9 and used >= usual + 0.1:
            yield _Busy(name=name, used=used, usual=usual, track=found[0][1])


def _stalled(scene: Scene) -> Iterator[Fact]:
    """Pressure stall information: the share of time in which something waited."""
    for metric, kind, least in (
        ("node_pressure_cpu_waiting_seconds_total", "node_cpu_pressure", 0.3),
        ("node_pressure_memory_stalled_seconds_total", "node_memory_pressure", 0.1),
        ("node_pressure_memory_waiting_seconds_total", "node_memory_pressure", 0.2),
        ("node_pressure_io_stalled_seconds_total", "node_io_pressure", 0.3),
    ):
        for track in scene.tracks.get(metric, ()):
            share = levels(scene, track, counter=True)
            if share is None or share.now < least or (share.before or 0.0) * 2 > share.now:
                continue
            detail = f"tasks on {track.object} waited {share.now:.0%} of the time ({metric})"
            yield node(track.object).found(kind, 0.8, (track.evidence,), "node.psi", detail)


def _short(scene: Scene) -> Iterator[Fact]:
    totals = {one.object: one for one in scene.tracks.get("node_memory_MemTotal_bytes", ())}
    for track in scene.tracks.get("node_memory_MemAvailable_bytes", ()):
        total, free = totals.get(track.object), levels(scene, track)
        if total is None or free is None or not total.series.samples:
            continue
        whole = total.series.samples[-1].value
        usual = free.before is not None and free.before < 0.07 * whole
        if free.now < 0.05 * whole and not usual:
            detail = f"{track.object} has {free.now / whole:.0%} of its memory left"
            cited = (track.evidence, total.evidence)
            yield node(track.object).found("node_memory_pressure", 0.85, cited, "node.memory", detail)
    sizes = {
        (one.object, one.series.labels.get("mountpoint")): one
        for one in scene.tracks.get("node_filesystem_size_bytes", ())
    }
    for track in scene.tracks.get("node_filesystem_avail_bytes", ()):
        size = sizes.get((track.object, track.series.labels.get("mountpoint")))
        room = levels(scene, track)
        if size is None or room is None or not size.series.samples or track.object_kind != "node":
            continue
        whole = size.series.samples[-1].value
        if whole > 0 and track.series.samples[-1].value < 0.05 * whole:
            detail = (
                f"{track.object} has {track.series.samples[-1].value / whole:.0%} of "
                f"{track.series.labels.get('mountpoint', 'a disk')} left"
            )
            usual = room.before is not None and room.before < 0.05 * whole
            cited = (track.evidence, size.evidence)
            confidence = 0.4 if usual else 0.85
            yield node(track.object).found("node_disk_pressure", confidence, cited, "node.disk", detail)


def _neighbours(scene: Scene, busy: dict[str, _Busy]) -> Iterator[Fact]:
    """On a busy node, the pod that began to take most of it, if others on the node have the trouble."""
    where = {pod.thing.name: pod for pod in scene.layout.pods if pod.live}
    use: dict[str, list[tuple[float, Levels, Track]]] = {}
    for track in scene.tracks.get("container_cpu_usage_seconds_total", ()):
        pod = where.get(track.pod)
        level = levels(scene, track, counter=True)
        if pod is not None and level is not None and track.series.labels.get("container") != "POD":
            use.setdefault(pod.node, []).append((level.now, level, track))
    for name, found in use.items():
        thing = scene.cluster.get("Node", "", name)
        cores = quantity(thing.at("status", "capacity", "cpu")) if thing else None
        total = sum(now for now, _, _ in found)
        full = name in busy or (cores is not None and total >= 0.85 * cores)
        if not full or len(found) < 2:
            continue
        now, level, track = max(found, key=lambda item: item[0])
        victims = {where[other.pod].service for _, _, other in found if other.object != track.object}
        hurt = victims & set(scene.world.subjects) or victims
        took = now >= 0.4 * (cores or total)
        if took and level.grew(2, 0.3) and hurt and track.object not in scene.world.subjects:
            detail = (
                f"{track.pod} took {now:.1f} cores of {name} ({level.before or 0:.1f} before), "
                f"which {listed(sorted(hurt))} share"
            )
            cited = (track.evidence, *(scene.cluster.looked("Pod")))
            yield service(track.object).found("noisy_neighbour", 0.85, cited, "node.neighbour", detail)
