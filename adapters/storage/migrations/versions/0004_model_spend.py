"""What was taken from each day's money for models."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "model_spend",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("nano_usd", sa.Integer(), nullable=False),
        sa.CheckConstraint("nano_usd >= 0", name=op.f("ck_model_spend_not_negative")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_model_spend")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_model_spend_day", "model_spend", ["day", "nano_usd"], unique=False)
