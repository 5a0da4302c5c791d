"""Anchors in a text file that is only ever appended to: one signed head per line.

Put it on another disk, or ship it elsewhere: whoever can rewrite both the store and this file can
rewrite history.
"""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

from approvals.ledger import Anchor, format_anchor_line, parse_anchor_line
from bot.domain.errors import Unavailable

_CUT_OFF = " cut-off"
"""Ends a line that a crash left unfinished, once the next line is written. Nothing is ever taken away:
the file may be one that the system lets grow only."""


class FileAnchors:
    """Implements :class:`bot.ports.Anchors`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def where(self) -> str:
        return str(self._path)

    async def append(self, anchor: Anchor) -> None:
        """Add one line and wait until it is on the disk. Raises Unavailable when it cannot be written."""
        try:
            await asyncio.to_thread(self._append, format_anchor_line(anchor) + "\n")
        except OSError as error:
            raise Unavailable("ledger anchor", f"{self._path}: {error.strerror}") from error

    async def read(self) -> list[Anchor]:
        """All anchors, oldest first; none where the file does not exist yet.

        A line that was cut off by a crash while it was written is ignored: the last one, without a newline,
        and those that were marked so when the next line came. Raises IntegrityError for any other line
        that is no anchor.
        """
        try:
            text = await asyncio.to_thread(self._path.read_text, "utf-8")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise Unavailable("ledger anchor", f"{self._path}: {error.strerror}") from error
        complete, _, _cut_off = text.rpartition("\n")
        return [
            parse_anchor_line(line)
            for line in complete.splitlines()
            if line.strip() and not line.endswith(_CUT_OFF)
        ]

    def _append(self, line: str) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            if os.fstat(descriptor).st_size and not self._ends_with_newline():
                line = f"{_CUT_OFF}\n{line}"
            text = line.encode()
            written = os.write(descriptor, text)
            os.fsync(descriptor)
            if written < len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(descriptor)

    def _ends_with_newline(self) -> bool:
        with self._path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"
