"""Alembic's entry: runs the migrations on the connection and in the transaction of whoever called."""

from __future__ import annotations

from alembic import context

from adapters.storage.asked_tables import questions

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=questions.metadata,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
