"""Ingress, Gateway API and Istio routes that lead to nothing, or to the wrong place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from bot.domain.evidence import Fact
from investigators.facts.platform.reading import mapping, objects, texts
from investigators.facts.platform.scene import Scene, listed
from investigators.facts.platform.similar import meant, nearest, unlike
from investigators.world.cluster import Thing, selector_matches

_GROUP = re.compile(r"\$(\d)")
INGRESS, GATEWAY, SUBSET = "ingress_misroute", "gateway_misroute", "traffic_to_dead_subset"


def check(scene: Scene) -> list[Fact]:
    facts: list[Fact] = []
    if scene.cluster.knows("Service"):
        for thing in scene.cluster.of("Ingress"):
            facts += _ingress(scene, thing)
        for kind in ("HTTPRoute", "GRPCRoute", "TCPRoute"):
            for thing in scene.cluster.of(kind):
                facts += _route(scene, thing)
        for thing in scene.cluster.of("VirtualService"):
            facts += _virtual(scene, thing)
    facts += _clashes(scene)
    for fault, kind in ((INGRESS, "Ingress"), (GATEWAY, "HTTPRoute"), (SUBSET, "VirtualService")):
        # Most clusters have neither Gateway API nor Istio; nobody asked is then no gap.
        if kind == "Ingress" or scene.cluster.asked.get(kind):
            detail = f"every {kind} leads to a Service and port that exist"
            facts += scene.silent((fault,), (kind, "Service"), "route.backends", detail, facts)
    return facts


def _ingress(scene: Scene, thing: Thing) -> Iterator[Fact]:
    default = thing.at("spec", "defaultBackend")
    if isinstance(default, Mapping):
        yield from _backend(scene, thing, "the default backend", default)
    rewrite = thing.annotations.get("nginx.ingress.kubernetes.io/rewrite-target", "")
    for rule in thing.items("spec", "rules"):
        for path in objects(mapping(rule.get("http")).get("paths")):
            where = f"{rule.get('host', '*')}{path.get('path', '/')}"
            yield from _backend(scene, thing, where, mapping(path.get("backend")))
            yield from _swapped(scene, INGRESS, thing, str(path.get("path", "")), _name_of(path))
            groups = str(path.get("path", "")).count("(")
            wanted = max((int(one) for one in _GROUP.findall(rewrite)), default=0)
            if wanted > groups:
                detail = (
                    f"Ingress {thing.name} rewrites {where} to {rewrite}, but the path has {groups} groups: "
                    "every request arrives as another path"
                )
                name = str(mapping(mapping(path.get("backend")).get("service")).get("name", thing.name))
                yield _found(scene, INGRESS, thing, thing.namespace, name, 0.85, detail)
    named = thing.at("spec", "ingressClassName")
    if named and scene.cluster.knows("IngressClass"):
        classes = [one.name for one in scene.cluster.of("IngressClass")]
        if named not in classes:
            detail = f"Ingress {thing.name} wants class {named}; there is only {listed(classes) or 'none'}"
            for name in _backends(thing) or [thing.name]:
                yield _found(scene, INGRESS, thing, thing.namespace, name, 0.92, detail)


def _name_of(path: Mapping[str, Any]) -> str:
    return str(mapping(mapping(path.get("backend")).get("service")).get("name", ""))


def _swapped(scene: Scene, kind: str, thing: Thing, path: str, name: str) -> Iterator[Fact]:
    """A path that speaks of one Service and leads to quite another."""
    literal = re.match(r"[\w/.-]*", path)
    here = [each for space, each in scene.layout.services if space == thing.namespace]
    other = meant(literal[0] if literal else "", here)
    if other is not None and name in here and unlike(other, name):
        detail = f"{thing.kind} {thing.name} sends {path} to {name}, although there is a Service {other}"
        yield _found(scene, kind, thing, thing.namespace, other, 0.65, detail)


def _backends(thing: Thing) -> list[str]:
    names = [
        str(mapping(mapping(path.get("backend")).get("service")).get("name", ""))
        for rule in thing.items("spec", "rules")
        for path in objects(mapping(rule.get("http")).get("paths"))
    ]
    return list(dict.fromkeys(name for name in names if name))


def _backend(scene: Scene, thing: Thing, where: str, backend: Mapping[str, Any]) -> Iterator[Fact]:
    service = mapping(backend.get("service"))
    name, port = str(service.get("name", "")), mapping(service.get("port"))
    if not name:
        return
    wanted = port.get("number") or port.get("name")
    yield from _leads(scene, INGRESS, thing, where, thing.namespace, name, wanted)


def _leads(
    scene: Scene, kind: str, thing: Thing, where: str, namespace: str, name: str, port: object
) -> Iterator[Fact]:
    """Whether a Service of that name and port is there."""
    service = scene.layout.services.get((namespace, name))
    if service is None:
        here = [each for space, each in scene.layout.services if space == namespace]
        near = nearest(name, here)
        detail = f"{thing.kind} {thing.name} sends {where} to Service {name}, which does not exist"
        if near:
            detail += f" ({near} does)"
        yield _found(scene, kind, thing, namespace, near or name, 0.95, detail)
        return
    ports = service.items("spec", "ports")
    if port is None or any(port in (one.get("port"), one.get("name")) for one in ports):
        return
    has = listed(f"{one.get('port')}" + (f" ({one['name']})" if one.get("name") else "") for one in ports)
    detail = f"{thing.kind} {thing.name} sends {where} to port {port} of Service {name}, which has {has}"
    yield _found(scene, kind, thing, namespace, name, 0.95, detail)


def _route(scene: Scene, thing: Thing) -> Iterator[Fact]:
    names: list[str] = []
    for rule in thing.items("spec", "rules"):
        for one in objects(rule.get("backendRefs")):
            if one.get("kind", "Service") != "Service":
                continue
            name, space = str(one.get("name", "")), str(one.get("namespace") or thing.namespace)
            names.append(name)
            where = listed(
                str(mapping(match.get("path")).get("value", "/")) for match in objects(rule.get("matches"))
            )
            yield from _leads(scene, GATEWAY, thing, where or "everything", space, name, one.get("port"))
            for match in objects(rule.get("matches")):
                path = str(mapping(match.get("path")).get("value", ""))
                yield from _swapped(scene, GATEWAY, thing, path, name)
    for parent in thing.items("status", "parents"):
        for condition in objects(parent.get("conditions")):
            reason = str(condition.get("reason", ""))
            refused = condition.get("status") == "False" and condition.get("type") in (
                "Accepted",
                "ResolvedRefs",
            )
            if refused and reason != "BackendNotFound":
                gateway = mapping(parent.get("parentRef")).get("name", "?")
                detail = f"{thing.kind} {thing.name} is not served by Gateway {gateway}: {reason}, " + str(
                    condition.get("message", "")
                )
                for name in dict.fromkeys(names or [thing.name]):
                    yield _found(scene, GATEWAY, thing, thing.namespace, name, 0.92, detail)
    if scene.cluster.knows("Gateway"):
        for parent in thing.items("spec", "parentRefs"):
            name, space = str(parent.get("name", "")), str(parent.get("namespace") or thing.namespace)
            if parent.get("kind", "Gateway") == "Gateway" and not scene.cluster.get("Gateway", space, name):
                detail = f"{thing.kind} {thing.name} hangs on Gateway {space}/{name}, which does not exist"
                for each in dict.fromkeys(names or [thing.name]):
                    yield _found(scene, GATEWAY, thing, thing.namespace, each, 0.92, detail)


def _virtual(scene: Scene, thing: Thing) -> Iterator[Fact]:
    gateways = [one for one in texts(thing.at("spec", "gateways")) if one != "mesh"]
    for gateway in gateways if scene.cluster.knows("Gateway") else ():
        space, _, name = gateway.rpartition("/")
        if not scene.cluster.get("Gateway", space or thing.namespace, name):
            detail = f"VirtualService {thing.name} hangs on Gateway {gateway}, which does not exist"
            yield _found(scene, GATEWAY, thing, thing.namespace, _host(thing), 0.9, detail)
    yield from _elsewhere(scene, thing)
    for kind in ("http", "tcp", "tls"):
        for rule in thing.items("spec", kind):
            for route in objects(rule.get("route")):
                if route.get("weight") != 0:
                    yield from _destination(scene, thing, route)


def _elsewhere(scene: Scene, thing: Thing) -> Iterator[Fact]:
    """Calls of one Service that all lead to quite another."""
    routes = [
        mapping(route.get("destination"))
        for kind in ("http", "tcp")
        for rule in thing.items("spec", kind)
        for route in objects(rule.get("route"))
    ]
    targets = {scene.names.split(str(one.get("host", "")), thing.namespace) for one in routes}
    for host in texts(thing.at("spec", "hosts")):
        split = scene.names.split(host, thing.namespace)
        if split is None or split not in scene.layout.services:
            continue
        if all(one in scene.layout.services and unlike(one[1], split[1]) for one in targets if one):
            wrong = listed(sorted(one[1] for one in targets if one))
            if wrong:
                detail = f"VirtualService {thing.name} sends all calls of {split[1]} to {wrong}"
                yield _found(scene, GATEWAY, thing, *split, 0.8, detail)


def _destination(scene: Scene, thing: Thing, route: Mapping[str, Any]) -> Iterator[Fact]:
    destination = mapping(route.get("destination"))
    host = str(destination.get("host", ""))
    split = scene.names.split(host, thing.namespace)
    if split is None or split[0] not in scene.names.namespaces:
        return
    port = mapping(destination.get("port")).get("number")
    yield from _leads(scene, GATEWAY, thing, "its traffic", *split, port)
    subset = destination.get("subset")
    if not subset or split not in scene.layout.services:
        return
    weight = route.get("weight", 100)
    rules = [
        one
        for one in scene.cluster.of("DestinationRule")
        if scene.names.split(str(one.at("spec", "host", default="")), one.namespace) == split
    ]
    labels = next(
        (
            mapping(one.get("labels"))
            for rule in rules
            for one in rule.items("spec", "subsets")
            if one.get("name") == subset
        ),
        None,
    )
    cited = (thing.evidence, *(rule.evidence for rule in rules))
    subject = scene.subject(scene.names.called(scene.layout.services[split]))
    if labels is None:
        if scene.cluster.knows("DestinationRule"):
            detail = (
                f"VirtualService {thing.name} sends {weight} % to subset {subset} of {host}, "
                "which no DestinationRule defines"
            )
            yield subject.found(SUBSET, 0.95, cited, "route.subset", detail)
        return
    if not scene.cluster.knows("Pod"):
        return
    pods = [pod for pod in scene.layout.backends[split] if selector_matches(labels, pod.labels)]
    if not any(pod.ready for pod in pods):
        state = f"none of its {len(pods)} pods is ready" if pods else f"no pod has {dict(labels)}"
        detail = f"VirtualService {thing.name} sends {weight} % of {host} to subset {subset}: {state}"
        evidence = (*cited, *scene.cluster.looked("Pod"))
        yield subject.found(SUBSET, 0.93, evidence, "route.subset", detail)


def _host(thing: Thing) -> str:
    return str((thing.at("spec", "hosts", default=[thing.name]) or [thing.name])[0])


def _clashes(scene: Scene) -> Iterator[Fact]:
    """Two Ingresses of one class that claim one host and path for different backends."""
    claimed: dict[tuple[str, str, str], tuple[Thing, str]] = {}
    for thing in scene.cluster.of("Ingress"):
        if "nginx.ingress.kubernetes.io/canary" in thing.annotations:
            continue
        for rule in thing.items("spec", "rules"):
            for path in objects(mapping(rule.get("http")).get("paths")):
                name = str(mapping(mapping(path.get("backend")).get("service")).get("name", ""))
                key = (
                    str(thing.at("spec", "ingressClassName", default="")),
                    str(rule.get("host", "*")),
                    str(path.get("path", "/")),
                )
                other = claimed.setdefault(key, (thing, name))
                if other[1] != name and other[0].ref != thing.ref:
                    detail = (
                        f"Ingress {thing.name} and {other[0].name} both claim {key[1]}{key[2]}, "
                        f"for {name} and {other[1]}"
                    )
                    for each in (name, other[1]):
                        yield _found(scene, INGRESS, thing, thing.namespace, each, 0.7, detail)


def _found(
    scene: Scene, kind: str, thing: Thing, namespace: str, name: str, confidence: float, detail: str
) -> Fact:
    service = scene.layout.services.get((namespace, name))
    subject = scene.subject(scene.names.called(service)) if service else scene.subject_named(name)
    cited = (thing.evidence, *scene.cluster.looked("Service"))
    return subject.found(kind, confidence, cited, "route.backends", detail)
