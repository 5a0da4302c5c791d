"""The one task that owns the connection to a server.

The library wants a connection left by the task that entered it, cancels that task when the server dies, and
does not connect again. So calls go in through a queue and come out through futures.
"""

from __future__ import annotations

import asyncio
import importlib
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog

from adapters.evidence.mcp.listing import Listed
from adapters.evidence.mcp.results import Answer
from adapters.evidence.mcp.words import Lost, Masks, Refused
from config.schema import McpSource

_log = structlog.stdlib.get_logger(__name__)

_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 30.0
_PATIENCE = 5.0
"""Seconds that a call waits for a connection."""
_RELIST = 60.0
"""Seconds after which the tools are listed anew, which also shows whether the server still answers."""
_UNHURRIED = 2.0
"""Seconds between two listings, however often a server says that its tools changed."""
_LEAVE = 5.0
"""Seconds that leaving a connection may take."""
_PARALLEL = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    tool: str
    arguments: Mapping[str, Any]
    permitted: Callable[[], bool]
    answer: asyncio.Future[Answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ended:
    connection: int
    error: Exception


@dataclass(frozen=True, slots=True)
class _Relist:
    pass


@dataclass(frozen=True, slots=True)
class _Stop:
    pass


@dataclass
class Owner:
    """``on_listing`` gets what the server lists whenever it was asked, which is at most ``fresh_for`` seconds
    before any call. Call :meth:`start` once, then :meth:`close`."""

    section: McpSource
    environment: Mapping[str, str] = field(repr=False)
    masks: Masks = field(repr=False)
    on_listing: Callable[[Sequence[Listed]], Awaitable[None]]
    fresh_for: float = 10.0
    reason: str = "not connected yet"
    """Why there is no connection, redacted."""
    connections: int = 0
    """How many times it connected."""

    def __post_init__(self) -> None:
        self._inbox: asyncio.Queue[_Call | _Ended | _Relist | _Stop] = asyncio.Queue()
        self._ready = asyncio.Event()
        self._tried = asyncio.Event()
        self._wake = asyncio.Event()
        self._stopping = False
        self._waiting: set[asyncio.Future[Answer]] = set()
        self._slots = asyncio.Semaphore(_PARALLEL)
        self._task: asyncio.Task[None] | None = None
        self._listed_at = 0.0
        self._relisting = False
        self._seconds = self.section.timeout.total_seconds()

    @property
    def connected(self) -> bool:
        return self._ready.is_set()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"mcp {self.section.name}")

    async def close(self) -> None:
        """Ends within some ten seconds, whatever the server does; nothing of it is left."""
        task, self._task = self._task, None
        if task is None:
            return
        self._stopping = True
        self._inbox.put_nowait(_Stop())
        self._wake.set()
        try:
            if self.connected:
                await asyncio.wait({task}, timeout=_LEAVE)
        finally:
            task.cancel()
            await asyncio.wait({task}, timeout=_LEAVE)

    async def tried(self, seconds: float) -> None:
        """Until it connected or failed to for the first time, at most so long."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._tried.wait(), seconds)

    async def call(
        self, tool: str, arguments: Mapping[str, Any], *, permitted: Callable[[], bool], repeatable: bool
    ) -> Answer:
        """One call, made again once where the connection was lost under it and it is ``repeatable``.
        ``permitted`` is asked when the listing is fresh and the call about to be made. Raises Refused."""
        until = asyncio.get_running_loop().time() + self._seconds
        again = repeatable
        while True:
            await self._connection(until)
            answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            self._waiting.add(answer)
            self._inbox.put_nowait(_Call(tool=tool, arguments=arguments, permitted=permitted, answer=answer))
            try:
                async with asyncio.timeout_at(until):
                    return await answer
            except TimeoutError:
                raise Refused(f"no answer within {self._seconds:g} s") from None
            except Lost:
                if not again:
                    raise
                again = False
            finally:
                self._waiting.discard(answer)
                # Whoever stopped waiting also stops the call.
                answer.cancel()

    async def _connection(self, until: float) -> None:
        if self._ready.is_set():
            return
        self._wake.set()
        patience = min(_PATIENCE, until - asyncio.get_running_loop().time())
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ready.wait(), max(0.0, patience))
        if not self._ready.is_set():
            raise Refused(f"not connected: {self.reason}")

    async def _run(self) -> None:
        pause = _FIRST_PAUSE
        while not self._stopping:
            before = self.connections
            self._wake.clear()
            try:
                await self._serve()
            except BaseException as error:  # whatever a server brings about ends here
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    self._lost("closed")
                    raise
                self._lost(self._words(error))
            else:
                self._lost("closed")
            self._tried.set()
            if self.connections > before:
                pause = _FIRST_PAUSE
            if not self._stopping:
                await self._rest(pause * random.uniform(0.7, 1.3))  # noqa: S311 - spreads, hides nothing
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _rest(self, seconds: float) -> None:
        """At least a second if it is cut short by somebody who wants the connection."""
        least = min(seconds, 1.0)
        await asyncio.sleep(0 if self._stopping else _FIRST_PAUSE)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), max(0.0, seconds - _FIRST_PAUSE))
            if not self._stopping:
                await asyncio.sleep(max(0.0, least - _FIRST_PAUSE))

    async def _serve(self) -> None:
        """One connection, from its beginning to its end."""
        wire = await asyncio.to_thread(importlib.import_module, "adapters.evidence.mcp.wire")
        number = self.connections + 1
        told: list[Exception] = []

        def ended(error: Exception) -> None:
            told.append(error)
            self._inbox.put_nowait(_Ended(connection=number, error=error))

        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._seconds) as limit:
            try:
                async with wire.connected(
                    self.section,
                    self.environment,
                    ended=ended,
                    changed=self._changed,
                ) as session:
                    self._relisting = False
                    try:
                        await self._listed(session)
                        limit.reschedule(None)
                        self.connections = number
                        self._ready.set()
                        self._tried.set()
                        _log.info("mcp_connected", server=self.section.name, connection=number)
                        await self._work(session, wire, number)
                    finally:
                        self._ready.clear()
                        limit.reschedule(loop.time() + _LEAVE)
            except BaseException:
                # What ended it was often said before the library noticed, and better.
                if told and not self._stopping:
                    raise told[0] from None
                raise

    async def _work(self, session: Any, wire: Any, number: int) -> None:
        jobs: set[asyncio.Task[None]] = set()

        def begin(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
            job = asyncio.create_task(work)
            jobs.add(job)
            job.add_done_callback(jobs.discard)
            return job

        try:
            while True:
                try:
                    message = await asyncio.wait_for(self._inbox.get(), _RELIST)
                except TimeoutError:
                    message = _Relist()
                match message:
                    case _Call(answer=answer) if not answer.done():
                        job = begin(self._ask(session, wire, number, message))
                        answer.add_done_callback(partial(_stop, job))
                    case _Relist():
                        self._relisting = True
                        begin(self._list(session, wire, number))
                    case _Ended(connection=connection, error=error) if connection == number:
                        raise error
                    case _Stop():
                        return
        finally:
            for job in tuple(jobs):
                job.cancel()
            if jobs:
                await asyncio.wait(jobs, timeout=_LEAVE)

    async def _ask(self, session: Any, wire: Any, number: int, call: _Call) -> None:
        try:
            async with self._slots:
                if asyncio.get_running_loop().time() - self._listed_at >= self.fresh_for:
                    await self._listed(session)
                if not call.permitted():
                    raise Refused("the tool is no longer what was accepted")
                result = await session.call(call.tool, call.arguments)
        except Refused as refused:
            if not call.answer.done():
                call.answer.set_exception(refused)
        except Exception as error:  # noqa: BLE001 - becomes the reason of this call or of the connection
            if wire.is_over(error):
                # The call is told when the connection is left, and why it was.
                self._inbox.put_nowait(_Ended(connection=number, error=error))
            elif not call.answer.done():
                call.answer.set_exception(Refused(self._words(error)))
        else:
            if not call.answer.done():
                call.answer.set_result(result)

    def _changed(self) -> None:
        if not self._relisting:
            self._relisting = True
            self._inbox.put_nowait(_Relist())

    async def _list(self, session: Any, wire: Any, number: int) -> None:
        since = asyncio.get_running_loop().time() - self._listed_at
        await asyncio.sleep(max(0.0, _UNHURRIED - since))
        # From here on, what changes once more is seen by the next listing only.
        self._relisting = False
        try:
            async with asyncio.timeout(self._seconds):
                await self._listed(session)
        except Exception as error:  # noqa: BLE001 - a server that does not list is connected to anew
            self._inbox.put_nowait(_Ended(connection=number, error=error))

    async def _listed(self, session: Any) -> None:
        await self.on_listing(await session.tools())
        self._listed_at = asyncio.get_running_loop().time()

    def _lost(self, reason: str) -> None:
        if not self._stopping and reason != self.reason:
            _log.warning("mcp_unreachable", server=self.section.name, reason=reason)
        self.reason = reason
        self._ready.clear()
        for answer in tuple(self._waiting):
            if not answer.done():
                answer.set_exception(Lost(f"the connection was lost: {reason}"))

    def _words(self, error: BaseException) -> str:
        try:
            wire = importlib.import_module("adapters.evidence.mcp.wire")
        except ModuleNotFoundError:
            return "its client is not installed; install it with: pip install 'assent[mcp]'"
        return self.masks.line(wire.reason(error))


def _stop(job: asyncio.Task[None], _answer: asyncio.Future[Answer]) -> None:
    job.cancel()
