"""Answering somebody where they asked, some time later."""

from __future__ import annotations

from bot.domain.chat import Delivery, DeliveryOp
from bot.domain.message import Message
from bot.domain.question import Place


def answer_at(place: Place, key: str, message: Message) -> Delivery:
    """``key`` is unique for ever: under one key nothing is said twice."""
    alone = place.thread is None
    return Delivery(
        key=key,
        op=DeliveryOp.ANSWER_PRIVATELY if alone else DeliveryOp.REPLY,
        room=place.room,
        slot=key,
        message=message,
        incident_id=None if alone else place.incident_id,
        person=place.person if alone else None,
        thread=place.thread,
    )
