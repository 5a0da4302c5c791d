"""Kubernetes Services: a selector that finds no pod, a port nobody listens on, no endpoint, no Service."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from bot.domain.evidence import Fact
from investigators.facts.charge import Subject, service
from investigators.facts.platform.layout import PodView, WorkloadView, selector_of
from investigators.facts.platform.reading import mapping, objects, texts
from investigators.facts.platform.reading import number as number_of
from investigators.facts.platform.scene import Scene, cite, listed
from investigators.facts.platform.similar import likeness
from investigators.world.cluster import Thing

_LISTENING = re.compile(
    r"(?:listening|serving|started|running|bound|server)\b.{0,60}?(?::|port\(?s?\)?:? ?)(\d{2,5})\b", re.I
)
_NEEDS = ("Service", "Pod")
_GROUPING = frozenset(
    {
        "app.kubernetes.io/part-of",
        "app.kubernetes.io/managed-by",
        "app.kubernetes.io/version",
        "helm.sh/chart",
        "release",
        "version",
        "chart",
        "heritage",
        "tier",
        "env",
        "environment",
        "team",
        "track",
        "pod-template-hash",
    }
)
"""Labels that many workloads share: they do not say which one is meant."""


def check(scene: Scene) -> list[Fact]:
    facts: list[Fact] = []
    for key, one in scene.layout.services.items():
        if one.at("spec", "type") == "ExternalName":
            continue
        if not selector_of(one):
            facts += _by_hand(scene, one)
            continue
        backends = scene.layout.backends[key]
        mismatch = _selector(scene, one, backends)
        facts += mismatch
        if not mismatch:
            facts += _target_port(scene, one, backends)
        facts += _endpoints(scene, one, backends)
    kinds = ("service_selector_mismatch", "service_target_port_mismatch", "service_no_endpoints")
    detail = "every Service of it selects ready pods that have its port"
    have = {name for name in scene.services if any(scene.layout.services_named(name))}
    quiet = scene.silent(kinds, _NEEDS, "service.path", detail, facts)
    return [*facts, *(fact for fact in quiet if fact.subject in have or not scene.cluster.knows("Service"))]


def charged(scene: Scene, one: Thing, workload: str) -> Subject:
    """The Service's own name, unless only its workload's is known to anybody."""
    known = {*scene.names.graph.kinds, *scene.world.subjects}
    name = workload if workload in known and one.name not in known else one.name
    return scene.subject_named(name)


def _selector(scene: Scene, one: Thing, backends: tuple[PodView, ...]) -> list[Fact]:
    rule, kind = "service.selector", "service_selector_mismatch"
    selector, wrote = selector_of(one), _written(selector_of(one))
    cited = (one.evidence, *scene.cluster.looked("Pod"))
    own = scene.layout.workload(one.name, one.namespace)
    if backends:
        others = {pod.service for pod in backends}
        if own is None or own.name in others or own.wanted == 0 or _selected(scene, own):
            return []
        detail = (
            f"Service {one.name} selects {wrote} and so the pods of {listed(sorted(others))}; "
            f"those of {own.name} have {_written(own.labels)}"
        )
        return [charged(scene, one, own.name).found(kind, 0.75, cited, rule, detail)]
    if scene.layout.behind[one.namespace, one.name] or not scene.cluster.knows("Pod"):
        return []
    near = max(
        (
            (_nearness(selector, one.name, other), other.name, other)
            for other in scene.layout.workloads
            if other.namespace == one.namespace and not (_selected(scene, other) and other is not own)
        ),
        default=None,
        key=lambda item: item[:2],
    )
    if near is None or near[0] < 0.6:
        return []
    differing = {
        key: other for key, other in near[2].labels.items() if key in selector and selector[key] != other
    }
    missing = sorted(key for key in selector if key not in near[2].labels)
    said = _written(differing) if differing else f"no label {listed(missing)}"
    detail = f"Service {one.name} selects {wrote}, which no pod has; the pods of {near[1]} have {said}"
    evidence = (*cited, near[2].thing.evidence)
    return [charged(scene, one, near[1]).found(kind, 0.95, evidence, rule, detail)]


def _selected(scene: Scene, workload: WorkloadView) -> bool:
    return any(workload in found for found in scene.layout.behind.values())


def _nearness(selector: Mapping[str, str], name: str, other: WorkloadView) -> float:
    """How much a workload's labels look like what the selector means, from 0 to 1."""
    telling = {key: value for key, value in selector.items() if key not in _GROUPING} or selector
    same = sum(other.labels.get(key) == value for key, value in selector.items()) / len(selector)
    meant = any(other.labels.get(key) == value for key, value in telling.items())
    alike = max(
        (likeness(value, other.labels[key]) for key, value in telling.items() if key in other.labels),
        default=0.0,
    )
    named = 0.9 if other.name == name else 0.8 * likeness(name, other.name)
    return max(alike if alike >= 0.75 else 0.0, named, 0.6 + 0.3 * same if meant else 0.0)


