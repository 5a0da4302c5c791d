"""Answers the question for the service graph from the configuration: dependencies and owners as declared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from adapters.evidence.build import Record, answered, nothing
from bot.domain.clock import Clock
from bot.domain.evidence import Evidence, EvidenceStatus, Window
from bot.domain.graph import Edge
from config.services import DeclaredService
from investigators.queries import GraphQuery, Query

ORIGIN = "configuration"
_SHOWN = 40
_QUERY = "the declared services"


class DeclaredServices:
    """An :class:`investigators.queries.EvidenceSource`. It asks nobody, so it cannot fail."""

    name = "declared services"
    answers: frozenset[type[Query]] = frozenset({GraphQuery})

    def __init__(self, services: Sequence[DeclaredService], clock: Clock) -> None:
        self._services = tuple(services)
        self._clock = clock

    def command(self, query: Query, window: Window) -> str | None:
        """It stands in the configuration file."""
        return None

    def covers(self, query: Query) -> bool:
        return isinstance(query, GraphQuery)

    async def ask(self, query: Query, window: Window, subject: str) -> Evidence:
        if not isinstance(query, GraphQuery) or not self._services:
            known = isinstance(query, GraphQuery)
            return nothing(
                source=self.name,
                kind=query.kind,
                query=_QUERY,
                window=window,
                taken_at=self._clock.now(),
                subject=subject,
                reason="no service is declared" if known else "it knows nothing but declared services",
                status=EvidenceStatus.EMPTY if known else EvidenceStatus.FAILED,
            )
        records = list(_records(self._services))
        lines = [line for service in self._services for line in _lines(service)]
        return answered(
            source=self.name,
            kind=query.kind,
            query=_QUERY,
            window=window,
            taken_at=self._clock.now(),
            summary=f"{len(self._services)} services are declared",
            subject=subject,
            excerpt="\n".join(lines[:_SHOWN]),
            records=records,
        )


def declared_edges(services: Sequence[DeclaredService]) -> tuple[Edge, ...]:
    """What is declared to depend on what."""
    kinds = {service.name: service.kind for service in services}
    return tuple(
        Edge(
            source=service.name,
            target=target,
            kind=_edge_kind(kinds.get(target, "service")),
            origin=ORIGIN,
            declared=True,
            source_kind=service.kind,
            target_kind=kinds.get(target, "service"),
        )
        for service in services
        for target in service.depends_on
    )


def _edge_kind(target_kind: str) -> str:
    return "uses" if target_kind in ("datastore", "queue") else "calls"


def _records(services: Sequence[DeclaredService]) -> Iterator[Record]:
    for edge in declared_edges(services):
        yield {
            "from": edge.source,
            "to": edge.target,
            "kind": edge.kind,
            "from_kind": edge.source_kind,
            "to_kind": edge.target_kind,
            "origin": edge.origin,
            "seen_at": None,
            "declared": True,
        }
    for service in services:
        yield {
            "from": service.name,
            "to": None,
            "kind": None,
            "from_kind": service.kind,
            "to_kind": None,
            "origin": ORIGIN,
            "seen_at": None,
            "declared": True,
            "team": service.team or "",
            "owner": service.owner or "",
        }


def _lines(service: DeclaredService) -> Iterator[str]:
    whose = [f"team {service.team}" if service.team else "", service.owner or ""]
    named = ", ".join(part for part in whose if part)
    yield f"{service.name} ({service.kind})" + (f": {named}" if named else "")
    for target in service.depends_on:
        yield f"  depends on {target} (declared)"
