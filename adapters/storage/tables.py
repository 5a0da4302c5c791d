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
    Table,
    Text,
    UniqueConstraint,
    text,
)

from adapters.storage.columns import count, flag, metadata, reference, sequence, text_column

incidents = Table(
    "incidents",
    metadata,
    sequence(),
    Column("id", Text, nullable=False, unique=True),
    text_column("short_id"),
    text_column("state"),
    flag("live"),
    text_column("mode"),
    text_column("source"),
    text_column("service", nullable=True),
    text_column("environment", nullable=True),
    text_column("group_key"),
    text_column("correlation", nullable=True),
    text_column("opened_at"),
    text_column("updated_at"),
    text_column("resolved_at", nullable=True),
    count("run"),
    count("version", 1),
    count("change"),
    count("announced"),
    count("remediated_run"),
    text_column("body"),
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
    sequence(),
    Column("id", Text, nullable=False, unique=True),
    Column("delivery_key", Text, nullable=False, unique=True),
    text_column("source"),
    text_column("fingerprint"),
    text_column("status"),
    text_column("effective_at"),
    flag("placed"),
    reference("incident_id", "incidents.id", nullable=True),
    text_column("body"),
)
Index("ix_alerts_pending", alerts.c.seq, sqlite_where=text("placed = 0"))
Index("ix_alerts_incident", alerts.c.incident_id, alerts.c.seq, sqlite_where=text("incident_id IS NOT NULL"))

members = Table(
    "members",
    metadata,
    Column("incident_id", Text, ForeignKey("incidents.id"), primary_key=True),
    Column("source", Text, primary_key=True),
    Column("fingerprint", Text, primary_key=True),
    text_column("status"),
    text_column("effective_at"),
    Column("alert_seq", Integer, ForeignKey("alerts.seq"), nullable=False),
)
Index("ix_members_fingerprint", members.c.fingerprint, members.c.source, members.c.status)
Index("ix_members_status", members.c.incident_id, members.c.status)

evidence = Table(
    "evidence",
    metadata,
    sequence(),
    text_column("id"),
    reference("incident_id", "incidents.id"),
    Column("run", Integer, nullable=False),
    text_column("taken_at"),
    text_column("body"),
    UniqueConstraint("incident_id", "run", "id"),
)

diagnoses = Table(
    "diagnoses",
    metadata,
    sequence(),
    Column("id", Text, nullable=False, unique=True),
    reference("incident_id", "incidents.id"),
    Column("run", Integer, nullable=False),
    text_column("band"),
    text_column("body"),
)
Index("ix_diagnoses_incident", diagnoses.c.incident_id, diagnoses.c.seq)

past = Table(
    "past",
    metadata,
    Column("incident_id", Text, ForeignKey("incidents.id"), primary_key=True),
    text_column("resolved_at"),
    flag("offered"),
    text_column("body"),
)
Index("ix_past_offered", past.c.resolved_at, sqlite_where=text("offered = 1"))
Index("ix_past_resolved", past.c.resolved_at)

remediations = Table(
    "remediations",
    metadata,
    sequence(),
    reference("incident_id", "incidents.id"),
    Column("run", Integer, nullable=False),
    text_column("body"),
)
Index("ix_remediations_incident", remediations.c.incident_id, remediations.c.seq)

proposals = Table(
    "proposals",
    metadata,
    sequence(),
    Column("id", Text, nullable=False, unique=True),
    reference("incident_id", "incidents.id"),
    text_column("target"),
    text_column("digest"),
    Column("canonical_bytes", LargeBinary, nullable=False),
    text_column("body"),
)
Index("ix_proposals_incident", proposals.c.incident_id, proposals.c.seq)

requests = Table(
    "requests",
    metadata,
    sequence(),
    Column("id", Text, nullable=False, unique=True),
    reference("incident_id", "incidents.id"),
    reference("proposal_id", "proposals.id"),
    text_column("state"),
    text_column("expires_at"),
    count("version", 1),
    Column("envelope", LargeBinary, nullable=False),
    text_column("body"),
)
Index("ix_requests_incident", requests.c.incident_id, requests.c.seq)
Index("ix_requests_undecided", requests.c.state, sqlite_where=text("state = 'pending' OR state = 'approved'"))

