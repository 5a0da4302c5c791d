"""What a diff can break and how that shows: one table, by the part of a system it is about."""

from __future__ import annotations

from investigators.changes.mechanisms import between, code, data, deployment, leaks, settings, versions
from investigators.changes.mechanisms.base import Hit, Mechanism

__all__ = ["ALL", "Hit", "Mechanism"]

ALL: tuple[Mechanism, ...] = (
    *code.MECHANISMS,
    *leaks.MECHANISMS,
    *data.MECHANISMS,
    *between.MECHANISMS,
    *settings.MECHANISMS,
    *deployment.MECHANISMS,
    *versions.MECHANISMS,
)
