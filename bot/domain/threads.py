"""Work that would hold up the event loop, in few threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar

_Result = TypeVar("_Result")
_Given = ParamSpec("_Given")


async def in_thread(
    pool: Executor | None, work: Callable[_Given, _Result], *args: _Given.args, **named: _Given.kwargs
) -> _Result:
    """As ``asyncio.to_thread``, in a pool of one's own; None is the loop's.

    Threads that compute take turns with the event loop at the interpreter's lock: with many of them it waits
    for many turns, and nothing is done sooner.
    """
    call = partial(copy_context().run, partial(work, *args, **named))
    return await asyncio.get_running_loop().run_in_executor(pool, call)