reviews = Table(
    "reviews",
    metadata,
    sequence(),
    Column("id", Text, nullable=False, unique=True),
    reference("request_id", "requests.id"),
    text_column("reviewer"),
    text_column("verdict"),
    text_column("platform"),
    text_column("platform_event_id"),
    text_column("at"),
    text_column("withdrawn_at", nullable=True),
    Column("envelope", LargeBinary, nullable=False),
    text_column("body"),
    UniqueConstraint("platform", "platform_event_id"),
)
Index("ix_reviews_request", reviews.c.request_id, reviews.c.seq)
Index("ix_reviews_reviewer", reviews.c.reviewer, reviews.c.at)

approvals = Table(
    "approvals",
    metadata,
    Column("request_id", Text, ForeignKey("requests.id"), primary_key=True),
    text_column("added_at"),
    Column("envelope", LargeBinary, nullable=False),
)

executions = Table(
    "executions",
    metadata,
    sequence(),
    Column("id", Text, nullable=False, unique=True),
    reference("incident_id", "incidents.id"),
    reference("proposal_id", "proposals.id"),
    Column("request_id", Text, ForeignKey("requests.id"), nullable=False, unique=True),
    Column("idempotency_key", Text, nullable=False, unique=True),
    text_column("state"),
    text_column("target"),
    text_column("claimed_at"),
    text_column("body"),
)
Index("ix_executions_incident", executions.c.incident_id, executions.c.seq)
Index("ix_executions_target", executions.c.target, executions.c.claimed_at)
Index("ix_executions_claimed", executions.c.seq, sqlite_where=text("state = 'claimed'"))

outcomes = Table(
    "outcomes",
    metadata,
    Column("execution_id", Text, ForeignKey("executions.id"), primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    text_column("body"),
)

switches = Table(
    "switches",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    flag("paused"),
    text_column("actor", nullable=True),
    text_column("reason", nullable=True),
    text_column("at"),
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
    text_column("op"),
    reference("incident_id", "incidents.id", nullable=True),
    text_column("room"),
    text_column("slot"),
    text_column("lane", nullable=True),
    text_column("content_digest"),
    count("revision"),
    count("attempts"),
    text_column("due_at"),
    text_column("sent_at", nullable=True),
    text_column("failure", nullable=True),
    text_column("body"),
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
    text_column("platform"),
    text_column("platform_room"),
    text_column("message_id"),
)
Index("ix_slots_message", slots.c.message_id, slots.c.platform_room, slots.c.platform)

summaries = Table(
    "summaries",
    metadata,
    Column("incident_id", Text, ForeignKey("incidents.id"), primary_key=True),
    Column("reopened", Integer, primary_key=True, autoincrement=False),
    text_column("body", nullable=True),
)
Index("ix_summaries_wanted", summaries.c.incident_id, sqlite_where=text("body IS NULL"))
edges = Table(
    "edges",
    metadata,
    Column("source", Text, primary_key=True),
    Column("target", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("declared", Integer, primary_key=True, autoincrement=False, server_default=text("0")),
    text_column("source_kind"),
    text_column("target_kind"),
    text_column("origin"),
    text_column("seen_at"),
)
Index("ix_edges_seen", edges.c.declared, edges.c.seen_at)

inbox = Table(
    "inbox",
    metadata,
    sequence(),
    text_column("platform"),
    text_column("event_id"),
    text_column("kind"),
    flag("handled"),
    text_column("body"),
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
    sequence(),
    Column("size", Integer, nullable=False),
    Column("head_hash", LargeBinary, nullable=False),
    text_column("at"),
    Column("envelope", LargeBinary, nullable=False),
)

model_spend = Table(
    "model_spend",
    metadata,
    sequence(),
    text_column("day"),
    Column("nano_usd", Integer, nullable=False),
    CheckConstraint("nano_usd >= 0", name="not_negative"),
    sqlite_autoincrement=True,
)
Index("ix_model_spend_day", model_spend.c.day, model_spend.c.nano_usd)
