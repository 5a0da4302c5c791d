"""Whether a probe gives a program less time than it needs to start or to answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

from investigators.facts.workloads.boxes import Box, Json, mapping
from investigators.facts.workloads.findings import Source
from investigators.facts.workloads.scene import Scene, Unit, earlier
from investigators.world.cluster import moment
from investigators.world.world import Line

_TOOK = re.compile(
    r"\b(?:started|ready|startup|initiali[sz]\w+|boot\w*)\b.{0,80}?\bin\b:? ?(?P<n>\d+(?:[.,]\d+)?) ?"
    r"(?P<unit>ms|millis\w*|s\b|sec\w*|m\b|min\w*)",
    re.IGNORECASE,
)
_UP = re.compile(
    r"listening|server started|started \w+|ready to (?:accept|serve)|accepting connections", re.IGNORECASE
)
_STARTING = re.compile(
    r"starting|loading|warming|warm-?up|initiali[sz]ing|migrat\w+|waiting|booting|please wait|importing",
    re.IGNORECASE,
)
_TIMED_OUT = re.compile(r"deadline exceeded|Client\.Timeout|timed out|timeout", re.IGNORECASE)
_TIMINGS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "failureThreshold")
_DEFAULTS = {"initialDelaySeconds": 0, "timeoutSeconds": 1, "periodSeconds": 10, "failureThreshold": 3}
_SHORT = 2


def timing(probe: Json, name: str) -> float:
    value = probe.get(name)
    return float(value if isinstance(value, int) and not isinstance(value, bool) else _DEFAULTS[name])


def seconds_allowed(probe: Json) -> float:
    """How long after its start a container may fail the probe before that has an effect."""
    tries = timing(probe, "failureThreshold") * timing(probe, "periodSeconds")
    return timing(probe, "initialDelaySeconds") + tries


def before(unit: Unit, box: Box, kind: str) -> Json:
    """The same probe in the revision before."""
    _, container = earlier(unit, box.name)
    return mapping(container.get(f"{kind}Probe"))


def too_tight(
    scene: Scene, box: Box, unit: Unit, kind: str, probe: Json, why: str, *, killed: bool
) -> tuple[str, float, str, tuple[Source, ...]] | None:
    """Killed before it was up; or a timeout of a second or two that a working program does not keep."""
    if not probe:
        return None
    if killed and kind in ("liveness", "startup"):
        if kind == "liveness" and box.spec.get("startupProbe"):
            allowed = seconds_allowed(mapping(box.spec.get("startupProbe"))) + seconds_allowed(probe)
        else:
            allowed = seconds_allowed(probe)
        needs = _start_time(scene, box)
        if needs is not None and needs[0] > allowed:
            said = f"it allows {allowed:g} s, and the program needs {needs[0]:.0f} s to start"
            return "probe_too_tight", 0.92, said, (needs[1],)
        lived = _lived(box)
        starting = _still_starting(scene, box)
        if starting is not None and lived is not None and lived <= allowed + 90:
            last = starting.text.strip()[:120]
            said = f"it allows {allowed:g} s, and the program was still starting: {last!r}"
            return "probe_too_tight", 0.85, said, (starting,)
    shrunk = _shrunk(before(unit, box, kind), probe)
    if shrunk and (killed or _TIMED_OUT.search(why)):
        return "probe_too_tight", 0.85, f"in the revision before it was {shrunk}", ()
    if _TIMED_OUT.search(why) and timing(probe, "timeoutSeconds") <= _SHORT and _answers(scene, box):
        seconds = timing(probe, "timeoutSeconds")
        return "probe_too_tight", 0.6, f"its timeout is {seconds:g} s, while the program works on", ()
    return None


def _start_time(scene: Scene, box: Box) -> tuple[float, Line] | None:
    """How long the program says it takes to start, or took until it said it was up."""
    best: tuple[float, Line] | None = None
    started = box.running_since
    for line in scene.world.lines_of_pod(box.pod.name):
        seconds: float | None = None
        if match := _TOOK.search(line.text):
            seconds = float(match["n"].replace(",", "."))
            unit = match["unit"].lower()
            seconds *= 0.001 if unit.startswith(("ms", "milli")) else 60 if unit.startswith("m") else 1
        elif started and line.at and line.at >= started and not line.previous and _UP.search(line.text):
            seconds = (line.at - started).total_seconds()
        if seconds is not None and (best is None or seconds > best[0]):
            best = (seconds, line)
    return best


def _lived(box: Box) -> float | None:
    """How long its latest finished run lasted."""
    began, ended = moment(box.ended.get("startedAt")), box.ended_at
    return None if began is None or ended is None else (ended - began).total_seconds()


def _still_starting(scene: Scene, box: Box) -> Line | None:
    """The last line of the run that was killed, if it is about starting and none before it says it was up."""
    lines: Sequence[Line] = [one for one in scene.world.lines_of_pod(box.pod.name) if one.text.strip()]
    previous = [one for one in lines if one.previous]
    lines = previous or lines
    if not lines or any(_UP.search(one.text) or _TOOK.search(one.text) for one in lines):
        return None
    return next((one for one in reversed(lines) if _STARTING.search(one.text)), None)


def _shrunk(old: Json, new: Json) -> str:
    """The timings that were longer before."""
    if not old:
        return ""
    return ", ".join(
        f"{name} {timing(old, name):g} (now {timing(new, name):g})"
        for name in _TIMINGS
        if timing(new, name) < timing(old, name)
    )


def _answers(scene: Scene, box: Box) -> bool:
    """Whether the program works: it wrote something within the last minutes."""
    recent = scene.world.now - timedelta(minutes=5)
    return any(line.at is not None and line.at >= recent for line in scene.world.lines_of_pod(box.pod.name))
