"""One file per idempotency key: written before the effect, so that no key is ever used twice."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bot.domain.clock import from_rfc3339, to_rfc3339
from bot.domain.outcome import ExecutionResult


class Markers:
    """Claims in a directory, shared by every process that uses it. Files are never removed: a key is
    used up for ever."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def claim(self, key: str, note: dict[str, str]) -> dict[str, Any] | None:
        """Claim a key durably and return None; return what was noted when it was claimed before.

        Raises OSError when that cannot be made durable: then nothing may be done.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(key)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            return self._read(path)
        with os.fdopen(descriptor, "wb") as file:
            file.write(json.dumps({"key": key, **note}).encode())
            file.flush()
            os.fsync(file.fileno())
        sync_directory(self._directory)
        return None

    def finish(self, key: str, note: dict[str, str], result: ExecutionResult) -> None:
        """Note the result of a claimed key. Raises OSError."""
        body = {
            "key": key,
            **note,
            "result": {
                "ok": result.ok,
                "summary": result.summary,
                "output": result.output,
                "started_at": to_rfc3339(result.started_at),
                "finished_at": to_rfc3339(result.finished_at),
                "new_uid": result.new_uid,
            },
        }
        replace_file(self._path(key), json.dumps(body).encode())

    @contextmanager
    def alone(self, name: str) -> Iterator[bool]:
        """Hold the lock of one process name; yields False when somebody else holds it."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._directory / f"{name}.lock"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(descriptor)

    def _path(self, key: str) -> Path:
        return self._directory / f"{hashlib.sha256(key.encode()).hexdigest()}.json"

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            body = json.loads(path.read_bytes())
        except ValueError:
            return {}  # its writer was killed in the act: claimed, and nothing more is known
        return body if isinstance(body, dict) else {}


def recorded_result(note: dict[str, Any]) -> ExecutionResult | None:
    """Return the result that a claim was finished with, if it was."""
    result = note.get("result")
    if not isinstance(result, dict):
        return None
    return ExecutionResult(
        ok=bool(result["ok"]),
        summary=str(result["summary"]),
        output=str(result["output"]),
        started_at=from_rfc3339(result["started_at"]),
        finished_at=from_rfc3339(result["finished_at"]),
        new_uid=result["new_uid"],
    )


def replace_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new, never a part."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(scratch, path)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make a created or renamed name durable (fsync(2), NOTES)."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
