"""The tail of a log file. All functions here block and run in a thread."""

from __future__ import annotations

import os
import stat
from collections import deque
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path

from adapters.evidence.host.logtimes import line_time
from bot.domain.evidence import LogLine, Window
from bot.domain.redaction import redact, strip_invisible

MAX_LINES = 4_000
MAX_LINE = 2_000
"""Characters of one line that are kept."""


class Unreadable(Exception):
    """The log cannot be read; the text says why. Never leaves this package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """Lines in the window, oldest first. ``untimed`` True: no line has a readable time, all are given.
    ``cut`` says what was left out, if anything within the window may have been."""

    lines: tuple[LogLine, ...]
    untimed: bool
    cut: str | None


def read_tail(path: Path, limit: int, window: Window, now: datetime, local: tzinfo | None = None) -> Tail:
    """Read at most ``limit`` bytes from the end, going on into ``path.1`` after a rotation.

    Lines without a time belong to the timed line before them (stack traces). Raises Unreadable.
    """
    data, whole = bytes_from_end(path, limit)
    if whole and len(data) < limit:
        rotated = path.with_name(path.name + ".1")
        try:
            older, whole = bytes_from_end(rotated, limit - len(data))
        except Unreadable:
            older, whole = b"", True
        data = older + (b"\n" if older and not older.endswith(b"\n") else b"") + data
    if data.count(b"\x00") * 100 > len(data):
        raise Unreadable(f"{path.name} is not text")
    text = data.decode("utf-8", errors="replace")
    lines = text.splitlines()
    if not whole and lines:
        lines = lines[1:]  # the first is only the end of one
    return _in_window(lines, window, now, local, whole, limit)


def bytes_from_end(path: Path, limit: int) -> tuple[bytes, bool]:
    """The last bytes, and whether that is the whole file."""
    try:
        # Non-blocking, so that a FIFO cannot hold the thread before we see what it is.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise Unreadable(f"{path.name} is not there") from None
    except OSError as error:
        raise Unreadable(f"{path.name}: {error.strerror}") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable(f"{path.name} is not a regular file")
        start = max(0, status.st_size - limit)
        os.lseek(descriptor, start, os.SEEK_SET)
        chunks = bytearray()
        while len(chunks) < limit and (chunk := os.read(descriptor, limit - len(chunks))):
            chunks += chunk
        return bytes(chunks), start == 0
    except OSError as error:
        raise Unreadable(f"{path.name}: {error.strerror}") from None
    finally:
        os.close(descriptor)


def _in_window(
    lines: list[str], window: Window, now: datetime, local: tzinfo | None, whole: bool, limit: int
) -> Tail:
    kept: deque[str] = deque(maxlen=MAX_LINES)
    inside = True
    timed = False
    oldest: datetime | None = None
    count = 0
    for line in lines:
        at = line_time(line, now, local)
        if at is not None:
            timed = True
            oldest = oldest or at
            inside = window.start <= at < window.end
        if inside and line.strip():
            kept.append(line[:MAX_LINE])
            count += 1
    cut = None
    if count > MAX_LINES:
        cut = f"only the last {MAX_LINES} of {count} lines"
    elif not whole and (oldest is None or oldest > window.start):
        cut = f"only the last {limit} bytes, which begin after the window does"
    # Redacted as one text: a private key spans lines.
    text = strip_invisible(redact("\n".join(kept)))
    result = tuple(LogLine(at=line_time(line, now, local), text=line) for line in text.split("\n") if line)
    return Tail(lines=result, untimed=not timed and bool(result), cut=cut)
