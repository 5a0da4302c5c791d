"""The reading half: what would be hidden, what is hidden."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

import aiohttp

from adapters.executors.alertmanager.api import AlertmanagerApi, Silence
from adapters.executors.alertmanager.matchers import Matchers
from adapters.executors.output import tidy_line
from bot.domain.clock import Clock
from bot.domain.errors import InputError, Unavailable
from bot.domain.outcome import ExecutionResult, VerificationCheck
from bot.domain.proposal import Action, DryRun, Target
from config.schema import AlertmanagerTarget

SILENCE = "alertmanager.silence"
EXPIRE = "alertmanager.expire_silence"
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MAX_ALERTS = 100
"""A silence that hides more alerts than this at once is too broad."""


class AlertmanagerInspector:
    """:class:`approvals.ports.Inspector` for ``alertmanager.silence`` (``matchers``, ``duration_minutes``,
    ``comment``) and ``alertmanager.expire_silence`` (``silence_id``).

    The target is ``Target(kind="silence", name=<canonical matchers>)``. Its uid is the digest of the matchers
    for a new silence, ``<id>@<last update>`` for one to be ended; its labels are the pairs that every hidden
    alert has, its blast radius the number of firing alerts that match.
    """

    name = "alertmanager"

    def __init__(self, target: AlertmanagerTarget, *, session: aiohttp.ClientSession, clock: Clock) -> None:
        self._api = AlertmanagerApi(target, session)
        self._clock = clock

    async def locate(self, action: Action) -> Target:
        if action.name == EXPIRE:
            silence = await self._existing(action)
            matchers, uid = silence.matchers, silence.uid
        else:
            matchers = wanted(action)
            uid = matchers.digest
        matching = await self._api.alerts(matchers)
        return Target(
            kind="silence",
            name=matchers.text,
            uid=uid,
            blast_radius=len(matching),
            labels=matchers.labels,
        )

    async def dry_run(self, action: Action, target: Target) -> DryRun:
        if action.name == EXPIRE:
            return await self._dry_expire(action, target)
        matchers = wanted(action)
        matching = await self._api.alerts(matchers)
        every = await self._api.alerts()
        problem = None
        if matchers.digest != target.uid:
            problem = f"the matchers are not the approved ones ({target.name})"
        elif len(matching) > MAX_ALERTS:
            problem = f"too broad: {len(matching)} firing alerts match, more than {MAX_ALERTS}"
        elif len(matching) == len(every) and len({alert.name for alert in every}) > 1:
            problem = f"too broad: all {len(every)} firing alerts match; add a label that tells them apart"
        new = sum(not alert.suppressed for alert in matching)
        names = ", ".join(sorted({alert.name for alert in matching})[:5])
        summary = f"would silence {matchers.text} for {action.params['duration_minutes']} min: "
        summary += (
            f"{len(matching)} firing ({names}), {new} of them not suppressed yet"
            if matching
            else ("no firing alert matches now")
        )
        return DryRun(
            ok=problem is None,
            summary=tidy_line(problem or summary),
            at=self._clock.now(),
            uncovered="nothing was created; alerts that begin later and match will be silent too",
        )

    async def _dry_expire(self, action: Action, target: Target) -> DryRun:
        silence = await self._existing(action)
        matching = await self._api.alerts(silence.matchers)
        freed = sum(alert.silenced_by == (silence.id,) for alert in matching)
        problem = None
        if silence.uid != target.uid:
            problem = f"silence {silence.id} was changed since ({silence.updated_at})"
        elif silence.state == "expired":
            problem = f"silence {silence.id} has ended already"
        summary = f"would end silence {silence.id} ({silence.matchers.text}): {freed} alerts speak again"
        return DryRun(
            ok=problem is None,
            summary=tidy_line(problem or summary),
            at=self._clock.now(),
            uncovered="nothing was ended; who is notified then is Alertmanager's routing",
        )

    async def check(
        self, action: Action, before: Target, result: ExecutionResult
    ) -> Sequence[VerificationCheck]:
        expire = action.name == EXPIRE
        uid = result.new_uid or (before.uid if expire else None)
        if uid is None:
            return [VerificationCheck(name="silence", ok=False, detail="the run reported no silence")]
        try:
            silence = await self._api.silence(uid.partition("@")[0])
        except Unavailable as error:
            return [VerificationCheck(name="silence", ok=None, detail=tidy_line(str(error)))]
        if silence is None:
            return [VerificationCheck(name="silence", ok=False, detail="Alertmanager knows no such silence")]
        same = silence.matchers.text == before.name
        detail = f"{silence.id} is {silence.state}" + ("" if same else ", with other matchers")
        checks = [
            VerificationCheck(
                name="silence",
                ok=silence.state == ("expired" if expire else "active") and same,
                detail=tidy_line(detail),
            )
        ]
        if not expire:
            checks.append(await self._suppressed(silence))
        return checks

    async def _suppressed(self, silence: Silence) -> VerificationCheck:
        try:
            matching = await self._api.alerts(silence.matchers)
        except Unavailable as error:
            return VerificationCheck(name="suppressed", ok=None, detail=tidy_line(str(error)))
        loud = sum(not alert.suppressed for alert in matching)
        return VerificationCheck(
            name="suppressed",
            ok=loud == 0,
            detail=f"{len(matching) - loud} of {len(matching)} matching alerts are suppressed",
        )

    def compensation(self, action: Action, result: ExecutionResult) -> Action | None:
        """A silence is undone by ending it."""
        if action.name == EXPIRE or result.new_uid is None:
            return None
        silence_id = result.new_uid.partition("@")[0]
        return Action(name=EXPIRE, executor=self.name, params={"silence_id": silence_id})

    def human_command(self, action: Action) -> str:
        tool = ["amtool", f"--alertmanager.url={self._api.url}", "silence"]
        if action.name == EXPIRE:
            return shlex.join([*tool, "expire", str(action.params["silence_id"])])
        matchers = wanted(action)
        return shlex.join(
            [
                *tool,
                "add",
                f"--duration={action.params['duration_minutes']}m",
                f"--comment={action.params['comment']}",
                *matchers.filters(),
            ]
        )

    def inspect_hint(self, action: Action, target: Target) -> str:
        tool = ["amtool", f"--alertmanager.url={self._api.url}", "silence", "query"]
        if action.name == EXPIRE:
            return shlex.join([*tool, "--expired", f"--id={action.params['silence_id']}"])
        created = shlex.join([*tool, "--created-by=assent", *wanted(action).filters()])
        return f"{created} (nothing listed: it was not created)"

    async def _existing(self, action: Action) -> Silence:
        silence_id = named_silence(action)
        silence = await self._api.silence(silence_id)
        if silence is None:
            raise InputError(f"parameter silence_id: Alertmanager knows no silence {silence_id}")
        return silence


def named_silence(action: Action) -> str:
    """The id of the silence that is to be ended. Raises InputError."""
    silence_id = action.params.get("silence_id")
    if not isinstance(silence_id, str) or _UUID.fullmatch(silence_id) is None:
        raise InputError("parameter silence_id: a silence's id in Alertmanager is needed, a UUID")
    return silence_id


def wanted(action: Action) -> Matchers:
    """The matchers of a silence that is to be made. Raises InputError."""
    if action.name != SILENCE:
        raise InputError(f"the alertmanager executor knows {SILENCE} and {EXPIRE}, not {action.name}")
    return Matchers.parse(action.params.get("matchers"))
