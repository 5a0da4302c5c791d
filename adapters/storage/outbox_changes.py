"""Changes to the outbox: what is to be sent, what was, and where it ended up."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from adapters.storage.changes import Changes
from adapters.storage.chat_rows import CREATING
from adapters.storage.tables import inbox, outbox, slots
from bot.domain.chat import Delivery, DeliveryOp, MessageRef
from bot.domain.clock import to_rfc3339
from bot.domain.errors import StaleWrite

_EDIT_OF = {
    DeliveryOp.OPEN_THREAD: DeliveryOp.UPDATE_ROOT,
    DeliveryOp.UPDATE_ROOT: DeliveryOp.UPDATE_ROOT,
    DeliveryOp.POST_CARD: DeliveryOp.UPDATE_CARD,
    DeliveryOp.UPDATE_CARD: DeliveryOp.UPDATE_CARD,
    DeliveryOp.SETTLE_CARD: DeliveryOp.SETTLE_CARD,
}
"""How content of an editable slot reaches a message that exists already."""

_put = upsert(outbox).values(
    {
        name: bindparam(name)
        for name in ("key", "op", "incident_id", "room", "slot", "lane", "content_digest", "due_at", "body")
    }
)
_PUT = _put.on_conflict_do_nothing(index_elements=[outbox.c.key]).returning(outbox.c.sequence)
_KEY_KNOWN = select(outbox.c.sequence).where(outbox.c.key == bindparam("key"))
_LAST_OF_SLOT = (
    select(outbox.c.sequence, outbox.c.op, outbox.c.content_digest, outbox.c.sent_at, outbox.c.body)
    .where(
        outbox.c.incident_id == bindparam("incident_id"),
        outbox.c.room == bindparam("room"),
        outbox.c.slot == bindparam("slot"),
    )
    .order_by(outbox.c.sequence.desc())
    .limit(1)
)
_REPLACE = (
    update(outbox)
    .where(outbox.c.sequence == bindparam("at_sequence"))
    .values(
        op=bindparam("op"),
        content_digest=bindparam("content_digest"),
        body=bindparam("body"),
        revision=outbox.c.revision + 1,
    )
)
_BY_SEQUENCE = select(
    outbox.c.op, outbox.c.content_digest, outbox.c.revision, outbox.c.sent_at, outbox.c.body
).where(outbox.c.sequence == bindparam("sequence"))
_SENT = (
    update(outbox)
    .where(outbox.c.sequence == bindparam("at_sequence"))
    .values(sent_at=bindparam("sent_at"), failure=None)
)
_FAILED = (
    update(outbox)
    .where(outbox.c.sequence == bindparam("at_sequence"), outbox.c.sent_at.is_(None))
    .values(attempts=outbox.c.attempts + 1, failure=bindparam("failure"), due_at=bindparam("due_at"))
)
_ADD_SLOT = (
    upsert(slots)
    .values(
        {
            name: bindparam(name)
            for name in ("incident_id", "room", "slot", "platform", "platform_room", "message_id")
        }
    )
    .on_conflict_do_nothing(index_elements=[slots.c.incident_id, slots.c.room, slots.c.slot])
)
_HANDLED = (
    update(inbox)
    .where(inbox.c.platform == bindparam("on_platform"), inbox.c.event_id == bindparam("event"))
    .values(handled=1)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Last:
    """The newest delivery of a slot: what the slot shows, or will once that is sent."""

    sequence: int
    delivery: Delivery
    content_digest: str
    sent: bool


class OutboxChanges(Changes):
    """The part of a transaction that is about chat."""

    async def put(self, delivery: Delivery) -> None:
        await self._insert(delivery, self._digest(delivery))

    async def project(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            if delivery.incident_id is None or delivery.op not in _EDIT_OF:
                raise ValueError(
                    f"{delivery.key}: only an incident's root and cards can be brought to a content"
                )
            await self._project(delivery, self._digest(delivery))

    async def _project(self, wanted: Delivery, digest: str) -> None:
        last = await self._last_of_slot(wanted)
        if last is None:
            await self._insert(await self._with_new_key(wanted), digest)
            return
        settled = last.delivery.op is DeliveryOp.SETTLE_CARD
        settles = wanted.op is DeliveryOp.SETTLE_CARD
        if settled and not settles:
            return
        if last.content_digest == digest and settled == settles:
            return
        edit = replace(wanted, op=_EDIT_OF[wanted.op])
        if last.sent:
            await self._insert(await self._with_new_key(edit), digest)
        elif last.delivery.op in CREATING:
            await self._replace(last, last.delivery.op, wanted, digest)
            if settles:
                # Its seeds still have to come off once the card is posted.
                await self._insert(await self._with_new_key(edit), digest)
        else:
            await self._replace(last, edit.op, wanted, digest)

    async def _replace(self, last: _Last, op: DeliveryOp, wanted: Delivery, digest: str) -> None:
        changed = replace(last.delivery, op=op, message=wanted.message)
        self._rows.later(
            _REPLACE,
            at_sequence=last.sequence,
            op=op.value,
            content_digest=digest,
            body=self._codec.encode(changed),
        )

    async def _last_of_slot(self, delivery: Delivery) -> _Last | None:
        row = await self._rows.first(
            _LAST_OF_SLOT, incident_id=delivery.incident_id, room=delivery.room, slot=delivery.slot
        )
        if row is None:
            return None
        return _Last(
            sequence=row[0],
            content_digest=row[2],
            sent=row[3] is not None,
            delivery=self._codec.decode(Delivery, row[4]),
        )

    async def _with_new_key(self, delivery: Delivery) -> Delivery:
        key, number = delivery.key, 1
        while await self._rows.value(_KEY_KNOWN, key=key) is not None:
            number += 1
            key = f"{delivery.key}.{number}"
        return delivery if key == delivery.key else replace(delivery, key=key)

    async def _insert(self, delivery: Delivery, digest: str) -> None:
        alone = delivery.incident_id is None or delivery.op is DeliveryOp.ANSWER_PRIVATELY
        added = await self._rows.first(
            _PUT,
            key=delivery.key,
            op=delivery.op.value,
            incident_id=delivery.incident_id,
            room=delivery.room,
            slot=delivery.slot,
            lane=None if alone else f"{delivery.incident_id} {delivery.room}",
            content_digest=digest,
            due_at=to_rfc3339(self._clock.now()),
            body=self._codec.encode(delivery),
        )
        if added is not None:
            self.outbox_grew = True

    async def mark_sent(self, sequence: int, ref: MessageRef | None, at: datetime) -> None:
        """Raises StaleWrite for a delivery that was never stored; one that was sent before stays as it is."""
        row = await self._rows.first(_BY_SEQUENCE, sequence=sequence)
        if row is None:
            raise StaleWrite(f"delivery {sequence} is not stored")
        op, digest, revision, sent_at, body = row
        if sent_at is not None:
            return
        self._rows.later(_SENT, at_sequence=sequence, sent_at=to_rfc3339(at))
        self.sent.append(sequence)
        delivery = self._codec.decode(Delivery, body)
        if ref is not None and DeliveryOp(op) in CREATING and delivery.incident_id is not None:
            self._rows.later(
                _ADD_SLOT,
                incident_id=delivery.incident_id,
                room=delivery.room,
                slot=delivery.slot,
                platform=ref.platform,
                platform_room=ref.room,
                message_id=ref.message_id,
            )
        if revision and not self._handed_out.shows_only(sequence, digest):
            # Its content was replaced after somebody may have sent the earlier one under the same key.
            last = await self._last_of_slot(delivery)
            if last is not None and last.sequence == sequence:
                again = replace(delivery, op=_EDIT_OF[delivery.op])
                await self._insert(await self._with_new_key(again), digest)

    async def mark_failed(self, sequence: int, reason: str, retry_at: datetime) -> None:
        self._rows.later(_FAILED, at_sequence=sequence, failure=reason, due_at=to_rfc3339(retry_at))

    async def mark_handled(self, platform: str, event_id: str) -> None:
        self._rows.later(_HANDLED, on_platform=platform, event=event_id)

    def _digest(self, delivery: Delivery) -> str:
        return hashlib.sha256(self._codec.encode(delivery.message).encode()).hexdigest()
