"""What people ask of an incident: questions, and actions of their own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    _asked("questions", person="asked_by")
    op.create_index("ix_questions_incident", "questions", ["incident_id", "seq"], unique=False)
    op.create_index(
        "ix_questions_pending", "questions", ["seq"], unique=False, sqlite_where=sa.text("state = 'pending'")
    )
    _asked("wishes", person="requested_by")
    op.create_index(
        "ix_wishes_open",
        "wishes",
        ["incident_id", "seq"],
        unique=False,
        sqlite_where=sa.text("state = 'open'"),
    )


def _asked(table: str, *, person: str) -> None:
    op.create_table(
        table,
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column(person, sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name=op.f(f"fk_{table}_incident_id")),
        sa.PrimaryKeyConstraint("seq", name=op.f(f"pk_{table}")),
        sa.UniqueConstraint("id", name=op.f(f"uq_{table}_id")),
        sa.UniqueConstraint("platform", "event_id", name=op.f(f"uq_{table}_platform_event_id")),
    )
    op.create_index(f"ix_{table}_person", table, [person, "asked_at"], unique=False)
