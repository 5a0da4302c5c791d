"""How containers end: OOM-killed, crashed by a signal or an error, or kept down by the back-off."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from bot.domain.evidence import Fact
from investigators.facts.charge import Fault
from investigators.facts.workloads.boxes import Box, leaving, mapping
from investigators.facts.workloads.effects import CALLERS, CRASHING, DOWN, LOGS
from investigators.facts.workloads.findings import Findings, Source
from investigators.facts.workloads.kills import SIGKILL, SIGTERM, probe_kill
from investigators.facts.workloads.quantity import quantity
from investigators.facts.workloads.scene import Scene, Unit, earlier, scene_of
from investigators.ranking import human_time
from investigators.world.cluster import KubeEvent
from investigators.world.world import Track, World

SIGNALS: Mapping[int, str] = {
    129: "SIGHUP",
    130: "SIGINT",
    131: "SIGQUIT",
    132: "SIGILL, an illegal instruction",
    133: "SIGTRAP",
    134: "SIGABRT, it aborted itself",
    135: "SIGBUS, a bad memory access",
    136: "SIGFPE, such as a division by zero",
    139: "SIGSEGV, a segmentation fault",
    141: "SIGPIPE",
    159: "SIGSYS, a forbidden system call",
}
NEEDS: Mapping[str, tuple[str, ...]] = {
    "oom_killed": ("Pod",),
    "process_crash": ("Pod",),
    "process_stopped": ("Pod",),
    "crashloop": ("Pod",),
}
_MEMORY = re.compile(r"memory_working_set_bytes|memory_usage_bytes|memory_rss|^memory\b|_memory_bytes")
_COMMAND = frozenset({126, 127, 128})
_FULL = 0.95
_BEFORE = timedelta(minutes=10)
_STEADY = timedelta(minutes=15)
_BACK_OFF = "restarting failed container"


def check(world: World) -> list[Fact]:
    scene = scene_of(world)
    findings = Findings(scene=scene, rule="runtime")
    for unit in scene.units:
        for box in unit.boxes:
            if leaving(box.pod):
                continue
            if box.ended and scene.recent(box.ended_at):
                _end(findings, unit, box)
            _back_off(findings, unit, box)
    return findings.facts(NEEDS)


def _end(findings: Findings, unit: Unit, box: Box) -> None:
    scene, code, reason = findings.scene, box.exit_code, str(box.ended.get("reason") or "")
    sure = _freshness(scene, box)
    if reason == "OOMKilled":
        confidence = 0.95 if code == SIGKILL else 0.75
        _oom(
            findings,
            unit,
            box,
            confidence * sure,
            [box.pod],
            f"ended with reason OOMKilled, exit code {code}",
        )
    elif code == SIGKILL:
        _killed(findings, unit, box, sure)
    elif code == 0:
        if box.pod.at("spec", "restartPolicy", default="Always") == "Always" and _backs_off(scene, box):
            detail = f"{box.where} ends by itself with exit code 0 and is started again{_often(box)}"
            _found(findings, unit, box, "process_stopped", 0.8 * sure, detail)
    elif code in _COMMAND or code == SIGTERM or code is None or reason == "ContainerStatusUnknown":
        return
    else:
        said = SIGNALS.get(code, "an error exit" if code <= 128 or code == 255 else f"signal {code - 128}")
        confidence = 0.9 if code in SIGNALS else 0.8
        words = _last_words(scene, box)
        detail = f"{box.where} ended with exit code {code} ({said}){_often(box)}{words}"
        _found(findings, unit, box, "process_crash", confidence * sure, detail)


def _found(findings: Findings, unit: Unit, box: Box, kind: str, confidence: float, detail: str) -> None:
    numbers = {"exit_code": float(box.exit_code or 0), "restarts": float(box.restarts)}
    findings.found(
        kind, unit, confidence, (box.pod,), detail, of=box.pod.name, began=box.ended_at, numbers=numbers
    )


def _killed(findings: Findings, unit: Unit, box: Box, sure: float) -> None:
    """Exit code 137 without a reason: a probe, the memory limit, or the node's own shortage."""
    scene = findings.scene
    if probe_kill(scene, box) is not None or box.pod.at("status", "reason") == "Evicted":
        return
    limit = limit_of(box)
    tracks = _memory(scene, unit, box)
    peak = _peak(tracks, box.ended_at)
    if limit and peak is not None and peak[1] >= _FULL * limit:
        sources: list[Source] = [box.pod, peak[0].evidence]
        what = f"ended with exit code 137 while its memory was at {peak[1] / limit:.0%} of the limit"
        _oom(findings, unit, box, 0.88 * sure, sources, what)
        return
    event = _system_oom(scene, box)
    if event is not None:
        what = f"ended with exit code 137 while node {event.about[2]} was out of memory"
        _oom(findings, unit, box, 0.75 * sure, [box.pod, event], what)
        return
    if peak is None and limit:
        findings.unsure("oom_killed", unit, f"{box.where} was killed (137); its memory then is not known")
    detail = f"{box.where} was killed with SIGKILL (exit code 137), and nothing says by whom{_often(box)}"
    _found(findings, unit, box, "process_crash", 0.5 * sure, detail)


