"""Programs that hang, deadlock, run out of file handles or threads, and pods that were evicted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from bot.domain.evidence import Fact
from investigators.facts.charge import Fault
from investigators.facts.charge import node as node_subject
from investigators.facts.workloads.boxes import Box, condition, leaving
from investigators.facts.workloads.effects import CALLERS, CRASHING, DOWN
from investigators.facts.workloads.findings import LOG, Findings, Source
from investigators.facts.workloads.kills import about
from investigators.facts.workloads.quantity import times
from investigators.facts.workloads.scene import USUAL, Scene, Unit, failing, scene_of
from investigators.ranking import human_time
from investigators.world.cluster import KubeEvent, Thing, moment
from investigators.world.world import World

NEEDS: Mapping[str, tuple[str, ...]] = {
    "deadlock": ("Pod", LOG),
    "process_hang": ("Pod", "Event"),
    "file_handle_exhaustion": ("Pod", LOG),
    "thread_exhaustion": ("Pod", LOG),
    "evicted": ("Pod", "Event"),
}
_DEADLOCK = re.compile(
    r"Found (?:one|\d+) Java-level deadlock|all goroutines are asleep - deadlock"
    r"|deadlock(?:ed)? (?:detected|found).{0,60}\bthreads?\b|\bthreads?\b.{0,60}deadlock"
    r"|POTENTIAL DEADLOCK|blocking operation.{0,40}deadlock",
    re.IGNORECASE,
)
_FILES = re.compile(
    r"too many open files|\bEMFILE\b|\bENFILE\b|file descriptor limit|no file descriptors available",
    re.IGNORECASE,
)
_FILE_NEEDLES = ("too many open files", "emfile", "enfile", "file descriptor")
_THREAD_NEEDLES = (
    "native thread",
    "new thread",
    "os thread",
    "pthread_create",
    "temporarily unavailable",
    "cannot fork",
    "worker thread",
    "uv_thread_create",
    "pool size",
)
_THREADS = re.compile(
    r"unable to create (?:new )?native thread|can't start new thread|failed to create new OS thread"
    r"|pthread_create failed|fork: (?:retry: )?Resource temporarily unavailable"
    r"|fork/exec \S+: resource temporarily unavailable|cannot fork|Cannot create worker thread"
    r"|uv_thread_create|RejectedExecutionException.{0,80}pool size",
    re.IGNORECASE,
)
_SILENT = re.compile(
    r"context deadline exceeded|Client\.Timeout|command timed out|i/o timeout|timed out|timeout",
    re.IGNORECASE,
)
_LIVENESS = re.compile(r"\A(?:Liveness|Readiness) probe", re.IGNORECASE)
_CPU = re.compile(r"cpu_usage_seconds|container_cpu|cpu_usage\b|^cpu\b")
_QUIET = timedelta(minutes=3)
_IDLE = 0.02
"""Cores below which a program that should answer does nothing at all."""
_RESOURCE = re.compile(r"low on resource: (?P<resource>[\w-]+)")


def check(world: World) -> list[Fact]:
    scene = scene_of(world)
    findings = Findings(scene=scene, rule="exhaustion")
    for unit in (*scene.units, *_podless(scene)):
        _said(findings, unit, "deadlock", ("deadlock",), _DEADLOCK, "its threads wait for each other")
        _said(findings, unit, "file_handle_exhaustion", _FILE_NEEDLES, _FILES, "it has no file handles left")
        _said(findings, unit, "thread_exhaustion", _THREAD_NEEDLES, _THREADS, "it can start no more threads")
        for box in unit.boxes:
            if not leaving(box.pod) and not box.init:
                _hang(findings, unit, box)
        _evicted(findings, unit)
    return findings.facts(NEEDS)


def _podless(scene: Scene) -> list[Unit]:
    """The incident's services, and what they call, that run as plain processes: they only have a log."""
    world = scene.world
    taken = {name for unit in scene.units for name in (unit.service, unit.name)}
    names = dict.fromkeys(world.subjects)
    names |= dict.fromkeys(edge.target for one in world.subjects for edge in world.graph.dependencies(one))
    return [
        Unit(service=name, name=name, namespace="")
        for name in names
        if name not in taken and world.lines_of(name)
    ]


