"""The tables of what people ask: questions, and actions of their own."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Table, Text, UniqueConstraint, text

from adapters.storage.columns import metadata, sequence, text_column
from adapters.storage.tables import incidents

questions = Table(
    "questions",
    metadata,
    sequence(),
    Column("id", Text, nullable=False, unique=True),
    Column("incident_id", Text, ForeignKey(incidents.c.id), nullable=False),
    text_column("asked_by"),
    text_column("platform"),
    text_column("event_id"),
    text_column("state"),
    text_column("asked_at"),
    text_column("body"),
    UniqueConstraint("platform", "event_id"),
)
Index("ix_questions_incident", questions.c.incident_id, questions.c.seq)
Index("ix_questions_person", questions.c.asked_by, questions.c.asked_at)
Index("ix_questions_pending", questions.c.seq, sqlite_where=text("state = 'pending'"))

wishes = Table(
    "wishes",
    metadata,
    sequence(),
    Column("id", Text, nullable=False, unique=True),
    Column("incident_id", Text, ForeignKey(incidents.c.id), nullable=False),
    text_column("requested_by"),
    text_column("platform"),
    text_column("event_id"),
    text_column("state"),
    text_column("asked_at"),
    text_column("body"),
    UniqueConstraint("platform", "event_id"),
)
Index("ix_wishes_person", wishes.c.requested_by, wishes.c.asked_at)
Index("ix_wishes_open", wishes.c.incident_id, wishes.c.seq, sqlite_where=text("state = 'open'"))
