"""What clients call: a host that is no Service, a port the Service does not have, a wrong ExternalName."""

from __future__ import annotations

from collections.abc import Iterator

from bot.domain.evidence import Evidence, Fact
from investigators.facts.charge import service
from investigators.facts.platform.layout import PodView, WorkloadView
from investigators.facts.platform.names import hosts_in
from investigators.facts.platform.reading import number
from investigators.facts.platform.scene import Scene, cite, listed
from investigators.facts.platform.similar import meant, nearest, unlike
from investigators.facts.platform.symptoms import Symptom


def check(scene: Scene) -> list[Fact]:
    facts: list[Fact] = []
    if scene.cluster.knows("Service"):
        for workload in scene.layout.workloads:
            facts += _configured(scene, workload)
        facts += _from_logs(scene, {fact.subject for fact in facts if fact.kind == "service_name_wrong"})
        facts += _ports(scene)
        facts += _external_names(scene)
    kinds = ("service_name_wrong", "service_port_wrong", "external_name_wrong")
    detail = "every host that its template names is a Service with that port"
    quiet = scene.silent(kinds[:2], ("Service", "Deployment"), "call.names", detail, facts)
    detail = "no ExternalName Service is used that does not resolve"
    return [*facts, *quiet, *scene.silent(kinds[2:], ("Service",), "call.external_name", detail, facts)]


def _configured(scene: Scene, workload: WorkloadView) -> Iterator[Fact]:
    """Hosts in a template for which there is no Service, but one with nearly that name."""
    for variable, value in workload.env:
        for host, port in hosts_in(variable, value):
            split = scene.names.split(host, workload.namespace)
            if split is None or split[0] not in scene.names.namespaces:
                continue
            if split in scene.layout.services:
                yield from _swapped(scene, workload, variable, split)
                continue
            failing = [
                one
                for one in scene.symptoms.of("dns_unknown_name")
                if one.caller == workload.name and scene.names.split(one.host, workload.namespace) == split
            ]
            near = _near(scene, split, workload.name)
            if not (near or failing):
                continue
            said = f"no Service {split[1]} in {split[0]}" + (f", but {near}" if near else "")
            detail = f"{workload.name} is told to call {host} ({variable or 'argument'}); there is {said}"
            if failing:
                detail += "; its log says the name does not exist"
            cited = (workload.thing.evidence, *scene.cluster.looked("Service"), *cite(failing))
            # A bare word that looks like a Service may be anything, as long as no lookup of it fails.
            confidence = (0.97 if near else 0.8) if failing else 0.8 if port or "://" in value else 0.5
            yield service(workload.name).found("service_name_wrong", confidence, cited, "call.config", detail)


def _swapped(scene: Scene, workload: WorkloadView, variable: str, split: tuple[str, str]) -> Iterator[Fact]:
    """A variable that speaks of one Service and names quite another."""
    here = [name for space, name in scene.layout.services if space == split[0]]
    other = meant(variable, here)
    if other is None or not unlike(other, split[1]):
        return
    kinds = ("connection_refused", "connect_timeout", "read_timeout", "unavailable", "dependency_auth_failed")
    failing = [
        one
        for one in scene.symptoms.of(*kinds)
        if one.caller == workload.name and one.callee is not None and one.callee.service is not None
        if one.callee.service.name == split[1]
    ]
    detail = f"{variable} of {workload.name} names {split[1]}, although there is a Service {other}"
    cited = (workload.thing.evidence, *scene.cluster.looked("Service"), *cite(failing))
    confidence = 0.85 if failing else 0.6
    yield service(workload.name).found("service_name_wrong", confidence, cited, "call.swapped", detail)


def _from_logs(scene: Scene, done: set[str]) -> Iterator[Fact]:
    """Names that callers cannot find: one caller's mistake, or a Service that is gone."""
    by_name: dict[tuple[str, str], list[Symptom]] = {}
    for one in scene.symptoms.of("dns_unknown_name"):
        spaces = {pod.namespace for pod in scene.layout.pods_of(one.caller)} or {""}
        for space in spaces:
            split = scene.names.split(one.host, space) if one.host else None
            inside = split is not None and (split[0] in scene.names.namespaces or not split[0])
            if split is not None and inside and split not in scene.layout.services:
                by_name.setdefault(split, []).append(one)
    looked = scene.cluster.looked("Service")
    for split, found in by_name.items():
        callers = scene.callers(found)
        cited = (*cite(found), *looked)
        workload = scene.layout.workload(split[1], split[0])
        if workload is not None or split[1] in scene.world.graph.kinds or len(callers) > 1:
            detail = f"{listed(callers)} look up {split[1]}: there is no such Service in {split[0]}"
            subject = scene.subject_named(split[1])
            yield subject.found("service_missing", 0.9, cited, "call.missing", detail)
            continue
        near = _near(scene, split, callers[0] if callers else "")
        for caller in callers:
            if caller not in done:
                hint = f"; a Service {near} exists" if near else ""
                detail = f"{caller} looks up {split[1]}, which is no Service in {split[0]}{hint}"
                confidence = 0.9 if near else 0.7
                yield service(caller).found("service_name_wrong", confidence, cited, "call.lookup", detail)


