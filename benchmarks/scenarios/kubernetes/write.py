"""Write the cases of the generated cluster."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import yaml

from benchmarks.scenarios.capture import Recorded, as_lines
from benchmarks.scenarios.kubernetes import (
    dependencies,
    nodes,
    paths,
    performance,
    placing,
    probes,
    quiet,
    running,
    starting,
)
from benchmarks.scenarios.kubernetes.cluster import NOW, Cluster, Doc
from benchmarks.scenarios.kubernetes.printing import printed
from benchmarks.scenarios.kubernetes.shop import CALLS
from benchmarks.scenarios.kubernetes.story import Story

# Every kind that was asked for: one without any object is an empty list, which says that there is none.
_FILES = {
    "configmaps": "ConfigMap",
    "cronjobs": "CronJob",
    "daemonsets": "DaemonSet",
    "deployments": "Deployment",
    "endpoints": "Endpoints",
    "endpointslices": "EndpointSlice",
    "events": "Event",
    "horizontalpodautoscalers": "HorizontalPodAutoscaler",
    "ingresses": "Ingress",
    "ingressclasses": "IngressClass",
    "jobs": "Job",
    "leases": "Lease",
    "limitranges": "LimitRange",
    "mutatingwebhookconfigurations": "MutatingWebhookConfiguration",
    "namespaces": "Namespace",
    "networkpolicies": "NetworkPolicy",
    "nodes": "Node",
    "persistentvolumeclaims": "PersistentVolumeClaim",
    "persistentvolumes": "PersistentVolume",
    "pods": "Pod",
    "replicasets": "ReplicaSet",
    "resourcequotas": "ResourceQuota",
    "secrets": "Secret",
    "serviceaccounts": "ServiceAccount",
    "services": "Service",
    "statefulsets": "StatefulSet",
    "storageclasses": "StorageClass",
    "validatingwebhookconfigurations": "ValidatingWebhookConfiguration",
}


def stories() -> Mapping[str, Callable[[str], Story]]:
    """Every case by its name."""
    modules = (placing, starting, probes, running, paths, performance, dependencies, nodes, quiet)
    return {name: story for module in modules for name, story in module.STORIES.items()}


def names() -> list[str]:
    return list(stories())


def case(name: str, out: Path) -> Path:
    """Write one case to ``out/name``, replacing what was there."""
    made(name).write(out / name, stories()[name](name).truth)
    return out / name


def made(name: str) -> Recorded:
    """Its files but for the truth."""
    story = stories()[name](name)
    cluster = story.cluster
    objects = printed(cluster)
    unknown = {one["kind"] for one in objects} - set(_FILES.values())
    if unknown:
        raise ValueError(f"no file for {', '.join(sorted(unknown))}")
    files = {
        "alert.json": json.dumps(_alert(cluster, story), indent=1) + "\n",
        "meta.yaml": yaml.safe_dump({"now": NOW.isoformat()}),
        **{f"kubernetes/{file}.json": _listed(objects, kind) for file, kind in _FILES.items()},
    }
    for where, lines in cluster.logs.items():
        ordered = sorted(lines, key=lambda line: -line[0])
        files[f"kubernetes/logs/{where}.log"] = "".join(
            f"{(NOW - timedelta(minutes=at)).strftime('%Y-%m-%dT%H:%M:%S.%f')}000Z {text}\n"
            for at, text in ordered
        )
    if cluster.rows:
        files["metrics/prometheus.csv"] = _table(cluster.rows)
    if story.changes:
        files["changes.jsonl"] = as_lines(story.changes)
    files["topology.json"] = json.dumps(_graph(), indent=1) + "\n"
    return Recorded(files=files)


def _listed(objects: Sequence[Doc], kind: str) -> str:
    """``kubectl get KIND -A -o json``."""
    items = [one for one in objects if one["kind"] == kind]
    items.sort(key=lambda one: (one["metadata"].get("namespace", ""), one["metadata"]["name"]))
    body = {"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}}
    return json.dumps(body, indent=4) + "\n"


def _alert(cluster: Cluster, story: Story) -> Doc:
    started = (NOW - timedelta(minutes=story.fired)).strftime("%Y-%m-%dT%H:%M:%S.412Z")
    ended = "0001-01-01T00:00:00Z"
    if story.ended is not None:
        ended = (NOW - timedelta(minutes=story.ended)).strftime("%Y-%m-%dT%H:%M:%S.412Z")
    labels = {"alertname": story.alert, "cluster": "north", "severity": story.severity, **story.labels}
    labels = dict(sorted(labels.items()))
    grouped = {key: labels[key] for key in ("alertname", "namespace") if key in labels}
    status = "firing" if story.ended is None else "resolved"
    return {
        "receiver": "assent",
        "status": status,
        "alerts": [
            {
                "status": status,
                "labels": labels,
                "annotations": {"summary": story.summary},
                "startsAt": started,
                "endsAt": ended,
                "generatorURL": "http://prometheus.fenwick.example/graph",
                "fingerprint": cluster.digest("fingerprint")[:16],
            }
        ],
        "groupLabels": grouped,
        "commonLabels": labels,
        "commonAnnotations": {"summary": story.summary},
        "externalURL": "http://alertmanager.fenwick.example",
        "version": "4",
        "groupKey": "{}:{" + ", ".join(f'{key}="{value}"' for key, value in grouped.items()) + "}",
        "truncatedAlerts": 0,
    }


def _graph() -> Doc:
    edges = [
        {"from": name, "to": peer, "kind": "uses" if peer in ("archive-db", "ember") else "calls"}
        for name, peers in CALLS.items()
        for peer in peers
    ]
    nodes = [{"id": name, "kind": "service"} for name in CALLS]
    nodes += [{"id": "archive-db", "kind": "datastore"}, {"id": "ember", "kind": "datastore"}]
    return {"nodes": nodes, "edges": edges}


def _table(rows: Sequence[tuple[float, str, float, Mapping[str, str]]]) -> str:
    columns = sorted({key for *_, labels in rows for key in labels})
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("timestamp", "metric", "value", *columns))
    for at, metric, value, labels in rows:
        writer.writerow(
            (
                int(at),
                metric,
                f"{value:.6g}" if abs(value) < 1e6 else f"{value:.0f}",
                *(labels.get(key, "") for key in columns),
            )
        )
    return out.getvalue()
