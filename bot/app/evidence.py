"""The sources an investigation may read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Protocol

import aiohttp

from bot.app.analyst import open_analyst
from bot.app.mcp import mcp_probes
from bot.app.models import limits_of, open_model
from bot.app.records import record_probes, record_sources
from bot.app.resting import Resting
from bot.app.seams import Seams
from bot.domain.clock import Clock
from bot.domain.errors import Unavailable
from bot.domain.evidence import Evidence, EvidenceStatus, Window
from bot.telemetry import Metrics
from config.schema import Config
from investigators.analyst.ports import Limits, Model, Purse
from investigators.ports import (
    HostQuery,
    HostSource,
    Investigator,
    KnownEdges,
    MetricQuery,
    MetricSource,
    PastMemory,
)
from investigators.queries import EvidenceSource, LogQuery, Query, Sources, SpanQuery

_THREADS = 1
"""More would not be faster, as they share the interpreter's lock, and the event loop would wait for a turn of
each: three times as long with two."""


class Memory(PastMemory, KnownEdges, Protocol):
    """What the store keeps from one investigation to the next."""


@asynccontextmanager
async def open_investigator(
    config: Config,
    seams: Seams,
    session: aiohttp.ClientSession,
    memory: Memory | None = None,
    *,
    purse: Purse | None = None,
    metrics: Metrics | None = None,
) -> AsyncIterator[Investigator]:
    """The deterministic investigator over every configured source, and the configured model behind it, until
    both are closed; ``memory`` is what earlier ones left that it may learn from, ``purse`` the day's
    money."""
    if seams.investigator is not None:
        yield seams.investigator
        return
    from investigators.registry import DeterministicInvestigator

    with thinking() as pool:
        async with live_sources(config, seams, session, memory) as sources:
            rules = DeterministicInvestigator(
                sources,
                clock=seams.clock,
                deadline=config.evidence.deadline,
                lookback=config.evidence.lookback,
                pool=pool,
            )
            async with open_model(config.model, seams.clock, metrics) as configured:
                yield Resting(_with_model(rules, seams.model or configured, sources, config, seams, purse))


def _with_model(
    rules: Investigator,
    model: Model | None,
    sources: Sources,
    config: Config,
    seams: Seams,
    purse: Purse | None,
) -> Investigator:
    if model is None:
        return rules
    limits = Limits() if config.model is None else limits_of(config.model)
    return open_analyst(rules, model, sources, limits=limits, clock=seams.clock, purse=purse)


@contextmanager
def thinking() -> Iterator[Executor]:
    """Where investigations judge, however many of these there are. One that still judges at the end is not
    waited for."""
    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="judging")
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


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
