"""From a host name, URL or address, as configuration and logs write it, to the object it means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address

from investigators.facts.platform.layout import Layout, WorkloadView
from investigators.facts.platform.listeners import Listeners
from investigators.facts.platform.reading import texts
from investigators.world.cluster import Cluster, Thing
from investigators.world.graph import Graph

ENDPOINT = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+.-]*)://)?(?:[^\s@/]*@)?"
    r"(?P<host>\[[0-9a-f:]+\]|[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9])?)(?::(?P<port>\d{2,5}))?(?=[/?,;\s]|\Z)",
    re.I,
)
LOCAL = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0", ""})  # noqa: S104 (compared, never bound)
_TECHNOLOGIES = {
    "postgresql": ("postgres", "pgbouncer", "pgpool", "patroni", "timescale", "cockroach"),
    "mysql": ("mysql", "mariadb", "percona", "tidb", "vitess"),
    "mongodb": ("mongo",),
    "redis": ("redis", "valkey", "keydb", "dragonfly"),
    "memcached": ("memcached",),
    "kafka": ("kafka", "redpanda"),
    "rabbitmq": ("rabbitmq",),
    "nats": ("nats",),
    "elasticsearch": ("elasticsearch", "opensearch"),
    "cassandra": ("cassandra", "scylla"),
    "etcd": ("etcd",),
}
_PORTS = {
    5432: "postgresql", 3306: "mysql", 27017: "mongodb", 6379: "redis", 11211: "memcached", 9092: "kafka",
    5672: "rabbitmq", 4222: "nats", 9200: "elasticsearch", 9042: "cassandra", 2379: "etcd",
}  # fmt: skip
CACHES = frozenset({"redis", "memcached"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Callee:
    """What is called. ``service`` is the Kubernetes Service, where there is one; ``known`` False where only
    the name itself is known."""

    name: str
    kind: str
    namespace: str = ""
    service: Thing | None = None
    known: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Every name and address that the cluster and the graph know."""

    layout: Layout
    graph: Graph
    addresses: Mapping[str, Callee]
    namespaces: frozenset[str]
    technologies: Mapping[str, str]
    listeners: Listeners | None = None

    @classmethod
    def of(
        cls,
        cluster: Cluster,
        layout: Layout,
        graph: Graph,
        known: Iterable[str] = (),
        listeners: Listeners | None = None,
    ) -> Names:
        """``known`` are further names of services, from logs and traces."""
        kinds = {**dict.fromkeys(known, "service"), **graph.kinds}
        graph = replace(graph, kinds=kinds)
        names = cls(
            layout=layout,
            graph=graph,
            addresses={},
            namespaces=frozenset(
                {key[0] for key in layout.services}
                | {pod.namespace for pod in layout.pods}
                | {one.name for one in cluster.of("Namespace")}
            ),
            technologies=dict(_technologies_of(layout)),
        )
        addresses: dict[str, Callee] = {}
        for pod in layout.pods:
            if pod.ip and not pod.thing.at("spec", "hostNetwork"):
                addresses[pod.ip] = Callee(
                    name=pod.service, kind=names.kind_of(pod.service), namespace=pod.namespace
                )
        for service in layout.services.values():
            for address in (service.at("spec", "clusterIP"), *texts(service.at("spec", "clusterIPs"))):
                if address and address != "None":
                    addresses[str(address)] = names.called(service)
        for host in cluster.of("Node"):
            for one in host.items("status", "addresses"):
                if one.get("type") in ("InternalIP", "ExternalIP"):
                    addresses.setdefault(str(one.get("address")), Callee(name=host.name, kind="node"))
        return cls(
            layout=layout,
            graph=graph,
            addresses=addresses,
            namespaces=names.namespaces,
            technologies=names.technologies,
            listeners=listeners,
        )

    def kind_of(self, name: str) -> str:
        """service, datastore, queue or external, as the graph says; service where it does not."""
        kind = self.graph.kinds.get(name, "service")
        return kind if kind in ("datastore", "queue", "external") else "service"

    def called(self, service: Thing) -> Callee:
        """What a Service stands for: the one workload behind it, unless people know it by its own name."""
        name = service.name
        if (service.namespace, name) == ("default", "kubernetes"):
            return Callee(name="kube-apiserver", kind="service", namespace="default", service=service)
        key = (service.namespace, service.name)
        behind = {one.name for one in self.layout.behind[key]} or {
            pod.service for pod in self.layout.backends[key]
        }
        if len(behind) == 1 and (name not in self.graph.kinds or behind & set(self.graph.kinds)):
            name = behind.pop()
        if service.at("spec", "type") == "ExternalName":
            return Callee(name=name, kind="external", namespace=service.namespace, service=service)
        return Callee(name=name, kind=self.kind_of(name), namespace=service.namespace, service=service)

    def resolve(self, host: str, namespace: str = "") -> Callee | None:
        """The object a host stands for when it is named from ``namespace``; None for the caller's own
        machine and for addresses nobody knows."""
        host = host.strip("[]").rstrip(".").lower()
        if host in LOCAL:
            return None
        if host in self.addresses:
            return self.addresses[host]
        if _is_address(host):
            return None if ip_address(host).is_private else Callee(name=host, kind="external", known=False)
        split = self.split(host, namespace)
        if split is None:
            kind = self.graph.kinds.get(host)
            if kind is not None:
                return Callee(name=host, kind=self.kind_of(host))
            return Callee(name=host, kind="external", known=False) if "." in host else None
        service = self.layout.services.get(split)
        if service is None and namespace == "":
            service = self._anywhere(split[1])
        if service is not None:
            return self.called(service)
        if split[1] in self.graph.kinds:
            return Callee(name=split[1], kind=self.kind_of(split[1]), namespace=split[0])
        return Callee(name=split[1], kind="service", namespace=split[0], known=False)

    def listening(self, host: str, port: int | None, caller: str) -> Callee | None:
        """Who answers at an address that names nobody, as the caller means it."""
        if self.listeners is None or port is None:
            return None
        host = host.strip("[]").rstrip(".").lower()
        name = self.listeners.at(host, port)
        if name is None and host in LOCAL:
            name = self.listeners.beside(caller, port)
        return None if name is None else Callee(name=name, kind=self.kind_of(name))

    def spoken_of(self, caller: str, text: str, port: int | None) -> Callee | None:
        """The one dependency of a caller that a text names, unless it is known to listen elsewhere."""
        chosen = [one for one in self._needs(caller) if _word(one.name, text)]
        if len(chosen) != 1:
            return None
        ports = self.listeners.tells(chosen[0].name) if self.listeners is not None else frozenset()
        return None if port is not None and ports and port not in ports else chosen[0]

    def split(self, host: str, namespace: str) -> tuple[str, str] | None:
        """(namespace, Service name) of a host inside the cluster; None for any other host."""
        parts = host.rstrip(".").lower().split(".")
        if len(parts) == 2 and parts[1] == "svc":
            return namespace, parts[0]
        if "svc" in parts[2:]:
            at = parts.index("svc", 2)
            return parts[at - 1], parts[at - 2]
        if len(parts) == 1:
            return namespace, parts[0]
        if len(parts) == 2 and parts[1] in self.namespaces:
            return parts[1], parts[0]
        if len(parts) == 2 and (namespace, parts[1]) in self.layout.services:
            return namespace, parts[1]
        return None

    def technology(self, name: str) -> str:
        """The database, cache or queue software behind a name; empty where nothing says so."""
        return self.technologies.get(name, "") or technology_in(name)

    def of_technology(self, caller: str, technology: str) -> Callee | None:
        """The one dependency of a caller that runs this software; the only one of all where the caller's
        dependencies are not known."""
        chosen = [one for one in self._needs(caller) if self.technology(one.name) == technology]
        if not chosen:
            every = sorted({*self.technologies, *self.graph.kinds} - {caller})
            chosen = [
                Callee(name=name, kind=self.kind_of(name))
                for name in every
                if self.technology(name) == technology
            ]
        return chosen[0] if len(chosen) == 1 else None

    def datastore_of(self, caller: str) -> Callee | None:
        """The one datastore among a caller's dependencies, of whatever software."""
        chosen = [
            one
            for one in self._needs(caller)
            if one.kind == "datastore" or (self.technology(one.name) and one.kind != "queue")
        ]
        return chosen[0] if len(chosen) == 1 else None

    def _needs(self, caller: str) -> list[Callee]:
        """What the graph and the caller's own template say it depends on."""
        near = {
            edge.target: Callee(name=edge.target, kind=self.kind_of(edge.target))
            for edge in self.graph.dependencies(caller)
        }
        for one in self.layout.workloads:
            if one.name == caller:
                for callee, _, _ in self.endpoints(one):
                    near[callee.name] = callee
        return list(near.values())

    def endpoints(self, workload: WorkloadView) -> Iterable[tuple[Callee, int | None, str]]:
        """What a workload's written environment and arguments name: callee, port, and the variable."""
        for variable, value in workload.env:
            for host, port in hosts_in(variable, value):
                callee = self.resolve(host, workload.namespace)
                if callee is not None and (callee.known or port is not None or "." in host):
                    yield callee, port, variable

    def _anywhere(self, name: str) -> Thing | None:
        found = [one for key, one in self.layout.services.items() if key[1] == name]
        return found[0] if len(found) == 1 else None


