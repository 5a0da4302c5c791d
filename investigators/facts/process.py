"""process_not_running, process_crash, process_stopped, process_restarted, process_hang."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bot.domain.clock import to_rfc3339
from bot.domain.evidence import Evidence, Fact
from investigators.entities import Entity
from investigators.pack import (
    Pack,
    absent,
    answered,
    complete,
    current,
    found,
    series_of,
    unknown,
    why_nothing,
)
from investigators.plan import HostPart, Span
from investigators.ranking import human_time

_SIGNALS: Mapping[int, tuple[str, str]] = {
    1: ("SIGHUP", "hung up"),
    2: ("SIGINT", "interrupted"),
    3: ("SIGQUIT", "quit with a core dump"),
    4: ("SIGILL", "illegal instruction"),
    5: ("SIGTRAP", "trap"),
    6: ("SIGABRT", "aborted itself: failed assertion, uncaught exception or heap corruption"),
    7: ("SIGBUS", "bus error: a mapped file was cut short, or memory is faulty"),
    8: ("SIGFPE", "arithmetic error"),
    9: ("SIGKILL", "killed from outside: the kernel's OOM killer, a supervisor or a person"),
    11: ("SIGSEGV", "segmentation fault: invalid memory access"),
    13: ("SIGPIPE", "wrote to a closed pipe"),
    15: ("SIGTERM", "asked to stop"),
    24: ("SIGXCPU", "CPU time limit reached"),
    25: ("SIGXFSZ", "file size limit reached"),
    31: ("SIGSYS", "forbidden system call"),
}
_GRACEFUL = frozenset({1, 2, 15})
"""Signals with which people and supervisors stop a process on purpose."""
_CRASH_LOOP = 3
_WAITING = 3
"""Scrapes in a row that must have waited."""
_LONG_SCRAPE = 0.5
"""Seconds; a scrape that fails sooner did not run into its timeout, of which none is that short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a process ended. ``crash`` False: on purpose or by itself with success."""

    crash: bool
    words: str
    signal: int | None


def ending_of(exit_code: int | None, signal: int | None) -> Ending:
    """What an exit code or signal means; a code of 128+n, as shells and container runtimes report it,
    and Python's -n both mean signal n."""
    if signal is None and exit_code is not None:
        if exit_code > 128 and exit_code - 128 in _SIGNALS:
            signal = exit_code - 128
        elif exit_code < 0:
            signal = -exit_code
    if signal:
        name, meaning = _SIGNALS.get(signal, (f"signal {signal}", "ended by a signal"))
        return Ending(
            crash=signal not in _GRACEFUL,
            words=f"{name} (exit code {128 + signal}): {meaning}",
            signal=signal,
        )
    if exit_code == 0:
        return Ending(crash=False, words="exit code 0: ended by itself", signal=None)
    meaning = {126: "the command cannot be executed", 127: "the command was not found"}.get(
        exit_code or 0, "ended with an error of its own"
    )
    return Ending(crash=True, words=f"exit code {exit_code}: {meaning}", signal=None)


def check(pack: Pack, entity: Entity) -> list[Fact]:
    """Facts from the process table, from recorded exits and from the start-time metric."""
    return [
        *_running(pack, entity),
        *_exits(pack, entity),
        *_restarts(pack, entity),
        _hang(pack, entity),
    ]


def _running(pack: Pack, entity: Entity) -> list[Fact]:
    kind, rule = "process_not_running", "process.table"
    if entity.process is None:
        return []
    looked = pack.host(entity.subject, HostPart.PROCESSES)
    for evidence in looked:
        for record in evidence.records if answered(evidence) else ():
            if record.get("name") != entity.process:
                continue
            if record.get("status") == "not_running":
                detail = f"{entity.process} does not run (it was pid {record.get('pid')})"
                return [found(kind, entity.subject, 0.95, (evidence,), rule, detail)]
            detail = f"{entity.process} runs as pid {record.get('pid')}, status {record.get('status')}"
            if not complete(evidence):
                return [unknown(kind, entity.subject, (evidence,), rule, detail)]
            return [absent(kind, entity.subject, 0.95, (evidence,), rule, detail)]
    return [unknown(kind, entity.subject, looked, rule, why_nothing(looked, "no host source covers it"))]


