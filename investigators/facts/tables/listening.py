"""port_taken: another process holds the port on which the service should listen."""

from __future__ import annotations

import re

from bot.domain.evidence import Evidence, Fact
from investigators.facts.tables.reading import Machine, Row, number, text
from investigators.facts.tables.units import is_own_unit
from investigators.pack import absent, complete, found, unknown, why_nothing

PORT = "port_taken"
_RULE = "ports.table"
_IN_USE = re.compile(
    r"address already in use|EADDRINUSE|port is already allocated|Only one usage of each socket", re.I
)
_NUMBER = re.compile(r":(?P<port>\d{2,5})\b|\bport[ =:]+(?P<named>\d{2,5})\b", re.I)
_BAD_STATES = frozenset({"failed", "inactive", "activating"})


def check(machine: Machine) -> list[Fact]:
    """For the port in the alert's instance, and one that its log says it could not have."""
    subject, looked = machine.entity.subject, machine.looked("listening_ports")
    if machine.entity.machine or not looked:
        return []
    complaint = _complaint(machine)
    port = complaint[1] if complaint else _declared(machine)
    if port is None:
        return [unknown(PORT, subject, looked, _RULE, "the port it should listen on is not known")]
    holders = [(e, row) for e, row in machine.rows("listening_ports") if number(row, "port") == port]
    processes = {number(row, "pid"): row for _, row in machine.rows("processes")}
    merged = [(e, {**processes.get(number(row, "pid"), {}), **_known(row)}) for e, row in holders]
    if any(machine.is_own(row) for _, row in merged):
        if all(complete(one) for one in looked):
            return [absent(PORT, subject, 0.9, looked, _RULE, f"it holds port {port} itself")]
        return [unknown(PORT, subject, looked, _RULE, f"it holds port {port}; the list was cut")]
    if not holders:
        if all(complete(one) for one in looked):
            return [absent(PORT, subject, 0.8, looked, _RULE, f"nobody listens on port {port}")]
        return [unknown(PORT, subject, looked, _RULE, why_nothing(looked, "the ports were not read"))]
    return [_judge(machine, port, merged[0], complaint)]


def _judge(
    machine: Machine, port: int, holder: tuple[Evidence, Row], complaint: tuple[Evidence, int] | None
) -> Fact:
    evidence, row = holder
    subject = machine.entity.subject
    whose = text(row, "name") or "a process without a name"
    detail = f"port {port} of {machine.name} is held by {whose} (pid {text(row, 'pid')}), not by {subject}"
    if complaint is not None:
        detail += ", whose log says that the address is in use"
        return found(PORT, subject, 0.93, (evidence, complaint[0]), _RULE, detail, port=port)
    unit = next(
        (
            (source, unit)
            for source, unit in machine.rows("systemd_units")
            if is_own_unit(machine, unit) and text(unit, "active_state") in _BAD_STATES
        ),
        None,
    )
    if unit is not None:
        detail += f", whose unit {text(unit[1], 'id')} is {text(unit[1], 'active_state')}"
        return found(PORT, subject, 0.85, (evidence, unit[0]), _RULE, detail, port=port)
    own = next(((source, one) for source, one in machine.rows("processes") if machine.is_own(one)), None)
    pid, parent = number(row, "pid"), number(row, "parent")
    if own is not None and own[1] and number(own[1], "parent") != pid and parent != number(own[1], "pid"):
        detail += f", which runs as pid {text(own[1], 'pid')}"
        return found(PORT, subject, 0.7, (evidence, own[0]), _RULE, detail, port=port)
    # A service seldom carries its program's name: that alone accuses nobody.
    return unknown(PORT, subject, (evidence,), _RULE, f"port {port} is held by {whose}, which may be it")


def _known(row: Row) -> Row:
    return {key: value for key, value in row.items() if value not in (None, "")}


def _declared(machine: Machine) -> int | None:
    port = (machine.entity.instance or "").rpartition(":")[2]
    return int(port) if port.isdecimal() and 0 < int(port) < 65_536 else None


def _complaint(machine: Machine) -> tuple[Evidence, int] | None:
    """The last line of its log that says a port was taken, with that port."""
    found_line = None
    for evidence, line in machine.lines():
        if _IN_USE.search(line.text):
            match = _NUMBER.search(line.text[:1000])
            port = int(match["port"] or match["named"]) if match else _declared(machine)
            if port is not None:
                found_line = (evidence, port)
    return found_line
