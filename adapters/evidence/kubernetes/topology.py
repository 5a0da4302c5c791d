"""The service graph as records: what is declared in Services, routes, volumes and variables, and which pods
run where."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.evidence.build import Record
from adapters.evidence.kubernetes.look import Object, at, each, name, namespace, texts

KINDS = (
    "Pod",
    "Service",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "ReplicaSet",
    "Job",
    "CronJob",
    "Ingress",
)
"""What the graph is made of, besides HTTPRoutes where the cluster has them."""
_OWNERS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob")
_HASH = re.compile(r"-[a-f0-9]{6,10}\Z")
_HOST = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+.-]{0,20})://)?(?:[^\s/@:,;]*(?::[^\s/@,;]*)?@)?"
    r"(?P<host>[a-z0-9](?:[a-z0-9-]{0,62})(?:\.[a-z0-9-]{1,63}){0,8})(?::(?P<port>\d{2,5}))?(?=[/?,;\s\"']|\Z)",
    re.IGNORECASE,
)
_ADDRESS_NAME = re.compile(
    r"(?:^|_)(?:HOST|HOSTNAME|ADDR|ADDRESS|URL|URI|ENDPOINT|SERVER|SERVERS|SERVICE|BROKERS?|DSN)(?:$|_)",
    re.IGNORECASE,
)
_MAX_VALUE = 500
"""Characters of a variable that are searched for addresses; the search may look at each more than once."""
_SCHEMES = {
    "datastore": "postgres postgresql mysql mariadb mongodb mongodb+srv redis rediss memcached cassandra",
    "queue": "amqp amqps kafka nats mqtt pulsar stomp",
}


@dataclass(frozen=True, slots=True)
class _Workload:
    """A pod template and what owns it. ``name`` is that of the topmost owner."""

    name: str
    namespace: str
    labels: Mapping[str, str]
    spec: Any


def graph(objects: Mapping[str, Sequence[Object]], seen_at: float) -> list[Record]:
    """Edges from each dependent to what it depends on, and nodes that have none.

    ``objects`` by kind; what was not read is missing from the graph and nowhere else. An edge that is running
    now has ``seen_at`` (epoch seconds); a declared one has None.
    """
    tops = _tops(objects)
    workloads = list(_workloads(objects, tops))
    homes: dict[str, list[_Workload]] = {}
    for workload in workloads:
        homes.setdefault(workload.namespace, []).append(workload)
    services = {(namespace(one), name(one)) for one in objects.get("Service", ())}
    edges: dict[tuple[str, str, str], dict[str, Any]] = {}

    def add(
        source: str, target: str, kind: str, kinds: tuple[str, str], origin: str, seen: float | None
    ) -> None:
        key = (source, target, kind)
        if source and target and source != target and (key not in edges or edges[key]["seen_at"] is None):
            edges[key] = _edge(source, target, kind, kinds, origin, seen)

    for pod in objects.get("Pod", ()):
        node = str(at(pod, "spec", "nodeName", default=""))
        add(_top(pod, tops), name(pod), "runs_on", ("service", "pod"), "owner references", seen_at)
        add(name(pod), node, "runs_on", ("pod", "node"), "pod", seen_at)
        # The claims of a StatefulSet have names of their own for each pod; its template does not hold them.
        for claim in _claims(at(pod, "spec")):
            add(_top(pod, tops), claim, "uses", ("service", "datastore"), "volume", seen_at)
    for service in objects.get("Service", ()):
        for target, kind, origin in _behind(service, homes.get(namespace(service), ())):
            add(
                name(service),
                target,
                "calls" if kind == "external" else "routes_to",
                ("service", kind),
                origin,
                None,
            )
    for route in (*objects.get("Ingress", ()), *objects.get("HTTPRoute", ())):
        for host, target in _routes(route):
            add(host, target, "routes_to", ("external", "service"), str(route.get("kind")), None)
    for workload in workloads:
        for claim in _claims(workload.spec):
            add(workload.name, claim, "uses", ("service", "datastore"), "volume", None)
        for target, kind in _called(workload, services):
            add(workload.name, target, "calls", ("service", kind), "configuration", None)
    linked = {name_ for edge in edges.values() for name_ in (edge["from"], edge["to"])}
    alone = {one.name for one in workloads} | {found for _, found in services}
    return [*edges.values(), *(_node(one) for one in sorted(alone - linked))]


def _edge(
    source: str, target: str, kind: str, kinds: tuple[str, str], origin: str, seen: float | None
) -> dict[str, Any]:
    return {
        "from": source,
        "to": target,
        "kind": kind,
        "from_kind": kinds[0],
        "to_kind": kinds[1],
        "origin": origin,
        "seen_at": seen,
    }


def _node(name_: str) -> dict[str, Any]:
    return {"from": name_, "from_kind": "service", "to": None}


Tops = Mapping[tuple[str, str, str], tuple[str, str] | None]
"""(kind, namespace, name) of every object that was read → (kind, name) of its controlling owner, if any."""


def _tops(objects: Mapping[str, Sequence[Object]]) -> Tops:
    return {
        (str(one.get("kind")), namespace(one), name(one)): _owner(one)
        for kind in (*_OWNERS, "Pod")
        for one in objects.get(kind, ())
    }


def _owner(document: Object) -> tuple[str, str] | None:
    references = each(document, "metadata", "ownerReferences")
    for one in sorted(references, key=lambda ref: ref.get("controller") is not True):
        if one.get("kind") != "Node":
            return str(one.get("kind")), str(one.get("name"))
    return None


def _top(document: Object, tops: Tops) -> str:
    """The name of the topmost owner, also where that one was not read: a ReplicaSet carries the name of its
    Deployment."""
    kind, where, found = str(document.get("kind")), namespace(document), name(document)
    for _ in range(6):
        if (kind, where, found) not in tops:
            break
        owner = tops[kind, where, found]
        if owner is None:
            return found
        kind, found = owner
    return _HASH.sub("", found) if kind == "ReplicaSet" else found


def _workloads(objects: Mapping[str, Sequence[Object]], tops: Tops) -> Iterator[_Workload]:
    """Everything with a pod template that nothing else owns, and one pod of each owner that was not read."""
    seen = set()
    for kind in (*_OWNERS, "Pod"):
        for one in objects.get(kind, ()):
            if kind == "ReplicaSet" and at(one, "spec", "replicas") == 0:
                continue
            template = one if kind == "Pod" else at(one, "spec", "template", default={})
            if kind == "CronJob":
                template = at(one, "spec", "jobTemplate", "spec", "template", default={})
            # What is owned runs the same template as its owner; pods count where the owner was not read.
            owner = tops.get((kind, namespace(one), name(one)))
            if owner is not None and objects.get(owner[0]):
                continue
            if kind == "Pod":
                if (namespace(one), _top(one, tops)) in seen:
                    continue
                seen.add((namespace(one), _top(one, tops)))
            yield _Workload(
                _top(one, tops),
                namespace(one),
                texts(template, "metadata", "labels"),
                at(template, "spec", default={}),
            )


def _behind(service: Object, workloads: Iterable[_Workload]) -> Iterator[tuple[str, str, str]]:
    outside = at(service, "spec", "externalName")
    if at(service, "spec", "type") == "ExternalName" and outside:
        yield str(outside), "external", "Service"
        return
    selector = texts(service, "spec", "selector")
    for one in workloads:
        if selector and selector.items() <= one.labels.items():
            yield one.name, "service", "Service"


def _routes(route: Object) -> Iterator[tuple[str, str]]:
    """Host and Service of every rule of an Ingress or HTTPRoute; without a host the route's own name."""
    own = f"{str(route.get('kind', '')).lower()}/{name(route)}"
    default = at(route, "spec", "defaultBackend", "service", "name")
    if default:
        yield own, str(default)
    for rule in each(route, "spec", "rules"):
        for path in each(rule, "http", "paths"):
            target = at(path, "backend", "service", "name")
            if target:
                yield str(rule.get("host") or own), str(target)
        hosts = at(route, "spec", "hostnames", default=[])
        for backend in each(rule, "backendRefs"):
            if backend.get("kind", "Service") == "Service":
                for host in hosts if isinstance(hosts, list) and hosts else [own]:
                    yield str(host), str(backend.get("name"))


