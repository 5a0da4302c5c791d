"""Blocking calls that may never come back, such as statvfs on a dead network mount."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Busy(Exception):
    """Too many earlier calls are still stuck. Never leaves this package."""


class Threads:
    """Runs each call in a daemon thread of its own, at most ``limit`` at a time.

    Not an executor: a stuck call would keep a shared pool's thread for ever and hold up the process's
    exit. Here it costs one of ``limit`` slots and nothing else.
    """

    def __init__(self, limit: int = 16) -> None:
        self._limit = limit
        self._running = 0
        self._lock = threading.Lock()

    async def run(self, call: Callable[[], T]) -> T:
        """The call's result or exception; Busy when no slot is free."""
        with self._lock:
            if self._running >= self._limit:
                raise Busy(f"{self._limit} earlier looks at this machine are still stuck")
            self._running += 1
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: BaseException | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type]  # None only where T is

        def work() -> None:
            result, error = None, None
            try:
                result = call()
            except Exception as raised:  # noqa: BLE001 - handed on to the awaiting side, as it is
                error = raised
            finally:
                with self._lock:
                    self._running -= 1
            try:
                loop.call_soon_threadsafe(settle, result, error)
            except RuntimeError:
                return  # the loop is gone; so is everybody who waited

        threading.Thread(target=work, name="host-evidence", daemon=True).start()
        return await future
