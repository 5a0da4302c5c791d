"""Where evidence comes from."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from config.auth import HttpAuth
from config.mcp import McpSource
from config.records import FleetSource, GithubSource, GitlabSource, JiraSource, Runbooks, TeamcitySource
from config.types import Duration, Name, Positive, Section, Text, Token, Url, Whole

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_PROPERTY = re.compile(r"@?[a-zA-Z_][a-zA-Z0-9_]*(?:\.[a-zA-Z_][a-zA-Z0-9_]*)*")


def _label(value: str) -> str:
    if _LABEL.fullmatch(value) is None:
        raise ValueError("not a label; use letters, digits and '_', no digit first")
    return value


def _property(value: str) -> str:
    if _PROPERTY.fullmatch(value) is None:
        raise ValueError("not a property; write for example Application or @Resource.service.name")
    return value


def _tenant(value: str) -> str:
    if re.fullmatch(r"[!-~]{1,150}", value) is None:
        raise ValueError("cannot be sent in a header; use ASCII letters, digits and punctuation, no spaces")
    return value


LabelName = Annotated[str, AfterValidator(_label)]
PropertyName = Annotated[str, AfterValidator(_property)]
Tenant = Annotated[str, AfterValidator(_tenant)]
KnownLabel = Literal["service", "pod", "namespace", "node", "level"]


class PrometheusSource(Section):
    """Prometheus, VictoriaMetrics or anything else with the Prometheus query API. Only read."""

    name: Name = Field(default="prometheus", description="How evidence names it.")
    url: Url = Field(description="Base URL.")
    external_url: Url | None = Field(default=None, description="Base of links on cards; unset: `url`.")
    auth: HttpAuth = Field(default=HttpAuth(), description="How to log in.")
    timeout: Duration = Field(default=timedelta(seconds=10), description="For one query or survey.")
    max_series: Positive = Field(default=200, description="Series kept of one answer.")
    survey_series: Positive = Field(
        default=1000, description="Series kept of a survey, which asks for all with some label."
    )


class LokiLabels(Section):
    """What the five labels that Assent knows are called in this Loki."""

    service: LabelName = Field(default="service_name", description="The service.")
    pod: LabelName = Field(default="pod", description="The pod.")
    namespace: LabelName = Field(default="namespace", description="The namespace.")
    node: LabelName = Field(default="node_name", description="The node.")
    level: LabelName = Field(default="detected_level", description="The level of a line.")
    metadata: tuple[KnownLabel, ...] = Field(
        default=("level",),
        description="Which of them are structured metadata of each line rather than labels of its stream.",
    )


class LokiSource(Section):
    """Loki or anything else with its query API. Only read."""

    name: Name = Field(default="loki", description="How evidence names it.")
    url: Url = Field(description="Base URL.")
    external_url: Url | None = Field(
        default=None, description="Base URL of the Grafana that links on cards open; unset: no links."
    )
    datasource: Text = Field(default="loki", description="Uid or name of this Loki in that Grafana.")
    auth: HttpAuth = Field(default=HttpAuth(), description="How to log in.")
    tenant: Tenant | None = Field(default=None, description="Sent as `X-Scope-OrgID`.")
    timeout: Duration = Field(default=timedelta(seconds=10), description="For one answer, all pages.")
    labels: LokiLabels = Field(default=LokiLabels(), description="Names of labels.")
    max_lines: Positive = Field(default=5000, description="Lines kept of one answer, the last ones.")
    page_lines: Positive = Field(
        default=1000, description="Lines asked for at once; at most Loki's `max_entries_limit_per_query`."
    )


class SeqLabels(Section):
    """Which properties of an event hold the labels that Assent knows; `@Resource` is OpenTelemetry's."""

    service: PropertyName = Field(default="@Resource.service.name", description="The service.")
    pod: PropertyName = Field(default="@Resource.k8s.pod.name", description="The pod.")
    namespace: PropertyName = Field(default="@Resource.k8s.namespace.name", description="The namespace.")
    node: PropertyName = Field(default="@Resource.k8s.node.name", description="The node.")


class SeqSource(Section):
    """A Seq server. Only read."""

    name: Name = Field(default="seq", description="How evidence names it.")
    url: Url = Field(description="Base URL.")
    external_url: Url | None = Field(default=None, description="Base of links on cards; unset: `url`.")
    api_key: Token | None = Field(
        default=None, description="Sent as `X-Seq-ApiKey`; the permission *Read* is enough."
    )
    timeout: Duration = Field(default=timedelta(seconds=10), description="For one answer, all pages.")
    labels: SeqLabels = Field(default=SeqLabels(), description="Names of properties.")
    max_lines: Positive = Field(default=5000, description="Events kept of one answer, the last ones.")
    page_lines: Positive = Field(default=1000, description="Events asked for at once.")


