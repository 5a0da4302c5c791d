"""The closed catalogue of actions, and how a proposal is made from one of its entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType

from approvals.canonical import action_bytes, digest
from bot.domain.ids import Digest, EvidenceId, PersonId, ProposalId
from bot.domain.incident import Incident
from bot.domain.proposal import (
    Action,
    ActionSpec,
    DryRun,
    ParamKind,
    ParamSpec,
    ParamValue,
    Proposal,
    Risk,
    Target,
)

_LABEL = r"[A-Za-z_][A-Za-z0-9_]{0,63}"
_VALUE = r"[A-Za-z0-9/][A-Za-z0-9_.:/@-]{0,126}"
MATCHERS_PATTERN = rf"{_LABEL}={_VALUE}(?:,{_LABEL}={_VALUE}){{0,15}}"
"""``label=value[,label=value]``, at most 16 of them: equality only, so that a silence hides what it names."""

_PROCESS_RESTART = ActionSpec(
    name="process.restart",
    title="Restart a process",
    executor="process",
    params=(
        ParamSpec(
            name="process",
            kind=ParamKind.TEXT,
            description="name of a managed process from the configuration",
            pattern=r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}",
        ),
    ),
    base_risk=Risk.LOW,
    reversible=False,
    dry_run=True,
    verification="the process runs under a new identity, stays up and is healthy",
)

_SILENCE = ActionSpec(
    name="alertmanager.silence",
    title="Silence alerts",
    executor="alertmanager",
    params=(
        ParamSpec(
            name="matchers",
            kind=ParamKind.TEXT,
            description="which alerts, as label=value[,label=value]",
            pattern=MATCHERS_PATTERN,
        ),
        ParamSpec(
            name="duration_minutes",
            kind=ParamKind.INTEGER,
            description="how long, from 1 minute to 1440 (a day)",
            minimum=1,
            maximum=1440,
        ),
        ParamSpec(
            name="comment",
            kind=ParamKind.TEXT,
            description="why, in one line",
            pattern=r"[^\x00-\x1f\x7f]{1,300}",
        ),
    ),
    base_risk=Risk.LOW,
    reversible=True,
    dry_run=True,
    verification="Alertmanager lists the silence as active with these matchers",
    compensating="alertmanager.expire_silence",
)

_EXPIRE_SILENCE = ActionSpec(
    name="alertmanager.expire_silence",
    title="End a silence",
    executor="alertmanager",
    params=(
        ParamSpec(
            name="silence_id",
            kind=ParamKind.TEXT,
            description="the silence's id in Alertmanager, a UUID",
            pattern=r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        ),
    ),
    base_risk=Risk.LOW,
    reversible=True,
    dry_run=True,
    verification="Alertmanager lists the silence as expired",
)


def builtin_catalogue() -> Mapping[str, ActionSpec]:
    """The actions Assent knows, by name. Nothing outside it can be proposed or run."""
    return MappingProxyType({spec.name: spec for spec in (_PROCESS_RESTART, _SILENCE, _EXPIRE_SILENCE)})


def action_class(name: str) -> str:
    """The part of an action's name before the dot: what the role ``approver:<class>`` names."""
    return name.partition(".")[0]


def build_action(spec: ActionSpec, params: Mapping[str, object]) -> Action:
    """Return the typed action. Raises InputError listing every parameter that is missing or wrong."""
    checked: dict[str, ParamValue] = spec.check_params(params)
    return Action(name=spec.name, executor=spec.executor, params=checked)


def build_proposal(
    *,
    spec: ActionSpec,
    params: Mapping[str, object],
    target: Target,
    dry_run: DryRun,
    incident: Incident,
    rationale: str,
    evidence_ids: Sequence[EvidenceId],
    evidence_digest: Digest,
    requested_by: PersonId | None,
    risk: Risk,
    now: datetime,
    max_age: timedelta,
    id: ProposalId,
) -> Proposal:
    """Bind one action to one target and one incident. Raises InputError when the parameters are wrong.

    ``risk`` comes from :func:`approvals.policy.compute_risk`; ``dry_run`` from the inspector.
    """
    action = build_action(spec, params)
    data = action_bytes(incident.id, action, target)
    return Proposal(
        id=id,
        incident_id=incident.id,
        action=action,
        target=target,
        rationale=rationale,
        rationale_evidence_ids=tuple(evidence_ids),
        evidence_digest=evidence_digest,
        risk=risk,
        dry_run=dry_run,
        created_at=now,
        max_age=max_age,
        canonical_bytes=data,
        digest=digest(data),
        requested_by=requested_by,
    )
