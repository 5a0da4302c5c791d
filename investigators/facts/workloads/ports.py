"""wrong_port: the program listens on another port than its template and its Services say."""

from __future__ import annotations

from collections.abc import Mapping

from bot.domain.evidence import Fact
from investigators.facts.charge import Fault
from investigators.facts.workloads.boxes import mapping, objects
from investigators.facts.workloads.effects import CALLERS, DOWN
from investigators.facts.workloads.findings import LOG, Findings, Source
from investigators.facts.workloads.listening import (
    container_ports,
    heard,
    probe_port,
    resolve,
    target_ports,
    told_ports,
)
from investigators.facts.workloads.scene import Scene, Unit, earlier, failing, scene_of
from investigators.world.world import World

KIND = "wrong_port"
NEEDS: Mapping[str, tuple[str, ...]] = {KIND: ("Pod", "Service", LOG)}


def check(world: World) -> list[Fact]:
    scene = scene_of(world)
    findings = Findings(scene=scene, rule="ports")
    for unit in scene.units:
        declared = container_ports(unit.spec)
        targets = target_ports(scene, unit)
        wanted = set(declared) | set(targets)
        if not wanted:
            continue
        said = heard(scene, unit)
        if said.ports:
            if not wanted & set(said.ports) and not _answers(unit, wanted):
                line = list(said.ports.values())[-1]
                _found(findings, unit, wanted, set(said.ports), [line], "its log says it listens on", 0.9)
            continue
        _told(findings, unit, wanted)
        _moved(findings, unit, set(declared), targets)
    return findings.facts(NEEDS)


def _suffers(scene: Scene, unit: Unit) -> bool:
    refused = any(
        event.reason == "Unhealthy" and "connection refused" in event.message and scene.recent(event.last)
        for event in unit.events
    )
    return refused or any(failing(scene, box) for box in unit.boxes)


def _answers(unit: Unit, wanted: set[int]) -> bool:
    """Whether a probe shows that the program listens on a declared port, whatever its log leaves out."""
    declared = container_ports(unit.spec)
    return any(
        box.status.get("ready") is True
        and resolve(probe_port(mapping(box.spec.get("readinessProbe"))), declared) in wanted
        for box in unit.boxes
    )


def _found(
    findings: Findings,
    unit: Unit,
    wanted: set[int],
    real: set[int],
    sources: list[Source],
    how: str,
    confidence: float,
) -> None:
    shown = ", ".join(map(str, sorted(wanted)))
    detail = f"{unit.service} declares port {shown}, but {how} {', '.join(map(str, sorted(real)))}"
    services = target_ports(findings.scene, unit).values()
    names = dict.fromkeys(one.name for one in services)
    if names:
        detail += f"; Service {', '.join(names)} sends its traffic there"
    if not _suffers(findings.scene, unit):
        confidence = min(confidence, 0.75 if names else 0.6)
    cited: list[Source] = [*unit.evidence, *services, *sources]
    findings.found(KIND, unit, confidence, cited, detail, of=unit.name)


def _told(findings: Findings, unit: Unit, wanted: set[int]) -> None:
    """Without a word in the log: the port it is told to use is nowhere declared."""
    for container in unit.containers:
        own = {one.get("containerPort") for one in objects(container.get("ports"))}
        told = told_ports(container)
        if told and own and not set(told) & wanted:
            how = f"{'; '.join(told.values())} tells it to listen on"
            confidence = 0.8 if _suffers(findings.scene, unit) else 0.5
            _found(findings, unit, wanted, set(told), [], how, confidence)


def _moved(findings: Findings, unit: Unit, declared: set[int], targets: Mapping[int, object]) -> None:
    """A revision that changed the declared port alone, while the program and its Services did not move."""
    for container in unit.containers:
        _, before = earlier(unit, str(container.get("name")))
        old = {one.get("containerPort") for one in objects(before.get("ports"))}
        new = {one["containerPort"] for one in objects(container.get("ports")) if "containerPort" in one}
        same = all(before.get(key) == container.get(key) for key in ("image", "command", "args", "env"))
        gone = {port for port in old - new if isinstance(port, int)}
        if before and same and gone and new and _suffers(findings.scene, unit):
            how = "the revision before, of the same program, declared"
            _found(findings, unit, new & declared, gone, [*unit.revisions[1:2]], how, 0.8)


FAULTS = {
    KIND: Fault(
        title="it listens on another port than is declared",
        weight=1.0,
        explains=DOWN | {"probe_failing", "crashloop", "service_target_port_mismatch"},
        spreads=CALLERS,
        steps=("Make the program's port, containerPort, probes and the Service's targetPort agree.",),
    )
}
