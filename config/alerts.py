"""What comes in: the listener, its sources, grouping and routes."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from config.types import (
    Duration,
    DurationOrNone,
    Extract,
    Name,
    Parameter,
    Positive,
    Regex,
    Secret,
    Section,
    Text,
    TextRegex,
    Token,
    Url,
    UrlSecret,
    Whole,
)

Severity = Literal["info", "warning", "critical", "unknown"]


def _no_colon(value: str) -> str:
    if ":" in value:
        raise ValueError("holds a ':', which HTTP basic authentication cannot carry; choose another name")
    return value


class Listen(Section):
    """Where the HTTP listener waits for alerts."""

    host: Text = Field(
        default="127.0.0.1", description="Address to bind. `0.0.0.0` or `::` for every interface."
    )
    port: Whole = Field(default=9780, ge=0, le=65535, description="TCP port; 0 lets the system choose one.")


class Basic(Section):
    """HTTP basic authentication."""

    username: Annotated[Text, AfterValidator(_no_colon)] = Field(description="User name, without `:`.")
    password: Secret = Field(description="Password.")


class Hmac(Section):
    """HMAC-SHA256 of the body, as bare lower-case hex or ``sha256=…``. With ``timestamp_header`` it is over
    ``<unix seconds>:<body>`` and must be fresh, which is what Grafana signs. With the kind ``pagerduty`` the
    header lists ``v1=…``, of which one must be right."""

    secret: Secret = Field(description="The shared secret.")
    header: Text | None = Field(
        default=None,
        description="Header that carries the signature. Unset: `X-Grafana-Alerting-Signature`, "
        "with kind `pagerduty` `X-PagerDuty-Signature`.",
    )
    timestamp_header: Text | None = Field(
        default=None, description="Header with the unix time that is signed in front of the body."
    )
    tolerance: Duration = Field(
        default=timedelta(seconds=300), description="How far that time may be from ours."
    )


class SourceAuth(Section):
    """Exactly one way in."""

    bearer: Token | None = Field(default=None, description="Token of `Authorization: Bearer`.")
    basic: Basic | None = Field(default=None, description="HTTP basic authentication.")
    hmac: Hmac | None = Field(default=None, description="Signature over the body.")
    path_secret: UrlSecret | None = Field(
        default=None, description="Last part of the path: `/webhook/<name>/<secret>`. Proxies may log it."
    )
    unauthenticated: bool = Field(
        default=False, description="Take alerts from anybody; only with a loopback `listen.host`."
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> SourceAuth:
        ways = [self.bearer, self.basic, self.hmac, self.path_secret, self.unauthenticated or None]
        given = sum(way is not None for way in ways)
        if given != 1:
            raise ValueError(
                f"{'no way' if not given else 'more than one way'} to authenticate; exactly one of bearer, "
                "basic, hmac, path_secret is needed (or unauthenticated: true, on a loopback listener only)"
            )
        return self


class Source(Section):
    """One sender of alerts, at ``POST /webhook/<name>``."""

    name: Name = Field(description="Its name, and the last part of its path.")
    kind: Literal["alertmanager", "grafana", "pagerduty", "generic"] = Field(
        description="Whose format the body has."
    )
    auth: SourceAuth = Field(description="How the sender proves itself.")


class Limits(Section):
    """What one request may hold. Over a limit it is refused with the reason."""

    body_bytes: Whole = Field(default=4 * 1024 * 1024, ge=1024, description="Bytes of a body (413).")
    alerts: Positive = Field(default=10_000, description="Alerts in one body (422).")
    labels: Positive = Field(default=128, description="Labels of one alert.")
    label_value_bytes: Whole = Field(default=4096, ge=64, description="Bytes of one label's value.")
    annotation_value_bytes: Whole = Field(
        default=16_384, ge=64, description="Bytes of one annotation's value."
    )


class Heartbeat(Section):
    """An alert that must keep coming and never becomes an incident itself."""

    alertname: Text = Field(description="The alert's name.")
    missing_after: Duration | None = Field(
        default=None, description="Without it for so long, an incident opens. Unset: never."
    )


class Grouping(Section):
    """Which alerts make one incident."""

    correlation_labels: tuple[Text, ...] = Field(
        default=("cluster", "namespace", "service"),
        description="Alerts that agree in all of these that they have belong together.",
    )
    reopen_within: Duration = Field(
        default=timedelta(minutes=30), description="An alert this soon after the end reopens the incident."
    )
    topology_window: DurationOrNone = Field(
        default=timedelta(minutes=10),
        description="An alert joins an incident opened at most so long before it when its service is known "
        "to depend on the incident's, or the other way round, through at most one other. `0s`: never.",
    )
    topology_services: Whole = Field(
        default=8, ge=2, le=100, description="Services of one incident that may come together this way."
    )
    age_out: Duration = Field(
        default=timedelta(hours=168), description="An incident that saw nothing for so long is closed."
    )
    missing_severity: Severity = Field(default="unknown", description="Severity of an alert that names none.")
    heartbeats: tuple[Heartbeat, ...] = Field(
        default=(
            Heartbeat(alertname="Watchdog"),
            Heartbeat(alertname="DeadMansSwitch"),
            Heartbeat(alertname="InfoInhibitor"),
        ),
        description="Alerts that only prove that alerting works.",
    )


class Suggest(Section):
    """An action of the catalogue to propose for every alert of a route."""

    action: Text = Field(description="Its name in the catalogue.")
    params: dict[str, Parameter] = Field(default_factory=dict, description="Its parameters.")


class RouteRule(Section):
    """First match wins. A route that asks for nothing matches everything and must be the last."""

    name: Name = Field(description="Its name, as cards and logs show it.")
    match: dict[str, str] = Field(default_factory=dict, description="Labels and their whole values.")
    match_re: dict[str, Regex] = Field(
        default_factory=dict, description="Labels and expressions that match the value from end to end."
    )
    words: tuple[Text, ...] = Field(
        default=(), description="Each must occur as a whole word in the alert's name or summary."
    )
    text_re: TextRegex | None = Field(
        default=None,
        description="Must be found in the alert's name or summary, from one word's edge to another; "
        "case is ignored.",
    )
    severity: tuple[Severity, ...] = Field(default=(), description="Any of these; empty means every one.")
    mode: Literal["ignore", "notify", "investigate"] = Field(
        default="investigate", description="Drop it, only tell of it, or look into it."
    )
    model: Literal["auto", "fast", "deep", "off"] = Field(
        default="auto",
        description="Which model reads it after the rules; `auto`: the fast one what is known, the deep one "
        "what is critical, has no known severity, or has no known cause. `fast`: the deep one only where the "
        "fast one's answer does not stand. `off`: none, and none for its questions and its summary either.",
    )
    category: Text = Field(default="other", description="What kind of trouble this is.")
    emoji: Text = Field(default="🔔", description="Shown before the title.")
    environment: Text | None = Field(
        default=None, description="Environment, where the alert's labels do not say."
    )
    environments: dict[str, Text] = Field(
        default_factory=dict,
        description="Proper names of environments, by what labels and `extract` call them; case is ignored.",
    )
    extract: Extract | None = Field(
        default=None,
        description="Sought like `text_re`; its named groups `environment`, `service`, and `source` with "
        "`target` say what the alert is about where its labels do not.",
    )
    team: Text | None = Field(
        default=None, description="Who owns it, where the alert's label `team` does not say."
    )
    rooms: tuple[Name, ...] = Field(
        default=(), description="Names from `chat.rooms`; empty means `chat.default_rooms`."
    )
    runbook_url: Url | None = Field(default=None, description="Runbook, where the alert names none.")
    suggest: Suggest | None = Field(default=None, description="What to propose.")