class TraceSource(Section):
    """Tempo or Jaeger, or anything else with the query API of one. Only read."""

    name: Name = Field(default="traces", description="How evidence names it.")
    kind: Literal["tempo", "jaeger"] = Field(description="Whose API it has.")
    url: Url = Field(description="Base URL.")
    external_url: Url | None = Field(
        default=None,
        description="Base of links on cards: a Grafana's for Tempo (unset: no links), Jaeger's own (unset: "
        "`url`).",
    )
    datasource: Text = Field(default="tempo", description="Uid or name of this Tempo in that Grafana.")
    auth: HttpAuth = Field(default=HttpAuth(), description="How to log in.")
    tenant: Tenant | None = Field(
        default=None, description="Sent as `X-Scope-OrgID` to Tempo, as `x-tenant` to Jaeger."
    )
    timeout: Duration = Field(default=timedelta(seconds=10), description="For one answer, all calls.")
    max_traces: Positive = Field(default=200, description="Traces read for one answer.")
    max_spans: Positive = Field(default=20_000, description="Spans kept of one answer.")


class KubernetesSource(Section):
    """One Kubernetes cluster. Only read: get, list, and the logs of pods. deploy/kubernetes-reader.yaml holds
    the permissions it needs."""

    name: Name = Field(default="kubernetes", description="How evidence names it.")
    in_cluster: bool = Field(
        default=False, description="Assent runs in this cluster; the service account of its pod is used."
    )
    kubeconfig: Path | None = Field(default=None, description="A kubeconfig file, read as kubectl does.")
    context: Text | None = Field(default=None, description="Its context; unset: the current one.")
    url: Url | None = Field(default=None, description="Address of the API server, instead of a kubeconfig.")
    token: Token | None = Field(default=None, description="Bearer token for `url`.")
    ca_file: Path | None = Field(
        default=None, description="Certificates that `url` is checked against; unset: those of the system."
    )
    namespaces: tuple[Text, ...] = Field(
        default=(), description="Namespaces it may look into; empty: all. Nodes and the like are in none."
    )
    timeout: Duration = Field(default=timedelta(seconds=5), description="For one request.")
    budget: Duration = Field(
        default=timedelta(seconds=12),
        description="For one question, which may take many requests; then what is in by then is the answer.",
    )
    max_objects: Positive = Field(default=5_000, description="Objects read for one question.")
    max_bytes: Whole = Field(
        default=33_554_432, ge=65_536, description="Bytes of answers read for one question."
    )

    @model_validator(mode="after")
    def _one_way_in(self) -> KubernetesSource:
        given = sum((self.in_cluster, self.kubeconfig is not None, self.url is not None))
        if given != 1:
            raise ValueError(
                f"{'no way' if not given else 'more than one way'} to the cluster; exactly one of "
                "in_cluster, kubeconfig, url is needed"
            )
        if self.context is not None and self.kubeconfig is None:
            raise ValueError("has a context without a kubeconfig; add kubeconfig:, or remove context:")
        if self.url is None and (self.token is not None or self.ca_file is not None):
            raise ValueError(
                "has a token or ca_file, which belong to a url; add url:, or remove them: a kubeconfig and a "
                "pod bring their own"
            )
        return self


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
    loki: tuple[LokiSource, ...] = Field(default=(), description="Log sources with Loki's API.")
    seq: tuple[SeqSource, ...] = Field(default=(), description="Log sources that are Seq.")
    traces: tuple[TraceSource, ...] = Field(default=(), description="Trace sources.")
    kubernetes: tuple[KubernetesSource, ...] = Field(default=(), description="Clusters.")
    host: HostEvidence | None = Field(default=None, description="This machine; unset: not looked at.")
    github: tuple[GithubSource, ...] = Field(default=(), description="Changes from GitHub.")
    gitlab: tuple[GitlabSource, ...] = Field(default=(), description="Changes from GitLab.")
    teamcity: tuple[TeamcitySource, ...] = Field(default=(), description="Changes from TeamCity.")
    fleet: tuple[FleetSource, ...] = Field(default=(), description="osquery on hosts, through Fleet.")
    jira: tuple[JiraSource, ...] = Field(default=(), description="Tickets.")
    runbooks: Runbooks | None = Field(default=None, description="Runbooks; unset: their texts are not read.")
    mcp: tuple[McpSource, ...] = Field(
        default=(), description="Servers whose tools a model may use; nothing else uses them."
    )
