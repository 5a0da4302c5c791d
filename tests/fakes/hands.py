"""An inspector and an executor of one process, without the process: another implementation of the ports."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from bot.domain.clock import Clock
from bot.domain.errors import Unavailable
from bot.domain.outcome import ExecutionResult, VerificationCheck
from bot.domain.proposal import Action, DryRun, Target


class FakeInspector:
    """Sees one target. ``unseen`` and ``untried`` make it fail, ``dry_run_ok`` decides the dry run."""

    name = "process"

    def __init__(self, target: Target, clock: Clock) -> None:
        self.target = target
        self.dry_run_ok = True
        self.unseen = False
        self.untried = False
        self.hang = asyncio.Event()
        self.hang.set()
        self._clock = clock

    async def locate(self, action: Action) -> Target:
        await self.hang.wait()
        if self.unseen:
            raise Unavailable("process", "the pid file cannot be read")
        return self.target

    async def dry_run(self, action: Action, target: Target) -> DryRun:
        if self.untried:
            raise Unavailable("process", "it cannot be tried now")
        summary = "would restart" if self.dry_run_ok else "the start command does not exist"
        return DryRun(ok=self.dry_run_ok, summary=summary, at=self._clock.now())

    async def check(
        self, action: Action, before: Target, result: ExecutionResult
    ) -> Sequence[VerificationCheck]:
        return [VerificationCheck(name="identity", ok=self.target.uid != before.uid, detail=self.target.uid)]

    def human_command(self, action: Action) -> str:
        return f"systemctl restart {action.params['process']}"

    def inspect_hint(self, action: Action, target: Target) -> str:
        return f"ps -p {target.uid}"


class FakeExecutor:
    """Notes each run. ``gate`` lets a test hold a run in flight; ``error`` makes it break off."""

    name = "process"

    def __init__(self, inspector: FakeInspector, clock: Clock) -> None:
        self.runs: list[tuple[Action, Target, str]] = []
        self.ok = True
        self.output = "restarted"
        self.error: BaseException | None = None
        self.started = asyncio.Event()
        self.hold = asyncio.Event()
        self.hold.set()
        self._inspector = inspector
        self._clock = clock

    async def run(self, action: Action, target: Target, idempotency_key: str) -> ExecutionResult:
        started: datetime = self._clock.now()
        self.runs.append((action, target, idempotency_key))
        self.started.set()
        await self.hold.wait()
        if self.error is not None:
            raise self.error
        uid = f"{target.uid}+1"
        if self.ok:
            self._inspector.target = replace(self._inspector.target, uid=uid)
        return ExecutionResult(
            ok=self.ok,
            summary="restarted" if self.ok else "the process did not come up",
            output=self.output,
            started_at=started,
            finished_at=self._clock.now(),
            new_uid=uid if self.ok else None,
        )
