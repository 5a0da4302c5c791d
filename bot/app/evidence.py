"""The sources an investigation may read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Protocol

import aiohttp

from bot.app.mcp import mcp_probes
from bot.app.records import record_probes, record_sources
from bot.app.seams import Seams
from bot.domain.clock import Clock
from bot.domain.errors import Unavailable
from bot.domain.evidence import Evidence, EvidenceStatus, Window
from config.schema import Config
from investigators.ports import (
    HostQuery,
    HostSource,
    KnownEdges,
    MetricQuery,
    MetricSource,
    PastMemory,
)
from investigators.queries import EvidenceSource, LogQuery, Query, Sources, SpanQuery


class Memory(PastMemory, KnownEdges, Protocol):
    """What the store keeps from one investigation to the next."""


@asynccontextmanager
async def live_sources(
    config: Config, seams: Seams, session: aiohttp.ClientSession, memory: Memory | None = None
) -> AsyncIterator[Sources]:
    """Every configured source, until the end of the context."""
    evidence, clock = config.evidence, seams.clock
    metrics: list[MetricSource] = []
    hosts: list[HostSource] = []
    wide: list[EvidenceSource] = []
    if evidence.prometheus:
        from adapters.evidence.prometheus import PrometheusMetrics

        prometheus = [PrometheusMetrics(section, session, clock) for section in evidence.prometheus]
        metrics += prometheus
        wide += prometheus
    if evidence.host is not None:
        from adapters.evidence.host import LocalHost, LocalUnits

        hosts.append(LocalHost(evidence.host, clock))
        wide.append(LocalUnits(evidence.host, clock))
    wide += [source for source, _ in _log_and_trace_sources(config, clock, session)]
    wide += record_sources(config, session, clock)
    if memory is not None:
        from adapters.evidence.known import KnownGraph
        from adapters.evidence.past import PastIncidents

        wide += [PastIncidents(memory, clock), KnownGraph(memory, clock)]
    if config.services:
        from adapters.evidence.declared import DeclaredServices

        wide.append(DeclaredServices(config.services, clock))
    async with AsyncExitStack() as stack:
        if evidence.kubernetes:
            from adapters.evidence.kubernetes import kubernetes_clusters

            wide += await stack.enter_async_context(kubernetes_clusters(evidence.kubernetes, clock))
        yield Sources(metrics=tuple(metrics), hosts=tuple(hosts), wide=tuple(wide))


if TYPE_CHECKING:
    from adapters.evidence.kubernetes import KubernetesCluster

Probe = Callable[[], Awaitable[str]]
"""Returns what a source says, in one sentence; raises Unavailable with what is wrong."""


def probe_sources(config: Config, seams: Seams, session: aiohttp.ClientSession) -> list[tuple[str, Probe]]:
    """One probe per configured source: the same code an investigation uses, with a small question."""
    now = seams.clock.now()
    window = Window(start=now - timedelta(minutes=5), end=now)
    probes: list[tuple[str, Probe]] = []
    if config.evidence.prometheus:
        from adapters.evidence.prometheus import PrometheusMetrics

        for section in config.evidence.prometheus:
            source = PrometheusMetrics(section, session, seams.clock)
            ask = partial(source.instant, MetricQuery(metric="up"), now, "check")
            probes.append((section.name, partial(_said, ask)))
    probes += [(source.name, partial(_said, ask)) for source, ask in _small_questions(config, seams, session)]
    if config.evidence.kubernetes:
        from adapters.evidence.kubernetes import KubernetesCluster

        probes += [
            (one.name, partial(_cluster, KubernetesCluster(one, seams.clock)))
            for one in config.evidence.kubernetes
        ]
    if config.evidence.host is not None and config.evidence.host.enabled:
        from adapters.evidence.host import LocalHost

        host = LocalHost(config.evidence.host, seams.clock)
        query = HostQuery(host=host.name)
        probes.append((host.name, partial(_said, partial(host.resources, query, window))))
        for watched in config.evidence.host.processes:
            if watched.log_file is not None:
                query = HostQuery(host=host.name, process=watched.name)
                probes.append((f"log of {watched.name}", partial(_said, partial(host.log, query, window))))
    probes += record_probes(config, session, seams.clock)
    probes += mcp_probes(config, seams)
    return probes


def _small_questions(
    config: Config, seams: Seams, session: aiohttp.ClientSession
) -> Iterator[tuple[EvidenceSource, Callable[[], Awaitable[Evidence]]]]:
    """One line of each log source, one trace of each trace source, of the last five minutes."""
    now = seams.clock.now()
    window = Window(start=now - timedelta(minutes=5), end=now)
    for source, query in _log_and_trace_sources(config, seams.clock, session, max_traces=1):
        yield source, partial(source.ask, query, window, "check")


def _log_and_trace_sources(
    config: Config, clock: Clock, session: aiohttp.ClientSession, max_traces: int | None = None
) -> list[tuple[EvidenceSource, Query]]:
    """Each with a small question that it answers."""
    evidence = config.evidence
    sources: list[tuple[EvidenceSource, Query]] = []
    if evidence.loki:
        from adapters.evidence.loki import LokiLogs

        sources += [(LokiLogs(one, session, clock), LogQuery(limit=1)) for one in evidence.loki]
    if evidence.seq:
        from adapters.evidence.seq import SeqLogs

        sources += [(SeqLogs(one, session, clock), LogQuery(limit=1)) for one in evidence.seq]
    if evidence.traces:
        from adapters.evidence.traces import Traces

        for section in evidence.traces:
            if max_traces is not None:
                section = section.model_copy(update={"max_traces": max_traces})
            sources.append((Traces(section, session, clock), SpanQuery()))
    return sources


async def _cluster(source: KubernetesCluster) -> str:
    async with source:
        return await source.version()


async def _said(ask: Callable[[], Awaitable[Evidence]]) -> str:
    evidence = await ask()
    if evidence.status is EvidenceStatus.FAILED:
        raise Unavailable(evidence.source, evidence.reason or evidence.summary)
    return evidence.summary