def _said(
    findings: Findings,
    unit: Unit,
    kind: str,
    needles: tuple[str, ...],
    pattern: re.Pattern[str],
    meaning: str,
) -> None:
    """The program says it itself. A container that works on makes it less likely to matter."""
    scene = findings.scene
    lines = scene.grep(unit, needles, pattern)
    if not lines:
        return
    hurt = any(failing(scene, box) for box in unit.boxes) or _probes_fail(scene, unit)
    hurt = hurt or (not unit.pods and scene.world.silenced(unit.name) is not None)
    confidence = (0.88 if hurt else 0.72) if len(lines) >= 3 else (0.82 if hurt else 0.6)
    if scene.usual(unit, pattern):
        confidence = min(confidence, USUAL)
    line = lines[-1]
    pod = f"pod {line.pod} of " if line.pod else ""
    detail = f"{pod}{unit.service} says that {meaning}, {times(len(lines))}: {line.text.strip()[:180]!r}"
    began = min((one.at for one in lines if one.at is not None), default=None)
    sources: list[Source] = [line, *unit.evidence]
    findings.found(
        kind,
        unit,
        confidence,
        sources,
        detail,
        of=unit.name,
        began=began,
        numbers={"lines": float(len(lines))},
    )


def _probes_fail(scene: Scene, unit: Unit) -> bool:
    return any(event.reason == "Unhealthy" and scene.recent(event.last) for event in unit.events)


def _hang(findings: Findings, unit: Unit, box: Box) -> None:
    """Probes time out while it burns no CPU and writes nothing. A busy or slow program does one of both."""
    scene = findings.scene
    timeouts = [
        event
        for event in scene.events_of(box.pod)
        if event.reason == "Unhealthy"
        and scene.recent(event.last)
        and about(event, box)
        and _LIVENESS.match(event.message)
        and _SILENT.search(event.message)
        and "connection refused" not in event.message
    ]
    repeated = [event for event in timeouts if event.count >= 3]
    if not repeated or not failing(scene, box):
        return
    event = repeated[-1]
    began = event.first or event.last
    idle, cpu = _idle(scene, unit, box, began, event.last)
    lines = [one for one in scene.world.lines_of_pod(box.pod.name) if one.at is not None]
    silent = _silence(lines_at=[one.at for one in lines if one.at is not None], began=began, until=event.last)
    if idle is False or silent is False:
        return
    if idle is None and silent is None:
        findings.unsure("process_hang", unit, f"probes of {box.where} time out; neither CPU nor log is known")
        return
    confidence = 0.85 if idle and silent else 0.65
    signs = [*(["uses no CPU"] if idle else []), *(["writes no log"] if silent else [])]
    lasted = human_time(event.last - began) if event.last and began and event.last > began else ""
    detail = (
        f"{box.where} runs but does not answer its probe ({event.count} timeouts"
        f"{f' in {lasted}' if lasted else ''}) and {' and '.join(signs)}: "
        f"{' '.join(event.message.split())[:160]}"
    )
    sources: list[Source] = [box.pod, event, *cpu, *lines[-1:]]
    findings.found("process_hang", unit, confidence, sources, detail, of=box.pod.name, began=began)


def _idle(
    scene: Scene, unit: Unit, box: Box, began: datetime | None, until: datetime | None
) -> tuple[bool | None, list[Source]]:
    """Whether it used no CPU while the probes timed out, and the series; None when none is known."""
    rates: list[float] = []
    sources: list[Source] = []
    for track in scene.world.tracks_of(unit.name, _CPU):
        if track.pod not in ("", box.pod.name) or track.series.labels.get("container", box.name) != box.name:
            continue
        samples = [
            one
            for one in track.series.samples
            if (began is None or one.at >= began) and (until is None or one.at <= until)
        ]
        if len(samples) < 2:
            continue
        sources.append(track.evidence)
        if "seconds" in track.series.name:
            seconds = (samples[-1].at - samples[0].at).total_seconds()
            rates.append(max(0.0, samples[-1].value - samples[0].value) / seconds if seconds else 0.0)
        else:
            rates.append(max(one.value for one in samples))
    return (max(rates) <= _IDLE if rates else None), sources


