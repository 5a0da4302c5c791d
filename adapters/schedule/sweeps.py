"""Call something every so often while the process lives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

Callback = Callable[[], Awaitable[None]]
OnError = Callable[[str, Exception], None]


class Schedule:
    """Sweeps by name. A sweep never runs twice at once; turns missed meanwhile, or while the machine
    slept, become one."""

    def __init__(self, scheduler: AsyncIOScheduler, on_error: OnError | None) -> None:
        self._scheduler = scheduler
        self._on_error = on_error
        self._log = structlog.get_logger(__name__)
        self.running: set[asyncio.Task[None]] = set()

    def every(self, interval: timedelta, name: str, callback: Callback, *, at_once: bool = False) -> None:
        """Call ``callback`` every ``interval``, for the first time after one (or now, with ``at_once``).

        An exception is logged and the sweep goes on at its next turn. The same name again replaces the
        sweep. Raises ValueError unless ``interval`` is longer than zero.
        """
        if interval <= timedelta(0):
            raise ValueError(f"sweep {name}: the interval must be longer than zero")
        options = {"next_run_time": datetime.now(UTC)} if at_once else {}
        self._scheduler.add_job(
            self._turn,
            "interval",
            seconds=interval.total_seconds(),
            args=(name, callback),
            id=name,
            name=name,
            replace_existing=True,
            **options,
        )

    async def _turn(self, name: str, callback: Callback) -> None:
        task = asyncio.current_task()
        if task is not None:
            self.running.add(task)
            task.add_done_callback(self.running.discard)
        try:
            await callback()
        except Exception as error:  # noqa: BLE001 - the boundary of every sweep: logged, shown to on_error
            self._log.error("schedule.sweep_failed", sweep=name, exc_info=error)
            if self._on_error is not None:
                self._on_error(name, error)


@asynccontextmanager
async def open_schedule(on_error: OnError | None = None) -> AsyncIterator[Schedule]:
    """Start an empty schedule; leaving the context cancels running sweeps and waits for their end.

    ``on_error`` sees the name and the exception of a failed sweep after it was logged. Times are the
    machine's own: what is due is judged by the callbacks with their own clock.
    """
    scheduler = AsyncIOScheduler(
        timezone=UTC,
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
    )
    schedule = Schedule(scheduler, on_error)
    scheduler.start()
    try:
        yield schedule
    finally:
        scheduler.shutdown(wait=False)
        for task in (running := list(schedule.running)):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
