"""Probes that fail, and why: wrong port, path, scheme or command, or less time than the program needs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from bot.domain.evidence import Fact
from investigators.facts.charge import Fault
from investigators.facts.workloads import tightness
from investigators.facts.workloads.boxes import Box, Json, leaving, mapping
from investigators.facts.workloads.effects import CALLERS, DOWN
from investigators.facts.workloads.findings import Findings, Source
from investigators.facts.workloads.kills import about, probe_kill
from investigators.facts.workloads.listening import (
    Heard,
    container_ports,
    heard,
    probe_port,
    resolve,
    target_ports,
)
from investigators.facts.workloads.scene import Scene, Unit, scene_of
from investigators.world.cluster import KubeEvent
from investigators.world.world import World

_BASE = ("Pod", "Event")
NEEDS: Mapping[str, tuple[str, ...]] = {
    "probe_failing": ("Pod",),
    "probe_port_mismatch": _BASE,
    "probe_path_wrong": _BASE,
    "probe_scheme_wrong": _BASE,
    "probe_command_wrong": _BASE,
    "probe_too_tight": _BASE,
}
_SAID = re.compile(
    r"\A(?P<probe>Readiness|Liveness|Startup) probe (?:failed|errored|warning)[^:]*:\s*(?P<why>.*)",
    re.DOTALL,
)
_STATUS = re.compile(r"statuscode: (\d{3})")
_SCHEME = re.compile(
    r"HTTP request to an HTTPS server|HTTP response to HTTPS client|malformed HTTP response"
    r"|first record does not look like a TLS handshake|wrong version number",
    re.IGNORECASE,
)
_COMMAND = re.compile(
    r"executable file not found|OCI runtime exec failed|exec: .*no such file|(?:sh|bash): .*: not found\b"
    r"|exit code 12[67]|stat \S+: no such file",
    re.IGNORECASE,
)
"""Not a bare "no such file": a command that looks for a file says so when the program did not write it."""
_REFUSED = re.compile(r"connection refused|failed to connect service", re.IGNORECASE)
_NO_PORT = re.compile(r"strconv\.|couldn't find port|invalid port", re.IGNORECASE)
_FRESH = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One probe that fails: ``kind`` is readiness, liveness or startup; ``why`` what kubelet says."""

    unit: Unit
    box: Box
    kind: str
    probe: Json
    why: str
    sources: tuple[Source, ...]
    event: KubeEvent | None
    killed: bool
    sure: float


def check(world: World) -> list[Fact]:
    scene = scene_of(world)
    findings = Findings(scene=scene, rule="probes")
    for unit in scene.units:
        said: Heard | None = None
        for box in unit.boxes:
            if leaving(box.pod) or box.init:
                continue
            for failure in _failures(scene, unit, box):
                said = said or heard(scene, unit)
                _judge(findings, failure, said)
    return findings.facts(NEEDS)


def _failures(scene: Scene, unit: Unit, box: Box) -> list[Failure]:
    """A probe that failed for a moment while the program started is no failure: the container must not be
    ready now, or have been killed for it, or the probe must keep failing."""
    kill = probe_kill(scene, box)
    killed = kill is not None and scene.recent(kill.last)
    unready = box.running_since is not None and box.status.get("ready") is False
    latest: dict[str, tuple[KubeEvent, str]] = {}
    for event in scene.events_of(box.pod):
        match = _SAID.match(event.message) if event.reason in ("Unhealthy", "ProbeWarning") else None
        if match and about(event, box):
            latest[match["probe"].lower()] = (event, match["why"].strip())
    failures = []
    for kind, (event, why) in latest.items():
        stale = event.last is not None and not scene.recent(event.last)
        lately = event.last is None or scene.world.now - event.last <= _FRESH
        down = killed if kind in ("liveness", "startup") else unready or bool(box.waiting)
        if stale or not (down or (lately and unready) or (lately and event.count >= 3)):
            continue
        sources: list[Source] = [box.pod, event, *([kill] if kill else [])]
        failures.append(
            Failure(
                unit=unit,
                box=box,
                kind=kind,
                probe=mapping(box.spec.get(f"{kind}Probe")),
                why=why,
                sources=tuple(sources),
                event=event,
                killed=killed and kind in ("liveness", "startup"),
                sure=0.95 if down else 0.65,
            )
        )
    return failures or _without_events(scene, unit, box, unready, kill if killed else None)


def _without_events(
    scene: Scene, unit: Unit, box: Box, unready: bool, kill: KubeEvent | None
) -> list[Failure]:
    """The events are gone, but the container runs and is not ready for longer than its probe may take."""
    probe, since = mapping(box.spec.get("readinessProbe")), box.running_since
    kind = "readiness"
    if box.status.get("started") is False and box.spec.get("startupProbe"):
        kind, probe = "startup", mapping(box.spec.get("startupProbe"))
    if kill is not None and not unready:
        kind, probe = "liveness", mapping(box.spec.get("livenessProbe"))
    else:
        allowed = timedelta(seconds=tightness.seconds_allowed(probe) + 30)
        if not unready or not probe or since is None or scene.world.now - since < allowed:
            return []
    return [
        Failure(
            unit=unit,
            box=box,
            kind=kind,
            probe=probe,
            why="",
            sources=(box.pod, *([kill] if kill else [])),
            event=kill,
            killed=kill is not None,
            sure=0.8 if kill else 0.7,
        )
    ]


