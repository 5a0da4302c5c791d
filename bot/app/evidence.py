"""The sources an investigation may read."""

from __future__ import annotations

import aiohttp

from bot.app.seams import Seams
from config.schema import Config
from investigators.ports import HostSource, Investigator, MetricSource


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
