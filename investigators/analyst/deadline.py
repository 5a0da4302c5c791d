"""Waiting for a model no longer than was agreed, whatever its adapter does."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from investigators.analyst.ports import FailureKind, ModelFailure

T = TypeVar("T")
_GRACE = 0.5
"""Seconds that a cancelled conversation gets to settle its money before we go on without it."""


async def in_time(work: Coroutine[Any, Any, T], left: timedelta, wall: timedelta) -> T:
    """What the work comes to. Raises ModelFailure (timeout) once ``left``, of ``wall`` in all, is over: an
    adapter that does not stop when it is told to is left behind."""
    task = asyncio.ensure_future(work)
    task.add_done_callback(_looked_at)
    try:
        await asyncio.wait({task}, timeout=max(0.0, left.total_seconds()))
    finally:
        late = not task.done()
        if late:
            task.cancel()
            await asyncio.wait({task}, timeout=_GRACE)
    if late or task.cancelled():
        reason = f"no answer within {wall.total_seconds():g} s"
        raise ModelFailure(FailureKind.TIMEOUT, reason if late else "its connection was cancelled")
    return task.result()


def _looked_at(task: asyncio.Task[Any]) -> None:
    """So that the error of a task nobody waits for any more is not reported as lost."""
    if not task.cancelled():
        task.exception()
