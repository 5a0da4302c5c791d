"""What a chat platform told us, kept before anybody acts on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

import structlog
from sqlalchemy import bindparam, select
from sqlalchemy.dialects.sqlite import insert as upsert

from adapters.storage.codec import Codec
from adapters.storage.engine import Connections
from adapters.storage.tables import inbox, positions
from bot.domain.chat import CommandReceived, Inbound
from bot.domain.redaction import redact, strip_invisible
from bot.ports import Job, JobKind

_POSITION = select(positions.c.position).where(positions.c.platform == bindparam("platform"))
_move = upsert(positions).values({name: bindparam(name) for name in ("platform", "position")})
_MOVE = _move.on_conflict_do_update(
    index_elements=[positions.c.platform], set_={"position": _move.excluded.position}
)
_ADD = (
    upsert(inbox)
    .values({name: bindparam(name) for name in ("platform", "event_id", "kind", "body")})
    .on_conflict_do_nothing(index_elements=[inbox.c.platform, inbox.c.event_id])
    .returning(inbox.c.seq)
)

_log = structlog.stdlib.get_logger(__name__)


class SqlInbox:
    """Events and position in one transaction: after a crash the platform is asked again from there."""

    def __init__(
        self, connections: Connections, codec: Codec, wake: Callable[[Job, datetime | None], None]
    ) -> None:
        self._connections = connections
        self._codec = codec
        self._wake = wake

    async def position(self, platform: str) -> str | None:
        async with self._connections.reading() as rows:
            found: str | None = await rows.value(_POSITION, platform=platform)
            return found

    async def store(self, platform: str, events: Sequence[Inbound], position: str | None) -> None:
        """``position`` None leaves the stored one. Raises Unavailable with nothing stored.

        An event whose text is no Unicode is left out: anybody can encrypt one, and raising would end the
        receiver, which would be shown it again after every start. What somebody wrote to the bot is kept
        without the secrets in it.
        """
        encoded = []
        for event in events:
            try:
                encoded.append((event.event_id, *self._codec.encode_inbound(_without_secrets(event))))
            except ValueError:
                _log.warning("event_is_not_unicode", platform=platform, kind=type(event).__name__)
        added = 0
        async with self._connections.writing() as rows:
            for event_id, kind, body in encoded:
                new = await rows.first(_ADD, platform=platform, event_id=event_id, kind=kind, body=body)
                added += new is not None
            if position is not None:
                rows.later(_MOVE, platform=platform, position=position)
            await rows.commit(then=lambda: self._announce(added))

    def _announce(self, added: int) -> None:
        if added:
            self._wake(Job(kind=JobKind.INBOUND), None)


def _without_secrets(event: Inbound) -> Inbound:
    """The event as it may be kept: people paste what they see, and it is asked about and quoted."""
    if not isinstance(event, CommandReceived):
        return event
    # An invisible character inside a secret would hide it. Text without one stays as it was written: what
    # somebody commands is theirs to spell.
    plain = strip_invisible(event.text)
    safe = redact(plain)
    return event if safe == plain else replace(event, text=safe)
