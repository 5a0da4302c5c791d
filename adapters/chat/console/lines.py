"""Lines typed by a person, without blocking the event loop."""

from __future__ import annotations

import asyncio
import os
import selectors
import threading
from collections.abc import AsyncGenerator

LONGEST = 4000
"""Characters of a line; what is typed beyond is dropped."""


async def read_lines(descriptor: int) -> AsyncGenerator[str, None]:
    """Yield lines until the end of input.

    A thread waits for input, because a terminal made non-blocking would be so for our output too, and a
    regular file cannot be waited for. It reads the descriptor itself: a thread inside ``sys.stdin`` would
    hold its lock when the interpreter ends.
    """
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes] = asyncio.Queue()
    wake_reader, wake_writer = os.pipe()
    thread = threading.Thread(
        target=_pump, args=(descriptor, wake_reader, loop, chunks), name="console-input", daemon=True
    )
    thread.start()
    try:
        rest = b""
        while chunk := await chunks.get():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield line.decode(errors="replace")[:LONGEST]
            rest = rest[: 4 * LONGEST]
        if rest:
            yield rest.decode(errors="replace")[:LONGEST]
    finally:
        os.write(wake_writer, b"x")
        thread.join()
        os.close(wake_reader)
        os.close(wake_writer)


def _pump(descriptor: int, wake: int, loop: asyncio.AbstractEventLoop, chunks: asyncio.Queue[bytes]) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(wake, selectors.EVENT_READ)
        waitable = True
        try:
            selector.register(descriptor, selectors.EVENT_READ)
        except PermissionError:
            waitable = False  # epoll: a regular file is always ready
        except (OSError, ValueError):
            loop.call_soon_threadsafe(chunks.put_nowait, b"")
            return
        while True:
            ready = selector.select(None if waitable else 0)
            if any(key.fd == wake for key, _ in ready):
                return
            try:
                chunk = os.read(descriptor, 4096)
            except BlockingIOError:
                continue
            except OSError:
                chunk = b""
            loop.call_soon_threadsafe(chunks.put_nowait, chunk)
            if not chunk:
                return
