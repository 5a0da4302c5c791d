"""When garbage is collected between investigations."""

from __future__ import annotations

import asyncio

import pytest

from bot.app.resting import Resting
from investigators.ports import Case, Investigation
from tests.investigators.world import alert, case


class Waiting:
    """Investigates until it is let go, and then fails."""

    def __init__(self) -> None:
        self.free = asyncio.Event()

    async def investigate(self, case: Case) -> Investigation:
        await self.free.wait()
        raise LookupError(case.incident.id)


async def test_garbage_is_collected_once_when_the_last_investigation_has_ended() -> None:
    collected = asyncio.Event()
    calls: list[None] = []

    def collect() -> None:
        calls.append(None)
        collected.set()

    waiting = Waiting()
    resting = Resting(waiting, later=0, collect=collect)
    both = [asyncio.ensure_future(resting.investigate(case(alert("Slow")))) for _ in range(2)]
    await asyncio.sleep(0)
    assert not calls
    waiting.free.set()
    for one in both:
        with pytest.raises(LookupError):
            await one
    await collected.wait()
    assert len(calls) == 1


async def test_an_investigation_that_starts_meanwhile_puts_the_collection_off() -> None:
    collected = asyncio.Event()
    waiting = Waiting()
    resting = Resting(waiting, later=0, collect=collected.set)
    waiting.free.set()
    with pytest.raises(LookupError):
        await resting.investigate(case(alert("Slow")))
    waiting.free.clear()
    running = asyncio.ensure_future(resting.investigate(case(alert("Slow"))))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not collected.is_set()
    waiting.free.set()
    with pytest.raises(LookupError):
        await running
    await collected.wait()
