"""The document a policy judges: its shape, its settings, and how it is made.

Everything a rule may need is always there with its type, names are in lower case and times ready-made,
because a rule that touches something missing is silently not a rule any more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from approvals.catalogue import action_class
from bot.domain.alert import Criticality
from bot.domain.clock import from_rfc3339
from bot.domain.errors import InputError
from bot.domain.ids import PersonId
from bot.domain.incident import Incident
from bot.domain.proposal import Action, ActionSpec, Risk, Target

# fmt: off
DATA_PLANE_WORDS = frozenset({
    "cassandra", "ceph", "clickhouse", "cockroach", "cockroachdb", "consul", "database", "db",
    "elasticsearch", "etcd", "influxdb", "kafka", "mariadb", "memcached", "minio", "mongo", "mongodb",
    "mssql", "mysql", "nats", "opensearch", "oracle", "postgres", "postgresql", "pulsar", "rabbitmq",
    "redis", "redpanda", "sql", "sqlserver", "storage", "timescaledb", "valkey", "vault", "zookeeper",
})
# fmt: on
"""Words in a name that mean: this holds data."""

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Kind(StrEnum):
    """The type of one member of the document."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TEXTS = "texts"
    OPEN = "open"


Shape = Mapping[str, "Kind | Shape"]

INPUT_SHAPE: Shape = {
    "stage": Kind.TEXT,
    "action": {
        "name": Kind.TEXT,
        "executor": Kind.TEXT,
        "class": Kind.TEXT,
        "words": Kind.TEXTS,
        "params": Kind.OPEN,
        "read_only": Kind.BOOLEAN,
        "reversible": Kind.BOOLEAN,
        "dry_run": Kind.BOOLEAN,
    },
    "target": {
        "kind": Kind.TEXT,
        "name": Kind.TEXT,
        "uid": Kind.TEXT,
        "names": Kind.TEXTS,
        "namespaces": Kind.TEXTS,
        "labels": Kind.OPEN,
        "blast_radius": Kind.INTEGER,
        "data_plane": Kind.BOOLEAN,
    },
    "incident": {
        "id": Kind.TEXT,
        "severity": Kind.TEXT,
        "state": Kind.TEXT,
        "source": Kind.TEXT,
        "route": Kind.TEXT,
        "category": Kind.TEXT,
    },
    "environments": Kind.TEXTS,
    "risk": Kind.TEXT,
    "band": Kind.TEXT,
    "evidence": {"known": Kind.BOOLEAN, "age_seconds": Kind.NUMBER},
    "executions": {"last_hour": Kind.INTEGER},
    "requester": {"known": Kind.BOOLEAN, "person": Kind.TEXT},
    "time": {"ns": Kind.INTEGER, "weekday": Kind.TEXT, "hour": Kind.INTEGER, "minute": Kind.INTEGER},
}
"""Every member a rule may name under ``input``. ``docs/policy.md`` says what each holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeWindow:
    """A time without execution, ``[start, end)``."""

    start: datetime
    end: datetime
    reason: str

    def covers(self, moment: datetime) -> bool:
        return self.start <= moment < self.end

    @classmethod
    def parse(cls, start: str, end: str, reason: str) -> FreezeWindow:
        """Make one from RFC 3339 texts. Raises InputError when they are not times in order."""
        try:
            window = cls(start=from_rfc3339(start), end=from_rfc3339(end), reason=reason)
        except ValueError as error:
            raise InputError(
                f"freeze {start} to {end}: {error}; write for example 2030-12-24T00:00:00Z"
            ) from None
        if window.end <= window.start:
            raise InputError(f"freeze {start} to {end}: the end must be after the start")
        return window


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskSettings:
    """What raises a risk. A blast radius counts the things that depend on the target."""

    data_plane_words: frozenset[str] = DATA_PLANE_WORDS
    high_blast_radius: int = 10
    production_environments: frozenset[str] = frozenset({"production", "prod"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySettings:
    """The operator's settings that the shipped policy reads as ``data.settings``."""

    critical_services: tuple[str, ...] = ()
    forbidden_namespaces: tuple[str, ...] = ()
    writable_environments: tuple[str, ...] = ()
    executions_per_hour: int = 5
    freezes: tuple[FreezeWindow, ...] = ()
    stale_evidence_seconds: int = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyQuestion:
    """May this action run on this target, for this incident, now?

    ``band`` is the diagnosis's, None where there is none; ``evidence_age`` is in seconds, None when unknown;
    ``recent_executions`` counts those on the target in the last hour; ``stage`` is ``proposal`` or
    ``dispatch``.
    """

    spec: ActionSpec
    action: Action
    target: Target
    incident: Incident
    risk: Risk
    band: str | None
    evidence_age: float | None
    recent_executions: int
    requester: PersonId | None
    stage: str
    at: datetime


def policy_data(settings: PolicySettings, risk: RiskSettings) -> dict[str, Any]:
    """Return the policy's data document: ``{"settings": {…}}``, names in lower case, times in epoch ns."""
    return {
        "settings": {
            "critical_services": _lower(settings.critical_services),
            "forbidden_namespaces": _lower(settings.forbidden_namespaces),
            "writable_environments": _lower(settings.writable_environments),
            "production_environments": _lower(sorted(risk.production_environments)),
            "executions_per_hour": settings.executions_per_hour,
            "high_blast_radius": risk.high_blast_radius,
            "stale_evidence_seconds": settings.stale_evidence_seconds,
            "freezes": [
                {"start_ns": epoch_ns(window.start), "end_ns": epoch_ns(window.end), "reason": window.reason}
                for window in settings.freezes
            ],
        }
    }