def _exits(pack: Pack, entity: Entity) -> list[Fact]:
    kind, rule = "process_crash", "process.exits"
    if entity.process is None:
        return []
    looked = pack.host(entity.subject, HostPart.EXITS)
    for evidence in looked:
        endings = [
            (
                float(record["at"] or 0),
                ending_of(_whole(record.get("exit_code")), _whole(record.get("signal"))),
            )
            for record in evidence.records
            if answered(evidence) and isinstance(record.get("at"), int | float)
        ]
        crashes = [(at, ending) for at, ending in endings if ending.crash]
        if crashes:
            at, ending = crashes[-1]
            times = f"{len(crashes)} times, last " if len(crashes) > 1 else ""
            detail = f"{entity.process} ended {times}at {_clock(at)} with {ending.words}"
            return [
                found(
                    kind, entity.subject, 0.95, (evidence,), rule, detail,
                    onset=crashes[0][0], crashes=len(crashes), signal=ending.signal or 0,
                )
            ]  # fmt: skip
        if endings:
            at, ending = endings[-1]
            detail = f"{entity.process} ended at {_clock(at)} with {ending.words}"
            facts = [found("process_stopped", entity.subject, 0.9, (evidence,), rule, detail, onset=at)]
            clean = "every recorded exit was clean"
            if complete(evidence):
                return [*facts, absent(kind, entity.subject, 0.9, (evidence,), rule, clean)]
            return [*facts, unknown(kind, entity.subject, (evidence,), rule, f"{clean}; {evidence.reason}")]
    return [_no_exit(pack, entity, looked)]


def _no_exit(pack: Pack, entity: Entity, exits: Sequence[Evidence]) -> Fact:
    """No exit on record: proof of no crash only when the process also runs since before the window."""
    kind, rule = "process_crash", "process.exits"
    for evidence in pack.host(entity.subject, HostPart.PROCESSES):
        for record in evidence.records if answered(evidence) else ():
            started = record.get("started_at")
            if record.get("name") != entity.process or not isinstance(started, int | float):
                continue
            if complete(evidence) and started < evidence.window.start.timestamp():
                detail = f"{entity.process} has run since {_clock(started)}, before anything began"
                return absent(kind, entity.subject, 0.95, (evidence,), rule, detail)
    return unknown(kind, entity.subject, exits, rule, why_nothing(exits, "no exits are recorded"))


def _restarts(pack: Pack, entity: Entity) -> list[Fact]:
    kind, rule = "process_restarted", "process.start_time"
    facts: list[Fact] = []
    looked = pack.ranges(entity.subject, "process_start_time_seconds", Span.LONG)
    worst: tuple[int, Evidence, float] | None = None
    watched: list[Evidence] = []
    for evidence, one in series_of(looked):
        starts = [one.samples[0].value]
        for sample in one.samples[1:]:
            if sample.value > starts[-1] + 1:
                starts.append(sample.value)
        if one.samples[-1].at >= pack.now - timedelta(minutes=2) or one.samples[-1].at >= entity.onset:
            watched.append(evidence)
        if worst is None or len(starts) - 1 > worst[0]:
            worst = (len(starts) - 1, evidence, starts[-1])
    if worst is not None and worst[0] > 0:
        count, evidence, last = worst
        detail = f"{entity.subject} was started anew {count} times, last at {_clock(last)}"
        facts.append(found(kind, entity.subject, 0.9, (evidence,), rule, detail, restarts=count, onset=last))
        if count >= _CRASH_LOOP:
            facts.append(
                found(
                    "process_crash", entity.subject, 0.7, (evidence,), rule,
                    f"{count} restarts within {human_time(evidence.window.length)}", restarts=count,
                )
            )  # fmt: skip
    elif watched and all(complete(item) for item in watched):
        facts.append(
            absent(kind, entity.subject, 0.85, watched, rule, "the start time did not change in the window")
        )
    facts += _recent_start(pack, entity)
    if not facts:
        facts = [
            unknown(kind, entity.subject, looked, rule, why_nothing(looked, "no start time is exported"))
        ]
    return facts