def _judge(findings: Findings, failure: Failure, said: Heard) -> None:
    unit, box = failure.unit, failure.box
    shown = " ".join(failure.why.split())[:220] or "no event says why"
    effect = "kubelet restarts it for that" if failure.killed else "it gets no traffic while it is not ready"
    times = f", {failure.event.count} times" if failure.event and failure.event.count > 1 else ""
    base = f"{failure.kind} probe {_asks(failure.probe)} of {box.where} fails{times}: {shown}"
    began = (failure.event.first if failure.event else None) or box.running_since
    found = findings.found
    detail = f"{base}; {effect}"
    if failure.killed and box.exit_code in (137, 143):
        detail += f" (exit code {box.exit_code} is that kill, not an OOM kill)"
    if said.loopback and _REFUSED.search(failure.why):
        detail += f"; its log says it listens on 127.0.0.1:{min(said.loopback)} only"
    found("probe_failing", unit, failure.sure, failure.sources, detail, of=box.pod.name, began=began)
    cause = _cause(findings.scene, failure, said)
    if cause is not None:
        kind, confidence, why, more = cause
        sources = (*failure.sources, *more)
        sure = min(failure.sure, confidence)
        found(kind, unit, sure, sources, f"{base}; {why}", of=box.pod.name, began=began)
    elif not failure.why:
        for kind in NEEDS:
            if kind != "probe_failing":
                findings.unsure(kind, unit, f"a probe of {box.where} fails, and no event says why")


def _cause(scene: Scene, failure: Failure, said: Heard) -> tuple[str, float, str, tuple[Source, ...]] | None:
    why, probe = failure.why, failure.probe
    status = _STATUS.search(why)
    if _SCHEME.search(why):
        scheme = mapping(probe.get("httpGet")).get("scheme") or "HTTP"
        return "probe_scheme_wrong", 0.95, f"it asks with {scheme}, the program speaks the other", ()
    if status and status[1] in ("404", "405", "410"):
        path = mapping(probe.get("httpGet")).get("path") or "/"
        return "probe_path_wrong", 0.93, f"the program has no {path}" + _path_before(failure), ()
    if status and status[1] in ("401", "403"):
        return "probe_path_wrong", 0.75, "the path asks for credentials", ()
    if probe.get("exec") and _COMMAND.search(why):
        return "probe_command_wrong", 0.92, "its command is not in the image", ()
    if port := _port_cause(scene, failure, said):
        return port
    return tightness.too_tight(
        scene, failure.box, failure.unit, failure.kind, probe, why, killed=failure.killed
    )


def _path_before(failure: Failure) -> str:
    old, new = tightness.before(failure.unit, failure.box, failure.kind), failure.probe
    path = mapping(old.get("httpGet")).get("path")
    return f"; the path was {path} before" if path and path != mapping(new.get("httpGet")).get("path") else ""


def _port_cause(
    scene: Scene, failure: Failure, said: Heard
) -> tuple[str, float, str, tuple[Source, ...]] | None:
    """The probe asks a port that neither the template nor the Services know, or not where the log says."""
    written, declared = probe_port(failure.probe), container_ports(failure.unit.spec)
    if written is None:
        return None
    number = resolve(written, declared)
    if number is None or _NO_PORT.search(failure.why):
        return "probe_port_mismatch", 0.93, f"no container port is called {written}", ()
    if failure.why and not _REFUSED.search(failure.why) and "timeout" not in failure.why.lower():
        return None
    known = set(declared) | set(target_ports(scene, failure.unit))
    if said.ports and number not in said.ports:
        if number in known and not known & set(said.ports):
            return None  # The program is what is on the wrong port.
        heard_at = ", ".join(map(str, sorted(said.ports)))
        line = list(said.ports.values())[-1]
        return "probe_port_mismatch", 0.93, f"the program listens on {heard_at}", (line,)
    if known and number not in known and number not in said.ports:
        ports = ", ".join(map(str, sorted(known)))
        confidence = 0.9 if _REFUSED.search(failure.why) else 0.7
        return "probe_port_mismatch", confidence, f"the container's port is {ports}", ()
    old = probe_port(tightness.before(failure.unit, failure.box, failure.kind))
    if old is not None and resolve(old, declared) not in (None, number) and _REFUSED.search(failure.why):
        return "probe_port_mismatch", 0.8, f"the probe asked port {old} in the revision before", ()
    return None


def _asks(probe: Json) -> str:
    """What a probe asks, in a few characters."""
    if isinstance(probe.get("httpGet"), Mapping):
        get = mapping(probe["httpGet"])
        return f"{get.get('scheme') or 'HTTP'} :{get.get('port')}{get.get('path') or '/'}"
    if isinstance(probe.get("tcpSocket"), Mapping):
        return f"TCP :{mapping(probe['tcpSocket']).get('port')}"
    if isinstance(probe.get("grpc"), Mapping):
        return f"gRPC :{mapping(probe['grpc']).get('port')}"
    command = mapping(probe.get("exec")).get("command")
    return " ".join(map(str, command))[:80] if isinstance(command, list) else ""


def _fault(title: str, step: str) -> Fault:
    return Fault(
        title=title,
        weight=1.0,
        explains=DOWN | {"probe_failing", "crashloop", "process_crash", "process_restarted"},
        spreads=CALLERS,
        steps=(step,),
    )


FAULTS = {
    "probe_failing": Fault(
        title="a probe of it fails",
        weight=0.55,
        explains=DOWN | {"crashloop", "process_restarted"},
        spreads=CALLERS,
    ),
    "probe_port_mismatch": _fault("a probe asks the wrong port", "Correct the probe's port."),
    "probe_path_wrong": _fault("a probe asks a path it does not have", "Correct the probe's path."),
    "probe_scheme_wrong": _fault("a probe asks with the wrong scheme", "Set the probe's scheme."),
    "probe_command_wrong": _fault("a probe's command is not there", "Correct the probe's command."),
    "probe_too_tight": _fault(
        "a probe gives it too little time", "Add a startup probe, or raise initialDelay or timeout."
    ),
}
