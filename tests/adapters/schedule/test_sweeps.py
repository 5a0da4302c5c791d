"""Timers for sweeps, on the real APScheduler."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from adapters.schedule import open_schedule

TICK = timedelta(milliseconds=20)


async def test_a_sweep_comes_round_again_and_again() -> None:
    three, turns = asyncio.Event(), 0

    async def sweep() -> None:
        nonlocal turns
        turns += 1
        if turns == 3:
            three.set()

    async with open_schedule() as schedule:
        schedule.every(TICK, "age out", sweep)
        await asyncio.wait_for(three.wait(), 5)
    seen = turns
    await asyncio.sleep(0.06)
    assert turns == seen, "nothing runs after the schedule is closed"


async def test_a_sweep_can_begin_at_once() -> None:
    ran = asyncio.Event()

    async def sweep() -> None:
        ran.set()

    async with open_schedule() as schedule:
        schedule.every(timedelta(days=1), "retention", sweep, at_once=True)
        await asyncio.wait_for(ran.wait(), 5)


async def test_a_failing_sweep_is_logged_and_comes_round_again() -> None:
    twice, turns, seen = asyncio.Event(), 0, []

    async def sweep() -> None:
        nonlocal turns
        turns += 1
        if turns == 2:
            twice.set()
            return
        raise ZeroDivisionError

    def note(name: str, error: Exception) -> None:
        seen.append((name, type(error)))

    with capture_logs() as logs:
        async with open_schedule(note) as schedule:
            schedule.every(TICK, "checkpoints", sweep)
            await asyncio.wait_for(twice.wait(), 5)
    assert seen == [("checkpoints", ZeroDivisionError)]
    assert [(entry["event"], entry["sweep"]) for entry in logs] == [("schedule.sweep_failed", "checkpoints")]


async def test_a_slow_sweep_never_runs_twice_at_once() -> None:
    active, most, turns, done = 0, 0, 0, asyncio.Event()

    async def sweep() -> None:
        nonlocal active, most, turns
        active += 1
        most = max(most, active)
        await asyncio.sleep(0.07)
        active -= 1
        turns += 1
        if turns == 2:
            done.set()

    async with open_schedule() as schedule:
        schedule.every(TICK, "slow", sweep)
        await asyncio.wait_for(done.wait(), 5)
    assert most == 1


async def test_closing_cancels_a_running_sweep_and_waits_for_it() -> None:
    started, ended = asyncio.Event(), []

    async def sweep() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("cleaned up")

    async with open_schedule() as schedule:
        schedule.every(TICK, "stuck", sweep)
        await asyncio.wait_for(started.wait(), 5)
    assert ended == ["cleaned up"]


async def test_an_interval_of_nothing_is_refused() -> None:
    async def sweep() -> None: ...

    async with open_schedule() as schedule:
        with pytest.raises(ValueError, match="sweep now: the interval must be longer than zero"):
            schedule.every(timedelta(0), "now", sweep)