def _claims(spec: Any) -> Iterator[str]:
    for volume in each(spec, "volumes"):
        claim = at(volume, "persistentVolumeClaim", "claimName")
        if claim:
            yield str(claim)


def _called(workload: _Workload, services: set[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Services and outside systems that variables and arguments name."""
    for container in each(workload.spec, "containers") + each(workload.spec, "initContainers"):
        for variable in each(container, "env"):
            if isinstance(variable.get("value"), str):
                named = _ADDRESS_NAME.search(str(variable.get("name"))) is not None
                yield from _hosts(variable["value"], workload.namespace, services, named=named)
        for part in ("command", "args"):
            for word in at(container, part, default=[]):
                value = str(word).partition("=")[2] or str(word)
                yield from _hosts(value, workload.namespace, services, named=False)


def _hosts(
    value: str, home: str, services: set[tuple[str, str]], *, named: bool
) -> Iterator[tuple[str, str]]:
    """A bare word counts as a Service only where the variable is named like an address."""
    for found in _HOST.finditer(value[:_MAX_VALUE]):
        host, scheme = found["host"].lower(), (found["scheme"] or "").lower()
        explicit = bool(scheme or found["port"])
        if not explicit and not (named and found.group() == value):
            continue
        service = _service(host, home, services)
        if service is not None:
            yield service, "service"
        elif scheme and "." in host and not _local(host):
            kind = next((kind for kind, names in _SCHEMES.items() if scheme in names.split()), "external")
            yield host, kind


def _service(host: str, home: str, services: set[tuple[str, str]]) -> str | None:
    parts = host.split(".")
    where = parts[1] if len(parts) > 1 and (len(parts) == 2 or parts[2] == "svc") else home
    if len(parts) > 2 and parts[2] != "svc":
        return None
    return parts[0] if (where, parts[0]) in services else None


def _local(host: str) -> bool:
    return host.endswith((".svc", ".cluster.local", ".local")) or re.fullmatch(r"[0-9.]+", host) is not None
