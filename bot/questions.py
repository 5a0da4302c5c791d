"""The part of the store's port that is about what people ask of an incident."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from bot.domain.ids import IncidentId, PersonId, QuestionId, WishId
from bot.domain.question import StoredQuestion, Wish


class AskedRows(Protocol):
    async def question(self, question_id: QuestionId) -> StoredQuestion | None: ...
    async def questions_of(self, incident_id: IncidentId, limit: int) -> Sequence[StoredQuestion]:
        """The newest, oldest of them first."""
        ...

    async def questions_by(self, person: PersonId, since: datetime) -> int:
        """How many the person asked since then, of any incident."""
        ...

    async def questions_about(self, incident_id: IncidentId, since: datetime) -> int:
        """How many were asked about it since then, by anybody."""
        ...

    async def wish(self, wish_id: WishId) -> Wish | None: ...
    async def open_wishes(self, incident_id: IncidentId) -> Sequence[Wish]:
        """Oldest first."""
        ...

    async def wishes_by(self, person: PersonId, since: datetime) -> int:
        """How many actions the person asked for since then, for any incident."""
        ...


class AskedChanges(Protocol):
    async def add_question(self, question: StoredQuestion) -> bool:
        """False when a question of the same platform event is stored already."""
        ...

    async def end_question(self, question: StoredQuestion) -> None:
        """Store the end of one that is pending. Raises StaleWrite where it has ended."""
        ...

    async def add_wish(self, wish: Wish) -> bool:
        """False when a wish of the same platform event is stored already."""
        ...

    async def end_wish(self, wish: Wish) -> None:
        """Store the end of one that is open. Raises StaleWrite where it has ended."""
        ...
