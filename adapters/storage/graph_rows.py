"""The service graph as it is kept between investigations: what was seen ages, what is declared does not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Integer, and_, bindparam, delete, or_, select, text, tuple_
from sqlalchemy.dialects.sqlite import insert as upsert

from adapters.storage.rows import Rows
from adapters.storage.tables import edges
from bot.domain.clock import from_rfc3339, to_rfc3339
from bot.domain.graph import MOST_EDGES, Edge

_NAMES = ("source", "target", "kind", "declared", "source_kind", "target_kind", "origin", "seen_at")
_LONGEST = 253
_DECLARED = text("edges.declared = 1")
_SEEN = text("edges.declared = 0")
_KEY = (edges.c.source, edges.c.target, edges.c.kind)
_NEWEST_FIRST = (edges.c.seen_at.desc(), *_KEY)

_KNOWN = (
    select(*(edges.c[name] for name in _NAMES))
    .where(or_(_DECLARED, and_(_SEEN, edges.c.seen_at > bindparam("after"))))
    .order_by(edges.c.declared.desc(), *_NEWEST_FIRST)
)
_insert = upsert(edges).values({name: bindparam(name) for name in _NAMES})
_KEEP = _insert.on_conflict_do_update(
    index_elements=[*_KEY, edges.c.declared],
    set_={name: _insert.excluded[name] for name in ("source_kind", "target_kind", "origin", "seen_at")},
    where=_insert.excluded.seen_at >= edges.c.seen_at,
)
_FORGET = delete(edges).where(_SEEN, edges.c.seen_at <= bindparam("before"))
_newest = select(*_KEY).where(_SEEN).order_by(*_NEWEST_FIRST).limit(bindparam("most", type_=Integer))
_FORGET_MORE = delete(edges).where(_SEEN, tuple_(*_KEY).not_in(_newest))
_FORGET_DECLARED = delete(edges).where(_DECLARED)


class GraphRows:
    """The part of a reading that is about the service graph."""

    _rows: Rows

    async def edges(self, seen_after: datetime) -> Sequence[Edge]:
        found = await self._rows.all(_KNOWN, after=to_rfc3339(seen_after))
        return [
            Edge(
                source=source,
                target=target,
                kind=kind,
                declared=bool(declared),
                source_kind=source_kind,
                target_kind=target_kind,
                origin=origin,
                seen_at=None if declared else from_rfc3339(seen_at),
            )
            for source, target, kind, declared, source_kind, target_kind, origin, seen_at in found
        ]


class GraphChanges:
    """The part of a transaction that is about the service graph."""

    _rows: Rows

    async def keep_edges(self, seen: Sequence[Edge], forget_before: datetime, most: int = MOST_EDGES) -> None:
        kept = [edge for edge in seen if edge.seen_at is not None][:most]
        self._rows.many_later(_KEEP, _values(kept, at=forget_before, declared=False))
        self._rows.later(_FORGET, before=to_rfc3339(forget_before))
        self._rows.later(_FORGET_MORE, most=most)

    async def declare_edges(self, declared: Sequence[Edge], at: datetime) -> None:
        self._rows.later(_FORGET_DECLARED)
        self._rows.many_later(_KEEP, _values(declared, at=at, declared=True))


def _values(found: Iterable[Edge], *, at: datetime, declared: bool) -> list[dict[str, str | int]]:
    return [
        {
            "source": edge.source,
            "target": edge.target,
            "kind": edge.kind,
            "declared": int(declared),
            "source_kind": edge.source_kind,
            "target_kind": edge.target_kind,
            "origin": edge.origin,
            "seen_at": to_rfc3339(edge.seen_at or at),
        }
        for edge in found
        if _fits(edge)
    ]


def _fits(edge: Edge) -> bool:
    """Names come out of spans, where anybody may have put anything."""
    for name in (edge.source, edge.target):
        if not 0 < len(name) <= _LONGEST or any("\ud800" <= char <= "\udfff" for char in name):
            return False
    return True
