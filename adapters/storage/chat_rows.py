"""Queries about what chat shows, what waits to be sent, and what came in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Integer, Select, and_, bindparam, exists, func, or_, select, text

from adapters.storage.codec import Codec
from adapters.storage.rows import Rows
from adapters.storage.tables import inbox, outbox, slots
from bot.domain.chat import ROOT_SLOT, Delivery, DeliveryOp, Inbound, MessageRef, PendingDelivery
from bot.domain.clock import from_rfc3339, to_rfc3339
from bot.domain.ids import IncidentId

CREATING = frozenset({DeliveryOp.OPEN_THREAD, DeliveryOp.REPLY, DeliveryOp.POST_CARD})
"""Operations after which a message exists; the others edit one or go to a single person."""

UNSENT = text("outbox.sent_at IS NULL")
_earlier = outbox.alias("earlier")
_first_of_lane = ~exists().where(
    _earlier.c.lane == outbox.c.lane,
    _earlier.c.sequence < outbox.c.sequence,
    text("earlier.sent_at IS NULL"),
)
_TURN = and_(UNSENT, or_(outbox.c.lane.is_(None), _first_of_lane))
_root = slots.alias("root")
_own = slots.alias("own")
_DUE = (
    select(
        outbox.c.sequence,
        outbox.c.op,
        outbox.c.content_digest,
        outbox.c.attempts,
        outbox.c.due_at,
        outbox.c.body,
        _root.c.platform,
        _root.c.platform_room,
        _root.c.message_id,
        _own.c.platform,
        _own.c.platform_room,
        _own.c.message_id,
    )
    .select_from(
        outbox.outerjoin(
            _root,
            and_(
                _root.c.incident_id == outbox.c.incident_id,
                _root.c.room == outbox.c.room,
                _root.c.slot == ROOT_SLOT,
            ),
        ).outerjoin(
            _own,
            and_(
                _own.c.incident_id == outbox.c.incident_id,
                _own.c.room == outbox.c.room,
                _own.c.slot == outbox.c.slot,
            ),
        )
    )
    .where(_TURN, outbox.c.due_at <= bindparam("now"))
    .order_by(outbox.c.sequence)
    .limit(bindparam("limit", type_=Integer))
)
_NEXT: Select[tuple[str]] = select(func.min(outbox.c.due_at)).where(_TURN)
_CARD_UNSENT = (
    select(outbox.c.sequence)
    .where(UNSENT, outbox.c.op == DeliveryOp.POST_CARD.value, outbox.c.room == bindparam("room"))
    .limit(1)
)
_MESSAGE_REF = select(slots.c.platform, slots.c.platform_room, slots.c.message_id).where(
    slots.c.incident_id == bindparam("incident_id"),
    slots.c.room == bindparam("room"),
    slots.c.slot == bindparam("slot"),
)
_SLOT_OF = (
    select(slots.c.incident_id, slots.c.slot)
    .where(
        slots.c.platform == bindparam("platform"),
        slots.c.platform_room == bindparam("room"),
        slots.c.message_id == bindparam("message_id"),
    )
    .limit(1)
)
_PENDING_INBOUND = (
    select(inbox.c.kind, inbox.c.body)
    .where(text("inbox.handled = 0"))
    .order_by(inbox.c.seq)
    .limit(bindparam("limit", type_=Integer))
)


class HandedOut:
    """Which contents of an unsent delivery were given to somebody to send, in this process.

    A delivery's message may be replaced while it is being sent, and a platform that has seen its
    idempotency key keeps what it saw first. Only a delivery of which nothing but the newest content was
    ever handed out is known to show it once sent.
    """

    def __init__(self, last_before_start: int) -> None:
        self._last_before_start = last_before_start
        self._contents: dict[int, set[str]] = {}

    def note(self, sequence: int, content_digest: str) -> None:
        self._contents.setdefault(sequence, set()).add(content_digest)

    def shows_only(self, sequence: int, content_digest: str) -> bool:
        """False also for a delivery of an earlier process: nobody knows what that one handed out."""
        return sequence > self._last_before_start and self._contents.get(sequence, set()) <= {content_digest}

    def forget(self, sequence: int) -> None:
        self._contents.pop(sequence, None)


class ChatRows:
    """The part of a reading that is about chat."""

    _rows: Rows
    _codec: Codec
    _handed_out: HandedOut

    async def message_ref(self, incident_id: IncidentId, room: str, slot: str) -> MessageRef | None:
        row = await self._rows.first(_MESSAGE_REF, incident_id=incident_id, room=room, slot=slot)
        return None if row is None else MessageRef(platform=row[0], room=row[1], message_id=row[2])

    async def slot_of(self, ref: MessageRef) -> tuple[IncidentId, str] | None:
        row = await self._rows.first(
            _SLOT_OF, platform=ref.platform, room=ref.room, message_id=ref.message_id
        )
        return None if row is None else (IncidentId(row[0]), row[1])

    async def due_deliveries(self, now: datetime, limit: int) -> Sequence[PendingDelivery]:
        due: list[PendingDelivery] = []
        for row in await self._rows.all(_DUE, now=to_rfc3339(now), limit=limit):
            sequence, op, content_digest, attempts, due_at, body = row[:6]
            self._handed_out.note(sequence, content_digest)
            delivery = self._codec.decode(Delivery, body)
            edits = DeliveryOp(op) not in CREATING and delivery.op is not DeliveryOp.ANSWER_PRIVATELY
            due.append(
                PendingDelivery(
                    sequence=sequence,
                    delivery=delivery,
                    attempts=attempts,
                    due_at=from_rfc3339(due_at),
                    thread=delivery.thread or _ref(row[6:9]),
                    target=_ref(row[9:12]) if edits else None,
                )
            )
        return due

    async def next_delivery_at(self) -> datetime | None:
        at = await self._rows.value(_NEXT)
        return None if at is None else from_rfc3339(at)

    async def card_on_its_way(self, room: str) -> bool:
        return await self._rows.value(_CARD_UNSENT, room=room) is not None

    async def pending_inbound(self, limit: int) -> Sequence[Inbound]:
        found = await self._rows.all(_PENDING_INBOUND, limit=limit)
        return [self._codec.decode_inbound(kind, body) for kind, body in found]


def _ref(columns: tuple[str | None, ...]) -> MessageRef | None:
    platform, room, message_id = columns
    if platform is None or room is None or message_id is None:
        return None
    return MessageRef(platform=platform, room=room, message_id=message_id)
