"""The sources in which people and their tools keep a record: changes, tables of hosts, tickets, runbooks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import aiohttp

from bot.domain.clock import Clock
from bot.domain.errors import ConfigError
from config.schema import Config
from investigators.queries import EvidenceSource


class ProbedSource(EvidenceSource, Protocol):
    """A source that can be looked at before there is an incident."""

    async def probe(self) -> str:
        """How it is, in one sentence. Raises Unavailable with what is wrong."""
        ...


def record_sources(config: Config, session: aiohttp.ClientSession, clock: Clock) -> list[ProbedSource]:
    """Every configured source of this kind."""
    evidence = config.evidence
    sources: list[ProbedSource] = []
    if evidence.github or evidence.gitlab or evidence.teamcity:
        from adapters.evidence.changes import github_changes, gitlab_changes, teamcity_changes

        sources += [github_changes(section, session, clock) for section in evidence.github]
        sources += [gitlab_changes(section, session, clock) for section in evidence.gitlab]
        sources += [teamcity_changes(section, session, clock) for section in evidence.teamcity]
    if evidence.fleet:
        try:
            from adapters.evidence.fleet import FleetHosts
        except ModuleNotFoundError as error:
            remedy = "its SQL parser is not installed; install it with: pip install 'assent[fleet]'"
            raise ConfigError([f"evidence.fleet: {remedy}"]) from error

        sources += [FleetHosts(section, session, clock) for section in evidence.fleet]
    if evidence.jira:
        from adapters.evidence.jira import JiraTickets

        sources += [JiraTickets(section, session, clock) for section in evidence.jira]
    if evidence.runbooks is not None:
        from adapters.evidence.runbooks import RunbookTexts

        sources.append(RunbookTexts(evidence.runbooks, session, clock))
    return sources


def record_probes(
    config: Config, session: aiohttp.ClientSession, clock: Clock
) -> list[tuple[str, Callable[[], Awaitable[str]]]]:
    """One probe per source; each says how it is, or raises Unavailable."""
    return [(source.name, source.probe) for source in record_sources(config, session, clock)]
