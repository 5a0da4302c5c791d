"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_APPEND_ONLY = ("ledger", "checkpoints")


def upgrade() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("head_hash", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_checkpoints")),
    )
    op.create_table(
        "heartbeats",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_heartbeats")),
    )
    op.create_table(
        "inbox",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("handled", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_inbox")),
        sa.UniqueConstraint("platform", "event_id", name=op.f("uq_inbox_platform_event_id")),
    )
    op.create_index("ix_inbox_pending", "inbox", ["seq"], unique=False, sqlite_where=sa.text("handled = 0"))
    op.create_table(
        "incidents",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("short_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("live", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("group_key", sa.Text(), nullable=False),
        sa.Column("correlation", sa.Text(), nullable=True),
        sa.Column("opened_at", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.Text(), nullable=False),
        sa.Column("resolved_at", sa.Text(), nullable=True),
        sa.Column("run", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("change", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("announced", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("remediated_run", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_incidents")),
        sa.UniqueConstraint("id", name=op.f("uq_incidents_id")),
    )
    op.create_index(
        "ix_incidents_correlation", "incidents", ["correlation", "state", "resolved_at"], unique=False
    )
    op.create_index(
        "ix_incidents_group", "incidents", ["source", "group_key", "state", "resolved_at"], unique=False
    )
    op.create_index("ix_incidents_live", "incidents", ["seq"], unique=False, sqlite_where=sa.text("live = 1"))
    op.create_index("ix_incidents_short_id", "incidents", ["short_id", "seq"], unique=False)
    op.create_index(
        "ix_incidents_unannounced",
        "incidents",
        ["seq"],
        unique=False,
        sqlite_where=sa.text("announced < change"),
    )
    op.create_index(
        "ix_incidents_updated",
        "incidents",
        ["updated_at"],
        unique=False,
        sqlite_where=sa.text("state <> 'closed'"),
    )
    op.create_index(
        "uq_incidents_short_id",
        "incidents",
        ["short_id"],
        unique=True,
        sqlite_where=sa.text("state <> 'closed'"),
    )
    op.create_table(
        "ledger",
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("prev_hash", sa.LargeBinary(), nullable=False),
        sa.Column("entry_hash", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_ledger")),
    )
    op.create_table(
        "positions",
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("position", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("platform", name=op.f("pk_positions")),
    )
    op.create_table(
        "switches",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("paused", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("actor", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("at", sa.Text(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_switches_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_switches")),
    )
    op.create_table(
        "alerts",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("delivery_key", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("effective_at", sa.Text(), nullable=False),
        sa.Column("placed", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("incident_id", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name=op.f("fk_alerts_incident_id")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_alerts")),
        sa.UniqueConstraint("delivery_key", name=op.f("uq_alerts_delivery_key")),
        sa.UniqueConstraint("id", name=op.f("uq_alerts_id")),
    )
    op.create_index(
        "ix_alerts_incident",
        "alerts",
        ["incident_id", "seq"],
        unique=False,
        sqlite_where=sa.text("incident_id IS NOT NULL"),
    )
    op.create_index("ix_alerts_pending", "alerts", ["seq"], unique=False, sqlite_where=sa.text("placed = 0"))
    op.create_table(
        "diagnoses",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("band", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name=op.f("fk_diagnoses_incident_id")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_diagnoses")),
        sa.UniqueConstraint("id", name=op.f("uq_diagnoses_id")),
    )
    op.create_index("ix_diagnoses_incident", "diagnoses", ["incident_id", "seq"], unique=False)
    op.create_table(
        "evidence",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("taken_at", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name=op.f("fk_evidence_incident_id")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_evidence")),
        sa.UniqueConstraint("incident_id", "run", "id", name=op.f("uq_evidence_incident_id_run_id")),
    )
    op.create_table(
        "outbox",
        sa.Column("sequence", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("op", sa.Text(), nullable=False),
        sa.Column("incident_id", sa.Text(), nullable=True),
        sa.Column("room", sa.Text(), nullable=False),
        sa.Column("slot", sa.Text(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=True),
        sa.Column("content_digest", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("due_at", sa.Text(), nullable=False),
        sa.Column("sent_at", sa.Text(), nullable=True),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name=op.f("fk_outbox_incident_id")),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_outbox")),
        sa.UniqueConstraint("key", name=op.f("uq_outbox_key")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_outbox_lane",
        "outbox",
        ["lane", "sequence"],
        unique=False,
        sqlite_where=sa.text("sent_at IS NULL"),
    )
    op.create_index("ix_outbox_slot", "outbox", ["incident_id", "room", "slot", "sequence"], unique=False)
    op.create_index(
        "ix_outbox_unsent", "outbox", ["sequence"], unique=False, sqlite_where=sa.text("sent_at IS NULL")
    )
    op.create_table(
        "proposals",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("canonical_bytes", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name=op.f("fk_proposals_incident_id")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_proposals")),
        sa.UniqueConstraint("id", name=op.f("uq_proposals_id")),
    )
    op.create_index("ix_proposals_incident", "proposals", ["incident_id", "seq"], unique=False)
    op.create_table(
        "remediations",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name=op.f("fk_remediations_incident_id")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_remediations")),
    )
    op.create_index("ix_remediations_incident", "remediations", ["incident_id", "seq"], unique=False)
    op.create_table(
        "slots",
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column("room", sa.Text(), nullable=False),
        sa.Column("slot", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("platform_room", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name=op.f("fk_slots_incident_id")),
        sa.PrimaryKeyConstraint("incident_id", "room", "slot", name=op.f("pk_slots")),
    )
    op.create_index("ix_slots_message", "slots", ["message_id", "platform_room", "platform"], unique=False)
    op.create_table(
        "members",
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("effective_at", sa.Text(), nullable=False),
        sa.Column("alert_seq", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["alert_seq"], ["alerts.seq"], name=op.f("fk_members_alert_seq")),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name=op.f("fk_members_incident_id")),
        sa.PrimaryKeyConstraint("incident_id", "source", "fingerprint", name=op.f("pk_members")),
    )
    op.create_index("ix_members_fingerprint", "members", ["fingerprint", "source", "status"], unique=False)
    op.create_index("ix_members_status", "members", ["incident_id", "status"], unique=False)
    op.create_table(
        "requests",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column("proposal_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name=op.f("fk_requests_incident_id")),
        sa.ForeignKeyConstraint(["proposal_id"], ["proposals.id"], name=op.f("fk_requests_proposal_id")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_requests")),
        sa.UniqueConstraint("id", name=op.f("uq_requests_id")),
    )
    op.create_index("ix_requests_incident", "requests", ["incident_id", "seq"], unique=False)
    op.create_index(
        "ix_requests_undecided",
        "requests",
        ["state"],
        unique=False,
        sqlite_where=sa.text("state = 'pending' OR state = 'approved'"),
    )
    op.create_table(
        "approvals",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("added_at", sa.Text(), nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["requests.id"], name=op.f("fk_approvals_request_id")),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_approvals")),
    )
    op.create_table(
        "executions",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column("proposal_id", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("claimed_at", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name=op.f("fk_executions_incident_id")),
        sa.ForeignKeyConstraint(["proposal_id"], ["proposals.id"], name=op.f("fk_executions_proposal_id")),
        sa.ForeignKeyConstraint(["request_id"], ["requests.id"], name=op.f("fk_executions_request_id")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_executions")),
        sa.UniqueConstraint("id", name=op.f("uq_executions_id")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_executions_idempotency_key")),
        sa.UniqueConstraint("request_id", name=op.f("uq_executions_request_id")),
    )
    op.create_index(
        "ix_executions_claimed",
        "executions",
        ["seq"],
        unique=False,
        sqlite_where=sa.text("state = 'claimed'"),
    )
    op.create_index("ix_executions_incident", "executions", ["incident_id", "seq"], unique=False)
    op.create_index("ix_executions_target", "executions", ["target", "claimed_at"], unique=False)
    op.create_table(
        "reviews",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("reviewer", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("platform_event_id", sa.Text(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("withdrawn_at", sa.Text(), nullable=True),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["requests.id"], name=op.f("fk_reviews_request_id")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_reviews")),
        sa.UniqueConstraint("id", name=op.f("uq_reviews_id")),
        sa.UniqueConstraint(
            "platform", "platform_event_id", name=op.f("uq_reviews_platform_platform_event_id")
        ),
    )
    op.create_index("ix_reviews_request", "reviews", ["request_id", "seq"], unique=False)
    op.create_index("ix_reviews_reviewer", "reviews", ["reviewer", "at"], unique=False)
    op.create_table(
        "outcomes",
        sa.Column("execution_id", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["execution_id"], ["executions.id"], name=op.f("fk_outcomes_execution_id")),
        sa.PrimaryKeyConstraint("execution_id", "attempt", name=op.f("pk_outcomes")),
    )
    op.execute(sa.text("INSERT INTO switches (id, paused, at) VALUES (1, 0, '1970-01-01T00:00:00.000000Z')"))
    for table in _APPEND_ONLY:
        for change in ("UPDATE", "DELETE"):
            op.execute(
                sa.text(
                    f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, 'rows of {table} are never changed'); END"
                )
            )
