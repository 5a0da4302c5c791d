"""The work queue of one machine: in memory, rebuilt from the rows at every start.

Not thread-safe: every call must come from the event loop's own thread.
"""

from __future__ import annotations

import asyncio
import functools
import heapq
import random
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta

import structlog

from bot.domain.clock import Clock
from bot.domain.errors import StaleWrite, Unavailable
from bot.ports import Job, JobKind

Handler = Callable[[str], Awaitable[None]]
OnError = Callable[[Job, Exception], None]

BACKOFF_FIRST = timedelta(milliseconds=200)
BACKOFF_MAX = timedelta(seconds=60)
STALE_RETRIES = 7
LONGEST_NAP = timedelta(seconds=5)
"""A due time is looked at again at least this often, so that a jump of the clock is noticed."""

NEVER_CANCELLED = frozenset({JobKind.EXECUTE})


class LocalQueue:
    """In-process :class:`bot.ports.WorkQueue`.

    ``limits`` is how many jobs of a kind may run at once (1 where a kind is missing). A handler that
    raises is logged and tried again: at once after ``StaleWrite`` (up to 7 times in a row), else after
    0.2 s doubling to 60 s, shortened by up to half at random, and never before an ``Unavailable``'s own
    ``retry_after``. ``on_error`` sees every such exception after it was logged; what it raises itself
    comes out of :meth:`run`, which is how a test makes failures loud.
    """

    def __init__(
        self,
        clock: Clock,
        limits: Mapping[JobKind, int],
        *,
        on_error: OnError | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._limits = dict(limits)
        self._on_error = on_error
        self._jitter = jitter
        self._log = structlog.get_logger(__name__)
        self._ready: dict[JobKind, deque[Job]] = {kind: deque() for kind in JobKind}
        self._is_ready: set[Job] = set()
        self._due: dict[Job, datetime] = {}
        self._heap: list[tuple[datetime, int, Job]] = []
        self._pushed = 0
        self._running: dict[Job, asyncio.Task[None]] = {}
        self._busy: dict[JobKind, int] = dict.fromkeys(JobKind, 0)
        self._again: dict[Job, datetime] = {}
        self._failures: dict[Job, int] = {}
        self._stale: dict[Job, int] = {}
        self._stopping = False
        self._wake = asyncio.Event()
        self._quiet = asyncio.Event()
        self._quiet.set()

    def put(self, job: Job, at: datetime | None = None) -> None:
        """Wake a step now or at a time; see the port. Ignored once the queue is stopping: the row that
        implies the job is still there, and the next start finds it."""
        if self._stopping:
            return
        if job in self._running:
            due = at or self._clock.now()
            known = self._again.get(job)
            self._again[job] = due if known is None else min(known, due)
            return
        self._wait(job, at)

    def poke(self) -> None:
        """Look at the clock now: for clocks that move by themselves only in steps."""
        self._release_due()
        self._wake.set()

    async def run(self, handlers: Mapping[JobKind, Handler]) -> None:
        """Run jobs for ever; returns only by cancellation.

        When cancelled, running executions are still awaited to their end (they have time limits of
        their own); everything else is cancelled. Raises LookupError on a job of a kind without a handler.
        """
        async with asyncio.TaskGroup() as group:
            while True:
                self._wake.clear()
                self._release_due()
                if not self._stopping:
                    self._start_ready(group, handlers)
                await self._nap()

    async def drain(self, timeout: timedelta) -> bool:
        """Wait until no job is ready or running; jobs that are due later do not count. False on timeout."""
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                await self._quiet.wait()
        except TimeoutError:
            return False
        return True

    async def stop(self, timeout: timedelta) -> bool:
        """Start no more jobs, give the running ones until ``timeout``, then cancel all but executions,
        and wait for those. True when nothing had to be cancelled. :meth:`run` idles afterwards."""
        self._stopping = True
        tasks = dict(self._running)
        if not tasks:
            return True
        _, late = await asyncio.wait(tasks.values(), timeout=timeout.total_seconds())
        cut = [task for job, task in tasks.items() if task in late and job.kind not in NEVER_CANCELLED]
        for task in cut:
            task.cancel()
        if late:
            self._log.warning("queue.stop_late", cancelled=len(cut), executions=len(late) - len(cut))
            await asyncio.wait(late)
        return not cut

    def _wait(self, job: Job, at: datetime | None) -> None:
        if job in self._is_ready:
            return
        if at is not None and at > self._clock.now():
            known = self._due.get(job)
            if known is not None and known <= at:
                return
            self._due[job] = at
            self._pushed += 1
            heapq.heappush(self._heap, (at, self._pushed, job))
            if self._heap[0][2] is job:
                self._wake.set()
            return
        self._make_ready(job)

    def _make_ready(self, job: Job) -> None:
        self._due.pop(job, None)
        self._is_ready.add(job)
        self._ready[job.kind].append(job)
        self._quiet.clear()
        self._wake.set()

    def _release_due(self) -> None:
        now = self._clock.now()
        while self._heap and self._heap[0][0] <= now:
            due, _, job = heapq.heappop(self._heap)
            # An entry whose job was put again for an earlier time is void.
            if self._due.get(job) == due:
                self._make_ready(job)

    def _start_ready(self, group: asyncio.TaskGroup, handlers: Mapping[JobKind, Handler]) -> None:
        for kind, ready in self._ready.items():
            while ready and self._busy[kind] < self._limits.get(kind, 1):
                handler = handlers.get(kind)
                if handler is None:
                    raise LookupError(f"no handler for jobs of kind {kind}")
                job = ready.popleft()
                self._is_ready.discard(job)
                self._busy[kind] += 1
                work = self._execute if kind in NEVER_CANCELLED else self._handle
                task = group.create_task(work(job, handler), name=f"{job.kind}:{job.subject}")
                self._running[job] = task
                task.add_done_callback(functools.partial(self._finished, job))

    async def _nap(self) -> None:
        nap = LONGEST_NAP if self._heap else None
        if self._heap:
            nap = min(LONGEST_NAP, max(self._heap[0][0] - self._clock.now(), timedelta(0)))
        try:
            async with asyncio.timeout(None if nap is None else nap.total_seconds()):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _execute(self, job: Job, handler: Handler) -> None:
        await _to_the_end(self._handle(job, handler))

    async def _handle(self, job: Job, handler: Handler) -> None:
        task = asyncio.current_task()
        try:
            try:
                await handler(job.subject)
            except asyncio.CancelledError as error:
                if task is not None and task.cancelling():
                    raise
                # Some clients leak a cancellation of their own: that is a failure of the job, and
                # passing it on would end the job without a trace.
                raise RuntimeError(f"job {job.kind} was cancelled from inside") from error
        except Exception as error:  # noqa: BLE001 - the boundary of every job: logged, retried, shown to on_error
            self._retry(job, error)
            if self._on_error is not None:
                self._on_error(job, error)
        else:
            self._failures.pop(job, None)
            self._stale.pop(job, None)

    def _retry(self, job: Job, error: Exception) -> None:
        if isinstance(error, StaleWrite) and self._stale.get(job, 0) < STALE_RETRIES:
            self._stale[job] = self._stale.get(job, 0) + 1
            self._again[job] = self._clock.now()
            self._log.debug("queue.stale_write", kind=job.kind, subject=job.subject, attempt=self._stale[job])
            return
        self._stale.pop(job, None)
        failures = self._failures.get(job, 0) + 1
        self._failures[job] = failures
        delay = min(BACKOFF_MAX, BACKOFF_FIRST * 2 ** min(failures - 1, 20))
        delay *= 1 - self._jitter() / 2
        if isinstance(error, Unavailable):
            if error.retry_after is not None:
                delay = max(delay, error.retry_after)
            # The outside being away is expected: its sentence is enough, a traceback is noise.
            self._log.warning(
                "queue.job_unavailable",
                kind=job.kind,
                subject=job.subject,
                reason=str(error),
                attempt=failures,
                retry_in=delay.total_seconds(),
            )
        else:
            self._log.error(
                "queue.job_failed",
                kind=job.kind,
                subject=job.subject,
                attempt=failures,
                retry_in=delay.total_seconds(),
                exc_info=error,
            )
        # The retry also serves whoever woke the job meanwhile: a handler that wakes itself and then
        # fails must not spin.
        self._again[job] = self._clock.now() + delay

    def _finished(self, job: Job, _task: asyncio.Task[None]) -> None:
        del self._running[job]
        self._busy[job.kind] -= 1
        again = self._again.pop(job, None)
        if again is not None and not self._stopping:
            self._wait(job, again)
        if not self._running and not self._is_ready:
            self._quiet.set()
        self._wake.set()


async def _to_the_end(work: Awaitable[None]) -> None:
    """Await ``work`` to its end whatever happens to us; a cancellation takes effect afterwards."""
    inner = asyncio.ensure_future(work)
    cancelled = False
    while not inner.done():
        try:
            await asyncio.wait({inner})
        except asyncio.CancelledError:
            cancelled = True
    inner.result()
    if cancelled:
        raise asyncio.CancelledError
