"""The sources an investigation may read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

import aiohttp

from bot.app.records import record_probes
from bot.app.seams import Seams
from bot.domain.errors import Unavailable
from bot.domain.evidence import Evidence, EvidenceStatus, Window
from config.schema import Config
from investigators.ports import HostQuery, HostSource, Investigator, MetricQuery, MetricSource


def build_investigator(config: Config, seams: Seams, session: aiohttp.ClientSession) -> Investigator:
    """The deterministic investigator over every configured source."""
    if seams.investigator is not None:
        return seams.investigator
    from investigators.registry import DeterministicInvestigator

    metrics: list[MetricSource] = []
    hosts: list[HostSource] = []
    if config.evidence.prometheus:
        from adapters.evidence.prometheus import PrometheusMetrics

        metrics += [
            PrometheusMetrics(section, session, seams.clock) for section in config.evidence.prometheus
        ]
    if config.evidence.host is not None:
        from adapters.evidence.host import LocalHost

        hosts.append(LocalHost(config.evidence.host, seams.clock))
    return DeterministicInvestigator(
        metrics,
        hosts,
        clock=seams.clock,
        deadline=config.evidence.deadline,
        lookback=config.evidence.lookback,
    )


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
    return probes


async def _said(ask: Callable[[], Awaitable[Evidence]]) -> str:
    evidence = await ask()
    if evidence.status is EvidenceStatus.FAILED:
        raise Unavailable(evidence.source, evidence.reason or evidence.summary)
    return evidence.summary
