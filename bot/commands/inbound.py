"""Stored chat events → reviews, withdrawals and commands. Each is handled once, whatever crashes."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import assert_never

import structlog

from approvals.model import Directory, Identity, Means, ReviewVerdict
from bot.commands.emoji import Glyphs
from bot.commands.handlers import UNHEARD, Asked, Handlers, may
from bot.commands.model import Investigate
from bot.commands.parser import ParseError, parse, parse_in_thread
from bot.domain.chat import (
    CommandReceived,
    Delivery,
    DeliveryOp,
    Inbound,
    MessageRef,
    ReactionAdded,
    ReactionRemoved,
)
from bot.domain.clock import Clock
from bot.domain.errors import StaleWrite, Unavailable
from bot.domain.ids import IncidentId, RequestId
from bot.domain.message import Message
from bot.domain.question import Place
from bot.messages import replies
from bot.ports import AlertSink, IncidentStore, Transaction
from bot.workflow.delivery import Rooms
from bot.workflow.own_alerts import hand_made_alert
from bot.workflow.reviewing import Gesture, Reviewing

_BATCH = 50
_LOOK_AHEAD = 500
_CARD = "card:"

_log = structlog.stdlib.get_logger(__name__)


class HandlingInbound:
    """Works through the inbox in order of arrival, one transaction per event."""

    def __init__(
        self,
        store: IncidentStore,
        sink: AlertSink,
        handlers: Handlers,
        reviewing: Reviewing,
        directory: Directory,
        rooms: Rooms,
        glyphs: Glyphs,
        clock: Clock,
        on_error: Callable[[Exception], None],
    ) -> None:
        self._store = store
        self._sink = sink
        self._handlers = handlers
        self._reviewing = reviewing
        self._directory = directory
        self._rooms = rooms
        self._glyphs = glyphs
        self._clock = clock
        self._on_error = on_error

    async def run(self, subject: str = "") -> None:
        waiting: set[tuple[str, str]] = set()
        while True:
            async with self._store.reading() as rows:
                pending = await rows.pending_inbound(_BATCH + len(waiting))
            events = [event for event in pending if (event.platform, event.event_id) not in waiting]
            if not events:
                return
            for event in events:
                try:
                    if not await self._handle(event, waiting):
                        waiting.add((event.platform, event.event_id))
                except (StaleWrite, Unavailable):
                    raise
                except Exception as error:  # noqa: BLE001 - one event that breaks must not block the inbox
                    _log.exception("event_not_handled", platform=event.platform, event_id=event.event_id)
                    self._on_error(error)
                    async with self._store.transaction() as tx:
                        await tx.mark_handled(event.platform, event.event_id)

    async def _handle(self, event: Inbound, waiting: Set[tuple[str, str]]) -> bool:
        """False for an event whose turn has not come: it stays pending, and nothing waits behind it."""
        if isinstance(event, CommandReceived):
            await self._before_command(event)
        async with self._store.transaction() as tx:
            if await self._too_early(tx, event, waiting):
                return False
            match event:
                case ReactionAdded():
                    await self._reaction(tx, event)
                case ReactionRemoved():
                    await self._removal(tx, event)
                case CommandReceived():
                    await self._command(tx, event)
                case _:
                    assert_never(event)
            await tx.mark_handled(event.platform, event.event_id)
        return True

    async def _too_early(self, tx: Transaction, event: Inbound, waiting: Set[tuple[str, str]]) -> bool:
        """Whether a reaction may be on a card that is posted but not on record yet, because a crash or a
        lost answer came in between. Sending that card again, under the same key, tells; it wakes us."""
        match event:
            case ReactionAdded():
                room = self._rooms.of(event.platform, event.room)
                person = self._directory.person(Identity(platform=event.platform, user_id=event.sender))
                if room is None or person is None or self._glyphs.verdict(event.key) is None:
                    return False
                ref = MessageRef(platform=event.platform, room=event.room, message_id=event.message_id)
                return await tx.slot_of(ref) is None and await tx.card_on_its_way(room.name)
            case ReactionRemoved():
                return (event.platform, event.removed_event_id) in waiting
            case CommandReceived():
                return False
            case _:
                assert_never(event)

    async def _reaction(self, tx: Transaction, event: ReactionAdded) -> None:
        found = await tx.slot_of(
            MessageRef(platform=event.platform, room=event.room, message_id=event.message_id)
        )
        verdict = self._glyphs.verdict(event.key)
        if found is None or verdict is None or not found[1].startswith(_CARD):
            return
        request = await tx.request(RequestId(found[1].removeprefix(_CARD)))
        incident = await tx.incident(found[0])
        if request is None or incident is None:
            return
        identity = Identity(platform=event.platform, user_id=event.sender)
        if self._directory.is_bot(identity):
            return
        if verdict is ReviewVerdict.APPROVE and await self._taken_back(tx, event):
            return
        effect = await self._reviewing.review(
            tx,
            request,
            Gesture(
                identity=identity,
                verdict=verdict,
                means=Means.REACTION,
                platform_event_id=event.event_id,
            ),
        )
        if effect.kind in UNHEARD:
            await self._privately(tx, event, replies.review_refused(incident.short_id, effect))

    async def _taken_back(self, tx: Transaction, event: ReactionAdded) -> bool:
        """Whether its removal has come too (both while we were away): counted, it could open the gate
        before the removal is handled."""
        return any(
            isinstance(later, ReactionRemoved)
            and (later.platform, later.removed_event_id) == (event.platform, event.event_id)
            for later in await tx.pending_inbound(_LOOK_AHEAD)
        )

    async def _removal(self, tx: Transaction, event: ReactionRemoved) -> None:
        review = await tx.review_by_event(event.platform, event.removed_event_id)
        if review is not None:
            await self._reviewing.withdraw(tx, review, event.event_id)

    async def _before_command(self, event: CommandReceived) -> None:
        # A hand-made alert goes the way of every alert, through the durable intake. Its fingerprint
        # comes from the event, so doing this twice after a crash makes one alert.
        command = parse(event.text)
        identity = Identity(platform=event.platform, user_id=event.sender)
        person = self._directory.person(identity)
        if not isinstance(command, Investigate) or person is None or not may(command, person):
            return
        async with self._store.reading() as rows:
            if await rows.incident_with_fingerprint(command.text) is not None:
                return
        alert = hand_made_alert(
            command.text, actor=person.id, event_id=event.event_id, at=event.at, now=self._clock.now()
        )
        await self._sink.ingest([alert])

    async def _command(self, tx: Transaction, event: CommandReceived) -> None:
        identity = Identity(platform=event.platform, user_id=event.sender)
        if self._directory.is_bot(identity):
            return
        thread_incident = await self._thread_incident(tx, event)
        command = parse(event.text) if thread_incident is None else parse_in_thread(event.text)
        if isinstance(command, ParseError):
            await self._answer(
                tx, event, thread_incident, replies.not_understood(command.reason, command.nearest)
            )
            return
        asked = Asked(
            event=event,
            command=command,
            identity=identity,
            person=self._directory.person(identity),
            thread_incident=thread_incident,
            place=self._place(event, thread_incident),
        )
        answer = await self._handlers.handle(tx, asked)
        if answer.private:
            await self._privately(tx, event, answer.message)
        else:
            await self._answer(tx, event, thread_incident, answer.message)

    def _place(self, event: CommandReceived, incident_id: IncidentId | None) -> Place | None:
        """Where :meth:`_answer` would answer, for what is said later."""
        room = self._rooms.of(event.platform, event.room)
        if room is not None:
            root = event.thread_root or event.event_id
            return Place(
                platform=event.platform,
                room=room.name,
                person=event.sender,
                thread=MessageRef(platform=event.platform, room=event.room, message_id=root),
                incident_id=incident_id,
            )
        anywhere = self._rooms.any_on(event.platform)
        if anywhere is None:
            return None
        return Place(platform=event.platform, room=anywhere.name, person=event.sender)

    async def _thread_incident(self, tx: Transaction, event: CommandReceived) -> IncidentId | None:
        if event.thread_root is None:
            return None
        found = await tx.slot_of(
            MessageRef(platform=event.platform, room=event.room, message_id=event.thread_root)
        )
        return found[0] if found is not None else None

    async def _answer(
        self, tx: Transaction, event: CommandReceived, incident_id: IncidentId | None, message: Message
    ) -> None:
        room = self._rooms.of(event.platform, event.room)
        if room is None:
            await self._privately(tx, event, message)
            return
        key = f"answer:{event.platform}:{event.event_id}"
        thread = MessageRef(
            platform=event.platform, room=event.room, message_id=event.thread_root or event.event_id
        )
        await tx.put(
            Delivery(
                key=key,
                op=DeliveryOp.REPLY,
                room=room.name,
                slot=key,
                message=message,
                incident_id=incident_id,
                thread=thread,
            )
        )

    async def _privately(
        self, tx: Transaction, event: ReactionAdded | CommandReceived, message: Message
    ) -> None:
        room = self._rooms.of(event.platform, event.room) or self._rooms.any_on(event.platform)
        if room is None:
            _log.warning("private_answer_has_no_room", platform=event.platform)
            return
        key = f"private:{event.platform}:{event.event_id}"
        await tx.put(
            Delivery(
                key=key,
                op=DeliveryOp.ANSWER_PRIVATELY,
                room=room.name,
                slot=key,
                message=message,
                person=event.sender,
            )
        )
