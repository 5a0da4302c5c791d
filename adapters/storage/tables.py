"""The tables, as the newest migration leaves them.

Times are RFC 3339 UTC text of fixed width, so that they sort as text. A noun is columns where it is
queried and a JSON ``body`` for the rest; bytes that somebody signed or hashed stand alone in BLOB columns.
"""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _sequence() -> Column[int]:
    return Column("seq", Integer, primary_key=True)


def _reference(name: str, target: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, Text, ForeignKey(target), nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, Text, nullable=nullable)


def _count(name: str, default: int = 0) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default=text(str(default)))


def _flag(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default=text("0"))


incidents = Table(
    "incidents",
    metadata,
    _sequence(),
    Column("id", Text, nullable=False, unique=True),
    _text("short_id"),
    _text("state"),
    _flag("live"),
    _text("mode"),
    _text("source"),
    _text("service", nullable=True),
    _text("environment", nullable=True),
    _text("group_key"),
    _text("correlation", nullable=True),
    _text("opened_at"),
    _text("updated_at"),
    _text("resolved_at", nullable=True),
    _count("run"),
    _count("version", 1),
    _count("change"),
    _count("announced"),
    _count("remediated_run"),
    _text("body"),
)
Index("uq_incidents_short_id", incidents.c.short_id, unique=True, sqlite_where=text("state <> 'closed'"))
Index("ix_incidents_short_id", incidents.c.short_id, incidents.c.seq)
Index("ix_incidents_live", incidents.c.seq, sqlite_where=text("live = 1"))
Index(
    "ix_incidents_group",
    incidents.c.source,
    incidents.c.group_key,
    incidents.c.state,
    incidents.c.resolved_at,
)
Index("ix_incidents_correlation", incidents.c.correlation, incidents.c.state, incidents.c.resolved_at)
# Counting incidents of a service reads nothing but this index.
_service = (incidents.c.service, incidents.c.environment, incidents.c.mode)
Index("ix_incidents_service_opened", *_service, incidents.c.opened_at)
Index("ix_incidents_service_resolved", *_service, incidents.c.resolved_at)
Index("ix_incidents_updated", incidents.c.updated_at, sqlite_where=text("state <> 'closed'"))
Index("ix_incidents_unannounced", incidents.c.seq, sqlite_where=text("announced < change"))

alerts = Table(
    "alerts",
    metadata,
    _sequence(),
    Column("id", Text, nullable=False, unique=True),
    Column("delivery_key", Text, nullable=False, unique=True),
    _text("source"),
    _text("fingerprint"),
    _text("status"),
    _text("effective_at"),
    _flag("placed"),
    _reference("incident_id", "incidents.id", nullable=True),
    _text("body"),
)
Index("ix_alerts_pending", alerts.c.seq, sqlite_where=text("placed = 0"))
Index("ix_alerts_incident", alerts.c.incident_id, alerts.c.seq, sqlite_where=text("incident_id IS NOT NULL"))

members = Table(
    "members",
    metadata,
    Column("incident_id", Text, ForeignKey("incidents.id"), primary_key=True),
    Column("source", Text, primary_key=True),
    Column("fingerprint", Text, primary_key=True),
    _text("status"),
    _text("effective_at"),
    Column("alert_seq", Integer, ForeignKey("alerts.seq"), nullable=False),
)
Index("ix_members_fingerprint", members.c.fingerprint, members.c.source, members.c.status)
Index("ix_members_status", members.c.incident_id, members.c.status)

evidence = Table(
    "evidence",
    metadata,
    _sequence(),
    _text("id"),
    _reference("incident_id", "incidents.id"),
    Column("run", Integer, nullable=False),
    _text("taken_at"),
    _text("body"),
    UniqueConstraint("incident_id", "run", "id"),
)

diagnoses = Table(
    "diagnoses",
    metadata,
    _sequence(),
    Column("id", Text, nullable=False, unique=True),
    _reference("incident_id", "incidents.id"),
    Column("run", Integer, nullable=False),
    _text("band"),
    _text("body"),
)
Index("ix_diagnoses_incident", diagnoses.c.incident_id, diagnoses.c.seq)

past = Table(
    "past",
    metadata,
    Column("incident_id", Text, ForeignKey("incidents.id"), primary_key=True),
    _text("resolved_at"),
    _flag("offered"),
    _text("body"),
)
Index("ix_past_offered", past.c.resolved_at, sqlite_where=text("offered = 1"))

remediations = Table(
    "remediations",
    metadata,
    _sequence(),
    _reference("incident_id", "incidents.id"),
    Column("run", Integer, nullable=False),
    _text("body"),
)
Index("ix_remediations_incident", remediations.c.incident_id, remediations.c.seq)

proposals = Table(
    "proposals",
    metadata,
    _sequence(),
    Column("id", Text, nullable=False, unique=True),
    _reference("incident_id", "incidents.id"),
    _text("target"),
    _text("digest"),
    Column("canonical_bytes", LargeBinary, nullable=False),
    _text("body"),
)
Index("ix_proposals_incident", proposals.c.incident_id, proposals.c.seq)

requests = Table(
    "requests",
    metadata,
    _sequence(),
    Column("id", Text, nullable=False, unique=True),
    _reference("incident_id", "incidents.id"),
    _reference("proposal_id", "proposals.id"),
    _text("state"),
    _text("expires_at"),
    _count("version", 1),
    Column("envelope", LargeBinary, nullable=False),
    _text("body"),
)
Index("ix_requests_incident", requests.c.incident_id, requests.c.seq)
Index("ix_requests_undecided", requests.c.state, sqlite_where=text("state = 'pending' OR state = 'approved'"))

