"""A diagnosis: claims, each citing evidence, with what is not known said as plainly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from bot.domain.evidence import Fact
from bot.domain.ids import DiagnosisId, EvidenceId, IncidentId


class DiagnosisVerdict(StrEnum):
    ACTION_NEEDED = "action_needed"
    ACTION_SUGGESTED = "action_suggested"
    NO_ACTION = "no_action"
    INCONCLUSIVE = "inconclusive"


class Band(StrEnum):
    """How sure we are, derived by rules from the evidence, never from a model's own number."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Origin(StrEnum):
    RULES = "rules"
    MODEL = "model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """A claim and the evidence it stands on. ``finding`` is one line of plain words; ``quote`` the words of
    the evidence that a model named for it, found there word for word; ``outsider_writable`` that somebody
    outside the operator's trust can have chosen them."""

    evidence_id: EvidenceId
    source: str
    finding: str
    link: str | None = None
    quote: str = ""
    outsider_writable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """A possible cause: ``object`` names what is at fault, ``object_kind`` what that is (see
    :class:`bot.domain.evidence.Fact`), ``fault`` the fact kind. ``lost_to`` says in a few words why it is not
    the first; empty for the first."""

    object: str
    fault: str
    score: float
    statement: str
    evidence_ids: tuple[EvidenceId, ...]
    refuted_by: str | None = None
    object_kind: str = ""
    lost_to: str = ""


class PerspectiveState(StrEnum):
    """``nothing``: it looked and found nothing of its own; ``blind``: it could not look; ``failed``: it
    broke."""

    FOUND = "found"
    NOTHING = "nothing"
    BLIND = "blind"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PerspectiveView:
    """What one way of looking at an incident (app, infra, deps, runtime) came to: its best hypothesis where
    ``state`` is found, else ``reason`` says why there is none. ``against`` says with whom it disagrees."""

    name: str
    state: PerspectiveState
    object: str = ""
    object_kind: str = ""
    fault: str = ""
    score: float = 0.0
    evidence_ids: tuple[EvidenceId, ...] = ()
    reason: str = ""
    against: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """A change that may be to blame. ``score`` is between 0 and 1; ``why`` says what of the change meets
    what of the evidence."""

    change_id: str
    kind: str
    score: float
    why: str
    evidence_ids: tuple[EvidenceId, ...]
    title: str = ""
    service: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Similar:
    """A past incident that looks like this one. ``score`` is between 0 and 1; ``shared`` says in what they
    are alike; ``cause`` what the past one was put down to and ``resolution`` what ended it then."""

    incident_id: IncidentId
    short_id: str
    title: str
    service: str
    resolved_at: datetime | None
    cause: str
    resolution: str
    shared: tuple[str, ...]
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A line that somebody else wrote, word for word: data to show, never a command to run."""

    evidence_id: EvidenceId
    source: str
    text: str
    link: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """What people already know of the service's troubles."""

    evidence_id: EvidenceId
    key: str
    summary: str
    status: str
    link: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Something we could not look at, why, and the command with which a person can."""

    what: str
    reason: str
    manual: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestedAction:
    """A catalogue action the investigation thinks would help. Not a proposal: nothing is bound yet."""

    action: str
    params: Mapping[str, str | int]
    target: str
    why: str
    evidence_ids: tuple[EvidenceId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """``usd`` is None when the price is unknown, never 0 for unknown."""

    seconds: float
    usd: Decimal | None = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCost:
    """What models have cost for one incident: ``usd`` is what is known of it, ``whole`` whether that is
    all."""

    usd: Decimal
    whole: bool = True


class ModelState(StrEnum):
    """``verified``: the diagnosis is a model's, and its quotes were found where it said; ``agreed``: the
    rules' diagnosis stands, a model had nothing to add or to change; ``unverified``: what a model said is
    shown and nothing is offered for it; ``failed``: it did not answer; ``skipped``: it was not asked."""

    VERIFIED = "verified"
    AGREED = "agreed"
    UNVERIFIED = "unverified"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelNote:
    """What became of the model in one investigation. ``reason`` says in one sentence why its answer is not
    the diagnosis, or what is doubted in it; ``kind`` the failure's kind, such as ``daily_budget``; ``said``
    its own summary where that is not the diagnosis."""

    state: ModelState
    model: str = ""
    reason: str = ""
    kind: str = ""
    said: str = ""
    turns: int = 0
    tool_calls: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """``suspects`` are changes that may be to blame, likeliest first; ``no_culprit`` is True where changes
    were looked at and none of them is, None where none were looked at. ``runbook`` are steps quoted from the
    runbook, ``tickets`` the service's open ones; ``model`` what became of the model, None where none is
    configured."""

    id: DiagnosisId
    incident_id: IncidentId
    run: int
    at: datetime
    verdict: DiagnosisVerdict
    summary: str
    root_cause: str | None
    band: Band
    origin: Origin
    citations: tuple[Citation, ...]
    hypotheses: tuple[Hypothesis, ...] = ()
    ruled_out: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()
    steps: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()
    suggestion: SuggestedAction | None = None
    cost: Cost = field(default_factory=lambda: Cost(seconds=0.0))
    suspects: tuple[Suspect, ...] = ()
    no_culprit: bool | None = None
    similar: tuple[Similar, ...] = ()
    runbook: tuple[Quote, ...] = ()
    tickets: tuple[Ticket, ...] = ()
    perspectives: tuple[PerspectiveView, ...] = ()
    model: ModelNote | None = None
