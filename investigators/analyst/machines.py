"""Which machines an incident is about: a model that was taken over must not look into every one there is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bot.domain.evidence import Evidence
from investigators.entities import HOST_LABELS, bare_host, subjects_of
from investigators.ports import Case, HostSource
from investigators.queries import GraphQuery

_BELOW = frozenset({"runs_on", "routes_to"})
_STEPS = 2
"""From a service to its pod, and from that to its node."""


def machines_of(case: Case, hosts: Sequence[HostSource]) -> frozenset[str]:
    """Those that the alerts name, in small letters and without ports."""
    found: set[str] = set()
    for alert in case.alerts:
        found |= {bare_host(alert.labels[key]) for key in HOST_LABELS if key in alert.labels}
        found |= {query.host for source in hosts if (query := source.covers(alert.labels)) is not None}
    return frozenset(name.lower() for name in found if name)


def machines_beside(case: Case, hosts: Sequence[HostSource], evidence: Iterable[Evidence]) -> frozenset[str]:
    """What the incident's services and those next to them run on, by the service graphs among the evidence
    that no outsider can have written."""
    edges = list(_edges(evidence))
    subjects = subjects_of(case, hosts, len(case.alerts))
    named = {*machines_of(case, hosts), *(name.lower() for name in subjects)}
    found = named | {other for one, other, _ in edges if one in named}
    found |= {one for one, other, _ in edges if other in named}
    reached = found
    for _ in range(_STEPS):
        reached = {other for one, other, kind in edges if one in reached and kind in _BELOW}
        found = found | reached
    return frozenset(found)


def _edges(evidence: Iterable[Evidence]) -> Iterator[tuple[str, str, str]]:
    for one in evidence:
        if one.kind == GraphQuery.kind and not one.outsider_writable:
            for record in one.records:
                if _is_edge(record):
                    yield str(record["from"]).lower(), str(record["to"]).lower(), str(record["kind"])


def _is_edge(record: Mapping[str, Any]) -> bool:
    return all(record.get(key) for key in ("from", "to", "kind"))
