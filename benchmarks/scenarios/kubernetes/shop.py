"""Fenwick, a bookshop of eight services on three nodes, when all is well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.scenarios.kubernetes.cluster import NAMESPACE, Cluster, Doc, Pod, ago

REGISTRY = "registry.fenwick.example"
NODES = ("pool-a-1", "pool-a-2", "pool-b-1")
CALLS: Mapping[str, tuple[str, ...]] = {
    "storefront": ("shelf", "quill", "lantern"),
    "shelf": ("ember",),
    "quill": ("till", "parcel", "ember", "archive-db"),
    "lantern": ("shelf",),
    "till": (),
    "parcel": (),
}
_PORTS = {"storefront": 8080, "shelf": 8081, "quill": 8082, "till": 8083, "parcel": 8084, "lantern": 8085}
_VERSIONS = {
    "storefront": "5.2.1",
    "shelf": "3.9.0",
    "quill": "2.7.4",
    "till": "1.14.2",
    "parcel": "1.6.0",
    "lantern": "0.18.3",
}
_REPLICAS = {"storefront": 3, "shelf": 2, "quill": 2, "till": 2, "parcel": 2, "lantern": 2}
_BUSY = {"storefront": 18.0, "shelf": 24.0, "quill": 9.0, "till": 4.0, "parcel": 3.0, "lantern": 12.0}


def template(
    name: str,
    image: str,
    port: int,
    *,
    env: list[Doc] | None = None,
    cpu: str = "200m",
    memory: str = "256Mi",
    probe: str | None = "/healthz",
    **spec: Any,
) -> Doc:
    """A pod template as the API server completes it."""
    container: Doc = {
        "env": env or [],
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "name": name,
        "ports": [{"containerPort": port, "name": "http" if probe else "main", "protocol": "TCP"}],
        "resources": {
            "limits": {"cpu": "1", "memory": memory},
            "requests": {"cpu": cpu, "memory": memory},
        },
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    }
    if probe:
        container["livenessProbe"] = http_probe(probe, port, initial=10, period=10)
        container["readinessProbe"] = http_probe(probe, port, initial=3, period=5)
    return {
        "metadata": {"labels": {"app": name, "app.kubernetes.io/part-of": "fenwick"}},
        "spec": {
            "containers": [container],
            "dnsPolicy": "ClusterFirst",
            "restartPolicy": "Always",
            "schedulerName": "default-scheduler",
            "securityContext": {},
            "serviceAccountName": "default",
            "terminationGracePeriodSeconds": 30,
            **spec,
        },
    }


def http_probe(path: str, port: int, *, initial: int, period: int, timeout: int = 2) -> Doc:
    return {
        "failureThreshold": 3,
        "httpGet": {"path": path, "port": port, "scheme": "HTTP"},
        "initialDelaySeconds": initial,
        "periodSeconds": period,
        "successThreshold": 1,
        "timeoutSeconds": timeout,
    }


def container(document: Doc) -> Doc:
    """The first container of a template."""
    found: Doc = document["spec"]["containers"][0]
    return found


def service(cluster: Cluster, name: str, port: int, target: int | str, namespace: str = NAMESPACE) -> Doc:
    made: Doc = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": cluster.metadata("Service", name, namespace, 60.0 * 24 * 41, labels={"app": name}),
        "spec": {
            "clusterIP": "10.43.0.10" if name == "kube-dns" else cluster.service_ip(name),
            "ipFamilies": ["IPv4"],
            "ports": [{"name": "main", "port": port, "protocol": "TCP", "targetPort": target}],
            "selector": {"app": name},
            "sessionAffinity": "None",
            "type": "ClusterIP",
        },
        "status": {"loadBalancer": {}},
    }
    cluster.extra.append(made)
    return made


def plain(
    cluster: Cluster, version: str, kind: str, name: str, namespace: str | None = NAMESPACE, **more: Any
) -> Doc:
    """Any other object, about as old as the shop."""
    made: Doc = {
        "apiVersion": version,
        "kind": kind,
        "metadata": cluster.metadata(kind, name, namespace, 60.0 * 24 * 41),
        **more,
    }
    cluster.extra.append(made)
    return made


def _env(name: str) -> list[Doc]:
    found: list[Doc] = []
    for peer in CALLS[name]:
        if peer == "archive-db":
            found += [
                {"name": "DATABASE_HOST", "value": "archive-db"},
                {"name": "DATABASE_PORT", "value": "5432"},
                {
                    "name": "DATABASE_PASSWORD",
                    "valueFrom": {"secretKeyRef": {"key": "password", "name": "archive-db-login"}},
                },
            ]
        elif peer == "ember":
            found.append({"name": "CACHE_ADDRESS", "value": "ember:6379"})
        else:
            found.append({"name": f"{peer.upper()}_URL", "value": f"http://{peer}:{_PORTS[peer]}"})
    if name == "till":
        found += [
            {"name": "PROVIDER_URL", "value": "https://api.paylark.example/v2"},
            {"name": "PROVIDER_KEY", "valueFrom": {"secretKeyRef": {"key": "api-key", "name": "paylark"}}},
        ]
    if name == "parcel":
        found.append(
            {
                "name": "TARIFF",
                "valueFrom": {"configMapKeyRef": {"key": "tariff.csv", "name": "parcel-rates"}},
            }
        )
    return found


def shop(case: str) -> Cluster:
    """The whole cluster with logs of half an hour and metrics of an hour, without any fault."""
    cluster = Cluster(case)
    cluster.node(
        "cp-1",
        labels={"node-role.kubernetes.io/control-plane": ""},
        taints=[{"effect": "NoSchedule", "key": "node-role.kubernetes.io/control-plane"}],
    )
    for name in NODES:
        cluster.node(name, labels={"pool": name[:6]})
    for namespace in (NAMESPACE, "kube-system", "sandbox", "default"):
        plain(
            cluster,
            "v1",
            "Namespace",
            namespace,
            None,
            spec={"finalizers": ["kubernetes"]},
            status={"phase": "Active"},
        )
        plain(cluster, "v1", "ServiceAccount", "default", namespace)
    for name, port in _PORTS.items():
        image = f"{REGISTRY}/{name}:{_VERSIONS[name]}"
        cluster.workload(name, template(name, image, port, env=_env(name)), replicas=_REPLICAS[name])
        service(cluster, name, port, "http")
    cluster.workload("ember", template("ember", "redis:7.2.4", 6379, probe=None, memory="512Mi"), replicas=1)
    service(cluster, "ember", 6379, 6379)
    _database(cluster)
    _secret(cluster, "archive-db-login", "password", "username")
    _secret(cluster, "paylark", "api-key")
    plain(cluster, "v1", "ConfigMap", "parcel-rates", data={"tariff.csv": "", "zones.csv": ""})
    _system(cluster)
    plain(
        cluster,
        "networking.k8s.io/v1",
        "Ingress",
        "storefront",
        spec={
            "ingressClassName": "nginx",
            "rules": [
                {
                    "host": "www.fenwick.example",
                    "http": {
                        "paths": [
                            {
                                "backend": {"service": {"name": "storefront", "port": {"number": 8080}}},
                                "path": "/",
                                "pathType": "Prefix",
                            }
                        ]
                    },
                }
            ],
        },
        status={"loadBalancer": {"ingress": [{"ip": "192.0.2.40"}]}},
    )
    plain(
        cluster,
        "networking.k8s.io/v1",
        "IngressClass",
        "nginx",
        None,
        spec={"controller": "k8s.io/ingress-nginx"},
    )
    return cluster


def _secret(cluster: Cluster, name: str, *keys: str) -> None:
    plain(cluster, "v1", "Secret", name, type="Opaque", data=dict.fromkeys(keys, ""))


def _database(cluster: Cluster) -> None:
    claim: Doc = {
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "20Gi"}},
            "storageClassName": "block",
        },
    }
    document = template("archive-db", "postgres:15.6", 5432, probe=None, cpu="500m", memory="1Gi")
    container(document)["volumeMounts"] = [{"mountPath": "/var/lib/postgresql/data", "name": "data"}]
    document["spec"]["volumes"] = [
        {"name": "data", "persistentVolumeClaim": {"claimName": "data-archive-db-0"}}
    ]
    made = cluster.workload("archive-db", document, kind="StatefulSet", replicas=1)
    made.claims.append(claim)
    service(cluster, "archive-db", 5432, 5432)
    volume = f"pvc-{cluster.uid('PersistentVolumeClaim', NAMESPACE, 'data-archive-db-0')}"
    plain(
        cluster,
        "v1",
        "PersistentVolumeClaim",
        "data-archive-db-0",
        spec={**claim["spec"], "volumeMode": "Filesystem", "volumeName": volume},
        status={"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "20Gi"}, "phase": "Bound"},
    )
    plain(
        cluster,
        "v1",
        "PersistentVolume",
        volume,
        None,
        spec={
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "20Gi"},
            "storageClassName": "block",
            "claimRef": {
                "kind": "PersistentVolumeClaim",
                "name": "data-archive-db-0",
                "namespace": NAMESPACE,
            },
            "volumeMode": "Filesystem",
        },
        status={"phase": "Bound"},
    )
    plain(
        cluster,
        "storage.k8s.io/v1",
        "StorageClass",
        "block",
        None,
        provisioner="block.csi.fenwick.example",
        reclaimPolicy="Delete",
        volumeBindingMode="WaitForFirstConsumer",
    )


def _system(cluster: Cluster) -> None:
    """DNS, the proxies and the control plane."""
    dns = template("kube-dns", "registry.k8s.io/coredns/coredns:v1.11.1", 53, probe=None, memory="170Mi")
    dns["metadata"]["labels"] = {"app": "coredns", "k8s-app": "kube-dns"}
    container(dns)["name"] = "coredns"
    cluster.workload("coredns", dns, namespace="kube-system", replicas=2, days=90)
    made = service(cluster, "kube-dns", 53, 53, "kube-system")
    made["spec"]["selector"] = {"k8s-app": "kube-dns"}
    proxy = template("kube-proxy", "registry.k8s.io/kube-proxy:v1.29.4", 10256, probe=None)
    proxy["metadata"]["labels"] |= {"k8s-app": "kube-proxy"}
    proxy["spec"] |= {"hostNetwork": True, "tolerations": [{"operator": "Exists"}]}
    cluster.workload(
        "kube-proxy",
        proxy,
        kind="DaemonSet",
        namespace="kube-system",
        replicas=4,
        days=90,
        nodes=list(cluster.nodes),
    )
    for pod in cluster.workloads["kube-proxy"].pods:
        pod.ip = cluster.nodes[str(pod.node)]["status"]["addresses"][0]["address"]
    for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"):
        control_plane(cluster, name)
    for name in ("kube-scheduler", "kube-controller-manager"):
        cluster.extra.append(cluster.lease("kube-system", name, f"cp-1_{cluster.uid(name)}", 0.03))


def control_plane(cluster: Cluster, name: str) -> Doc:
    """A static pod, as its mirror prints it."""
    image = "registry.k8s.io/etcd:3.5.10-0" if name == "etcd" else f"registry.k8s.io/{name}:v1.29.4"
    since = 60.0 * 24 * 90
    made = plain(cluster, "v1", "Pod", f"{name}-cp-1", "kube-system")
    made["metadata"]["labels"] = {"component": name, "tier": "control-plane"}
    made["spec"] = {
        "containers": [{"image": image, "name": name, "resources": {"requests": {"cpu": "100m"}}}],
        "hostNetwork": True,
        "nodeName": "cp-1",
        "priorityClassName": "system-node-critical",
        "tolerations": [{"effect": "NoExecute", "operator": "Exists"}],
    }
    made["status"] = {
        "conditions": [{"lastTransitionTime": ago(since), "status": "True", "type": "Ready"}],
        "containerStatuses": [
            {
                "image": image,
                "lastState": {},
                "name": name,
                "ready": True,
                "restartCount": 0,
                "started": True,
                "state": {"running": {"startedAt": ago(since)}},
            }
        ],
        "hostIP": "192.168.7.11",
        "phase": "Running",
        "podIP": "192.168.7.11",
    }
    return made


def busy(cluster: Cluster, *, skip: tuple[str, ...] = ()) -> None:
    """Requests, latency, memory and logs as on any morning. ``skip`` names services whose metrics a case
    writes itself."""
    for name, rate in _BUSY.items():
        workload = cluster.workloads[name]
        share = rate / _REPLICAS[name]
        for pod in [*workload.pods, *workload.retired]:
            if pod.node is None or not pod.ready:
                continue
            if name not in skip:
                _measured(cluster, name, pod, share)
            quiet = [
                (
                    minutes + cluster.random.random(),
                    f"INFO {name} {1200 - minutes * 7} requests served, 0 rejected",
                )
                for minutes in range(35, 0, -2)
            ]
            if pod not in workload.retired:
                cluster.log(pod, *(line for line in quiet if line[0] < pod.created))


def _measured(cluster: Cluster, name: str, pod: Pod, share: float) -> None:
    labels: Doc = {"namespace": NAMESPACE, "pod": pod.name, "service": name}
    when: Doc = {"hours": min(1.0, pod.created / 60), "until": pod.until}
    own: Doc = {**when, **labels, "start": 0 if pod.created < 60 else 1000}
    cluster.counter("http_requests_total", lambda _: share, code="200", **own)
    cluster.counter(
        "http_requests_total", lambda _: share / 400, code="500", **own | {"start": own["start"] / 400}
    )
    cluster.series("http_request_duration_seconds_avg", lambda _: 0.05, noise=0.2, **when, **labels)
    cluster.series("container_memory_working_set_bytes", lambda _: 120e6, container=name, **when, **labels)
    cluster.counter("container_cpu_usage_seconds_total", lambda _: share * 0.012, container=name, **own)