def _recent_start(pack: Pack, entity: Entity) -> list[Fact]:
    """A declared process that is younger than the alert was started again by somebody or something."""
    for evidence in pack.host(entity.subject, HostPart.PROCESSES) if entity.process else ():
        for record in evidence.records if answered(evidence) else ():
            started = record.get("started_at")
            if record.get("name") != entity.process or not isinstance(started, int | float):
                continue
            if started > entity.onset.timestamp():
                detail = f"{entity.process} was started at {_clock(started)}, after the alert began"
                return [
                    found(
                        "process_restarted", entity.subject, 0.9, (evidence,), "process.table", detail,
                        restarts=1, onset=started,
                    )
                ]  # fmt: skip
    return []


def _hang(pack: Pack, entity: Entity) -> Fact:
    kind, rule = "process_hang", "process.hang"
    targets = [item for item in pack.targets(entity.subject) if answered(item)]
    records = [record for item in targets for record in item.records]
    down = [record for record in records if record.get("health") == "down"]
    alive = [
        (evidence, record)
        for evidence in pack.host(entity.subject, HostPart.PROCESSES)
        for record in (evidence.records if answered(evidence) else ())
        if entity.process is not None
        and record.get("name") == entity.process
        and record.get("status") != "not_running"
    ]
    for evidence, record in alive:
        if record.get("status") in ("stopped", "tracing-stop"):
            detail = f"{entity.process} is suspended (status {record.get('status')}): it runs no instruction"
            return found(kind, entity.subject, 0.9, (evidence,), rule, detail)
    if alive and down:
        table = alive[0][0]
        error = str(down[0].get("last_error") or "")
        if "deadline exceeded" in error or "timeout" in error.lower():
            detail = f"{entity.process} runs but does not answer in time: {error}"
            return found(kind, entity.subject, 0.85, (*targets, table), rule, detail)
        waited = _scrapes_wait(pack, entity)
        if waited is not None:
            seconds, durations = waited
            detail = f"{entity.process} runs, and scrapes of it wait {seconds:.1f} s for an answer in vain"
            return found(kind, entity.subject, 0.85, (*targets, durations, table), rule, detail)
        silent = _not_listening(pack, entity, down[0].get("instance"))
        if silent is not None:
            port, ports = silent
            detail = f"{entity.process} runs but nothing of it listens on port {port}"
            return found(kind, entity.subject, 0.8, (*targets, ports, table), rule, detail)
    healthy = records and all(record.get("health") == "up" for record in records)
    if healthy and all(complete(item) for item in targets):
        return absent(kind, entity.subject, 0.85, targets, rule, "its endpoint answers the scrape")
    looked = (*pack.targets(entity.subject), *pack.host(entity.subject, HostPart.PROCESSES))
    return unknown(
        kind, entity.subject, looked, rule, "needs the scrape target and the process table together"
    )


def _scrapes_wait(pack: Pack, entity: Entity) -> tuple[float, Evidence] | None:
    """How long the last scrapes took, if each took far longer than scrapes do that are answered. One that is
    refused, as by a process that is gone, fails at once."""
    for evidence, one in series_of(pack.ranges(entity.subject, "scrape_duration_seconds", Span.RECENT)):
        values = one.values
        late, usual = values[-_WAITING:], sorted(values[:-_WAITING])
        if len(usual) < 2 * _WAITING or not current(one, pack.now):
            continue
        if min(late) >= max(_LONG_SCRAPE, 5 * usual[len(usual) // 4]):
            return min(late), evidence
    return None


def _not_listening(pack: Pack, entity: Entity, instance: object) -> tuple[str, Evidence] | None:
    port = str(instance or "").rpartition(":")[2]
    for evidence in pack.host(entity.subject, HostPart.PORTS):
        listens = any(str(record.get("port")) == port for record in evidence.records)
        if port.isdecimal() and complete(evidence) and not listens:
            return port, evidence
    return None


def _whole(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) else None


def _clock(epoch: float) -> str:
    return to_rfc3339(datetime.fromtimestamp(epoch, UTC))[:19] + "Z"
