"""What is kept of incidents that are over, so that the next one can be compared with them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bot.domain.alert import Alert
from bot.domain.evidence import Fact, FactVerdict
from bot.domain.ids import IncidentId, ShortId

OFFERED = 0.5
"""The least ``quality`` of a past incident that others may learn from."""

_NAMING = ("service", "service_name", "app", "application", "deployment", "pod", "container", "job")
_NODES = frozenset({"node", "host"})
_NEIGHBOURS = frozenset({"service", "datastore", "queue", "external"})
_SAFE = "[bcdfghjklmnpqrstvwxz2456789]"
_REPLICA = re.compile(rf"-\d+|(?:-{_SAFE}{{1,10}})?-{_SAFE}{{5}}")
"""What a pod's name has beyond its workload's: an ordinal, or hashes in the letters that Kubernetes takes for
them (no vowels, so no word such as ``-cache``)."""


class Role(StrEnum):
    """What a fact's subject is to the incident: names differ from one incident to the next, this does not."""

    OWN = "own"
    DEPENDENCY = "dependency"
    NODE = "node"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class PastFact:
    """A fact that was found, without what only that incident had: kinds are as in
    :class:`bot.domain.evidence.Fact`."""

    kind: str
    subject_kind: str
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class PastCause:
    """What was at fault; the fields of :class:`bot.domain.diagnosis.Hypothesis`."""

    object: str
    object_kind: str
    fault: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PastIncident:
    """An incident that is over, as its last diagnosis saw it.

    ``cause`` and ``root_cause`` are None where none was found. ``resolution`` says what ended it, as far as
    the bot knows. ``quality`` is between 0 and 1; below :data:`OFFERED` it is no example for others.
    """

    id: IncidentId
    short_id: ShortId
    service: str | None
    environment: str | None
    title: str
    alert_names: tuple[str, ...]
    facts: tuple[PastFact, ...]
    cause: PastCause | None
    root_cause: str | None
    resolution: str
    opened_at: datetime
    resolved_at: datetime
    quality: float

    @property
    def offered(self) -> bool:
        """Whether others may learn from it."""
        return self.cause is not None and self.quality >= OFFERED


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrence:
    """How often the same service, in the same environment, has been in trouble.

    ``day`` and ``week`` count incidents opened in the 24 hours and 7 days up to this one's opening, this one
    included; 0 where it is about no known service. ``resolved_within_week``: another of them was investigated
    and resolved in the 7 days before now. ``last_cause`` is what the newest of those was put down to, None
    where it was not found out; ``earlier_causes`` are the known ones of the rest, newest first.
    """

    day: int = 0
    week: int = 0
    resolved_within_week: bool = False
    last_cause: PastCause | None = None
    earlier_causes: tuple[PastCause, ...] = ()


def names_of(service: str | None, alerts: Iterable[Alert]) -> frozenset[str]:
    """What an incident's alerts call the thing in trouble."""
    labels = {alert.labels.get(label) for alert in alerts for label in _NAMING}
    return frozenset(name for name in {service, *labels} if name)


def role_of(fact: Fact, own: Collection[str]) -> Role:
    """``own`` are the incident's names; a pod of a workload of that name counts as its own."""
    if fact.subject_kind in _NODES:
        return Role.NODE
    if not fact.subject_kind or fact.subject in own:
        return Role.OWN
    if any(fact.subject.startswith(name) and _REPLICA.fullmatch(fact.subject[len(name) :]) for name in own):
        return Role.OWN
    return Role.DEPENDENCY if fact.subject_kind in _NEIGHBOURS else Role.OTHER


def past_facts(facts: Sequence[Fact], own: Collection[str]) -> tuple[PastFact, ...]:
    """What was found, each kind once for each role, in a stable order."""
    distinct = {
        PastFact(kind=fact.kind, subject_kind=fact.subject_kind, role=role_of(fact, own))
        for fact in facts
        if fact.verdict is FactVerdict.FOUND
    }
    return tuple(sorted(distinct, key=lambda fact: (fact.kind, fact.subject_kind, fact.role.value)))
