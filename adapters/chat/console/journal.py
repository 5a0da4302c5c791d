"""What the room must remember beyond one process: JSON lines, each made durable before it counts."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KEEP = 20_000
"""Entries beyond twice this number are dropped at the next start, oldest first: keys of deliveries so old are
never tried again."""


@dataclass(slots=True)
class Posted:
    """A message of ours: ``kind`` is root, reply, card or private."""

    id: str
    room: str
    thread: str | None
    kind: str
    settled: bool = False


@dataclass(slots=True)
class Journal:
    """The room's memory. ``name`` is random, so that ids never return when the file is deleted;
    ``count`` is how many entries there ever were, ``last`` the number of the last typed one."""

    path: Path
    name: str
    count: int = 0
    last: int = 0
    by_key: dict[str, Posted] = field(default_factory=dict)
    by_id: dict[str, Posted] = field(default_factory=dict)
    edits: set[str] = field(default_factory=set)
    inputs: list[Mapping[str, Any]] = field(default_factory=list)

    @classmethod
    def open(cls, path: Path) -> Journal:
        """Read the file, or begin one. Raises OSError. A line that was cut off by a crash is dropped."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        content = path.read_bytes() if path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        entries = [json.loads(line) for line in whole.splitlines()]
        if not entries or "journal" not in entries[0]:
            entries = [{"journal": secrets.token_hex(4), "count": 0, "last": 0}]
        journal = cls(
            path=path, name=entries[0]["journal"], count=entries[0]["count"], last=entries[0]["last"]
        )
        for entry in entries[1:]:
            journal._remember(entry)
        kept = entries[1:]
        if len(kept) > 2 * KEEP:
            entries[0] = {"journal": journal.name, "count": journal.count - KEEP, "last": journal.last}
            kept = kept[-KEEP:]
        if len(kept) + 1 != len(whole.splitlines()) or whole != content:
            journal._rewrite([entries[0], *kept])
        return journal

    def next_id(self, letter: str) -> str:
        """An id nobody had before: it counts every entry there ever was."""
        return f"{self.name}:{letter}{self.count + 1}"

    def add(self, entry: Mapping[str, Any]) -> None:
        """Append an entry and make it durable. Blocks. Raises OSError."""
        line = json.dumps(entry, ensure_ascii=False) + "\n"
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, line.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._remember(entry)

    def inputs_after(self, number: int) -> list[Mapping[str, Any]]:
        return [entry for entry in self.inputs if entry["n"] > number]

    def _remember(self, entry: Mapping[str, Any]) -> None:
        self.count += 1
        match entry["type"]:
            case "post":
                posted = Posted(entry["id"], entry["room"], entry["thread"], entry["kind"])
                self.by_key[entry["key"]] = posted
                self.by_id[posted.id] = posted
            case "edit":
                self.edits.add(entry["key"])
                if entry["settled"] and entry["id"] in self.by_id:
                    self.by_id[entry["id"]].settled = True
            case "input":
                self.inputs.append(entry)
                self.last = int(entry["n"])

    def _rewrite(self, entries: Sequence[Mapping[str, Any]]) -> None:
        scratch = self.path.with_suffix(".tmp")
        with scratch.open("wb") as file:
            for entry in entries:
                file.write((json.dumps(entry, ensure_ascii=False) + "\n").encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, self.path)
        descriptor = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
