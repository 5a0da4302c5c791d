"""What is known of the service graph."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "edges",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("declared", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("source_kind", sa.Text(), nullable=False),
        sa.Column("target_kind", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("source", "target", "kind", "declared", name=op.f("pk_edges")),
    )
    op.create_index("ix_edges_seen", "edges", ["declared", "seen_at"], unique=False)
