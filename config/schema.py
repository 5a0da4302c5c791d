"""The configuration file as frozen models: unknown keys are refused, secrets never print.

The sections stand by what they are about in :mod:`config.alerts`, :mod:`config.looking`,
:mod:`config.records`, :mod:`config.mcp`, :mod:`config.services`, :mod:`config.investigation`,
:mod:`config.model`, :mod:`config.people` and :mod:`config.acting`; all of them are importable from here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from config.acting import (
    AlertmanagerTarget,
    Approval,
    Execution,
    Freeze,
    Keys,
    Ledger,
    ManagedProcess,
    Policy,
)
from config.alerts import (
    Basic,
    Grouping,
    Heartbeat,
    Hmac,
    Limits,
    Listen,
    RouteRule,
    Source,
    SourceAuth,
    Suggest,
)
from config.auth import HttpAuth
from config.investigation import Investigation
from config.looking import (
    Evidence,
    HostEvidence,
    KubernetesSource,
    LokiLabels,
    LokiSource,
    PrometheusSource,
    SeqLabels,
    SeqSource,
    TraceSource,
    WatchedProcess,
)
from config.mcp import McpHeader, McpSource, McpTool, McpVariable
from config.model import ModelBudget, ModelCapabilities, ModelPrice, ModelSection
from config.people import Chat, ConsoleChat, MatrixChat, PersonEntry, Room
from config.records import (
    FleetSource,
    GithubRepository,
    GithubSource,
    GitlabProject,
    GitlabSource,
    JiraSource,
    RunbookHost,
    Runbooks,
    TeamcityBuild,
    TeamcitySource,
)
from config.services import DeclaredService
from config.types import Duration, Name, Regex, Section

__all__ = [
    "AlertmanagerTarget",
    "Approval",
    "Basic",
    "Chat",
    "Config",
    "ConsoleChat",
    "DeclaredService",
    "Duration",
    "Evidence",
    "Execution",
    "FleetSource",
    "Freeze",
    "GithubRepository",
    "GithubSource",
    "GitlabProject",
    "GitlabSource",
    "Grouping",
    "Heartbeat",
    "Hmac",
    "HostEvidence",
    "HttpAuth",
    "Investigation",
    "JiraSource",
    "Keys",
    "KubernetesSource",
    "Ledger",
    "Limits",
    "Listen",
    "LokiLabels",
    "LokiSource",
    "ManagedProcess",
    "MatrixChat",
    "McpHeader",
    "McpSource",
    "McpTool",
    "McpVariable",
    "ModelBudget",
    "ModelCapabilities",
    "ModelPrice",
    "ModelSection",
    "Name",
    "PersonEntry",
    "Policy",
    "PrometheusSource",
    "Regex",
    "Room",
    "RouteRule",
    "RunbookHost",
    "Runbooks",
    "Section",
    "SeqLabels",
    "SeqSource",
    "Source",
    "SourceAuth",
    "Suggest",
    "TeamcityBuild",
    "TeamcitySource",
    "Telemetry",
    "TraceSource",
    "WatchedProcess",
]


class Telemetry(Section):
    """What Assent says of itself."""

    log_format: Literal["json", "console"] = Field(
        default="json", description="JSON lines, or lines for a person's eyes."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least that is logged."
    )


class Config(Section):
    """The whole file."""

    version: Literal[1] = Field(description="Version of this format.")
    instance: Name = Field(default="assent", description="Name of this installation, as people see it.")
    data_dir: Path = Field(description="Folder of the store; created when missing.")
    listen: Listen = Field(default=Listen(), description="The HTTP listener.")
    sources: tuple[Source, ...] = Field(default=(), description="Senders of alerts.")
    limits: Limits = Field(default=Limits(), description="What one request may hold.")
    grouping: Grouping = Field(default=Grouping(), description="Which alerts make one incident.")
    routes: tuple[RouteRule, ...] = Field(default=(), description="What is done with which alert.")
    route_packs: tuple[Literal["bridge"], ...] = Field(
        default=(), description="Shipped routes that come after those of `routes`. See docs/routing.md."
    )
    services: tuple[DeclaredService, ...] = Field(
        default=(), description="What is known of services: dependencies and owners."
    )
    evidence: Evidence = Field(default=Evidence(), description="Where to look.")
    investigation: Investigation = Field(default=Investigation(), description="What becomes of a diagnosis.")
    model: ModelSection | None = Field(default=None, description="Who reads the evidence after the rules.")
    chat: Chat = Field(default=Chat(), description="Where to tell.")
    people: tuple[PersonEntry, ...] = Field(default=(), description="Who may do what.")
    policy: Policy = Field(default=Policy(), description="What needs whose approval.")
    approval: Approval = Field(default=Approval(), description="Time to decide.")
    execution: Execution = Field(default=Execution(), description="What may be acted on.")
    keys: Keys = Field(default=Keys(), description="Signing.")
    ledger: Ledger = Field(default=Ledger(), description="Anchoring.")
    telemetry: Telemetry = Field(default=Telemetry(), description="Logs.")

    @model_validator(mode="before")
    @classmethod
    def _mapping(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError("the file must be a mapping of sections; begin it with version: 1")
        return value
