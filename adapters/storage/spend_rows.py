"""The day's money for models: what was taken and not given back, in one table."""

from __future__ import annotations

from datetime import timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from sqlalchemy import Integer, bindparam, delete, func, insert, select, update

from adapters.storage.engine import Connections
from adapters.storage.tables import model_spend
from bot.domain.clock import Clock

_NANO = Decimal(10) ** 9
"""A token may cost less than a millionth of a dollar; whole numbers add up without error."""
_MOST_NANO = 2**62
_KEPT = timedelta(days=31)

_SPENT = select(func.coalesce(func.sum(model_spend.c.nano_usd), 0)).where(
    model_spend.c.day == bindparam("day")
)
_CHARGE = insert(model_spend).values(day=bindparam("day"), nano_usd=bindparam("nano", type_=Integer))
_TAKE = _CHARGE.returning(model_spend.c.seq)
_GIVE_BACK = (
    update(model_spend)
    .where(model_spend.c.seq == bindparam("taking", type_=Integer))
    # Of one taking no more comes back than was taken, however often somebody tries.
    .values(nano_usd=func.max(model_spend.c.nano_usd - bindparam("nano", type_=Integer), 0))
)
_FORGET = delete(model_spend).where(model_spend.c.day < bindparam("before"))


class SqlPurse:
    """:class:`investigators.analyst.ports.Purse`. A taking is written before the call that it pays for, so
    that a crash leaves it spent; asking what is left and taking it are one transaction."""

    def __init__(self, connections: Connections, clock: Clock) -> None:
        self._connections = connections
        self._clock = clock

    async def take(self, usd: Decimal, limit: Decimal) -> str | None:
        now = self._clock.now()
        day = now.date().isoformat()
        wanted = _nano(usd, ROUND_CEILING)
        async with self._connections.writing() as rows:
            spent = int(await rows.value(_SPENT, day=day))
            if spent + wanted > _nano(limit, ROUND_FLOOR):
                return None
            if not spent:
                rows.later(_FORGET, before=(now - _KEPT).date().isoformat())
            taking = str(await rows.value(_TAKE, day=day, nano=wanted))
            await rows.commit()
            return taking

    async def give_back(self, taking: str, usd: Decimal) -> None:
        async with self._connections.writing() as rows:
            rows.later(_GIVE_BACK, taking=int(taking), nano=_nano(usd, ROUND_FLOOR))
            await rows.commit()

    async def charge(self, usd: Decimal) -> None:
        day = self._clock.now().date().isoformat()
        async with self._connections.writing() as rows:
            rows.later(_CHARGE, day=day, nano=_nano(usd, ROUND_CEILING))
            await rows.commit()

    async def spent_today(self) -> Decimal:
        """In USD, what runs now counted as if it cost all it can. Raises Unavailable."""
        async with self._connections.reading() as rows:
            nano = int(await rows.value(_SPENT, day=self._clock.now().date().isoformat()))
        return Decimal(nano) / _NANO


def _nano(usd: Decimal, rounding: str) -> int:
    return min(max(int((usd * _NANO).to_integral_value(rounding)), 0), _MOST_NANO)
