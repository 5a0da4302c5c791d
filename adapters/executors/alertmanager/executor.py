"""The writing half: make a silence once, or end one."""

from __future__ import annotations

from datetime import datetime, timedelta

import aiohttp

from adapters.executors.alertmanager.api import SYSTEM, AlertmanagerApi, Refused, Silence, mark_of
from adapters.executors.alertmanager.inspector import EXPIRE, named_silence, wanted
from adapters.executors.output import tidy_line
from bot.domain.clock import Clock
from bot.domain.errors import InputError, Unavailable
from bot.domain.outcome import ExecutionResult
from bot.domain.proposal import Action, Target
from config.schema import AlertmanagerTarget


class AlertmanagerExecutor:
    """:class:`approvals.ports.Executor` for silences.

    A silence's comment ends with ``[assent:<idempotency key>]``, by which a second run finds it, even when it
    has expired since, and makes none. :meth:`run` raises Unavailable only where it cannot be told whether
    Alertmanager acted.
    """

    name = "alertmanager"

    def __init__(self, target: AlertmanagerTarget, *, session: aiohttp.ClientSession, clock: Clock) -> None:
        self._api = AlertmanagerApi(target, session)
        self._clock = clock

    async def run(self, action: Action, target: Target, idempotency_key: str) -> ExecutionResult:
        started_at = self._clock.now()
        try:
            if action.name == EXPIRE:
                return await self._expire(action, target, started_at)
            return await self._silence(action, target, idempotency_key, started_at)
        except (InputError, Refused) as error:
            return self._result(started_at, False, str(error))

    async def _silence(
        self, action: Action, target: Target, key: str, started_at: datetime
    ) -> ExecutionResult:
        matchers = wanted(action)
        if matchers.digest != target.uid:
            return self._result(started_at, False, "target changed: other matchers were approved")
        try:
            known = await self._api.silence_of(key)
        except Unavailable as error:
            return self._result(started_at, False, f"nothing was done: {error}")
        if known is not None:
            return self._made(started_at, known, "was made already")
        minutes = int(action.params["duration_minutes"])
        comment = f"{action.params['comment']} {mark_of(key)}"
        try:
            silence_id = await self._api.create(
                matchers, started_at, started_at + timedelta(minutes=minutes), comment
            )
        except Unavailable as error:
            return await self._after_no_answer(started_at, key, error)
        silence = await self._api.silence(silence_id)
        if silence is None:
            raise Unavailable(SYSTEM, f"it does not know the silence {silence_id} that it has just made")
        return self._made(started_at, silence, "was made")

    async def _after_no_answer(self, started_at: datetime, key: str, error: Unavailable) -> ExecutionResult:
        """The request may have arrived all the same. What Alertmanager lists decides; what is not listed may
        still be on its way, so only a person can say that nothing happened."""
        made = await self._api.silence_of(key)
        if made is None:
            raise error
        return self._made(started_at, made, "was made, though the answer was lost")

    async def _expire(self, action: Action, target: Target, started_at: datetime) -> ExecutionResult:
        silence_id = named_silence(action)
        try:
            silence = await self._api.silence(silence_id)
        except Unavailable as error:
            return self._result(started_at, False, f"nothing was done: {error}")
        if silence is None:
            return self._result(started_at, False, f"target changed: no silence {silence_id} any more")
        if silence.state == "expired":
            return self._result(started_at, True, f"silence {silence_id} has ended already", silence)
        if silence.uid != target.uid:
            return self._result(started_at, False, f"target changed: silence {silence_id} was edited since")
        await self._api.expire(silence_id)
        return self._result(
            started_at, True, f"silence {silence_id} was ended", await self._api.silence(silence_id)
        )

    def _made(self, started_at: datetime, silence: Silence, how: str) -> ExecutionResult:
        until = f"{silence.ends_at:%Y-%m-%d %H:%M} UTC"
        return self._result(
            started_at, True, f"silence {silence.id} ({silence.matchers.text}) {how}, until {until}", silence
        )

    def _result(
        self, started_at: datetime, ok: bool, summary: str, silence: Silence | None = None
    ) -> ExecutionResult:
        return ExecutionResult(
            ok=ok,
            summary=tidy_line(summary),
            output="",
            started_at=started_at,
            finished_at=self._clock.now(),
            new_uid=None if silence is None else silence.uid,
        )
