"""What may be done, who must agree, and what is kept of it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from config.auth import HttpAuth
from config.types import (
    Duration,
    Instant,
    Name,
    Positive,
    PrivateKey,
    PublicKey,
    Section,
    Text,
    Url,
    Whole,
    parse_instant,
)


class Freeze(Section):
    """A window without execution."""

    start: Instant = Field(description="First instant, RFC 3339 with an offset.")
    end: Instant = Field(description="First instant after it.")
    reason: Text = Field(description="Why, as people are told.")

    @model_validator(mode="after")
    def _forwards(self) -> Freeze:
        if parse_instant(self.start) >= parse_instant(self.end):
            raise ValueError("ends before it starts; let start be earlier than end")
        return self


class Policy(Section):
    """Which actions need whose approval. ``directory`` replaces the shipped Rego; the rest is data for it."""

    directory: Path | None = Field(
        default=None, description="Folder of Rego files; unset: the shipped policy."
    )
    critical_services: tuple[Text, ...] = Field(
        default=("openbao", "step-ca", "keycloak", "postgresql", "monitoring-stack"),
        description="Services that need two approvers.",
    )
    forbidden_namespaces: tuple[Text, ...] = Field(
        default=("kube-system", "kube-public", "kube-node-lease"),
        description="Namespaces in which nothing is ever done.",
    )
    writable_environments: tuple[Text, ...] = Field(
        default=(), description="Production environments in which actions are allowed at all."
    )
    executions_per_hour: Whole = Field(
        default=5, ge=0, description="Executions on one target within an hour; the next one is denied."
    )
    freezes: tuple[Freeze, ...] = Field(default=(), description="Windows without execution.")
    timeout: Duration = Field(
        default=timedelta(seconds=2), description="For one evaluation; after it the answer is no."
    )


class Approval(Section):
    """How long people have to decide, by risk, and when they are reminded."""

    timeout_low: Duration = Field(default=timedelta(minutes=30), description="Time to decide at low risk.")
    timeout_medium: Duration = Field(
        default=timedelta(minutes=30), description="Time to decide at medium risk."
    )
    timeout_high: Duration = Field(default=timedelta(minutes=15), description="Time to decide at high risk.")
    reminders: tuple[Annotated[Whole, Field(ge=1, le=99)], ...] = Field(
        default=(50, 80), description="When to remind, in percent of that time, ascending."
    )
    per_person_per_hour: Positive = Field(default=5, description="Approvals one person may give in an hour.")
    proposal_max_age: Duration = Field(
        default=timedelta(hours=1), description="An older proposal is not run even when approved."
    )

    @model_validator(mode="after")
    def _ascending(self) -> Approval:
        if list(self.reminders) != sorted(set(self.reminders)):
            raise ValueError("reminders do not ascend; write each percentage once, the smallest first")
        return self


class ManagedProcess(Section):
    """A local process that may be restarted: by ``start`` (we stop the pid in ``pid_file`` and start it
    again) or by ``restart`` (a service manager's own command). Arguments are shown: no secrets in them."""

    name: Name = Field(description="The target's name.")
    pid_file: Path = Field(description="Where its pid stands.")
    start: tuple[Text, ...] = Field(default=(), description="Program and arguments that start it.")
    restart: tuple[Text, ...] = Field(default=(), description="Program and arguments that restart it.")
    cwd: Path | None = Field(default=None, description="Working directory of `start`.")
    log_file: Path | None = Field(default=None, description="Where the output of `start` goes.")
    stop_timeout: Duration = Field(
        default=timedelta(seconds=10), description="Patience between SIGTERM and SIGKILL."
    )
    health_url: Url | None = Field(default=None, description="Answers 2xx while the process is healthy.")
    labels: dict[str, str] = Field(default_factory=dict, description="Facts of the target for the policy.")

    @model_validator(mode="after")
    def _one_way(self) -> ManagedProcess:
        if bool(self.start) == bool(self.restart):
            raise ValueError("no single way to restart it; give exactly one of start and restart, as a list")
        return self


class AlertmanagerTarget(Section):
    """The Alertmanager in which silences are made."""

    url: Url = Field(description="Base URL.")
    auth: HttpAuth = Field(default=HttpAuth(), description="How to log in.")
    timeout: Duration = Field(default=timedelta(seconds=10), description="For one request.")


class Execution(Section):
    """What may be acted on. Nothing here, nothing is ever executed."""

    enabled: bool = Field(default=False, description="False: proposals show the command for a person.")
    processes: tuple[ManagedProcess, ...] = Field(default=(), description="Processes that may be restarted.")
    alertmanager: AlertmanagerTarget | None = Field(default=None, description="Where silences are made.")
    timeout: Duration = Field(default=timedelta(seconds=30), description="For one action.")
    verify_after: tuple[Duration, ...] = Field(
        default=(timedelta(minutes=5), timedelta(minutes=15)),
        min_length=1,
        description="When to look whether it helped, after the action, ascending.",
    )

    @model_validator(mode="after")
    def _ascending(self) -> Execution:
        if list(self.verify_after) != sorted(set(self.verify_after)):
            raise ValueError("verify_after does not ascend; write each time once, the shortest first")
        return self


class Keys(Section):
    """The Ed25519 key that signs approvals and checkpoints, and the keys whose signatures the gate accepts.
    The signing key's own public half is always trusted."""

    signing_key: PrivateKey | None = Field(default=None, description="Private key, PEM (PKCS 8).")
    trusted: tuple[PublicKey, ...] = Field(default=(), description="Further public keys, PEM.")


class Ledger(Section):
    """How often the ledger's head is signed, and where it is anchored."""

    anchor_file: Path | None = Field(
        default=None, description="File that signed heads are appended to; keep it on another disk or host."
    )
    log_entries: bool = Field(
        default=False, description="Write every entry to the log as well, for shipping it elsewhere."
    )
    checkpoint_entries: Positive = Field(default=100, description="Sign after so many entries.")
    checkpoint_every: Duration = Field(default=timedelta(minutes=5), description="Sign at least so often.")