def _target_port(scene: Scene, one: Thing, backends: tuple[PodView, ...]) -> Iterator[Fact]:
    rule, kind = "service.target_port", "service_target_port_mismatch"
    if not backends:
        return
    pod = backends[0]
    subject = charged(scene, one, pod.service)
    for port in one.items("spec", "ports"):
        target = port.get("targetPort", port.get("port"))
        cited = (one.evidence, pod.thing.evidence)
        where = f"port {port.get('port')} of Service {one.name}"
        if isinstance(target, str) and not target.isdecimal():
            if not any(target in each.ports for each in backends):
                has = listed(sorted(pod.ports)) or "none"
                detail = f"{where} goes to the port named {target}; the pods' named ports: {has}"
                yield subject.found(kind, 0.95, cited, rule, detail)
            continue
        number = number_of(target) or 0
        declared = frozenset().union(*(each.numbers for each in backends))
        if not declared or number in declared or number in _listened(scene, pod):
            continue
        refused = [
            symptom
            for symptom in scene.symptoms.of("connection_refused", "connect_timeout", "unavailable")
            if symptom.callee is not None and symptom.callee.name in (one.name, pod.service)
        ]
        listens = f"the pods declare {listed(map(str, sorted(declared)))}"
        detail = f"{where} goes to {number}; {listens}"
        if refused:
            detail += f"; {listed(scene.callers(refused))} cannot connect"
        confidence = 0.95 if refused else 0.8
        yield subject.found(kind, confidence, (*cited, *cite(refused[:3])), rule, detail)


def _listened(scene: Scene, pod: PodView) -> set[int]:
    """Ports the pod serves without declaring them: by its probes, its environment, its log."""
    ports: set[int] = set()
    for container in pod.thing.items("spec", "containers"):
        for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
            for way in ("httpGet", "tcpSocket", "grpc"):
                port = mapping(mapping(container.get(probe)).get(way)).get("port")
                if isinstance(port, int) and pod.ready:
                    ports.add(port)
        for variable in objects(container.get("env")):
            if "PORT" in str(variable.get("name", "")).upper() and str(variable.get("value", "")).isdecimal():
                ports.add(int(variable["value"]))
    for line in scene.world.lines_of_pod(pod.thing.name):
        ports.update(int(match[1]) for match in _LISTENING.finditer(line.text))
    return ports


def _endpoints(scene: Scene, one: Thing, backends: tuple[PodView, ...]) -> Iterator[Fact]:
    rule, kind = "service.endpoints", "service_no_endpoints"
    if one.at("spec", "publishNotReadyAddresses"):
        return
    callee = scene.names.called(one)
    if scene.cluster.knows("Pod"):
        if any(pod.ready for pod in backends):
            return
        state = f"none of the {len(backends)} pods it selects is ready" if backends else "it selects no pod"
        cited = (one.evidence, *scene.cluster.looked("Pod"))
    elif _slices_empty(scene, one):
        state = "its EndpointSlice holds no ready address"
        cited = (one.evidence, *scene.cluster.looked("EndpointSlice", "Endpoints"))
    else:
        return
    callers = [use.caller for use in scene.uses if use.callee.name in (callee.name, one.name)]
    wanted = bool(callers) or {callee.name, one.name} & set(scene.world.subjects)
    who = f", and {listed(callers)} use it" if callers else ""
    confidence = 0.9 if wanted else 0.5
    yield scene.subject(callee).found(
        kind, confidence, cited, rule, f"Service {one.name} has no ready endpoint: {state}{who}"
    )


def _by_hand(scene: Scene, one: Thing) -> Iterator[Fact]:
    """A Service without selector lives from Endpoints that somebody writes."""
    if scene.cluster.knows("Endpoints") or scene.cluster.knows("EndpointSlice"):
        used = [use.caller for use in scene.uses if use.callee.name == one.name]
        if (used or one.name in scene.world.subjects) and _slices_empty(scene, one, nothing=True):
            cited = (one.evidence, *scene.cluster.looked("EndpointSlice", "Endpoints"))
            detail = f"Service {one.name} has no selector, and nobody gave it endpoints"
            yield service(one.name).found("service_no_endpoints", 0.85, cited, "service.endpoints", detail)


def _slices_empty(scene: Scene, one: Thing, nothing: bool = False) -> bool:
    """Whether the Service's slices hold no ready address; ``nothing``: also when there is no slice."""
    slices = [
        item
        for item in scene.cluster.of("EndpointSlice", one.namespace)
        if item.labels.get("kubernetes.io/service-name") == one.name
    ]
    old = scene.cluster.get("Endpoints", one.namespace, one.name)
    if not slices and old is None:
        return nothing
    ready: list[object] = [
        address
        for item in slices
        for endpoint in item.items("endpoints")
        if mapping(endpoint.get("conditions")).get("ready") is not False
        for address in texts(endpoint.get("addresses"))
    ]
    for subset in old.items("subsets") if old else ():
        ready += objects(subset.get("addresses"))
    return not ready


def _written(labels: object) -> str:
    items: Iterable[tuple[object, object]] = labels.items() if isinstance(labels, dict) else ()
    return ", ".join(f"{key}={value}" for key, value in sorted(items, key=str)) or "nothing"