reviews = Table(
    "reviews",
    metadata,
    _sequence(),
    Column("id", Text, nullable=False, unique=True),
    _reference("request_id", "requests.id"),
    _text("reviewer"),
    _text("verdict"),
    _text("platform"),
    _text("platform_event_id"),
    _text("at"),
    _text("withdrawn_at", nullable=True),
    Column("envelope", LargeBinary, nullable=False),
    _text("body"),
    UniqueConstraint("platform", "platform_event_id"),
)
Index("ix_reviews_request", reviews.c.request_id, reviews.c.seq)
Index("ix_reviews_reviewer", reviews.c.reviewer, reviews.c.at)

approvals = Table(
    "approvals",
    metadata,
    Column("request_id", Text, ForeignKey("requests.id"), primary_key=True),
    _text("added_at"),
    Column("envelope", LargeBinary, nullable=False),
)

executions = Table(
    "executions",
    metadata,
    _sequence(),
    Column("id", Text, nullable=False, unique=True),
    _reference("incident_id", "incidents.id"),
    _reference("proposal_id", "proposals.id"),
    Column("request_id", Text, ForeignKey("requests.id"), nullable=False, unique=True),
    Column("idempotency_key", Text, nullable=False, unique=True),
    _text("state"),
    _text("target"),
    _text("claimed_at"),
    _text("body"),
)
Index("ix_executions_incident", executions.c.incident_id, executions.c.seq)
Index("ix_executions_target", executions.c.target, executions.c.claimed_at)
Index("ix_executions_claimed", executions.c.seq, sqlite_where=text("state = 'claimed'"))

outcomes = Table(
    "outcomes",
    metadata,
    Column("execution_id", Text, ForeignKey("executions.id"), primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    _text("body"),
)

switches = Table(
    "switches",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    _flag("paused"),
    _text("actor", nullable=True),
    _text("reason", nullable=True),
    _text("at"),
    CheckConstraint("id = 1", name="single"),
)

heartbeats = Table(
    "heartbeats", metadata, Column("name", Text, primary_key=True), Column("at", Text, nullable=False)
)

outbox = Table(
    "outbox",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("key", Text, nullable=False, unique=True),
    _text("op"),
    _reference("incident_id", "incidents.id", nullable=True),
    _text("room"),
    _text("slot"),
    _text("lane", nullable=True),
    _text("content_digest"),
    _count("revision"),
    _count("attempts"),
    _text("due_at"),
    _text("sent_at", nullable=True),
    _text("failure", nullable=True),
    _text("body"),
    sqlite_autoincrement=True,
)
Index("ix_outbox_unsent", outbox.c.sequence, sqlite_where=text("sent_at IS NULL"))
Index("ix_outbox_lane", outbox.c.lane, outbox.c.sequence, sqlite_where=text("sent_at IS NULL"))
Index("ix_outbox_slot", outbox.c.incident_id, outbox.c.room, outbox.c.slot, outbox.c.sequence)

slots = Table(
    "slots",
    metadata,
    Column("incident_id", Text, ForeignKey("incidents.id"), primary_key=True),
    Column("room", Text, primary_key=True),
    Column("slot", Text, primary_key=True),
    _text("platform"),
    _text("platform_room"),
    _text("message_id"),
)
Index("ix_slots_message", slots.c.message_id, slots.c.platform_room, slots.c.platform)

questions = Table(
    "questions",
    metadata,
    _sequence(),
    Column("id", Text, nullable=False, unique=True),
    _reference("incident_id", "incidents.id"),
    _text("asked_by"),
    _text("platform"),
    _text("event_id"),
    _text("state"),
    _text("asked_at"),
    _text("body"),
    UniqueConstraint("platform", "event_id"),
)
Index("ix_questions_incident", questions.c.incident_id, questions.c.seq)
Index("ix_questions_person", questions.c.asked_by, questions.c.asked_at)
Index("ix_questions_pending", questions.c.seq, sqlite_where=text("state = 'pending'"))

wishes = Table(
    "wishes",
    metadata,
    _sequence(),
    Column("id", Text, nullable=False, unique=True),
    _reference("incident_id", "incidents.id"),
    _text("requested_by"),
    _text("platform"),
    _text("event_id"),
    _text("state"),
    _text("asked_at"),
    _text("body"),
    UniqueConstraint("platform", "event_id"),
)
Index("ix_wishes_person", wishes.c.requested_by, wishes.c.asked_at)
Index("ix_wishes_open", wishes.c.incident_id, wishes.c.seq, sqlite_where=text("state = 'open'"))

edges = Table(
    "edges",
    metadata,
    Column("source", Text, primary_key=True),
    Column("target", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("declared", Integer, primary_key=True, autoincrement=False, server_default=text("0")),
    _text("source_kind"),
    _text("target_kind"),
    _text("origin"),
    _text("seen_at"),
)
Index("ix_edges_seen", edges.c.declared, edges.c.seen_at)

inbox = Table(
    "inbox",
    metadata,
    _sequence(),
    _text("platform"),
    _text("event_id"),
    _text("kind"),
    _flag("handled"),
    _text("body"),
    UniqueConstraint("platform", "event_id"),
)
Index("ix_inbox_pending", inbox.c.seq, sqlite_where=text("handled = 0"))

positions = Table(
    "positions",
    metadata,
    Column("platform", Text, primary_key=True),
    Column("position", Text, nullable=False),
)

ledger = Table(
    "ledger",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("prev_hash", LargeBinary, nullable=False),
    Column("entry_hash", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    _sequence(),
    Column("size", Integer, nullable=False),
    Column("head_hash", LargeBinary, nullable=False),
    _text("at"),
    Column("envelope", LargeBinary, nullable=False),
)
