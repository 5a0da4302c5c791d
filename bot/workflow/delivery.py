"""The outbox → chat. Sends, records the message id, then edits instead of posting again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import structlog

from bot.domain.audit import NotificationSent
from bot.domain.chat import DeliveryOp, MessageRef, PendingDelivery
from bot.domain.clock import Clock
from bot.domain.errors import Unavailable
from bot.ports import Chat, IncidentStore, Job, JobKind

_BATCH = 50
_FIRST_RETRY = timedelta(seconds=1)
_LAST_RETRY = timedelta(minutes=5)

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomBinding:
    """What a configured room name is on which platform."""

    name: str
    chat: Chat
    platform_room: str


class Rooms:
    """Configured rooms by name and by platform id."""

    def __init__(self, bindings: tuple[RoomBinding, ...]) -> None:
        self._by_name: Mapping[str, RoomBinding] = {binding.name: binding for binding in bindings}
        self._by_id = {(b.chat.platform, b.platform_room): b for b in bindings}

    def named(self, name: str) -> RoomBinding | None:
        return self._by_name.get(name)

    def of(self, platform: str, platform_room: str) -> RoomBinding | None:
        return self._by_id.get((platform, platform_room))

    def any_on(self, platform: str) -> RoomBinding | None:
        """Some room of the platform, for answers to people who wrote from elsewhere."""
        return next((b for b in self._by_name.values() if b.chat.platform == platform), None)


class Delivering:
    """Sends everything whose turn it is: threads side by side, one thread's messages in order."""

    def __init__(
        self, store: IncidentStore, rooms: Rooms, clock: Clock, on_error: Callable[[Exception], None]
    ) -> None:
        self._store = store
        self._rooms = rooms
        self._clock = clock
        self._on_error = on_error

    async def run(self, subject: str = "") -> None:
        while True:
            async with self._store.reading() as rows:
                due = await rows.due_deliveries(self._clock.now(), _BATCH)
            if not due:
                break
            async with asyncio.TaskGroup() as group:
                for pending in due:
                    group.create_task(self._deliver(pending))
        async with self._store.transaction() as tx:
            if (at := await tx.next_delivery_at()) is not None:
                await tx.enqueue(Job(kind=JobKind.DELIVER), at)

    async def _deliver(self, pending: PendingDelivery) -> None:
        delivery = pending.delivery
        binding = self._rooms.named(delivery.room)
        if binding is None:
            # The room left the configuration. It may come back, and then it is told everything.
            await self._retry(pending, Unavailable("chat", f"room {delivery.room} is not configured"))
            return
        try:
            ref = await self._send(binding, pending)
        except Unavailable as error:
            await self._retry(pending, error)
            return
        except Exception as error:  # noqa: BLE001 - one message that breaks an adapter must not stop the others
            _log.exception("delivery_broken", key=delivery.key)
            self._on_error(error)
            await self._retry(pending, Unavailable("chat", f"internal error ({type(error).__name__})"))
            return
        async with self._store.transaction() as tx:
            now = self._clock.now()
            await tx.mark_sent(pending.sequence, ref, now)
            await tx.record(
                NotificationSent(
                    incident_id=delivery.incident_id,
                    op=delivery.op.value,
                    platform=binding.chat.platform,
                    room=binding.platform_room,
                    message_id=ref.message_id if ref is not None else "",
                    key=delivery.key,
                )
            )
            if delivery.op is DeliveryOp.POST_CARD:
                # Reactions that came before the card was on record can be understood now.
                await tx.enqueue(Job(kind=JobKind.INBOUND))

    async def _send(self, binding: RoomBinding, pending: PendingDelivery) -> MessageRef | None:
        delivery, chat = pending.delivery, binding.chat
        message, key = delivery.message, delivery.key
        thread = delivery.thread or pending.thread
        match delivery.op:
            case DeliveryOp.OPEN_THREAD:
                return await chat.open_thread(binding.platform_room, message, key)
            case DeliveryOp.REPLY:
                return await chat.reply(_needed(thread, pending), message, key)
            case DeliveryOp.POST_CARD:
                return await chat.post_card(_needed(thread, pending), message, key)
            case DeliveryOp.UPDATE_ROOT:
                await chat.update_root(_needed(pending.target, pending), message, key)
            case DeliveryOp.UPDATE_CARD:
                await chat.update_card(_needed(pending.target, pending), message, key)
            case DeliveryOp.SETTLE_CARD:
                await chat.settle_card(_needed(pending.target, pending), message, key)
            case DeliveryOp.ANSWER_PRIVATELY:
                await chat.answer_privately(binding.platform_room, delivery.person or "", message, key)
        return None

    async def _retry(self, pending: PendingDelivery, error: Unavailable) -> None:
        wait = min(_LAST_RETRY, _FIRST_RETRY * 2 ** min(pending.attempts, 10))
        if error.retry_after is not None:
            wait = max(error.retry_after, timedelta(milliseconds=50))
        _log.warning("delivery_failed", key=pending.delivery.key, reason=error.reason, retry_in=str(wait))
        async with self._store.transaction() as tx:
            await tx.mark_failed(pending.sequence, error.reason, self._clock.now() + wait)


def _needed(ref: MessageRef | None, pending: PendingDelivery) -> MessageRef:
    if ref is None:
        raise Unavailable("chat", f"the message that {pending.delivery.key} refers to is not posted yet")
    return ref
