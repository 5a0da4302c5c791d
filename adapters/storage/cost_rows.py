"""What models have cost for an incident, read from wherever one took part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from sqlalchemy import bindparam, select

from adapters.storage.asked_tables import questions
from adapters.storage.codec import Codec
from adapters.storage.rows import Rows
from adapters.storage.tables import diagnoses, summaries
from bot.domain.diagnosis import ModelCost, ModelState
from bot.domain.ids import IncidentId

_DIAGNOSES = select(diagnoses.c.body).where(diagnoses.c.incident_id == bindparam("incident"))
_QUESTIONS = select(questions.c.body).where(questions.c.incident_id == bindparam("incident"))
_SUMMARIES = select(summaries.c.body).where(
    summaries.c.incident_id == bindparam("incident"), summaries.c.body.is_not(None)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Note:
    state: ModelState


@dataclass(frozen=True, slots=True, kw_only=True)
class _Price:
    usd: Decimal | None = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Priced:
    """Of a body as much as is needed here: a diagnosis calls its note ``model``."""

    cost: _Price = field(default_factory=_Price)
    model: _Note | None = None
    note: _Note | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answered:
    answer: _Priced | None = None


class CostRows:
    """The part of a reading that is about what models have cost."""

    _rows: Rows
    _codec: Codec

    async def model_cost_of(self, incident_id: IncidentId) -> ModelCost | None:
        found = [
            self._codec.decode(_Priced, body)
            for query in (_DIAGNOSES, _SUMMARIES)
            for (body,) in await self._rows.all(query, incident=incident_id)
        ]
        for (body,) in await self._rows.all(_QUESTIONS, incident=incident_id):
            answer = self._codec.decode(_Answered, body).answer
            found += [] if answer is None else [answer]
        prices = [one.cost.usd for one in _of_models(found)]
        if not prices:
            return None
        known = [usd for usd in prices if usd is not None]
        return ModelCost(usd=sum(known, Decimal(0)), whole=len(known) == len(prices))


def _of_models(found: list[_Priced]) -> Iterator[_Priced]:
    for one in found:
        note = one.model or one.note
        if note is not None and (note.state is not ModelState.SKIPPED or one.cost.usd):
            yield one