def _near(scene: Scene, split: tuple[str, str], caller: str) -> str | None:
    """A Service for which the name may be meant: alike and not the caller's own."""
    own = {one.name for one in scene.layout.services_named(caller)}
    here = [name for space, name in scene.layout.services if space == split[0] and name not in own]
    return nearest(split[1], here)


def _ports(scene: Scene) -> Iterator[Fact]:
    rule, kind = "call.port", "service_port_wrong"
    seen: set[tuple[str, str]] = set()
    wanted: list[tuple[str, str, int, tuple[Evidence, ...], str]] = []
    for workload in scene.layout.workloads:
        for callee, port, variable in scene.names.endpoints(workload):
            if callee.service is not None and port:
                key = (callee.service.namespace, callee.service.name)
                wanted.append((workload.name, "/".join(key), port, (workload.thing.evidence,), variable))
    for one in scene.symptoms.of("connection_refused", "connect_timeout"):
        if one.callee is not None and one.callee.service is not None and one.port and one.caller:
            thing = one.callee.service
            key = (thing.namespace, thing.name)
            wanted.append((one.caller, "/".join(key), one.port, (one.line.evidence,), ""))
    for caller, where, port, cited, variable in wanted:
        space, _, name = where.partition("/")
        thing = scene.layout.services[space, name]
        backends = scene.layout.backends[space, name]
        ports = {number(one.get("port")) or 0 for one in thing.items("spec", "ports")}
        if (
            thing.at("spec", "type") == "ExternalName"
            or not ports
            or port in ports
            or (caller, where) in seen
        ):
            continue
        if _direct(thing.at("spec", "clusterIP"), backends, port):
            continue
        failing = [
            one
            for one in scene.symptoms.of(
                "connection_refused", "connect_timeout", "unavailable", "read_timeout"
            )
            if one.caller == caller and one.callee is not None and one.callee.service is thing
        ]
        seen.add((caller, where))
        source = f"{variable} of its template" if variable else "its log"
        has = listed(map(str, sorted(ports)))
        detail = f"{caller} calls port {port} of {name} ({source}); the Service has {has}"
        evidence = (*cited, thing.evidence, *cite(failing[:3]))
        confidence = 0.92 if failing else 0.7
        yield service(caller).found(kind, confidence, evidence, rule, detail)


def _direct(address: object, backends: tuple[PodView, ...], port: int) -> bool:
    """A headless Service, or a line that names a pod's address: the pods' own ports count."""
    return (address == "None" and not backends) or any(port in pod.numbers for pod in backends)


def _external_names(scene: Scene) -> Iterator[Fact]:
    rule, kind = "call.external_name", "external_name_wrong"
    for (space, name), thing in scene.layout.services.items():
        target = str(thing.at("spec", "externalName", default=""))
        if thing.at("spec", "type") != "ExternalName" or not target:
            continue
        split = scene.names.split(target, space)
        failing = [
            one
            for one in scene.symptoms.of("dns_unknown_name")
            if one.host.rstrip(".").lower() == target.lower()
            or (one.callee is not None and one.callee.service is thing)
        ]
        if split is not None and split not in scene.layout.services and split[0] in scene.names.namespaces:
            detail = f"Service {name} stands for {target}: there is no Service {split[1]} in {split[0]}"
            cited = (thing.evidence, *scene.cluster.looked("Service"), *cite(failing))
            yield service(name).found(kind, 0.92, cited, rule, detail)
        elif failing:
            who = listed(scene.callers(failing))
            detail = f"Service {name} stands for {target}, a name that {who} cannot find"
            yield service(name).found(kind, 0.88, (thing.evidence, *cite(failing)), rule, detail)
