"""A restartable thing in a directory: outlives the bot's process and counts what was really done to it.

``runs`` is a file with one line per completed effect; ``uid`` a file with the current identity. Both
halves of the executor work on it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from bot.domain.clock import Clock
from bot.domain.errors import Unavailable
from bot.domain.outcome import ExecutionResult, VerificationCheck
from bot.domain.proposal import Action, DryRun, Target


class FileTarget:
    """The thing itself."""

    def __init__(self, directory: Path, name: str = "cart") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.name = name
        self._runs = directory / "runs"
        self._uid = directory / "uid"
        if not self._uid.exists():
            self._uid.write_text("1")

    @property
    def uid(self) -> str:
        return self._uid.read_text()

    def replace(self, uid: str) -> None:
        """Somebody else restarted it."""
        self._uid.write_text(uid)

    def runs(self) -> list[str]:
        """The idempotency keys of every effect, in order."""
        return self._runs.read_text().splitlines() if self._runs.exists() else []

    def act(self, key: str) -> str:
        """The effect: happens, and is on record, at one point in time."""
        descriptor = os.open(self._runs, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(descriptor, f"{key}\n".encode())
        os.fsync(descriptor)
        os.close(descriptor)
        self._uid.write_text(str(int(self.uid) + 1))
        return self.uid


class FileInspector:
    """The reading half. ``labels`` go to policy; ``dry_run_ok`` and ``healthy`` decide what it sees."""

    name = "process"

    def __init__(self, target: FileTarget, clock: Clock, labels: dict[str, str] | None = None) -> None:
        self.target = target
        self._clock = clock
        self.labels = labels or {}
        self.dry_run_ok = True
        self.healthy: bool | None = True
        self.down = False
        self.undo: Action | None = None

    async def locate(self, action: Action) -> Target:
        if self.down:
            raise Unavailable("process", "cannot be seen")
        return Target(kind="process", name=self.target.name, uid=self.target.uid, labels=self.labels)

    async def dry_run(self, action: Action, target: Target) -> DryRun:
        return DryRun(ok=self.dry_run_ok, summary="would restart", at=self._clock.now())

    async def check(
        self, action: Action, before: Target, result: ExecutionResult
    ) -> Sequence[VerificationCheck]:
        return (
            VerificationCheck(
                name="identity", ok=self.target.uid != before.uid, detail=f"{before.uid} → {self.target.uid}"
            ),
            VerificationCheck(name="health", ok=self.healthy, detail="as the test says"),
        )

    def compensation(self, action: Action, result: ExecutionResult) -> Action | None:
        return self.undo

    def human_command(self, action: Action) -> str:
        return f"restart {self.target.name}"

    def inspect_hint(self, action: Action, target: Target) -> str:
        return f"cat {self.target.name}/runs"


class FileExecutor:
    """The writing half. ``around`` is called just before and just after the effect."""

    name = "process"

    def __init__(
        self, target: FileTarget, clock: Clock, around: Callable[[str], None] = lambda moment: None
    ) -> None:
        self._target = target
        self._clock = clock
        self._around = around
        self.ok = True
        self.hold = asyncio.Event()
        self.hold.set()

    async def run(self, action: Action, target: Target, idempotency_key: str) -> ExecutionResult:
        started = self._clock.now()
        await self.hold.wait()
        self._around("before the effect")
        uid = self._target.act(idempotency_key)
        self._around("after the effect")
        return ExecutionResult(
            ok=self.ok,
            summary=f"{target.uid} → {uid}",
            output="",
            started_at=started,
            finished_at=self._clock.now(),
            new_uid=uid,
        )
