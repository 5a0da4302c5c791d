"""A server that is a command: a process group of its own, of which nothing is left when it ends.

The library's own transport hands on HOME, USER and SHELL, reads lines of any length, and may leave the
process behind when its task is cancelled.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from adapters.evidence.mcp.words import Lost, Refused

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

MAX_LINE = 1024 * 1024
"""Bytes of one message."""
_STDERR = 2_000
_PATIENCE = 0.5
"""Seconds from closing its input to SIGTERM, and from there to SIGKILL."""
_REAP = 2.0

Ended = Callable[[Exception], None]


@asynccontextmanager
async def child(
    command: str, arguments: Sequence[str], environment: Mapping[str, str], ended: Ended
) -> AsyncIterator[tuple[Any, Any]]:
    """Streams as the library's transports yield them. ``ended`` is told why when the process ends or says
    something that is no message. Raises Refused where it cannot be started."""
    try:
        process = await asyncio.create_subprocess_exec(
            command,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(environment),
            start_new_session=True,
            limit=MAX_LINE,
        )
    except OSError as error:
        raise Refused(f"cannot start {command}: {error.strerror or type(error).__name__}") from None
    except ValueError:
        raise Refused(f"cannot start {command}: a NUL character in args or env") from None
    incoming, received = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, to_send = anyio.create_memory_object_stream[SessionMessage](0)
    last_words = bytearray()
    tasks = [
        asyncio.create_task(_read(process, incoming, ended, last_words)),
        asyncio.create_task(_write(process, to_send)),
        asyncio.create_task(_listen(process, last_words)),
    ]
    try:
        yield received, outgoing
    finally:
        try:
            for stream in (outgoing, received):
                stream.close()
            await _end(process)
        finally:
            _kill(process)
            for task in tasks:
                task.cancel()
            for stream in (incoming, received, outgoing, to_send):
                stream.close()
            await asyncio.wait([*tasks, asyncio.ensure_future(_reaped(process))], timeout=_REAP + 1)


async def _read(
    process: asyncio.subprocess.Process,
    incoming: MemoryObjectSendStream[SessionMessage | Exception],
    ended: Ended,
    last_words: bytearray,
) -> None:
    assert process.stdout is not None
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        try:
            while line := await process.stdout.readline():
                if line.strip():
                    await incoming.send(
                        SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
                    )
        except ValueError:
            # A line without end, or one that is no message: what follows cannot be trusted to be one.
            ended(Lost("said something that is no message of the protocol, or a longer one than is read"))
        else:
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _PATIENCE)
            said = last_words.decode("utf-8", "replace").strip()
            how = "" if process.returncode is None else f" with {process.returncode}"
            ended(Lost(f"the process ended{how}{': ' if said else ''}{said[-_STDERR:]}"))
        incoming.close()


async def _write(
    process: asyncio.subprocess.Process, to_send: MemoryObjectReceiveStream[SessionMessage]
) -> None:
    assert process.stdin is not None
    with suppress(OSError, anyio.ClosedResourceError):
        async for message in to_send:
            text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
            process.stdin.write(text.encode() + b"\n")
            await process.stdin.drain()


async def _listen(process: asyncio.subprocess.Process, last_words: bytearray) -> None:
    assert process.stderr is not None
    while chunk := await process.stderr.read(65_536):
        last_words += chunk
        del last_words[:-_STDERR]


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ask it to end, first by closing its input."""
    assert process.stdin is not None
    process.stdin.close()
    with suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), _PATIENCE)
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), _PATIENCE)


def _kill(process: asyncio.subprocess.Process) -> None:
    """What is left of the group, which may be more than the process that led it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


async def _reaped(process: asyncio.subprocess.Process) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), _REAP)
    # A descendant that left the group may hold a pipe open, and with it the transport.
    transport = getattr(process, "_transport", None)
    if transport is not None:
        transport.close()
