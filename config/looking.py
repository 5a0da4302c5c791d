"""Where evidence comes from."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pydantic import Field

from config.alerts import Basic
from config.records import FleetSource, GithubSource, GitlabSource, JiraSource, Runbooks, TeamcitySource
from config.types import Duration, Name, Positive, Section, Text, Token, Url, Whole


class HttpAuth(Section):
    """How Assent proves itself to a server; nothing for a server that does not ask."""

    bearer: Token | None = Field(default=None, description="Token for `Authorization: Bearer`.")
    basic: Basic | None = Field(default=None, description="HTTP basic authentication.")


class PrometheusSource(Section):
    """Prometheus, VictoriaMetrics or anything else with the Prometheus query API. Only read."""

    name: Name = Field(default="prometheus", description="How evidence names it.")
    url: Url = Field(description="Base URL.")
    external_url: Url | None = Field(default=None, description="Base of links on cards; unset: `url`.")
    auth: HttpAuth = Field(default=HttpAuth(), description="How to log in.")
    timeout: Duration = Field(default=timedelta(seconds=10), description="For one query.")
    max_series: Positive = Field(default=200, description="Series kept of one answer.")


class WatchedProcess(Section):
    """A process on this machine: how alerts name it, where it writes its pid and its log."""

    name: Name = Field(description="How evidence names it.")
    match: dict[str, str] = Field(default_factory=dict, description="Labels of the alerts that mean it.")
    pid_file: Path | None = Field(default=None, description="Where its pid stands.")
    log_file: Path | None = Field(default=None, description="Its log.")
    exit_file: Path | None = Field(default=None, description="Where its supervisor writes the exit code.")


class HostEvidence(Section):
    """This machine as a source."""

    enabled: bool = Field(default=True, description="Look at this machine at all.")
    names: tuple[Text, ...] = Field(
        default=(),
        description="Values of `instance`, `node` or `host` labels that mean it; a port is ignored.",
    )
    processes: tuple[WatchedProcess, ...] = Field(default=(), description="Processes it may look at.")
    log_bytes: Whole = Field(default=262_144, ge=4096, description="How much of a log's end is read.")
    timeout: Duration = Field(default=timedelta(seconds=5), description="For one look.")


class Evidence(Section):
    """What an investigation may look at, and for how long."""

    deadline: Duration = Field(default=timedelta(seconds=20), description="For all sources together.")
    lookback: Duration = Field(default=timedelta(hours=1), description="How far before the alert to look.")
    prometheus: tuple[PrometheusSource, ...] = Field(default=(), description="Metric sources.")
    host: HostEvidence | None = Field(default=None, description="This machine; unset: not looked at.")
    github: tuple[GithubSource, ...] = Field(default=(), description="Changes from GitHub.")
    gitlab: tuple[GitlabSource, ...] = Field(default=(), description="Changes from GitLab.")
    teamcity: tuple[TeamcitySource, ...] = Field(default=(), description="Changes from TeamCity.")
    fleet: tuple[FleetSource, ...] = Field(default=(), description="osquery on hosts, through Fleet.")
    jira: tuple[JiraSource, ...] = Field(default=(), description="Tickets.")
    runbooks: Runbooks | None = Field(default=None, description="Runbooks; unset: their texts are not read.")
