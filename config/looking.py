"""Where evidence comes from."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pydantic import Field, model_validator

from config.alerts import Basic
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
    kubernetes: tuple[KubernetesSource, ...] = Field(default=(), description="Clusters.")
    host: HostEvidence | None = Field(default=None, description="This machine; unset: not looked at.")
