"""What every kind of change in a transaction shares."""

from __future__ import annotations

from datetime import datetime

from adapters.storage.chat_rows import HandedOut
from adapters.storage.codec import Codec
from adapters.storage.rows import Rows
from bot.domain.clock import Clock
from bot.domain.ids import IncidentId
from bot.ports import Job


class Changes:
    """Collects what follows from a transaction's changes once they are committed.

    ``touched`` are the incidents whose change counter grows by one; ``outbox_grew`` says that there is
    something new to send.
    """

    def __init__(self, rows: Rows, codec: Codec, handed_out: HandedOut, clock: Clock) -> None:
        self._rows = rows
        self._codec = codec
        self._handed_out = handed_out
        self._clock = clock
        self.touched: dict[IncidentId, None] = {}
        self.enqueued: list[tuple[Job, datetime | None]] = []
        self.outbox_grew = False
        self.sent: list[int] = []

    @property
    def rows(self) -> Rows:
        return self._rows

    def touch(self, incident_id: IncidentId) -> None:
        self.touched[incident_id] = None
