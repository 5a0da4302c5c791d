"""Kubernetes over its REST API (https://kubernetes.io/docs/reference/using-api/), read-only.

Asked for are only ``get`` and ``list``, and ``get`` of ``pods/log``: deploy/kubernetes-reader.yaml.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from adapters.evidence.kubernetes.source import KubernetesCluster
from bot.domain.clock import Clock
from config.schema import KubernetesSource

__all__ = ["KubernetesCluster", "kubernetes_clusters"]


@asynccontextmanager
async def kubernetes_clusters(
    sections: Sequence[KubernetesSource], clock: Clock
) -> AsyncIterator[tuple[KubernetesCluster, ...]]:
    """A source for each configured cluster; all are closed in the end. Nothing is connected before the first
    question."""
    async with AsyncExitStack() as stack:
        clusters = [KubernetesCluster(section, clock) for section in sections]
        for one in clusters:
            stack.push_async_callback(one.close)
        yield tuple(clusters)
