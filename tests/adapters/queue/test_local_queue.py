"""The in-process queue: the port's contract, and what is its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from adapters.queue.local import BACKOFF_MAX, LocalQueue, OnError
from bot.domain.errors import StaleWrite, Unavailable
from bot.ports import Job, JobKind
from tests.contracts.queue_contract import INVESTIGATE, Handlers, QueueContract, QueueWorld

SOON = timedelta(seconds=5)
EXECUTE = Job(kind=JobKind.EXECUTE, subject="req_1")


class SteppedClock:
    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 21, 1, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment


class LocalWorld(QueueWorld):
    def __init__(self, on_error: OnError | None = None, jitter: float = 0.0) -> None:
        self.clock = SteppedClock()
        limits = dict.fromkeys(JobKind, 3)
        self.local = LocalQueue(self.clock, limits, on_error=on_error, jitter=lambda: jitter)
        self.queue = self.local

    def now(self) -> datetime:
        return self.clock.now()

    async def advance(self, by: timedelta) -> None:
        self.clock.moment += by
        self.local.poke()

    async def settle(self) -> None:
        assert await self.local.drain(SOON), "jobs are still running after five seconds"

    @asynccontextmanager
    async def working(self, handlers: Handlers) -> AsyncIterator[None]:
        task = asyncio.create_task(self.local.run(handlers))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})
        if not task.cancelled():
            task.result()


class TestLocalQueueKeepsTheContract(QueueContract):
    @pytest.fixture
    def world(self) -> LocalWorld:
        return LocalWorld()


@pytest.fixture
def world() -> LocalWorld:
    return LocalWorld()


async def test_failures_back_off_from_a_fifth_of_a_second_doubling_to_a_minute(world: LocalWorld) -> None:
    calls = 0

    async def handler(subject: str) -> None:
        nonlocal calls
        calls += 1
        raise RuntimeError("never works")

    waits: list[float] = []
    async with world.working({JobKind.INVESTIGATE: handler}):
        with capture_logs() as logs:
            world.queue.put(INVESTIGATE)
            for _ in range(12):
                await world.settle()
                seen = calls
                delay = timedelta(seconds=logs[-1]["retry_in"])
                await world.advance(delay - timedelta(milliseconds=1))
                await world.settle()
                assert calls == seen, "tried again before its time"
                await world.advance(timedelta(milliseconds=1))
                await world.settle()
                assert calls == seen + 1
                waits.append(delay.total_seconds())
    assert waits[:4] == [0.2, 0.4, 0.8, 1.6]
    assert waits[-1] == BACKOFF_MAX.total_seconds()
    assert {entry["log_level"] for entry in logs} == {"error"}, "a failing handler is visible in the log"


async def test_jitter_shortens_a_wait_by_at_most_half() -> None:
    world = LocalWorld(jitter=1.0)

    async def handler(subject: str) -> None:
        raise RuntimeError("never works")

    async with world.working({JobKind.INVESTIGATE: handler}):
        with capture_logs() as logs:
            world.queue.put(INVESTIGATE)
            await world.settle()
    assert logs[0]["retry_in"] == 0.1


async def test_success_forgets_earlier_failures(world: LocalWorld) -> None:
    fail = True

    async def handler(subject: str) -> None:
        if fail:
            raise RuntimeError("not now")

    async with world.working({JobKind.INVESTIGATE: handler}):
        with capture_logs() as logs:
            world.queue.put(INVESTIGATE)
            await world.settle()
            await world.advance(SOON)
            await world.settle()
            fail = False
            await world.advance(SOON)
            await world.settle()
            fail = True
            world.queue.put(INVESTIGATE)
            await world.settle()
    assert [entry["retry_in"] for entry in logs] == [0.2, 0.4, 0.2]


async def test_a_system_that_says_when_to_come_back_is_not_asked_before(world: LocalWorld) -> None:
    calls = 0

    async def handler(subject: str) -> None:
        nonlocal calls
        calls += 1
        raise Unavailable("matrix", "slow down", retry_after=timedelta(minutes=5))

    async with world.working({JobKind.DELIVER: handler}):
        world.queue.put(Job(kind=JobKind.DELIVER))
        await world.settle()
        await world.advance(timedelta(minutes=4, seconds=59))
        await world.settle()
        assert calls == 1
        await world.advance(timedelta(seconds=1))
        await world.settle()
        assert calls == 2


async def test_a_swap_lost_eight_times_in_a_row_waits_like_any_failure(world: LocalWorld) -> None:
    calls = 0

    async def handler(subject: str) -> None:
        nonlocal calls
        calls += 1
        raise StaleWrite("always somebody else")

    async with world.working({JobKind.INVESTIGATE: handler}):
        world.queue.put(INVESTIGATE)
        await world.settle()
        assert calls == 8
        await world.advance(timedelta(milliseconds=200))
        await world.settle()
        assert calls == 16


async def test_a_handler_that_wakes_itself_and_fails_does_not_spin(world: LocalWorld) -> None:
    calls = 0

    async def handler(subject: str) -> None:
        nonlocal calls
        calls += 1
        world.queue.put(INVESTIGATE)
        raise RuntimeError("after waking myself")

    async with world.working({JobKind.INVESTIGATE: handler}):
        world.queue.put(INVESTIGATE)
        await world.settle()
    assert calls == 1


async def test_new_work_ends_the_wait_after_a_failure(world: LocalWorld) -> None:
    calls = 0

    async def handler(subject: str) -> None:
        nonlocal calls
        calls += 1
        raise RuntimeError("not now")

    async with world.working({JobKind.INTAKE: handler}):
        world.queue.put(Job(kind=JobKind.INTAKE))
        await world.settle()
        world.queue.put(Job(kind=JobKind.INTAKE))
        await world.settle()
    assert calls == 2


async def test_on_error_makes_a_failure_end_the_run() -> None:
    def loud(job: Job, error: Exception) -> None:
        raise error

    world = LocalWorld(on_error=loud)

    async def handler(subject: str) -> None:
        raise ZeroDivisionError

    world.queue.put(INVESTIGATE)
    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.wait_for(world.local.run({JobKind.INVESTIGATE: handler}), 5)
    assert caught.group_contains(ZeroDivisionError)


async def test_a_job_nobody_can_handle_stops_the_queue_instead_of_vanishing(world: LocalWorld) -> None:
    world.queue.put(INVESTIGATE)
    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.wait_for(world.local.run({}), 5)
    assert caught.group_contains(LookupError, match="investigate")


async def test_a_cancellation_leaked_by_a_client_is_a_failure_that_is_tried_again(world: LocalWorld) -> None:
    calls = 0

    async def handler(subject: str) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise asyncio.CancelledError

    async with world.working({JobKind.INVESTIGATE: handler}):
        world.queue.put(INVESTIGATE)
        await world.settle()
        await world.advance(SOON)
        await world.settle()
    assert calls == 2


async def test_stopping_lets_running_work_finish_and_starts_no_more(world: LocalWorld) -> None:
    started, may_end, ended = asyncio.Event(), asyncio.Event(), []

    async def handler(subject: str) -> None:
        started.set()
        await may_end.wait()
        ended.append(subject)

    async with world.working({JobKind.INVESTIGATE: handler}):
        for number in range(5):
            world.queue.put(Job(kind=JobKind.INVESTIGATE, subject=str(number)))
        await started.wait()
        stopping = asyncio.create_task(world.local.stop(SOON))
        await asyncio.sleep(0)
        may_end.set()
        assert await stopping is True
        world.queue.put(INVESTIGATE)
        await asyncio.sleep(0.01)
    assert ended == ["0", "1", "2"], "three ran, the two that waited were not started"


async def test_stopping_cancels_slow_work_but_never_an_execution(world: LocalWorld) -> None:
    events: list[str] = []
    both, release = asyncio.Barrier(3), asyncio.Event()

    async def investigate(subject: str) -> None:
        try:
            await both.wait()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            events.append("investigation cancelled")
            release.set()
            raise

    async def execute(subject: str) -> None:
        await both.wait()
        await release.wait()
        events.append("execution ended")

    async with world.working({JobKind.INVESTIGATE: investigate, JobKind.EXECUTE: execute}):
        world.queue.put(INVESTIGATE)
        world.queue.put(EXECUTE)
        await both.wait()
        assert await world.local.stop(timedelta(milliseconds=20)) is False
    assert events == ["investigation cancelled", "execution ended"]


async def test_cancelling_the_run_twice_still_waits_for_an_execution(world: LocalWorld) -> None:
    started, release, ended = asyncio.Event(), asyncio.Event(), []

    async def execute(subject: str) -> None:
        started.set()
        await release.wait()
        ended.append(subject)

    run = asyncio.create_task(world.local.run({JobKind.EXECUTE: execute}))
    world.queue.put(EXECUTE)
    await started.wait()
    for _ in range(2):
        run.cancel()
        await asyncio.wait({run}, timeout=0.02)
        assert not run.done()
    release.set()
    await asyncio.wait({run}, timeout=5)
    assert run.cancelled()
    assert ended == ["req_1"]


async def test_ten_thousand_jobs_for_later_and_now_are_cheap(world: LocalWorld) -> None:
    begin = time.process_time()
    for number in range(10_000):
        world.queue.put(
            Job(kind=JobKind.EXPIRE, subject=str(number)), at=world.now() + timedelta(seconds=number)
        )
        world.queue.put(Job(kind=JobKind.ANNOUNCE, subject=str(number)))
    assert time.process_time() - begin < 1.0, "20,000 puts must stay far below a second"


async def test_a_due_time_is_kept_by_the_real_clock_too() -> None:
    class Wall:
        def now(self) -> datetime:
            return datetime.now(UTC)

    clock, done = Wall(), asyncio.Event()
    queue = LocalQueue(clock, {})

    async def handler(subject: str) -> None:
        done.set()

    run = asyncio.create_task(queue.run({JobKind.REMIND: handler}))
    due = clock.now() + timedelta(milliseconds=50)
    queue.put(Job(kind=JobKind.REMIND), at=due)
    await asyncio.wait_for(done.wait(), 5)
    assert clock.now() >= due
    run.cancel()
    await asyncio.wait({run})
