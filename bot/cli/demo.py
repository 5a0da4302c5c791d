"""`assent demo`: an incident from alert to verified fix, with everything in it real."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from adapters.anchors import FileAnchors
from adapters.keys import generate_signing_key
from adapters.storage import open_ledger
from bot.app.acting import load_keys
from bot.app.build import App, build
from bot.app.chats import open_chats
from bot.app.seams import Seams
from bot.cli.loading import load_config
from bot.cli.output import complain, say
from bot.demo.alert import DemoAlert, leak_alert, post_alert, post_resolved
from bot.demo.seat import HumanPlayer, Said, open_seat
from bot.demo.story import WEBHOOK, DemoFiles, MatrixSeat, write_files
from bot.demo.world import ServiceHandle, start_service, wait_until_healthy, wait_until_leaking
from bot.domain.errors import Unavailable, UserError
from bot.domain.incident import Incident, IncidentState
from bot.domain.outcome import ExecutionState
from bot.domain.redaction import strip_invisible
from bot.ports import JobKind
from bot.telemetry import configure_logging
from bot.workflow.proving import prove_ledger

_ENDS = {
    IncidentState.RESOLVED,
    IncidentState.REJECTED,
    IncidentState.EXPIRED,
    IncidentState.FAILED,
    IncidentState.OUTCOME_UNKNOWN,
    IncidentState.INCONCLUSIVE,
}
_UNATTENDED = timedelta(seconds=50)
_MEMORY_LIMIT_MB = 120.0
_LOOK_SECONDS = 0.05

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Decide = Callable[[bool], Awaitable[None]]
"""Plays the human: True approves, False rejects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What was found at the end, looked at from outside the bot."""

    incident: Incident
    ran: bool
    pid_before: int
    pid_after: int | None
    ledger: str
    ledger_ok: bool


async def demo(*, unattended: bool, reject: bool, matrix: bool, keep: Path | None) -> int:
    """0 only if what should happen really happened: the process restarted and healthy (or, with
    ``reject``, untouched) and the ledger intact. Raises UserError for what cannot be played here.

    A rejecting human is always a played one: ``reject`` implies ``unattended``.
    """
    unattended = unattended or reject
    if not unattended and not matrix and not sys.stdin.isatty():
        raise UserError(
            "Nobody can type ✅ here: standard input is no terminal. Use --unattended or --matrix."
        )
    configure_logging("console", "warning", sys.stderr)
    with contextlib.ExitStack() as stack:
        stopped = stack.enter_context(_stopping())
        if keep is None:
            name = stack.enter_context(tempfile.TemporaryDirectory(prefix="assent-demo-"))
            directory = Path(name)
        else:
            directory = _made(keep)
        try:
            async with asyncio.timeout(_UNATTENDED.total_seconds() if unattended else None):
                return await _play(directory, unattended, reject, matrix, kept=keep is not None)
        except TimeoutError:
            complain(f"The demo did not end within {_UNATTENDED.total_seconds():g} s.")
        except Unavailable as error:
            complain(str(error))
        except asyncio.CancelledError:
            if not stopped:
                raise
            complain("\nStopped. Everything the demo had started has ended.")
            return 128 + stopped[0]
        return 1


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise UserError(f"--keep {directory}: is not empty; an earlier story would get into this one")
    return directory.resolve()


@contextlib.contextmanager
def _stopping() -> Iterator[list[int]]:
    """The first signal ends the story, so that what it started is ended; the next ones change nothing."""
    received: list[int] = []
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def stop(number: int) -> None:
        received.append(number)
        if task is not None and len(received) == 1:
            task.cancel()

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        yield received
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


async def _play(directory: Path, unattended: bool, reject: bool, matrix: bool, *, kept: bool) -> int:
    async with contextlib.AsyncExitStack() as stack:
        seat, person = None, None
        if matrix:
            say("▸ Starting a Matrix homeserver …")
            seat, person = await stack.enter_async_context(open_seat(directory / "synapse"))
        say("▸ Starting a small service that will leak memory …")
        service = await start_service(directory / "service", memory_limit_mb=_MEMORY_LIMIT_MB)
        stack.push_async_callback(service.stop)
        files = write_files(directory, service, generate_signing_key(), seat)
        seen = await _story(files, service, seat, person, unattended=unattended, approve=not reject)
        if person is not None and unattended:
            _tell(await person.conversation())
        proved = await _proved(directory, seen)
    return _report(proved, reject=reject, kept=kept, directory=directory)


async def _story(
    files: DemoFiles,
    service: ServiceHandle,
    seat: MatrixSeat | None,
    person: HumanPlayer | None,
    *,
    unattended: bool,
    approve: bool,
) -> _Seen:
    config = load_config(files.config, warn=False)
    async with contextlib.AsyncExitStack() as stack:
        reader, writer = os.pipe() if unattended else (0, None)
        if writer is not None:
            stack.callback(os.close, reader)
            stack.callback(os.close, writer)
        app = await stack.enter_async_context(
            build(config, Seams(open_chats=partial(open_chats, console_input=reader)))
        )
        say(f"▸ The bot listens on 127.0.0.1:{app.port}; its store is {config.data_dir / 'assent.db'}")
        if seat is not None:
            _how_to_join(seat, unattended=unattended)
        await stack.enter_async_context(_working(app))
        resident = await wait_until_leaking(service)
        say(f"▸ The service holds {resident >> 20} MiB and grows. Alertmanager's webhook fires.\n")
        alert = leak_alert(service, limit_mb=_MEMORY_LIMIT_MB / 2, starts_at=datetime.now(UTC))
        url = f"http://127.0.0.1:{app.port}/webhook/{WEBHOOK}"
        await post_alert(url, files.token, alert)
        decide: Decide | None = None
        if unattended and writer is not None:
            decide = person.decide if person is not None else partial(_type, writer)
        return await _follow(app, service, url, files.token, alert, decide, approve=approve)


@asynccontextmanager
async def _working(app: App) -> AsyncIterator[None]:
    stop = asyncio.Event()
    running = asyncio.create_task(app.run(stop))
    try:
        yield
    finally:
        stop.set()
        await running


async def _type(writer: int, approve: bool) -> None:
    os.write(writer, ("✅\n" if approve else "❌\n").encode())


async def _follow(
    app: App,
    service: ServiceHandle,
    url: str,
    token: str,
    alert: DemoAlert,
    decide: Decide | None,
    *,
    approve: bool,
) -> _Seen:
    """Play everybody but the bot: the human if asked to, and Alertmanager once the service is well."""
    incident = await _until(app, {IncidentState.AWAITING_APPROVAL} | _ENDS)
    if decide is not None and incident.state is IncidentState.AWAITING_APPROVAL:
        await _card_shown(app, incident)
        await decide(approve)
    incident = await _until(app, {IncidentState.VERIFYING} | _ENDS)
    if incident.state is IncidentState.VERIFYING:
        await wait_until_healthy(service, other_than=service.pid)
        await post_resolved(url, token, alert)
        incident = await _until(app, _ENDS)
    await _all_told(app)
    async with app.store.reading() as rows:
        executions = await rows.executions_of(incident.id)
    return _Seen(
        incident=incident,
        ran=any(execution.state is ExecutionState.SUCCEEDED for execution in executions),
        pid_before=service.pid,
        pid_after=service.current_pid(),
        ledger="",
        ledger_ok=False,
    )


async def _until(app: App, states: set[IncidentState]) -> Incident:
    # The rows change in the bot's own tasks; the demo looks from outside, as `assent` commands do.
    while True:
        async with app.store.reading() as rows:
            incidents = await rows.incidents(live_only=False, limit=1)
        if incidents and incidents[0].state in states:
            return incidents[0]
        await asyncio.sleep(_LOOK_SECONDS)


async def _card_shown(app: App, incident: Incident) -> None:
    while True:
        async with app.store.reading() as rows:
            request = (await rows.requests_of(incident.id))[-1]
            room = incident.route.rooms[0]
            if await rows.message_ref(incident.id, room, f"card:{request.id}") is not None:
                return
        await asyncio.sleep(_LOOK_SECONDS)


async def _all_told(app: App) -> None:
    """Wait until chat shows everything the rows say."""
    telling = {JobKind.ANNOUNCE, JobKind.DELIVER}
    while any(pending.job.kind in telling for pending in await app.store.pending_work()):  # noqa: ASYNC110
        await asyncio.sleep(_LOOK_SECONDS)


async def _proved(directory: Path, seen: _Seen) -> _Seen:
    config = load_config(directory / "assent.yaml", warn=False)
    anchors = FileAnchors(config.ledger.anchor_file) if config.ledger.anchor_file else None
    async with open_ledger(config.data_dir / "assent.db") as rows:
        proof = await prove_ledger(rows, load_keys(config).verifier, anchors)
    report = proof.report
    text = f"{report.entries} entries, {proof.checkpoints} signed checkpoints, {proof.anchors} anchors"
    return _Seen(
        incident=seen.incident,
        ran=seen.ran,
        pid_before=seen.pid_before,
        pid_after=seen.pid_after,
        ledger=text if report.ok else f"BROKEN: {report.problem}",
        ledger_ok=report.ok,
    )


def _report(seen: _Seen, *, reject: bool, kept: bool, directory: Path) -> int:
    say()
    say(f"▸ Incident {seen.incident.short_id} ended {seen.incident.state.value}.")
    restarted = seen.pid_after is not None and seen.pid_after != seen.pid_before
    if seen.ran and restarted:
        say(f"▸ The process was really restarted: pid {seen.pid_before} → {seen.pid_after}.")
    elif not seen.ran and not restarted:
        say(f"▸ Nothing was executed: pid {seen.pid_before} still runs.")
    say(f"▸ Ledger: {seen.ledger}.")
    if kept:
        say(f"▸ Kept: {directory}. Look with: assent ledger show -c {directory / 'assent.yaml'}")
    if not seen.ledger_ok:
        return 1
    if reject:
        ok = seen.incident.state is IncidentState.REJECTED and not seen.ran and not restarted
    else:
        ok = seen.incident.state is IncidentState.RESOLVED and seen.ran and restarted
    if not ok:
        complain("The story did not end as it should.")
    return 0 if ok else 1


def _how_to_join(seat: MatrixSeat, *, unattended: bool) -> None:
    say(f"▸ The incident room is {seat.room_id} on the homeserver {seat.homeserver}")
    say(f"  Join with any Matrix client: user {seat.person_id}, password {seat.person_password}")
    if not unattended:
        say("  and react ✅ or ❌ on the approval card. Ctrl-C ends the demo.")


def _tell(conversation: Sequence[Said]) -> None:
    """The room as a client shows it at the end, messages of a thread indented."""
    for message in conversation:
        margin = "  │ " if message.thread else ""
        edited = f", edited ×{message.edits}" if message.edits else ""
        say(f"{margin}{message.sender}{edited}:")
        for line in message.text.splitlines():
            say(f"{margin}  {strip_invisible(line)}")
        reactions = [f"{key} {who}" for who, key in message.reactions]
        if reactions:
            say(f"{margin}  [{'  '.join(reactions)}]")
        say(margin.rstrip())
