"""The cluster's pods, workloads and Services in the shape these rules need, read once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from investigators.facts.platform.reading import mapping, objects, texts
from investigators.world.cluster import Cluster, Thing, selector_matches

_TOP = ("Deployment", "StatefulSet", "DaemonSet")


@dataclass(frozen=True, slots=True, kw_only=True)
class PodView:
    """A pod; ``service`` is the name of its workload, ``live`` that it is neither over nor being deleted."""

    thing: Thing
    labels: Mapping[str, str]
    service: str
    namespace: str
    node: str
    ip: str
    ready: bool
    live: bool
    ports: Mapping[str, int]
    numbers: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadView:
    """A Deployment, StatefulSet or DaemonSet by its template; ``env`` holds only values that are written in
    it, with arguments such as ``--db-host=db`` by their flag."""

    thing: Thing
    labels: Mapping[str, str]
    name: str
    namespace: str
    wanted: int
    env: tuple[tuple[str, str], ...]
    images: tuple[str, ...]
    ports: Mapping[str, int]
    numbers: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """``backends`` are the live pods each Service selects, ``behind`` the workloads whose template it
    selects (also without pods); both by (namespace, Service name)."""

    pods: tuple[PodView, ...]
    workloads: tuple[WorkloadView, ...]
    services: Mapping[tuple[str, str], Thing]
    backends: Mapping[tuple[str, str], tuple[PodView, ...]]
    behind: Mapping[tuple[str, str], tuple[WorkloadView, ...]]

    @classmethod
    def of(cls, cluster: Cluster) -> Layout:
        pods = tuple(_pod(cluster, thing) for thing in cluster.of("Pod"))
        workloads = tuple(_workload(thing) for kind in _TOP for thing in cluster.of(kind))
        services = {(one.namespace, one.name): one for one in cluster.of("Service")}
        backends, behind = {}, {}
        for key, service in services.items():
            selector = selector_of(service)
            backends[key] = tuple(
                pod
                for pod in pods
                if selector
                and pod.live
                and pod.namespace == key[0]
                and selector_matches(selector, pod.labels)
            )
            behind[key] = tuple(
                one
                for one in workloads
                if selector and one.namespace == key[0] and selector_matches(selector, one.labels)
            )
        return cls(pods=pods, workloads=workloads, services=services, backends=backends, behind=behind)

    def pods_of(self, service: str, namespace: str | None = None) -> tuple[PodView, ...]:
        """The live pods of a workload by its name."""
        return tuple(
            pod
            for pod in self.pods
            if pod.live and pod.service == service and namespace in (None, pod.namespace)
        )

    def workload(self, name: str, namespace: str | None = None) -> WorkloadView | None:
        return next(
            (one for one in self.workloads if one.name == name and namespace in (None, one.namespace)), None
        )

    def services_named(self, subject: str) -> Iterator[Thing]:
        """The Services of that name, and those that select the workload of that name."""
        for key, service in self.services.items():
            named = key[1] == subject or any(one.name == subject for one in self.behind[key])
            if named or any(pod.service == subject for pod in self.backends[key]):
                yield service


def selector_of(service: Thing) -> Mapping[str, str]:
    """A Service's selector; empty where its endpoints are written by hand."""
    value = service.at("spec", "selector")
    return {str(key): str(item) for key, item in value.items()} if isinstance(value, Mapping) else {}


def ready_condition(thing: Thing) -> bool:
    return any(
        one.get("type") == "Ready" and one.get("status") == "True"
        for one in thing.items("status", "conditions")
    )


def containers_of(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Of a pod spec, init containers that keep running (sidecars) too."""
    sidecars = [one for one in objects(spec.get("initContainers")) if one.get("restartPolicy") == "Always"]
    return [one for one in (*(objects(spec.get("containers"))), *sidecars) if isinstance(one, Mapping)]


def _ports(spec: Mapping[str, Any]) -> tuple[dict[str, int], frozenset[int]]:
    names: dict[str, int] = {}
    numbers: set[int] = set()
    for container in containers_of(spec):
        for port in objects(container.get("ports")):
            number = port.get("containerPort")
            if isinstance(number, int):
                numbers.add(number)
                if port.get("name"):
                    names[str(port["name"])] = number
    return names, frozenset(numbers)


def _pod(cluster: Cluster, thing: Thing) -> PodView:
    phase = thing.at("status", "phase", default="")
    deleting = thing.at("metadata", "deletionTimestamp") is not None
    names, numbers = _ports(mapping(thing.at("spec")))
    return PodView(
        thing=thing,
        labels=thing.labels,
        service=cluster.workload_name(thing),
        namespace=thing.namespace,
        node=str(thing.at("spec", "nodeName", default="")),
        ip=str(thing.at("status", "podIP", default="")),
        ready=ready_condition(thing),
        live=phase not in ("Succeeded", "Failed") and not deleting,
        ports=names,
        numbers=numbers,
    )


def _workload(thing: Thing) -> WorkloadView:
    spec = mapping(thing.at("spec", "template", "spec"))
    labels = mapping(thing.at("spec", "template", "metadata", "labels"))
    env: list[tuple[str, str]] = []
    images: list[str] = []
    for container in containers_of(spec):
        images.append(str(container.get("image", "")))
        for one in objects(container.get("env")):
            if isinstance(one, Mapping) and one.get("value") not in (None, ""):
                env.append((str(one.get("name", "")), str(one["value"])))
        for argument in (*texts(container.get("command")), *texts(container.get("args"))):
            flag, _, value = str(argument).partition("=")
            env.append((flag, value) if value and flag.startswith("-") else ("", str(argument)))
    names, numbers = _ports(spec)
    wanted = thing.at("spec", "replicas", default=1)
    return WorkloadView(
        thing=thing,
        labels={str(key): str(value) for key, value in labels.items()},
        name=thing.name,
        namespace=thing.namespace,
        wanted=wanted if isinstance(wanted, int) else 1,
        env=tuple(env),
        images=tuple(images),
        ports=names,
        numbers=numbers,
    )
