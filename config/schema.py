"""The configuration file as frozen models: unknown keys are refused, secrets never print."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    HttpUrl,
    SecretStr,
    field_validator,
    model_validator,
)

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")


def _parse_duration(value: object) -> object:
    if not isinstance(value, str):
        return value if isinstance(value, timedelta) else _refuse_duration(value)
    match = _DURATION.fullmatch(value.strip())
    if not value.strip() or match is None:
        return _refuse_duration(value)
    days, hours, minutes, seconds, millis = (int(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=millis)


def _refuse_duration(value: object) -> timedelta:
    raise ValueError(f"{value!r} is not a duration; write for example 30s, 5m, 2h, 7d or 1h30m")


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("must be longer than zero")
    return value


def _plain_regex(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return value


Duration = Annotated[timedelta, BeforeValidator(_parse_duration), AfterValidator(_positive)]
Regex = Annotated[str, AfterValidator(_plain_regex)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


class Section(BaseModel):
    """Base of every section: frozen, nothing unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Listen(Section):
    host: str = "127.0.0.1"
    port: int = Field(default=9780, ge=0, le=65535)


class Basic(Section):
    username: str
    password: SecretStr


class Hmac(Section):
    """HMAC-SHA256 of the body, bare lower-case hex or ``sha256=…``, in ``header``. With ``timestamp_header`` it is
    over ``<unix seconds>:<body>`` and must be fresh within ``tolerance``."""

    secret: SecretStr
    header: str = "X-Grafana-Alerting-Signature"
    timestamp_header: str | None = None
    tolerance: Duration = timedelta(seconds=300)


class SourceAuth(Section):
    """Exactly one way in."""

    bearer: SecretStr | None = None
    basic: Basic | None = None
    hmac: Hmac | None = None
    path_secret: SecretStr | None = None
    unauthenticated: bool = False

    @model_validator(mode="after")
    def _exactly_one(self) -> SourceAuth:
        ways = [self.bearer, self.basic, self.hmac, self.path_secret, self.unauthenticated or None]
        if sum(way is not None for way in ways) != 1:
            raise ValueError(
                "exactly one of bearer, basic, hmac, path_secret is needed "
                "(or unauthenticated: true, on a loopback listener only)"
            )
        return self


class Source(Section):
    """One sender of alerts, at ``POST /webhook/<name>``."""

    name: Name
    kind: Literal["alertmanager", "grafana", "generic"]
    auth: SourceAuth


class Limits(Section):
    body_bytes: int = Field(default=4 * 1024 * 1024, ge=1024)
    alerts: int = Field(default=10_000, ge=1)
    labels: int = Field(default=128, ge=1)
    label_value_bytes: int = Field(default=4096, ge=64)
    annotation_value_bytes: int = Field(default=16_384, ge=64)


class Heartbeat(Section):
    """An alert that must keep coming: ``missing_after`` without it raises an incident."""

    alertname: str
    missing_after: Duration | None = None


class Grouping(Section):
    correlation_labels: tuple[str, ...] = ("cluster", "namespace", "service")
    reopen_within: Duration = timedelta(minutes=30)
    age_out: Duration = timedelta(hours=168)
    missing_severity: Literal["info", "warning", "critical", "unknown"] = "unknown"
    heartbeats: tuple[Heartbeat, ...] = (
        Heartbeat(alertname="Watchdog"),
        Heartbeat(alertname="DeadMansSwitch"),
        Heartbeat(alertname="InfoInhibitor"),
    )


class Suggest(Section):
    action: str
    params: dict[str, str | int] = Field(default_factory=dict)


class RouteRule(Section):
    """First match wins. ``match`` compares whole values, ``match_re`` must match from end to end, ``words`` must each
    occur as a whole word in the alert's name or summary."""

    name: Name
    match: dict[str, str] = Field(default_factory=dict)
    match_re: dict[str, Regex] = Field(default_factory=dict)
    words: tuple[str, ...] = ()
    severity: tuple[Literal["info", "warning", "critical", "unknown"], ...] = ()
    mode: Literal["ignore", "notify", "investigate"] = "investigate"
    category: str = "other"
    emoji: str = "🔔"
    environment: str | None = None
    team: str | None = None
    rooms: tuple[Name, ...] = ()
    runbook_url: HttpUrl | None = None
    model_tier: Literal["fast", "deep"] | None = None
    suggest: Suggest | None = None


class HttpAuth(Section):
    bearer: SecretStr | None = None
    basic: Basic | None = None


class PrometheusSource(Section):
    """Prometheus or VictoriaMetrics. ``external_url`` is what links on cards point to."""

    name: Name = "prometheus"
    url: HttpUrl
    external_url: HttpUrl | None = None
    auth: HttpAuth = HttpAuth()
    timeout: Duration = timedelta(seconds=10)
    max_series: int = Field(default=200, ge=1)


class WatchedProcess(Section):
    """A process on this machine: how alerts name it, where it writes its pid and its log."""

    name: Name
    match: dict[str, str] = Field(default_factory=dict)
    pid_file: Path | None = None
    log_file: Path | None = None
    exit_file: Path | None = None


class HostEvidence(Section):
    """This machine as a source. ``names`` are the values of ``instance``, ``node`` or ``host`` labels that mean it
    (a port is ignored)."""

    enabled: bool = True
    names: tuple[str, ...] = ()
    processes: tuple[WatchedProcess, ...] = ()
    log_bytes: int = Field(default=262_144, ge=4096)
    timeout: Duration = timedelta(seconds=5)


class Evidence(Section):
    deadline: Duration = timedelta(seconds=20)
    lookback: Duration = timedelta(hours=1)
    prometheus: tuple[PrometheusSource, ...] = ()
    host: HostEvidence | None = None


