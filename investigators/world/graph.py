"""The service graph as the rules read it: see :mod:`bot.domain.graph`."""

from __future__ import annotations

from bot.domain.graph import Edge, Graph

__all__ = ["Edge", "Graph"]
