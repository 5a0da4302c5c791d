"""The nouns of the chat port: where messages are, what is to be delivered, what comes in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bot.domain.ids import IncidentId
from bot.domain.message import Message

APPROVE_SEED = "✅"
REJECT_SEED = "❌"


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRef:
    """A message that exists on a platform. ``room`` is the platform's immutable room id."""

    platform: str
    room: str
    message_id: str


class DeliveryOp(StrEnum):
    """The verbs of the chat port, as stored in the outbox."""

    OPEN_THREAD = "open_thread"
    UPDATE_ROOT = "update_root"
    REPLY = "reply"
    POST_CARD = "post_card"
    UPDATE_CARD = "update_card"
    SETTLE_CARD = "settle_card"
    ANSWER_PRIVATELY = "answer_privately"


ROOT_SLOT = "root"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One outbox row. ``key`` is unique for ever and becomes the platform's idempotency key.

    ``slot`` names the message within the incident's thread that is created or edited (``root``,
    ``card:<request id>``; a reply's own key). ``room`` is the configured room name. ``person`` is the
    platform user id for a private answer, ``thread`` the message an answer outside any incident's thread
    hangs on. Deliveries of one incident and room happen in order.
    """

    key: str
    op: DeliveryOp
    room: str
    slot: str
    message: Message
    incident_id: IncidentId | None = None
    person: str | None = None
    thread: MessageRef | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingDelivery:
    """A delivery the store has not seen sent. ``sequence`` gives the order; ``attempts`` the tries so far.

    ``thread`` and ``target`` are the platform messages it refers to, once those exist.
    """

    sequence: int
    delivery: Delivery
    attempts: int
    due_at: datetime
    thread: MessageRef | None
    target: MessageRef | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReactionAdded:
    """``key`` is exactly what the client sent; normalising is the workflow's job."""

    event_id: str
    platform: str
    room: str
    sender: str
    at: datetime
    message_id: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReactionRemoved:
    """``removed_event_id`` is the event id of the reaction that was taken away."""

    event_id: str
    platform: str
    room: str
    sender: str
    at: datetime
    removed_event_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandReceived:
    """Text addressed to the bot, prefix and mention removed.

    ``thread_root`` is the message id of the thread it was written in. ``device_verified`` is True
    only where the platform proved that a verified device of the sender encrypted exactly this text.
    """

    event_id: str
    platform: str
    room: str
    sender: str
    at: datetime
    text: str
    thread_root: str | None = None
    device_verified: bool = False


Inbound = ReactionAdded | ReactionRemoved | CommandReceived
