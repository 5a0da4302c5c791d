"""Tasks that must not end, and an end that comes in stages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from bot.domain.errors import AssentError

_log = structlog.stdlib.get_logger(__name__)


class TaskEnded(AssentError):
    """A task that must run for ever has returned; the process has to stop and be restarted."""


async def guard(name: str, eternal: Awaitable[None]) -> None:
    """Await a task that must not return. Raises TaskEnded if it does; cancellation passes through.

    ``TaskGroup`` notices an exception but not a quiet return.
    """
    await eternal
    raise TaskEnded(f"the task “{name}” ended although it must not")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of stopping: named for the log, bounded in time (seconds)."""

    name: str
    close: Callable[[], Awaitable[None]]
    limit: float


async def stop_in_stages(stages: Sequence[Stage]) -> None:
    """Run the stages in order. One that fails or takes too long is logged, and the next begins."""
    for stage in stages:
        try:
            async with asyncio.timeout(stage.limit):
                await stage.close()
        except TimeoutError:
            _log.warning("stop_stage_timed_out", stage=stage.name, limit_seconds=stage.limit)
        except Exception:  # noqa: BLE001 - a broken stage must not keep the later ones from closing
            _log.exception("stop_stage_failed", stage=stage.name)


async def run_until(stop: asyncio.Event, eternals: Sequence[tuple[str, Awaitable[None]]]) -> None:
    """Run all tasks until ``stop`` is set, then cancel them.

    Raises an ExceptionGroup when one of them fails or returns first.
    """
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(guard(name, task), name=name) for name, task in eternals]
        await stop.wait()
        for task in tasks:
            task.cancel()
