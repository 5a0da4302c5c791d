"""Garbage is collected when no investigation runs."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

from investigators.ports import Case, Investigation, Investigator

_LATER = 2.0
"""Seconds: until then what was found is stored, and let go of."""


class Resting:
    """An investigator that collects garbage once the last of its investigations has ended: a full collection
    holds up everything for as long as it takes to walk all that is alive, which then is little."""

    def __init__(
        self, inner: Investigator, later: float = _LATER, collect: Callable[[], object] = gc.collect
    ) -> None:
        self._inner = inner
        self._later = later
        self._collect = collect
        self._running = 0
        self._due: asyncio.TimerHandle | None = None

    async def investigate(self, case: Case) -> Investigation:
        self._running += 1
        if self._due is not None:
            self._due.cancel()
        try:
            return await self._inner.investigate(case)
        finally:
            self._running -= 1
            if not self._running:
                self._due = asyncio.get_running_loop().call_later(self._later, self._rest)

    def _rest(self) -> None:
        self._due = None
        self._collect()