class MatrixChat(Section):
    """The bot's Matrix account. Give ``access_token`` (with ``device_id``) or ``password``."""

    homeserver: HttpUrl
    user_id: str = Field(pattern=r"^@[^:\s]+:[^\s]+$")
    access_token: SecretStr | None = None
    password: SecretStr | None = None
    device_id: str = "ASSENT"
    invite_from: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _some_credential(self) -> MatrixChat:
        if (self.access_token is None) == (self.password is None):
            raise ValueError("exactly one of access_token and password is needed")
        return self


class ConsoleChat(Section):
    colour: Literal["auto", "always", "never"] = "auto"


class Room(Section):
    """A room as routes name it, and what it is on its platform."""

    name: Name
    matrix: str | None = None
    console: bool = False

    @model_validator(mode="after")
    def _one_platform(self) -> Room:
        if (self.matrix is not None) == self.console:
            raise ValueError("exactly one of matrix: <room id> and console: true is needed")
        if self.matrix is not None and not self.matrix.startswith("!"):
            raise ValueError("matrix: must be a room id beginning with '!', not an alias")
        return self


class Chat(Section):
    matrix: MatrixChat | None = None
    console: ConsoleChat | None = None
    rooms: tuple[Room, ...] = ()
    default_rooms: tuple[Name, ...] = ()
    approve_emoji: tuple[str, ...] = ("✅",)
    reject_emoji: tuple[str, ...] = ("❌",)

    @field_validator("approve_emoji", "reject_emoji")
    @classmethod
    def _some(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("at least one emoji is needed")
        return value

    @model_validator(mode="after")
    def _disjoint(self) -> Chat:
        both = set(self.approve_emoji) & set(self.reject_emoji)
        if both:
            raise ValueError(f"{' '.join(sorted(both))} would both approve and reject")
        return self


class PersonEntry(Section):
    """Roles: viewer, responder, approver:<action class or *>, admin."""

    id: Name
    matrix: str | None = Field(default=None, pattern=r"^@[^:\s]+:[^\s]+$")
    console: str | None = None
    roles: tuple[Annotated[str, Field(pattern=r"^(viewer|responder|admin|approver:([a-z_]+|\*))$")], ...]


class Freeze(Section):
    """A window without execution; RFC 3339 times."""

    start: str
    end: str
    reason: str


class Policy(Section):
    """``directory`` replaces the shipped Rego; the rest is data for it."""

    directory: Path | None = None
    critical_services: tuple[str, ...] = ("openbao", "step-ca", "keycloak", "postgresql", "monitoring-stack")
    forbidden_namespaces: tuple[str, ...] = ("kube-system", "kube-public", "kube-node-lease")
    writable_environments: tuple[str, ...] = ()
    executions_per_hour: int = Field(default=5, ge=0)
    freezes: tuple[Freeze, ...] = ()
    timeout: Duration = timedelta(seconds=2)


class Approval(Section):
    """Time to decide by risk, and when to remind, in percent of it."""

    timeout_low: Duration = timedelta(minutes=30)
    timeout_medium: Duration = timedelta(minutes=30)
    timeout_high: Duration = timedelta(minutes=15)
    reminders: tuple[Annotated[int, Field(ge=1, le=99)], ...] = (50, 80)
    per_person_per_hour: int = Field(default=5, ge=1)
    proposal_max_age: Duration = timedelta(hours=1)


class ManagedProcess(Section):
    """A local process that may be restarted: by ``start`` (we stop the pid in ``pid_file`` and start it again) or by
    ``restart`` (a service manager's own command, as argv)."""

    name: Name
    pid_file: Path
    start: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    cwd: Path | None = None
    log_file: Path | None = None
    stop_timeout: Duration = timedelta(seconds=10)
    health_url: HttpUrl | None = None
    labels: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_way(self) -> ManagedProcess:
        if bool(self.start) == bool(self.restart):
            raise ValueError("exactly one of start and restart is needed, as a list of arguments")
        return self


class AlertmanagerTarget(Section):
    url: HttpUrl
    auth: HttpAuth = HttpAuth()
    timeout: Duration = timedelta(seconds=10)


class Execution(Section):
    """Nothing here, nothing is ever executed."""

    enabled: bool = False
    processes: tuple[ManagedProcess, ...] = ()
    alertmanager: AlertmanagerTarget | None = None
    timeout: Duration = timedelta(seconds=30)
    verify_after: tuple[Duration, ...] = (timedelta(minutes=5), timedelta(minutes=15))


class Keys(Section):
    """Ed25519 signing key (PEM, PKCS 8) and the public keys (PEM) whose signatures the gate accepts; the signing
    key's own public half is always trusted."""

    signing_key: SecretStr | None = None
    trusted: tuple[str, ...] = ()


class Ledger(Section):
    anchor_file: Path | None = None
    checkpoint_entries: int = Field(default=100, ge=1)
    checkpoint_every: Duration = timedelta(minutes=5)


class Telemetry(Section):
    log_format: Literal["json", "console"] = "json"
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class Config(Section):
    """The whole file."""

    version: Literal[1]
    instance: Name = "assent"
    data_dir: Path
    listen: Listen = Listen()
    sources: tuple[Source, ...] = ()
    limits: Limits = Limits()
    grouping: Grouping = Grouping()
    routes: tuple[RouteRule, ...] = ()
    evidence: Evidence = Evidence()
    chat: Chat = Chat()
    people: tuple[PersonEntry, ...] = ()
    policy: Policy = Policy()
    approval: Approval = Approval()
    execution: Execution = Execution()
    keys: Keys = Keys()
    ledger: Ledger = Ledger()
    telemetry: Telemetry = Telemetry()

    @model_validator(mode="before")
    @classmethod
    def _mapping(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError("the file must be a mapping of sections")
        return value
