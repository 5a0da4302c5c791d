"""What the tests of the Kubernetes source have in common."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import kubernetes_asyncio.config  # noqa: F401 - loads for a second, which no test should pay for

from adapters.evidence.kubernetes import KubernetesCluster
from bot.domain.evidence import Evidence, Window
from config.schema import KubernetesSource
from investigators.queries import ObjectQuery, Query
from tests.contracts.evidence_contract import check_evidence
from tests.fakes.evidence import NOW, FixedClock
from tests.servers.kubernetes_api import KubernetesApi

WINDOW = Window(start=NOW - timedelta(hours=2), end=NOW)
PODS = ObjectQuery(object_kind="Pod")


@asynccontextmanager
async def cluster(
    api: KubernetesApi, clock: FixedClock | None = None, **config: Any
) -> AsyncIterator[KubernetesCluster]:
    """A source that reads the stand-in; ``config`` are options of its section."""
    async with api.serving() as url:
        section = KubernetesSource.model_validate({"url": url, **config})
        async with KubernetesCluster(section, clock or FixedClock()) as source:
            yield source


async def asked(source: KubernetesCluster, query: Query, window: Window = WINDOW) -> Evidence:
    """The answer, which is sound whatever it says."""
    evidence = await source.ask(query, window, "subject")
    check_evidence(evidence, kind=query.kind, source=source.name)
    return evidence


async def ask(api: KubernetesApi, query: Query, window: Window = WINDOW, **config: Any) -> Evidence:
    """One question to a source of its own."""
    async with cluster(api, **config) as source:
        return await asked(source, query, window)


def ago(**delta: float) -> str:
    """A time before now as the API writes it."""
    return stamp(NOW - timedelta(**delta))


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def made(
    kind: str, name: str, namespace: str | None = "shop", api_version: str = "v1", **parts: Any
) -> dict[str, Any]:
    """An object; ``metadata`` among the parts is added to its name and namespace."""
    metadata = {"name": name, **({} if namespace is None else {"namespace": namespace})}
    metadata |= parts.pop("metadata", {})
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **parts}


def pod(name: str = "web-1", *, node: str = "n1", phase: str = "Running", **status: Any) -> dict[str, Any]:
    return made(
        "Pod",
        name,
        spec={"nodeName": node, "containers": [{"name": "web", "image": "shop/web:1"}]},
        status={"phase": phase, **status},
    )


def owned_by(owner: Mapping[str, Any]) -> list[dict[str, Any]]:
    metadata = owner["metadata"]
    return [{"kind": owner["kind"], "name": metadata["name"], "uid": metadata["uid"], "controller": True}]


def pod_template(
    image: str = "shop/web:1", labels: Mapping[str, str] | None = None, **spec: Any
) -> dict[str, Any]:
    container = {"name": "web", "image": image, **spec.pop("container", {})}
    return {
        "metadata": {"labels": dict(labels or {"app": "web"})},
        "spec": {"containers": [container], **spec},
    }