def _silence(*, lines_at: list[datetime], began: datetime | None, until: datetime | None) -> bool | None:
    """Whether it wrote nothing while the probes timed out; None without a line from before to compare."""
    if began is None or until is None or until - began < _QUIET / 3:
        return None
    if not any(at < began for at in lines_at):
        return None
    return not any(began + timedelta(seconds=5) <= at <= until for at in lines_at)


def _evicted(findings: Findings, unit: Unit) -> None:
    scene = findings.scene
    for pod in unit.pods:
        if pod.at("status", "reason") != "Evicted":
            continue
        events = [event for event in scene.events_of(pod) if event.reason == "Evicted"]
        at = _evicted_at(unit, pod, events)
        if scene.recent(at):
            message = " ".join(str(pod.at("status", "message") or "").split())
            _eviction(findings, unit, pod.name, str(pod.at("spec", "nodeName") or ""), message, [pod], at)
    seen = {pod.name for pod in unit.pods}
    for event in unit.events:
        if event.reason == "Evicted" and event.about[2] not in seen and scene.recent(event.last):
            host = str(event.thing.at("source", "host") or event.thing.at("reportingInstance") or "")
            _eviction(findings, unit, event.about[2], host, event.message, [event], event.last)


def _evicted_at(unit: Unit, pod: Thing, events: list[KubeEvent]) -> datetime | None:
    ends = [box.ended_at for box in unit.boxes if box.pod is pod and box.ended_at is not None]
    told = moment(condition(pod, "DisruptionTarget").get("lastTransitionTime"))
    times = [*([events[-1].last] if events else []), told, *ends, moment(pod.at("status", "startTime"))]
    return next((one for one in times if one is not None), pod.created_at)


def _eviction(
    findings: Findings,
    unit: Unit,
    pod: str,
    node: str,
    message: str,
    sources: list[Source],
    at: datetime | None,
) -> None:
    text = message[:260]
    detail = f"pod {pod} was evicted{f' from node {node}' if node else ''}: {text}"
    findings.found("evicted", unit, 0.93, sources, detail, of=pod, began=at)
    match = _RESOURCE.search(message)
    if match and node:
        detail = f"node {node} was low on {match['resource']} and evicted pod {pod} of {unit.service}: {text}"
        findings.found("evicted", node_subject(node), 0.85, sources, detail, of=pod, began=at)


FAULTS = {
    "deadlock": Fault(
        title="its threads wait for each other",
        weight=1.0,
        explains=CRASHING | {"process_hang"},
        spreads=CALLERS,
        steps=("Take a thread dump before it is restarted.",),
    ),
    "process_hang": Fault(
        title="the process runs but does not respond",
        weight=0.9,
        explains=CRASHING,
        spreads=CALLERS,
        steps=("Take a thread dump or a stack trace before it is restarted.",),
    ),
    "file_handle_exhaustion": Fault(
        title="it has no file handles left",
        weight=1.0,
        explains=CRASHING | {"process_hang", "fd_exhaustion"},
        spreads=CALLERS,
        steps=("See what it keeps open: ls /proc/1/fd; then raise the limit or mend the leak.",),
    ),
    "thread_exhaustion": Fault(
        title="it can start no more threads",
        weight=1.0,
        explains=CRASHING | {"process_hang"},
        spreads=CALLERS,
        steps=("See the thread count against the pod's PID limit; mend the leak or raise the limit.",),
    ),
    "evicted": Fault(
        title="a pod was evicted",
        weight=0.9,
        explains=DOWN | {"failed_scheduling", "process_crash"},
        spreads=CALLERS,
        steps=("Raise its request or limit of what ran low, or make room on the node.",),
    ),
}
