"""What is kept of the service graph, in a list."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

from bot.domain.graph import Edge


class KnownEdgesInMemory:
    """Gives its edges as the port says; raises ``error``, or answers never where ``hang``."""

    def __init__(self, *edges: Edge, error: Exception | None = None, hang: bool = False) -> None:
        self.known = list(edges)
        self.error = error
        self.hang = hang

    async def edges(self, seen_after: datetime) -> Sequence[Edge]:
        if self.hang:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        declared = [edge for edge in self.known if edge.declared]
        seen = [
            edge for edge in self.known if not edge.declared and edge.seen_at and edge.seen_at > seen_after
        ]
        seen.sort(key=lambda edge: edge.seen_at or seen_after, reverse=True)
        return [*declared, *seen]