def _oom(
    findings: Findings, unit: Unit, box: Box, confidence: float, sources: list[Source], what: str
) -> None:
    limit = mapping(mapping(box.spec.get("resources")).get("limits")).get("memory")
    at = f"memory limit {limit}" if limit else "no memory limit is set: the node ran out"
    _, before = earlier(unit, box.name)
    old = mapping(mapping(before.get("resources")).get("limits")).get("memory")
    lowered = ""
    if old and limit and (quantity(limit) or 0.0) < (quantity(old) or 0.0):
        lowered = f"; the limit was {old} in the revision before"
    numbers = {"restarts": float(box.restarts)}
    if limit_bytes := limit_of(box):
        numbers["limit_bytes"] = limit_bytes
    detail = f"{box.where} {what} ({at}){_often(box)}{lowered}"
    findings.found(
        "oom_killed", unit, confidence, sources, detail, of=box.pod.name, began=box.ended_at, numbers=numbers
    )


def _freshness(scene: Scene, box: Box) -> float:
    """An end that was well before the alert, with a steady run since, is hardly what the alert is about."""
    since, at, onset = box.running_since, box.ended_at, scene.world.onset
    steady = since is not None and scene.world.now - since > _STEADY and box.status.get("ready") is not False
    return 0.6 if steady and at is not None and at < onset - _STEADY else 1.0


def limit_of(box: Box) -> float | None:
    """The container's memory limit in bytes."""
    return quantity(mapping(mapping(box.spec.get("resources")).get("limits")).get("memory"))


def _memory(scene: Scene, unit: Unit, box: Box) -> list[Track]:
    return [
        track
        for track in scene.world.tracks_of(unit.name, _MEMORY)
        if track.pod in ("", box.pod.name)
        and track.series.labels.get("container", box.name) in ("", box.name)
    ]


def _peak(tracks: list[Track], at: datetime | None) -> tuple[Track, float] | None:
    """The most memory in the minutes before the end."""
    values = [
        (track, sample.value)
        for track in tracks
        for sample in track.series.samples
        if at is None or at - _BEFORE <= sample.at <= at + timedelta(minutes=1)
    ]
    return max(values, key=lambda one: one[1], default=None)


def _system_oom(scene: Scene, box: Box) -> KubeEvent | None:
    name, at = str(box.pod.at("spec", "nodeName") or ""), box.ended_at
    for event in scene.cluster.events:
        if (
            event.about[0] == "Node"
            and event.about[2] == name
            and event.reason in ("SystemOOM", "OOMKilling")
        ):
            near = at is None or event.last is None or abs(event.last - at) <= timedelta(minutes=2)
            if near:
                return event
    return None


def _last_words(scene: Scene, box: Box) -> str:
    lines = [one for one in scene.world.lines_of_pod(box.pod.name) if one.previous and one.text.strip()]
    return f"; its last words: {lines[-1].text.strip()[:160]!r}" if lines else ""


def _often(box: Box) -> str:
    return f"; {box.restarts} restarts" if box.restarts > 1 else ""


def _backs_off(scene: Scene, box: Box) -> bool:
    return box.waiting_reason == "CrashLoopBackOff" or _restarting(scene, box) is not None


def _restarting(scene: Scene, box: Box) -> KubeEvent | None:
    """A recent back-off of a container that has not run steadily since. The count of restarts says nothing:
    it is kept for as long as the pod lives."""
    since, now = box.running_since, scene.world.now
    for event in reversed(scene.events_of(box.pod)):
        if event.reason != "BackOff" or _BACK_OFF not in event.message:
            continue
        named = f"container {box.name}" in event.message or f"container={box.name} " in event.message
        other = not named and re.search(r"failed container (\S+) in pod", event.message)
        if other or (event.last is not None and now - event.last > _STEADY):
            return None
        steady = since is not None and event.last is not None and since > event.last and now - since > _STEADY
        return None if steady else event
    return None


def _back_off(findings: Findings, unit: Unit, box: Box) -> None:
    scene = findings.scene
    ran = f", last exit code {box.exit_code}" if box.exit_code is not None else ""
    if box.waiting_reason == "CrashLoopBackOff":
        delay = re.search(r"back-off (\S+) restarting", str(box.waiting.get("message") or ""))
        wait = f" of {delay[1]}" if delay else ""
        detail = f"{box.where} is in its restart back-off{wait}{ran}{_often(box)}"
        findings.found("crashloop", unit, 0.95, (box.pod,), detail, of=box.pod.name, began=box.ended_at)
        return
    event = _restarting(scene, box)
    if event is not None and box.waiting_reason not in ("ErrImagePull", "ImagePullBackOff"):
        ago = "" if event.last is None else f" {human_time(scene.world.now - event.last)} ago"
        detail = f"{box.where} was in its restart back-off{ago}{ran}{_often(box)}"
        findings.found("crashloop", unit, 0.85, (box.pod, event), detail, of=box.pod.name, began=event.first)


FAULTS = {
    "oom_killed": Fault(
        title="it was killed for reaching its memory limit",
        weight=1.0,
        explains=CRASHING | {"memory_near_limit", "memory_growth"},
        spreads=CALLERS,
        steps=("Raise the memory limit, or find what uses the memory.",),
    ),
    "process_crash": Fault(
        title="the process crashed",
        weight=0.85,
        explains=DOWN | {"crashloop", "process_not_running", "process_restarted", "probe_failing"},
        spreads=CALLERS,
        steps=("Read the log before the crash: kubectl logs --previous.",),
    ),
    "process_stopped": Fault(
        title="the process ends by itself without an error",
        weight=0.85,
        explains=DOWN | {"crashloop", "process_not_running"},
        spreads=CALLERS,
        steps=("Give it a command that keeps running, or make it a Job.",),
    ),
    "crashloop": Fault(
        title="its container keeps being restarted", weight=0.5, explains=DOWN | LOGS, spreads=CALLERS
    ),
}
