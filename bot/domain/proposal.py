"""The closed catalogue of typed actions, and a proposal to run exactly one of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from bot.domain.errors import InputError
from bot.domain.graph import Dependents
from bot.domain.ids import Digest, EvidenceId, IncidentId, PersonId, ProposalId
from bot.domain.redaction import visible

ParamValue = str | int


class Risk(StrEnum):
    """Computed from action, target and blast radius; never taken from a model."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"

    @property
    def rank(self) -> int:
        return ("low", "medium", "high").index(self.value)


class ParamKind(StrEnum):
    TEXT = "text"
    INTEGER = "integer"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParamSpec:
    """One parameter. Text must match ``pattern`` from end to end and show each of its characters; integers
    lie in the closed range."""

    name: str
    kind: ParamKind
    description: str
    required: bool = True
    pattern: str = r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,252}"
    minimum: int = 0
    maximum: int = 2**31

    def check(self, value: object) -> ParamValue:
        """Return the value; raise InputError naming the parameter and what it takes."""
        if self.kind is ParamKind.INTEGER:
            if isinstance(value, bool) or not isinstance(value, int):
                raise InputError(f"parameter {self.name}: a whole number is needed")
            if not self.minimum <= value <= self.maximum:
                raise InputError(f"parameter {self.name}: must be from {self.minimum} to {self.maximum}")
            return value
        if not isinstance(value, str) or re.fullmatch(self.pattern, value) is None:
            raise InputError(f"parameter {self.name}: must match {self.pattern}")
        # The digest binds every character, and people approve what they see.
        if visible(value) != value:
            raise InputError(f"parameter {self.name}: must not hold characters that do not show")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionSpec:
    """One entry of the catalogue. ``executor`` names the adapter; ``compensating`` the undoing entry."""

    name: str
    title: str
    executor: str
    params: tuple[ParamSpec, ...]
    base_risk: Risk
    reversible: bool
    dry_run: bool
    verification: str
    compensating: str | None = None
    read_only: bool = False

    def check_params(self, params: Mapping[str, object]) -> dict[str, ParamValue]:
        """Return the validated parameters; raise InputError listing every problem at once."""
        known = {spec.name: spec for spec in self.params}
        problems = [f"parameter {name}: not known to {self.name}" for name in params if name not in known]
        checked: dict[str, ParamValue] = {}
        for spec in self.params:
            if spec.name not in params:
                if spec.required:
                    problems.append(f"parameter {spec.name}: missing ({spec.description})")
                continue
            try:
                checked[spec.name] = spec.check(params[spec.name])
            except InputError as error:
                problems.append(str(error))
        if problems:
            raise InputError("; ".join(problems))
        return checked


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What the action acts on. ``uid`` is the identity seen when the proposal was made: a replaced
    process, pod or silence has another, and then the proposal is void. ``blast_radius`` counts the
    things that depend on it as far as known; ``labels`` feed policy (criticality, environment …).
    ``dependents`` are the services known to depend on it, None where nobody looked."""

    kind: str
    name: str
    uid: str
    blast_radius: int = 1
    labels: Mapping[str, str] = field(default_factory=dict)
    dependents: Dependents | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A catalogue name, its executor, and validated parameters."""

    name: str
    executor: str
    params: Mapping[str, ParamValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What the action would do, as the executor says. ``uncovered`` names what it could not try."""

    ok: bool
    summary: str
    at: datetime
    uncovered: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One action on one target for one incident. ``canonical_bytes`` is the RFC 8785 form of what
    will be run and ``digest`` its SHA-256: the approval names the digest, and the gate recomputes it
    from the stored bytes. ``requested_by`` is the person who asked, or None for the bot itself."""

    id: ProposalId
    incident_id: IncidentId
    action: Action
    target: Target
    rationale: str
    rationale_evidence_ids: tuple[EvidenceId, ...]
    evidence_digest: Digest
    risk: Risk
    dry_run: DryRun
    created_at: datetime
    max_age: timedelta
    canonical_bytes: bytes
    digest: Digest
    requested_by: PersonId | None = None

    @property
    def short_digest(self) -> str:
        """The first 8 hex digits, as the card shows them."""
        return self.digest[:8]


class RemediationKind(StrEnum):
    """What came of looking for a fix after one investigation."""

    NONE = "none"
    ADVISORY = "advisory"
    UNAVAILABLE = "unavailable"
    DENIED = "denied"
    PROPOSED = "proposed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remediation:
    """The end of the remediation step of one run, as people are told it.

    ``command`` is what a person could run by hand. ``reasons`` explain a denial or why nothing could
    be proposed; ``rules`` are the policy rules behind them.
    """

    incident_id: IncidentId
    run: int
    kind: RemediationKind
    at: datetime
    proposal_id: ProposalId | None = None
    command: str | None = None
    reasons: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
