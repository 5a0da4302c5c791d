"""Kubernetes objects exactly as the API prints them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
Object = Mapping[str, Any]


def at(minutes: float) -> str:
    """A Kubernetes time so many minutes before now."""
    return (NOW - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def meta(name: str, namespace: str = "shop", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        **({"namespace": namespace} if namespace else {}),
        "creationTimestamp": at(3 * 24 * 60),
        "uid": f"uid-{name}",
        **more,
    }


def service(
    name: str,
    selector: Mapping[str, str] | None = None,
    *,
    port: int = 80,
    target: int | str | None = 8080,
    namespace: str = "shop",
    ip: str = "",
    **spec: Any,
) -> Object:
    chosen = {"app": name} if selector is None else dict(selector)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta(name, namespace),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": ip or f"10.96.0.{20 + sum(map(ord, name)) % 200}",
            **({"selector": chosen} if chosen else {}),
            "ports": [
                {"port": port, "protocol": "TCP", **({} if target is None else {"targetPort": target})}
            ],
            **spec,
        },
        "status": {"loadBalancer": {}},
    }


def container(
    name: str,
    *,
    image: str = "",
    ports: Sequence[Any] = (8080,),
    env: Mapping[str, str] | None = None,
    cpu: str = "",
    memory: str = "",
    **more: Any,
) -> dict[str, Any]:
    limits = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value}
    written = [one if isinstance(one, dict) else {"containerPort": one, "protocol": "TCP"} for one in ports]
    return {
        "name": name,
        "image": image or f"registry.example/{name}:1.0",
        **({"ports": written} if written else {}),
        **({"env": [{"name": key, "value": value} for key, value in env.items()]} if env else {}),
        "resources": {"limits": limits} if limits else {},
        **more,
    }


def app(
    name: str,
    *,
    labels: Mapping[str, str] | None = None,
    namespace: str = "shop",
    node: str = "node-1",
    nodes: Sequence[str] = (),
    replicas: int = 1,
    pods: int | None = None,
    ready: bool = True,
    kind: str = "Deployment",
    ip: str = "",
    sidecar: str = "",
    generation: tuple[int, int] = (1, 1),
    template: Mapping[str, Any] | None = None,
    annotations: Mapping[str, str] | None = None,
    **of_container: Any,
) -> list[Object]:
    """A workload with its ReplicaSet and pods."""
    chosen = {"app": name} if labels is None else dict(labels)
    containers = [container(name, **of_container)]
    if sidecar:
        containers.append({"name": sidecar, "image": f"istio/{sidecar}:1.22"})
    spec = {"containers": containers, **(template or {})}
    count = replicas if pods is None else pods
    owner = f"{name}-5d9c7b6f4" if kind == "Deployment" else name
    reference = {"kind": "ReplicaSet" if kind == "Deployment" else kind, "name": owner, "controller": True}
    found: list[Object] = [
        {
            "apiVersion": "apps/v1",
            "kind": kind,
            "metadata": meta(name, namespace, generation=generation[0], annotations=dict(annotations or {})),
            "spec": {
                **({} if kind == "DaemonSet" else {"replicas": replicas}),
                "selector": {"matchLabels": chosen},
                "template": {"metadata": {"labels": chosen}, "spec": spec},
            },
            "status": {
                "observedGeneration": generation[1],
                **({"replicas": count} if count else {}),
                **({"readyReplicas": count} if ready and count else {}),
            },
        }
    ]
    for index in range(count):
        suffix = f"{'bcdfg'[index % 5]}x{index % 10}kz"
        found.append(
            pod(
                f"{owner}-{suffix}", chosen, namespace=namespace, spec=spec, ready=ready, owner=reference,
                node=nodes[index % len(nodes)] if nodes else node,
                ip=ip if ip and not index else f"10.244.{sum(map(ord, name)) % 250}.{index + 2}",
            )
        )  # fmt: skip
    return found


def pod(
    name: str,
    labels: Mapping[str, str],
    *,
    namespace: str = "shop",
    spec: Mapping[str, Any] | None = None,
    ready: bool = True,
    owner: Mapping[str, Any] | None = None,
    node: str = "node-1",
    ip: str = "10.244.9.9",
    phase: str = "Running",
    conditions: Sequence[Object] | None = None,
    **of_meta: Any,
) -> Object:
    told = [
        {"type": "PodScheduled", "status": "True"},
        {"type": "Ready", "status": "True" if ready else "False"},
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta(
            name, namespace, labels={**labels, "pod-template-hash": "5d9c7b6f4"},
            **({"ownerReferences": [owner]} if owner else {}), **of_meta,
        ),
        "spec": {**(spec or {"containers": [container(name)]}), **({"nodeName": node} if node else {})},
        "status": {
            "phase": phase,
            **({"podIP": ip} if ip else {}),
            "conditions": list(told if conditions is None else conditions),
        },
    }  # fmt: skip


def resolver(*, ready: bool = True, replicas: int = 2) -> list[Object]:
    labels = {"k8s-app": "kube-dns"}
    return [
        *app("coredns", labels=labels, namespace="kube-system", ready=ready, replicas=replicas, ports=(53,)),
        service("kube-dns", labels, port=53, target=53, namespace="kube-system", ip="10.96.0.10"),
    ]


def policy(
    name: str, select: Mapping[str, str], *, namespace: str = "shop", types: Sequence[str] = (), **spec: Any
) -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": meta(name, namespace),
        "spec": {
            "podSelector": {"matchLabels": dict(select)} if select else {},
            **({"policyTypes": list(types)} if types else {}),
            **spec,
        },
    }


def namespace(name: str, **labels: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {**meta(name, ""), "labels": {"kubernetes.io/metadata.name": name, **labels}},
        "status": {"phase": "Active"},
    }


def node(name: str, *conditions: Object, cpu: str = "4", ready: bool = True, **spec: Any) -> Object:
    told = [
        {"type": "MemoryPressure", "status": "False", "reason": "KubeletHasSufficientMemory"},
        {"type": "DiskPressure", "status": "False", "reason": "KubeletHasNoDiskPressure"},
        {"type": "PIDPressure", "status": "False", "reason": "KubeletHasSufficientPID"},
    ]
    if ready:
        told.append({"type": "Ready", "status": "True", "reason": "KubeletReady"})
    replaced = {one["type"] for one in conditions}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": meta(name, ""),
        "spec": spec,
        "status": {
            "capacity": {"cpu": cpu, "memory": "16Gi"},
            "addresses": [{"type": "InternalIP", "address": "192.168.1.5"}],
            "conditions": [*(one for one in told if one["type"] not in replaced), *conditions],
        },
    }


def condition(kind: str, status: str, reason: str, message: str = "", *, since: float = 12) -> Object:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": at(since),
    }


def event(
    reason: str,
    message: str,
    about: tuple[str, str],
    *,
    minutes: float = 5,
    namespace: str = "shop",
    host: str = "",
) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": meta(f"{about[1]}.{reason.lower()}.{minutes}", namespace or "default"),
        "involvedObject": {"kind": about[0], "namespace": namespace, "name": about[1]},
        "type": "Warning",
        "reason": reason,
        "message": message,
        "count": 3,
        "firstTimestamp": at(minutes + 1),
        "lastTimestamp": at(minutes),
        "source": {"component": "kubelet", **({"host": host} if host else {})},
    }


def thing(api: str, kind: str, name: str, *, namespace: str = "shop", **parts: Any) -> Object:
    more = parts.pop("metadata", {})
    return {"apiVersion": api, "kind": kind, "metadata": {**meta(name, namespace), **more}, **parts}
