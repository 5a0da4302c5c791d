"""How many services are known to depend on what an action changes. It may raise a risk, never lower one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from approvals.document import own_names
from bot.domain.graph import Edge, Graph
from bot.domain.proposal import Target

_NAMED = 5
_CHANGES_NOTHING = frozenset({"silence"})
"""Targets behind which nothing stops: who depends on what an alert is about is not touched by hiding it."""


def with_dependents(target: Target, edges: Iterable[Edge]) -> Target:
    """The target with the services known to depend on it, and a blast radius of at least so many."""
    if target.kind in _CHANGES_NOTHING:
        return target
    known = Graph.build({}, edges).depend_on(own_names(target))
    radius = max(target.blast_radius, known.count)
    return replace(target, blast_radius=radius, dependents=known.shortened(_NAMED))
