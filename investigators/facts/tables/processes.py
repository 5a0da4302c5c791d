"""What the process table says: the service's own process, and those that take what the others need."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from bot.domain.evidence import Evidence, Fact, FactVerdict
from investigators.facts.pressure import MEMORY
from investigators.facts.tables.reading import Machine, Row, clock, number, text
from investigators.facts.tables.storage import memory as memory_of
from investigators.facts.tables.units import is_own_unit
from investigators.pack import absent, complete, found, unknown, why_nothing
from investigators.ranking import human_bytes, human_time

CPU = "process_high_cpu"
SIZE = "process_high_memory"
MANY = "too_many_processes"
ZOMBIES = "zombie_processes"
USERS = "user_logged_in"
_RULE = "processes.table"
_BUSY = 0.9
_YOUNG = 3600.0
_LARGE = 0.4
_CROWD = 300
_DEAD = 50
_NEAR = 3600.0
_USERS = 3


def own(machine: Machine) -> list[Fact]:
    """process_not_running and process_hang of the alert's own process."""
    kind, subject, looked = "process_not_running", machine.entity.subject, machine.looked("processes")
    if machine.entity.machine or not looked:
        return []
    mine = [(e, row) for e, row in machine.rows("processes") if machine.is_own(row)]
    alive = [(e, row) for e, row in mine if text(row, "state") not in ("Z", "X")]
    if alive:
        evidence, row = alive[0]
        said = f"{text(row, 'name')} runs as pid {text(row, 'pid')}, state {text(row, 'state') or 'not told'}"
        facts = [
            absent(kind, subject, 0.85, (evidence,), _RULE, said)
            if complete(evidence)
            else unknown(kind, subject, (evidence,), _RULE, said)
        ]
        if all(text(one, "state") in ("T", "t") for _, one in alive):
            detail = f"{text(row, 'name')} (pid {text(row, 'pid')}) is suspended: it runs no instruction"
            facts.append(found("process_hang", subject, 0.85, (evidence,), _RULE, detail))
        return facts
    if mine:
        evidence, row = mine[0]
        detail = f"{text(row, 'name')} (pid {text(row, 'pid')}) is a zombie: it ended, and nobody asked how"
        return [found(kind, subject, 0.9, (evidence,), _RULE, detail)]
    stopped = next(
        (
            (e, row)
            for e, row in machine.rows("systemd_units")
            if is_own_unit(machine, row) and text(row, "active_state") in ("failed", "inactive")
        ),
        None,
    )
    if stopped is not None and all(complete(one) for one in looked):
        state = f"{text(stopped[1], 'active_state')} ({text(stopped[1], 'sub_state')})"
        detail = f"no process of {subject} runs on {machine.name}; {text(stopped[1], 'id')} is {state}"
        return [found(kind, subject, 0.88, (*looked, stopped[0]), _RULE, detail)]
    # A process is seldom called what its service is called: not seeing the name proves nothing.
    return [unknown(kind, subject, looked, _RULE, why_nothing(looked, "no process carries its name"))]


def consumers(machine: Machine) -> list[Fact]:
    """Processes that take a core or much of the memory, and crowds of them."""
    rows = list(machine.rows("processes"))
    if not rows:
        return []
    facts = [fact for e, row in rows if (fact := _busy(machine, e, row)) is not None]
    facts += _large(machine, rows)
    return [*facts, *_crowds(machine, rows)]


def _subject(machine: Machine, row: Row) -> str:
    return machine.entity.subject if machine.is_own(row) else f"{machine.name}:{text(row, 'name')}"


def _busy(machine: Machine, evidence: Evidence, row: Row) -> Fact | None:
    """osquery counts CPU since the start of a process: only a young one's mean tells of now."""
    began, user, system = (number(row, key) for key in ("start_time", "user_time", "system_time"))
    age = evidence.taken_at.timestamp() - (began or 0.0)
    if not began or user is None or system is None or age < 10:
        return None
    cores = (user + system) / 1000 / age
    if cores < _BUSY:
        return None
    pid = text(row, "pid")
    detail = f"{text(row, 'name')} (pid {pid}) used {cores:.1f} cores on average since its start"
    subject = _subject(machine, row)
    kind = "cpu_saturation" if subject == machine.entity.subject else CPU
    near = began >= machine.entity.onset.timestamp() - _YOUNG
    confidence = 0.6 if near else 0.35
    return found(
        kind,
        subject,
        confidence,
        (evidence,),
        _RULE,
        f"{detail} {human_time(timedelta(seconds=age))} ago",
        cores=cores,
    )


def _large(machine: Machine, rows: list[tuple[Evidence, Row]]) -> list[Fact]:
    """Large processes are no fault where memory is not short."""
    short = next((f for f in memory_of(machine) if f.kind == MEMORY and f.verdict is FactVerdict.FOUND), None)
    info = next(((e, number(r, "memory_total")) for e, r in machine.rows("memory_info")), None)
    if short is None or info is None or not info[1]:
        return []
    facts: list[Fact] = []
    for evidence, row in rows:
        size = number(row, "resident_size")
        if size is not None and size >= _LARGE * info[1]:
            detail = (
                f"{text(row, 'name')} (pid {text(row, 'pid')}) holds {human_bytes(size)}, "
                f"{size / info[1]:.0%} of the memory of {machine.name}, which is short of it"
            )
            share = size / info[1]
            facts.append(
                found(SIZE, _subject(machine, row), 0.8, (evidence, info[0]), _RULE, detail, share=share)
            )
    return facts


def _crowds(machine: Machine, rows: list[tuple[Evidence, Row]]) -> list[Fact]:
    # The kernel's own threads are children of pid 2.
    users = [(e, row) for e, row in rows if number(row, "parent") != 2 and number(row, "pid") != 2]
    evidence = tuple({e.id: e for e, _ in rows}.values())
    facts: list[Fact] = []
    names = Counter(text(row, "name") for _, row in users if text(row, "state") != "Z")
    name, count = names.most_common(1)[0] if names else ("", 0)
    if count >= _CROWD and 2 * count > len(users):
        detail = f"{count} of {len(users)} processes on {machine.name} are {name}"
        facts.append(found(MANY, machine.name, 0.75, evidence, _RULE, detail, processes=count))
    parents = Counter(number(row, "parent") for _, row in users if text(row, "state") == "Z")
    pid, dead = parents.most_common(1)[0] if parents else (None, 0)
    if dead >= _DEAD:
        above = next((text(row, "name") for _, row in users if number(row, "pid") == pid), "")
        named = f"{above} (pid {pid:.0f})" if pid is not None else "their parent"
        detail = f"{dead} processes on {machine.name} ended and are still waited for by {named}"
        facts.append(found(ZOMBIES, machine.name, 0.7, evidence, _RULE, detail, processes=dead))
    return facts


def users(machine: Machine) -> list[Fact]:
    """Who logged in shortly before the onset or since: context, never a fault."""
    onset = machine.entity.onset.timestamp()
    facts: list[Fact] = []
    for evidence, row in machine.rows("logged_in_users"):
        at = number(row, "time")
        kind = text(row, "type")
        if at is None or at < onset - _NEAR or kind not in ("", "user") or len(facts) >= _USERS:
            continue
        came = f" from {text(row, 'host')}" if text(row, "host") else ""
        detail = f"{text(row, 'user') or 'somebody'} logged in to {machine.name}{came} at {clock(at)}"
        facts.append(found(USERS, machine.name, 0.5, (evidence,), "users.table", detail, onset=at))
    return facts
