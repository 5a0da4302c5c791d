"""The steps of the workflow, each with what it needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import aiohttp

from adapters.storage import SqlStore
from approvals.catalogue import builtin_catalogue
from approvals.document import RiskSettings
from bot.app.acting import (
    Keys,
    build_gate,
    build_inspectors,
    build_policy,
    may_execute,
)
from bot.app.answering import wire_asking
from bot.app.reasoning import Reasoners
from bot.app.seams import Seams
from bot.app.wiring import approval_settings, directory, grouping, router, verification
from bot.commands.emoji import Glyphs
from bot.commands.handlers import Handlers
from bot.commands.inbound import HandlingInbound
from bot.ports import JobKind
from bot.telemetry import Metrics
from bot.workflow.announcement import Announcing
from bot.workflow.delivery import Delivering, Rooms
from bot.workflow.execution import Executing, Recovering
from bot.workflow.expiry import Expiring, Reminding
from bot.workflow.heartbeats import AgingOut, WatchingHeartbeats
from bot.workflow.intake import Intake
from bot.workflow.investigation import Investigating
from bot.workflow.proposing import Proposing
from bot.workflow.remediation import Remediating
from bot.workflow.reviewing import Reviewing
from bot.workflow.summarising import Summarising
from bot.workflow.verification import Verifying
from config.schema import Config

Handler = Callable[[str], Awaitable[None]]


class Work:
    """The workflow's steps, wired."""

    def __init__(
        self,
        config: Config,
        seams: Seams,
        store: SqlStore,
        keys: Keys,
        metrics: Metrics,
        session: aiohttp.ClientSession,
        rooms: Rooms,
        reasoners: Reasoners,
    ) -> None:
        clock, token = seams.clock, seams.token
        calibration = config.investigation.calibration
        people = directory(config)
        settings = approval_settings(config)
        schedule = verification(config)
        risk = RiskSettings()
        policy = build_policy(config, risk)
        inspectors = build_inspectors(config, seams, session)
        self.gate = build_gate(
            config,
            seams,
            session,
            store=store,
            keys=keys,
            policy=policy,
            risk=risk,
            directory=people,
            inspectors=inspectors,
        )
        reviewing = Reviewing(people, keys.must_sign, keys.verifier, settings, clock, token, metrics)
        self._intake = Intake(store, router(config), grouping(config), clock, token, metrics, seams.on_error)
        self._investigating = Investigating(
            store,
            reasoners.investigator,
            clock,
            token,
            metrics,
            reasoners.deadline,
            seams.on_error,
            calibration=calibration,
        )
        catalogue = builtin_catalogue()
        proposing = Proposing(
            store,
            catalogue,
            inspectors,
            policy,
            risk,
            settings,
            keys.must_sign,
            clock,
            token,
            execution_enabled=may_execute(config),
        )
        self._remediating = Remediating(store, proposing, catalogue, inspectors, calibration=calibration)
        self._asked = wire_asking(config, seams, store, proposing, people, catalogue, reasoners)
        self._executing = Executing(store, self.gate.open, Recovering(store, clock), schedule, metrics)
        self._verifying = Verifying(store, inspectors, schedule, clock)
        self._expiring = Expiring(store, clock)
        self._reminding = Reminding(store, settings, clock)
        self._announcing = Announcing(store, clock, calibration=calibration)
        self._summarising = Summarising(
            store,
            reasoners.summariser,
            config.investigation.summarise_after,
            config.grouping.reopen_within,
            clock,
            seams.on_error,
        )
        self._delivering = Delivering(store, rooms, clock, seams.on_error)
        self._inbound = HandlingInbound(
            store,
            store,
            Handlers(
                reviewing,
                store,
                people,
                clock,
                self._asked.commands,
                calibration=calibration,
            ),
            reviewing,
            people,
            rooms,
            Glyphs(config.chat.approve_emoji, config.chat.reject_emoji),
            clock,
            seams.on_error,
        )
        missing = {beat.alertname: beat.missing_after for beat in config.grouping.heartbeats}
        self.heartbeats = WatchingHeartbeats(store, store, missing, clock, clock.now())
        self.aging = AgingOut(store, config.grouping.age_out, clock)

    def handlers(self) -> Mapping[JobKind, Handler]:
        """The step that each kind of job wakes."""
        return {
            JobKind.INTAKE: self._intake.run,
            JobKind.INVESTIGATE: self._investigating.run,
            JobKind.REMEDIATE: self._remediate,
            JobKind.EXECUTE: self._executing.run,
            JobKind.VERIFY: self._verifying.run,
            JobKind.EXPIRE: self._expiring.run,
            JobKind.REMIND: self._reminding.run,
            JobKind.ANNOUNCE: self._announcing.run,
            JobKind.DELIVER: self._delivering.run,
            JobKind.INBOUND: self._inbound.run,
            JobKind.HEARTBEAT: self.heartbeats.run,
            JobKind.SUMMARISE: self._summarising.run,
            JobKind.ASK: self._asked.answering.run,
        }

    async def _remediate(self, subject: str) -> None:
        await self._remediating.run(subject)
        await self._asked.wishing.run(subject)
