"""An incident that is over, with everything that is known of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from bot.domain.alert import Alert
from bot.domain.diagnosis import Diagnosis, DiagnosisVerdict, Hypothesis
from bot.domain.evidence import Evidence
from bot.domain.ids import EvidenceId
from bot.domain.incident import Incident
from bot.domain.outcome import ExecutionState, OutcomeVerdict
from bot.domain.past import Recurrence
from bot.domain.redaction import clean
from bot.domain.summary import Summary, TimelineEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """An action that was proposed, and what became of it.

    ``people`` are those who approved it; ``ended`` says why it was not run, empty where it was. ``state`` and
    ``began_at`` are None where it was not run, ``verdict`` where nobody looked whether it helped.
    """

    action: str
    target: str
    proposed_at: datetime
    people: tuple[str, ...] = ()
    ended: str = ""
    began_at: datetime | None = None
    state: ExecutionState | None = None
    result: str = ""
    verdict: OutcomeVerdict | None = None
    evidence_ids: tuple[EvidenceId, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.action} of {self.target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """``incident`` is resolved and ``diagnoses``, newest first, are at least one; ``evidence`` is the newest
    one's. ``alerts`` are the last known state of each; ``began_at`` is when the first of them began to fire.
    ``deeds`` are oldest first, ``advice`` why nothing was proposed. ``timeline`` is oldest first, ``earlier``
    how many entries it lacks."""

    incident: Incident
    alerts: tuple[Alert, ...]
    began_at: datetime
    diagnoses: tuple[Diagnosis, ...]
    evidence: tuple[Evidence, ...]
    now: datetime
    deeds: tuple[Deed, ...] = ()
    advice: tuple[str, ...] = ()
    timeline: tuple[TimelineEntry, ...] = ()
    earlier: int = 0
    recurrence: Recurrence = field(default_factory=Recurrence)

    @property
    def diagnosis(self) -> Diagnosis:
        return self.diagnoses[0]

    @property
    def resolved_at(self) -> datetime:
        return self.incident.resolved_at or self.now

    @property
    def last_run(self) -> Deed | None:
        """The last action that was run since the newest diagnosis: one of before says nothing about it."""
        run = [one for one in self.deeds if one.began_at is not None and one.began_at >= self.diagnosis.at]
        return run[-1] if run else None


class Summariser(Protocol):
    async def summarise(self, story: Story) -> Summary:
        """Never raises for a model that does not answer: then the rules' summary says so."""
        ...


def names_cause(diagnosis: Diagnosis) -> bool:
    return diagnosis.root_cause is not None and diagnosis.verdict is not DiagnosisVerdict.INCONCLUSIVE


def top_of(diagnosis: Diagnosis) -> Hypothesis | None:
    """The hypothesis that the root cause is, None where there is none."""
    if not names_cause(diagnosis):
        return None
    return next((one for one in diagnosis.hypotheses if one.refuted_by is None), None)


def cited(diagnosis: Diagnosis) -> tuple[EvidenceId, ...]:
    """What the root cause stands on."""
    top = top_of(diagnosis)
    if top is not None and top.evidence_ids:
        return top.evidence_ids
    return tuple(dict.fromkeys(one.evidence_id for one in diagnosis.citations))


def line(text: str, limit: int = 300) -> str:
    """One line without secrets and invisible characters."""
    one = " ".join(clean(text, limit=20 * limit).split())
    return one if len(one) <= limit else f"{one[: limit - 1].rstrip()}…"
