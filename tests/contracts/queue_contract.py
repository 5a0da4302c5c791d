"""What every WorkQueue promises; each adapter's tests subclass this and give a world to act in."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta

import pytest

from bot.domain.errors import StaleWrite
from bot.ports import Job, JobKind, WorkQueue

Handlers = Mapping[JobKind, Callable[[str], Awaitable[None]]]


class QueueWorld(ABC):
    """One queue and the levers a test needs."""

    queue: WorkQueue

    @abstractmethod
    def now(self) -> datetime:
        """The time the queue goes by."""

    @abstractmethod
    async def advance(self, by: timedelta) -> None:
        """Let that much time pass for the queue."""

    @abstractmethod
    async def settle(self) -> None:
        """Return when every job that is due has run, retries included only where they are due."""

    @abstractmethod
    def working(self, handlers: Handlers) -> AbstractAsyncContextManager[None]:
        """Run the queue with these handlers, and three jobs of each kind at a time, inside the context."""


class Calls:
    """Handlers that note the subjects they were called with."""

    def __init__(self) -> None:
        self.subjects: list[str] = []

    async def __call__(self, subject: str) -> None:
        self.subjects.append(subject)


INVESTIGATE = Job(kind=JobKind.INVESTIGATE, subject="inc_1")


class QueueContract:
    @pytest.fixture
    def world(self) -> QueueWorld:
        raise AssertionError("the adapter's tests give a world")

    async def test_a_job_runs_once_with_its_subject(self, world: QueueWorld) -> None:
        calls = Calls()
        async with world.working({JobKind.INVESTIGATE: calls}):
            world.queue.put(INVESTIGATE)
            await world.settle()
        assert calls.subjects == ["inc_1"]

    async def test_a_job_put_before_anybody_works_runs_once_work_begins(self, world: QueueWorld) -> None:
        calls = Calls()
        world.queue.put(INVESTIGATE)
        async with world.working({JobKind.INVESTIGATE: calls}):
            await world.settle()
        assert calls.subjects == ["inc_1"]

    async def test_the_same_job_waiting_twice_runs_once(self, world: QueueWorld) -> None:
        calls = Calls()
        world.queue.put(INVESTIGATE)
        world.queue.put(INVESTIGATE)
        async with world.working({JobKind.INVESTIGATE: calls}):
            await world.settle()
        assert calls.subjects == ["inc_1"]

    async def test_jobs_of_different_subjects_and_kinds_are_different_jobs(self, world: QueueWorld) -> None:
        investigations, expiries = Calls(), Calls()
        world.queue.put(INVESTIGATE)
        world.queue.put(Job(kind=JobKind.INVESTIGATE, subject="inc_2"))
        world.queue.put(Job(kind=JobKind.EXPIRE, subject="inc_1"))
        async with world.working({JobKind.INVESTIGATE: investigations, JobKind.EXPIRE: expiries}):
            await world.settle()
        assert sorted(investigations.subjects) == ["inc_1", "inc_2"]
        assert expiries.subjects == ["inc_1"]

    async def test_a_job_for_later_waits_for_its_time(self, world: QueueWorld) -> None:
        calls = Calls()
        async with world.working({JobKind.INVESTIGATE: calls}):
            world.queue.put(INVESTIGATE, at=world.now() + timedelta(minutes=30))
            await world.advance(timedelta(minutes=29))
            await world.settle()
            assert calls.subjects == []
            await world.advance(timedelta(minutes=1))
            await world.settle()
        assert calls.subjects == ["inc_1"]

    async def test_an_earlier_time_replaces_a_later_one(self, world: QueueWorld) -> None:
        calls = Calls()
        async with world.working({JobKind.INVESTIGATE: calls}):
            world.queue.put(INVESTIGATE, at=world.now() + timedelta(minutes=30))
            world.queue.put(INVESTIGATE, at=world.now() + timedelta(minutes=10))
            await world.advance(timedelta(minutes=10))
            await world.settle()
            assert calls.subjects == ["inc_1"]
            await world.advance(timedelta(minutes=30))
            await world.settle()
        assert calls.subjects == ["inc_1"]

    async def test_a_later_time_does_not_delay_a_waiting_job(self, world: QueueWorld) -> None:
        calls = Calls()
        async with world.working({JobKind.INVESTIGATE: calls}):
            world.queue.put(INVESTIGATE, at=world.now() + timedelta(minutes=10))
            world.queue.put(INVESTIGATE, at=world.now() + timedelta(minutes=30))
            await world.advance(timedelta(minutes=10))
            await world.settle()
        assert calls.subjects == ["inc_1"]

    async def test_a_time_in_the_past_means_now(self, world: QueueWorld) -> None:
        calls = Calls()
        async with world.working({JobKind.INVESTIGATE: calls}):
            world.queue.put(INVESTIGATE, at=world.now() - timedelta(days=1))
            await world.settle()
        assert calls.subjects == ["inc_1"]

    async def test_a_job_put_while_it_runs_runs_once_more_afterwards(self, world: QueueWorld) -> None:
        started, may_end, runs, together = asyncio.Event(), asyncio.Event(), [], []

        async def handler(subject: str) -> None:
            together.append(len(runs) - runs.count("end"))
            runs.append(subject)
            started.set()
            await may_end.wait()
            runs[runs.index(subject)] = "end"

        async with world.working({JobKind.INVESTIGATE: handler}):
            world.queue.put(INVESTIGATE)
            await started.wait()
            world.queue.put(INVESTIGATE)
            world.queue.put(INVESTIGATE)
            may_end.set()
            await world.settle()
        assert runs == ["end", "end"]
        assert together == [0, 0], "one job never runs twice at the same time"

    async def test_jobs_of_one_kind_run_side_by_side_up_to_the_limit(self, world: QueueWorld) -> None:
        active, most, three = 0, 0, asyncio.Event()

        async def handler(subject: str) -> None:
            nonlocal active, most
            active += 1
            most = max(most, active)
            if active == 3:
                three.set()
            await three.wait()
            await asyncio.sleep(0)
            active -= 1

        async with world.working({JobKind.INVESTIGATE: handler}):
            for number in range(9):
                world.queue.put(Job(kind=JobKind.INVESTIGATE, subject=str(number)))
            await world.settle()
        assert most == 3

    async def test_a_handler_that_fails_is_tried_again_later(self, world: QueueWorld) -> None:
        calls = 0

        async def handler(subject: str) -> None:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise RuntimeError("the first time fails")

        async with world.working({JobKind.INVESTIGATE: handler}):
            world.queue.put(INVESTIGATE)
            await world.settle()
            await world.advance(timedelta(minutes=1))
            await world.settle()
        assert calls == 2

    async def test_a_lost_compare_and_swap_is_tried_again_at_once(self, world: QueueWorld) -> None:
        calls = 0

        async def handler(subject: str) -> None:
            nonlocal calls
            calls += 1
            if calls < 4:
                raise StaleWrite("somebody was first")

        async with world.working({JobKind.INVESTIGATE: handler}):
            world.queue.put(INVESTIGATE)
            await world.settle()
        assert calls == 4

    async def test_one_failing_job_does_not_hold_up_another(self, world: QueueWorld) -> None:
        done: list[str] = []

        async def handler(subject: str) -> None:
            if subject == "bad":
                raise RuntimeError("always")
            done.append(subject)

        async with world.working({JobKind.INVESTIGATE: handler}):
            for subject in ("bad", "good", "better"):
                world.queue.put(Job(kind=JobKind.INVESTIGATE, subject=subject))
            await world.settle()
        assert sorted(done) == ["better", "good"]
