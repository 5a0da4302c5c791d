"""What is said of an incident once it is over: what happened, why, and what would have found it sooner."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from bot.domain.diagnosis import Cost, ModelNote, Origin
from bot.domain.ids import EvidenceId, IncidentId

RESOLVED = "resolved"
"""What the entry says with which an incident was over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEntry:
    """One thing that happened, in one line."""

    at: datetime
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One claim with the evidence that it stands on, none where it stands on what the bot itself did or was
    told. ``origin`` is who makes it."""

    text: str
    evidence_ids: tuple[EvidenceId, ...] = ()
    origin: Origin = Origin.RULES


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A summary of the ``run``-th investigation's incident as it stood when it resolved after having been
    opened again ``reopened`` times; there is at most one for each.

    ``timeline`` is oldest first, ``earlier`` how many entries were left out of its middle. ``cause`` begins
    with what the rules say and may go on with what a model adds; so does ``sooner``. ``runbook_section`` is
    what a runbook should say from now on, ``runbook_patch`` a unified diff that adds it (``patch -p1`` in the
    folder of runbooks), and ``runbook_reason`` why there is no patch where there is none. ``note`` is what
    became of the model, None where none is configured; ``cost`` its part alone.
    """

    incident_id: IncidentId
    run: int
    reopened: int
    at: datetime
    origin: Origin
    timeline: tuple[TimelineEntry, ...]
    cause: tuple[Finding, ...]
    what_was_done: tuple[Finding, ...]
    sooner: tuple[Finding, ...]
    runbook_section: str = ""
    runbook_patch: str | None = None
    runbook_reason: str = ""
    earlier: int = 0
    note: ModelNote | None = None
    cost: Cost = field(default_factory=lambda: Cost(seconds=0.0))