def _word(name: str, text: str) -> bool:
    return name in text and re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", text) is not None


def hosts_in(variable: str, value: str) -> Iterable[tuple[str, int | None]]:
    """Hosts that a value names: URLs, host:port pairs, and a bare name where the variable says host or
    address. A list separated by commas names several."""
    if len(value) > 2_000:
        return
    bare = bool(re.search(r"host|addr|server|endpoint|url|uri|broker|peer|(?:service|svc)\Z", variable, re.I))
    for piece in re.split(r"[,\s]+", value):
        match = ENDPOINT.match(piece.strip("\"'"))
        if match is None:
            continue
        host, port, scheme = match["host"], match["port"], match["scheme"]
        if not re.search(r"[a-z]", host, re.I) and not _is_address(host):
            continue
        if scheme or port or (bare and not re.search(r"\s", value)):
            yield host, int(port) if port else None


def technology_in(text: str) -> str:
    """The software a name or image speaks of."""
    low = text.lower()
    for technology, words in _TECHNOLOGIES.items():
        if any(word in low for word in words):
            return technology
    return ""


def technology_of_port(port: int | None) -> str:
    return _PORTS.get(port or 0, "")


def _technologies_of(layout: Layout) -> Iterable[tuple[str, str]]:
    for one in layout.workloads:
        for image in one.images:
            path = image.rpartition("/")[2]
            software = technology_in(path) if "exporter" not in path else ""
            if software:
                yield one.name, software
                break


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
