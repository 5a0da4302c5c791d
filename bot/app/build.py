"""The composition root: configuration in, a running service out.

Every resource registers its closer the moment it exists, so a start that fails half-way closes what it
had opened; stopping goes through named, bounded stages.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version

import aiohttp
import structlog

from adapters.alerts import parsers
from adapters.anchors import FileAnchors
from adapters.evidence.declared import declared_edges
from adapters.http import BoundListener, open_listener
from adapters.queue.local import LocalQueue
from adapters.schedule import open_schedule
from adapters.storage import SqlStore, open_store
from approvals.gate import Gate
from approvals.ledger import Entry
from bot.app.acting import (
    Keys,
    load_keys,
    may_execute,
    offered_actions,
)
from bot.app.chats import bind_rooms, open_chats
from bot.app.health import gauge, readiness
from bot.app.reasoning import open_reasoners
from bot.app.seams import Seams
from bot.app.work import Handler, Work
from bot.domain.audit import ServiceStarted
from bot.domain.ids import ExecutionId
from bot.ports import Chat, JobKind
from bot.supervisor import Stage, run_until, stop_in_stages
from bot.telemetry import Metrics
from bot.workflow.calibration import withdraw_offers
from bot.workflow.checkpointing import Checkpointing
from bot.workflow.execution import Recovering
from bot.workflow.proving import prove_ledger
from config.dump import config_digest
from config.schema import Config

Sweep = Callable[[], Awaitable[None]]

CONCURRENCY: Mapping[JobKind, int] = {
    JobKind.INTAKE: 1,
    JobKind.DELIVER: 1,
    JobKind.INBOUND: 1,
    JobKind.HEARTBEAT: 1,
    JobKind.INVESTIGATE: 8,
    JobKind.REMEDIATE: 4,
    JobKind.ANNOUNCE: 4,
    JobKind.EXECUTE: 4,
    JobKind.VERIFY: 4,
    JobKind.EXPIRE: 4,
    JobKind.REMIND: 4,
    JobKind.SUMMARISE: 2,
    JobKind.ASK: 2,
}
"""How many jobs of a kind run side by side. One where order matters: the inbox and the outbox pump."""

_HEARTBEATS = timedelta(seconds=15)
_AGING = timedelta(hours=1)
_GAUGES = timedelta(seconds=5)
_CHECKPOINTS = timedelta(seconds=10)
_QUEUE_STOP = timedelta(seconds=30)

_log = structlog.stdlib.get_logger(__name__)


@dataclass(slots=True)
class App:
    """A built service: bound to its port, its rows recovered, not yet working until :meth:`run`."""

    config: Config
    store: SqlStore
    gate: Gate
    metrics: Metrics
    chats: Mapping[str, Chat]
    _listener: BoundListener
    _queue: LocalQueue
    _handlers: Mapping[JobKind, Handler]
    _checkpointing: Checkpointing | None
    _sweeps: Mapping[str, Sweep]

    @property
    def port(self) -> int:
        """The listener's TCP port, also when the configuration said 0."""
        return self._listener.port

    async def sweep(self, name: str) -> None:
        """Do now what the schedule does every so often: heartbeats, age-out, gauges or checkpoints."""
        await self._sweeps[name]()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set, then stop in stages. Raises when a part that must not end ends."""
        eternals = [
            ("work queue", self._queue.run(self._handlers)),
            *((f"chat {name}", chat.run(self.store)) for name, chat in self.chats.items()),
        ]
        stopped = asyncio.Event()

        async def stop_orderly() -> None:
            await stop.wait()
            await stop_in_stages(self._stages())
            stopped.set()
            await asyncio.Event().wait()

        await run_until(stopped, [*eternals, ("stopping", stop_orderly())])

    def _stages(self) -> list[Stage]:
        return [
            Stage(name="stop intake", close=self._listener.stop_accepting, limit=1.0),
            # Executions are never cancelled: the queue waits for them, each within its own time limit.
            Stage(
                name="let work finish",
                close=self._finish_work,
                limit=_QUEUE_STOP.total_seconds() + self.config.execution.timeout.total_seconds(),
            ),
            Stage(name="final checkpoint", close=self._last_checkpoint, limit=2.0),
        ]

    async def _finish_work(self) -> None:
        await self._queue.stop(timedelta(seconds=1))

    async def _last_checkpoint(self) -> None:
        if self._checkpointing is not None:
            await self._checkpointing.run(now_or_never=True)


@asynccontextmanager
async def build(config: Config, seams: Seams | None = None) -> AsyncIterator[App]:
    """Build the service. Raises ConfigError, IntegrityError for a ledger it cannot even read, Unavailable
    when the port or the database cannot be had."""
    seams = seams or Seams()
    metrics = Metrics(version=version("assent"))
    async with AsyncExitStack() as stack:
        config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        queue = LocalQueue(seams.clock, CONCURRENCY, on_error=lambda _job, error: seams.on_error(error))
        opened = await stack.enter_async_context(
            open_store(
                config.data_dir / "assent.db",
                clock=seams.clock,
                wake=queue.put,
                on_entries=lambda entries: _entries_written(config, metrics, entries),
            )
        )
        store = seams.wrap_store(opened)
        keys = load_keys(config)
        anchors = FileAnchors(config.ledger.anchor_file) if config.ledger.anchor_file else None
        report = (await prove_ledger(store, keys.verifier, anchors)).report
        store.set_ledger_problem(report.problem)
        metrics.ledger_ok.set(1 if report.ok else 0)
        if not report.ok:
            _log.critical("ledger_broken", problem=report.problem, first_bad=report.first_bad)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        chats = await stack.enter_async_context((seams.open_chats or open_chats)(config, seams.clock))
        reasoners = await stack.enter_async_context(
            open_reasoners(
                config,
                seams,
                session,
                store,
                purse=store.purse,
                metrics=metrics,
                actions=offered_actions(config, seams),
            )
        )
        rooms = bind_rooms(config, chats)
        work = Work(config, seams, store, keys, metrics, session, rooms, reasoners)
        checkpointing = _checkpointing(config, seams, store, keys, anchors)
        await _recover(config, seams, store, queue, work)
        schedule = await stack.enter_async_context(
            open_schedule(on_error=lambda _name, error: seams.on_error(error))
        )
        sweeps: dict[str, tuple[timedelta, Sweep]] = {
            "heartbeats": (_HEARTBEATS, work.heartbeats.run),
            "age-out": (_AGING, work.aging.run),
            "gauges": (_GAUGES, lambda: gauge(store, metrics)),
        }
        if checkpointing is not None:
            sweeps["checkpoints"] = (_CHECKPOINTS, checkpointing.run)
        for name, (interval, sweep) in sweeps.items():
            schedule.every(interval, name, sweep, at_once=name == "gauges")
        listener = await stack.enter_async_context(
            open_listener(
                config.listen,
                sources=config.sources,
                limits=config.limits,
                parsers=parsers(config.limits, missing_severity=config.grouping.missing_severity),
                sink=store,
                metrics=metrics,
                readiness=lambda: readiness(store, chats),
                clock=seams.clock,
            )
        )
        yield App(
            config=config,
            store=store,
            gate=work.gate,
            metrics=metrics,
            chats=chats,
            _listener=listener,
            _queue=queue,
            _handlers=work.handlers(),
            _checkpointing=checkpointing,
            _sweeps={name: sweep for name, (_, sweep) in sweeps.items()},
        )


async def _recover(config: Config, seams: Seams, store: SqlStore, queue: LocalQueue, work: Work) -> None:
    """Pick up what the last process left: first settle what it was executing, then wake the rest."""
    pending = await store.pending_work()
    interrupted = [ExecutionId(p.job.subject) for p in pending if p.job.kind is JobKind.VERIFY]
    settled = await Recovering(store, seams.clock).run(interrupted)
    async with store.transaction() as tx:
        await tx.declare_edges(declared_edges(config.services), seams.clock.now())
        await tx.record(
            ServiceStarted(
                version=version("assent"),
                config_digest=config_digest(config),
                execution_enabled=may_execute(config),
            )
        )
    if config.investigation.calibration:
        withdrawn = await withdraw_offers(store, seams.clock, await store.pending_work())
        _log.warning("calibration", offers="none", withdrawn=withdrawn)
    if settled:
        _log.warning("executions_of_unknown_outcome", count=settled)
    for item in await store.pending_work():
        queue.put(item.job, item.due_at)


def _checkpointing(
    config: Config, seams: Seams, store: SqlStore, keys: Keys, anchors: FileAnchors | None
) -> Checkpointing | None:
    if keys.signer is None:
        return None
    return Checkpointing(
        store,
        keys.signer,
        anchors,
        seams.clock,
        entries=config.ledger.checkpoint_entries,
        every=config.ledger.checkpoint_every,
    )


def _entries_written(config: Config, metrics: Metrics, entries: Sequence[Entry]) -> None:
    metrics.ledger_entries.inc(len(entries))
    if config.ledger.log_entries:
        for entry in entries:
            _log.info("ledger_entry", hash=entry.entry_hash.hex(), **json.loads(entry.body))
