"""One case of the generated cluster: what happened, what was alerted, and the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.scenarios.kubernetes.cluster import NAMESPACE, Cluster, ago
from benchmarks.scenarios.truth import Cause, Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """``fired`` and ``ended`` are minutes before now."""

    cluster: Cluster
    alert: str
    summary: str
    truth: Truth
    labels: Mapping[str, str] = field(default_factory=dict)
    severity: str = "warning"
    fired: float = 5.0
    ended: float | None = None
    changes: Sequence[Mapping[str, Any]] = ()


def about(service: str, **labels: str) -> dict[str, str]:
    return {"namespace": NAMESPACE, "service": service, **labels}


def at_deployment(name: str) -> dict[str, str]:
    return {"namespace": NAMESPACE, "deployment": name, "job": "kube-state-metrics"}


def at_pod(pod: str, container: str) -> dict[str, str]:
    return {"namespace": NAMESPACE, "pod": pod, "container": container, "job": "kube-state-metrics"}


def change(
    minutes: float, id: str, service: str, title: str, kind: str = "deploy", **more: Any
) -> dict[str, Any]:
    return {"ts": ago(minutes), "kind": kind, "id": id, "service": service, "title": title, **more}


def truth(
    family: str, *causes: tuple[str, str] | tuple[str, str, str], tags: Sequence[str] = (), **more: Any
) -> Truth:
    """Causes as (object, fault) or (object, fault, object_kind)."""
    made = [Cause(object=one[0], fault=one[1], kind=one[2] if len(one) == 3 else "service") for one in causes]
    return Truth(causes=made, tags=("kubernetes", family, *tags), **more)
