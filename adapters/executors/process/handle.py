"""Hold on to one process, so that a signal can never reach another that took over its pid."""

from __future__ import annotations

import asyncio
import os
import signal

from adapters.executors.process.identity import RunningProcess, start_mark

POLL = 0.02


class ProcessHandle:
    """A pidfd where the kernel has them (Linux ≥ 5.3, pidfd_open(2)); else a last look before each signal,
    which leaves a gap of microseconds."""

    def __init__(self, process: RunningProcess, pidfd: int | None) -> None:
        self._process = process
        self._pidfd = pidfd

    @classmethod
    def open(cls, process: RunningProcess) -> ProcessHandle | None:
        """Return a handle on exactly this process; None when it is gone already."""
        pidfd: int | None = None
        if hasattr(os, "pidfd_open"):
            try:
                pidfd = os.pidfd_open(process.pid)
            except ProcessLookupError:
                return None
            except OSError:
                pidfd = None  # an old kernel or a seccomp filter: the other way works there
        if start_mark(process.pid) != process.uid:
            if pidfd is not None:
                os.close(pidfd)
            return None
        return cls(process, pidfd)

    def send(self, number: signal.Signals) -> None:
        """Signal the process; nothing happens when it has ended. Raises PermissionError."""
        try:
            if self._pidfd is not None:
                signal.pidfd_send_signal(self._pidfd, number)
            elif start_mark(self._process.pid) == self._process.uid:
                os.kill(self._process.pid, number)
        except ProcessLookupError:
            return

    async def wait(self, seconds: float) -> bool:
        """Wait for the end of the process; False when it still lives after that time."""
        try:
            async with asyncio.timeout(seconds):
                await self._ended()
        except TimeoutError:
            return start_mark(self._process.pid) != self._process.uid
        return True

    async def _ended(self) -> None:
        if self._pidfd is None:
            # Without a pidfd the end of a process that is not our child is no event: only looking shows it.
            while start_mark(self._process.pid) == self._process.uid:  # noqa: ASYNC110
                await asyncio.sleep(POLL)
            return
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_reader(self._pidfd, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._pidfd)

    def close(self) -> None:
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None