def input_document(question: PolicyQuestion, risk: RiskSettings) -> dict[str, Any]:
    """Return the document for a question, in the shape of :data:`INPUT_SHAPE`."""
    spec, target, incident = question.spec, question.target, question.incident
    at = question.at.astimezone(UTC)
    age = question.evidence_age
    return {
        "stage": question.stage,
        "action": {
            "name": question.action.name,
            "executor": question.action.executor,
            "class": action_class(question.action.name),
            "words": words(question.action.name),
            "params": dict(question.action.params),
            "read_only": spec.read_only,
            "reversible": spec.reversible,
            "dry_run": spec.dry_run,
        },
        "target": {
            "kind": target.kind,
            "name": target.name,
            "uid": target.uid,
            "names": names(target, incident),
            "namespaces": _namespaces(question.action, target, incident),
            "labels": labels(target, incident),
            "blast_radius": target.blast_radius,
            "data_plane": is_data_plane(target, incident, risk),
        },
        "incident": {
            "id": incident.id,
            "severity": incident.severity.value,
            "state": incident.state.value,
            "source": incident.source,
            "route": incident.route.name,
            "category": incident.route.category,
        },
        "environments": environments(target, incident),
        "risk": question.risk.value,
        "band": question.band or "unknown",
        "evidence": {"known": age is not None, "age_seconds": -1 if age is None else max(0, int(age))},
        "executions": {"last_hour": question.recent_executions},
        "requester": {
            "known": question.requester is not None,
            "person": question.requester or "",
        },
        "time": {
            "ns": epoch_ns(at),
            "weekday": _WEEKDAYS[at.weekday()],
            "hour": at.hour,
            "minute": at.minute,
        },
    }


def check_document(document: Mapping[str, Any], shape: Shape = INPUT_SHAPE, where: str = "input") -> None:
    """Raise InputError naming the first member that is missing, unknown or of another type."""
    if set(document) != set(shape):
        odd = ", ".join(sorted(str(name) for name in set(document) ^ set(shape)))
        raise InputError(f"{where}: missing or unknown: {odd}")
    for name, kind in shape.items():
        value, place = document[name], f"{where}.{name}"
        if isinstance(kind, Kind):
            if not _fits(value, kind):
                raise InputError(f"{place}: must be {kind.value}")
        elif isinstance(value, dict):
            check_document(value, kind, place)
        else:
            raise InputError(f"{place}: must be an object")


def words(name: str) -> list[str]:
    """Split a name into lower-case words: ``vm.delete_disk`` → vm, delete, disk; ``db2`` → db2, db."""
    found: list[str] = []
    for piece in re.split(r"[^a-z0-9]+", name.lower()):
        for word in (piece, piece.strip("0123456789")):
            if word and word not in found:
                found.append(word)
    return found


def own_names(target: Target) -> list[str]:
    """What the target itself is called, in lower case: its name, its service."""
    labels = target.labels
    candidates = (
        target.name,
        *(labels.get(key) for key in ("service", "app", "app.kubernetes.io/name", "job")),
    )
    return list(dict.fromkeys(name.lower() for name in candidates if name))


def names(target: Target, incident: Incident) -> list[str]:
    """Everything the target is called, in lower case: its own names, the incident's service."""
    service = incident.service.lower() if incident.service else None
    return list(dict.fromkeys(name for name in (*own_names(target), service) if name))


def labels(target: Target, incident: Incident) -> dict[str, str]:
    """The target's labels. An alert's claim may raise ``criticality``, and never lowers it."""
    claimed, known = incident.criticality, Criticality.of(target.labels)
    if claimed is None or (known is not None and known.rank >= claimed.rank):
        return dict(target.labels)
    return {**target.labels, "criticality": claimed.value}


def environments(target: Target, incident: Incident) -> list[str]:
    """Every environment that the incident, its route or the target claims, in lower case."""
    candidates = (
        incident.environment,
        incident.route.environment,
        *(target.labels.get(key) for key in ("environment", "env")),
    )
    return list(dict.fromkeys(name.lower() for name in candidates if name))


def is_data_plane(target: Target, incident: Incident, settings: RiskSettings) -> bool:
    """True when one of the target's names has a whole word that means it holds data."""
    return any(word in settings.data_plane_words for name in names(target, incident) for word in words(name))


def epoch_ns(moment: datetime) -> int:
    """Nanoseconds since 1970, exactly (microsecond resolution)."""
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return ((delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds) * 1_000


def _namespaces(action: Action, target: Target, incident: Incident) -> list[str]:
    candidates = (
        action.params.get("namespace"),
        target.labels.get("namespace"),
        incident.correlation.get("namespace"),
    )
    return list(dict.fromkeys(str(name).lower() for name in candidates if name))


def _lower(values: Sequence[str]) -> list[str]:
    return [value.lower() for value in values]


def _text(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _fits(value: object, kind: Kind) -> bool:
    match kind:
        case Kind.TEXT:
            return _text(value)
        case Kind.INTEGER:
            return _integer(value)
        case Kind.NUMBER:
            return _integer(value) or (isinstance(value, float) and value == value)
        case Kind.BOOLEAN:
            return isinstance(value, bool)
        case Kind.TEXTS:
            return isinstance(value, list) and all(_text(item) for item in value)
        case Kind.OPEN:
            return isinstance(value, dict) and all(
                _text(key) and (_text(item) or _integer(item)) for key, item in value.items()
            )
