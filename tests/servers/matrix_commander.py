"""A person who uses matrix-commander, a Matrix client for the shell that is none of our code.

Each call runs its command line in a process of its own, with credentials and encryption keys kept in one
directory between calls, as somebody at a terminal would.
"""

from __future__ import annotations

import asyncio
import ctypes.util
import importlib.util
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.servers.synapse import Account

_SECONDS = 60.0

_MAGIC = '''\
"""Stands in for python-magic where libmagic is missing; only sending files needs it."""


def from_file(filename, mime=False):
    raise RuntimeError("libmagic is not installed")
'''


def matrix_commander_missing() -> str | None:
    """None when it is installed, else how to get it."""
    if importlib.util.find_spec("matrix_commander") is None:
        return "matrix-commander is not installed: pip install 'assent[test]'"
    return None


class MatrixCommander:
    """One user's command line. :meth:`login` first; it makes a new device.

    Version 8 knows only room ids with a server name: create the room with ``room_version="11"``.
    """

    def __init__(self, account: Account, directory: Path) -> None:
        self._account = account
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    async def login(self, room: str) -> None:
        """Log in by password, with ``room`` as the default room."""
        account = self._account
        await self._run(
            "--login",
            "password",
            *("--homeserver", account.homeserver),
            *("--user-login", account.user_id),
            *("--password", account.password),
            *("--device", "terminal"),
            *("--room-default", room),
        )

    async def join(self, room: str) -> None:
        await self._run("--room-join", room)

    async def text(self, room: str, body: str, *, thread: str | None = None) -> str:
        """Send a text, into a thread if its root is given; return the event id."""
        content: dict[str, Any] = {"msgtype": "m.text", "body": body}
        if thread is not None:
            content["m.relates_to"] = {
                "rel_type": "m.thread",
                "event_id": thread,
                "is_falling_back": True,
                "m.in_reply_to": {"event_id": thread},
            }
        return await self._event(room, "m.room.message", content)

    async def react(self, room: str, event_id: str, key: str) -> str:
        """Set a reaction; return its event id."""
        relation = {"rel_type": "m.annotation", "event_id": event_id, "key": key}
        return await self._event(room, "m.reaction", {"m.relates_to": relation})

    async def redact(self, room: str, event_id: str) -> None:
        """Delete a message or take a reaction back."""
        await self._run("--room-redact", room, event_id)

    async def read(self, room: str, messages: int = 50) -> str:
        """What it shows of the room's newest messages, decrypted where they are encrypted."""
        return await self._run("--room", room, "--listen", "tail", "--tail", str(messages))

    async def _event(self, room: str, kind: str, content: Mapping[str, Any]) -> str:
        event = json.dumps({"type": kind, "content": content})
        printed = await self._run("--room", room, "--print-event-id", "--event", "-", given=event)
        for word in printed.split():
            if word.startswith("$"):
                return word
        raise AssertionError(f"matrix-commander printed no event id: {printed!r}")

    async def _run(self, *arguments: str, given: str = "") -> str:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "import sys, matrix_commander; sys.exit(matrix_commander.main())"),
            *("--credentials", str(self._directory / "credentials.json")),
            *("--store", str(self._directory / "store")),
            *arguments,
            cwd=self._directory,
            env=self._environment(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(_SECONDS):
                output, errors = await process.communicate(given.encode())
        except BaseException:
            process.kill()
            await process.wait()
            raise
        shown = output.decode(errors="replace")
        if process.returncode != 0:
            what = " ".join(arguments[:1])
            raise AssertionError(
                f"matrix-commander {what} failed:\n{shown}\n{errors.decode(errors='replace')}"
            )
        return shown

    def _environment(self) -> dict[str, str]:
        environment = os.environ | {"HOME": str(self._directory)}
        if ctypes.util.find_library("magic") is None:
            beside = self._directory / "without-libmagic"
            beside.mkdir(exist_ok=True)
            (beside / "magic.py").write_text(_MAGIC)
            environment["PYTHONPATH"] = os.pathsep.join(
                part for part in (str(beside), os.environ.get("PYTHONPATH", "")) if part
            )
        return environment
