"""What is kept of incidents that are over, and incidents by their service."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("incidents", sa.Column("service", sa.Text(), nullable=True))
    op.add_column("incidents", sa.Column("environment", sa.Text(), nullable=True))
    op.execute(
        sa.text(
            "UPDATE incidents SET service = json_extract(body, '$.service'), "
            "environment = json_extract(body, '$.environment')"
        )
    )
    for name, at in (("opened", "opened_at"), ("resolved", "resolved_at")):
        op.create_index(
            f"ix_incidents_service_{name}", "incidents", ["service", "environment", "mode", at], unique=False
        )
    op.create_table(
        "past",
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column("resolved_at", sa.Text(), nullable=False),
        sa.Column("offered", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name=op.f("fk_past_incident_id")),
        sa.PrimaryKeyConstraint("incident_id", name=op.f("pk_past")),
    )
    op.create_index(
        "ix_past_offered", "past", ["resolved_at"], unique=False, sqlite_where=sa.text("offered = 1")
    )
