"""Summaries of incidents that are over. Those resolved before get none."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "summaries",
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column("reopened", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("body", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name=op.f("fk_summaries_incident_id")),
        sa.PrimaryKeyConstraint("incident_id", "reopened", name=op.f("pk_summaries")),
    )
    op.create_index(
        "ix_summaries_wanted",
        "summaries",
        ["incident_id"],
        unique=False,
        sqlite_where=sa.text("body IS NULL"),
    )
    op.create_index("ix_past_resolved", "past", ["resolved_at"], unique=False)
