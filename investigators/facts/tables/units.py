"""unit_failed: which systemd unit failed, with what result and exit code."""

from __future__ import annotations

import re
from datetime import timedelta

from bot.domain.evidence import Evidence, Fact, LogLine
from investigators.facts.process import ending_of
from investigators.facts.tables.reading import Machine, Row, number, text, unit_stem
from investigators.pack import absent, complete, found, unknown, why_nothing

UNIT = "unit_failed"
_RULE = "units.table"
_OWN, _OTHER = 0.92, 0.5
_ACTIVE = frozenset({"active", "reloading"})
_MOST = 10
_RECENT = timedelta(minutes=30)
_EXIT = re.compile(
    r"(?P<unit>[\w@:.\\-]+\.\w+): (?:Main|Control) process exited, code=(?P<code>\w+), status=(?P<status>\d+)"
)
_RESULT = re.compile(r"(?P<unit>[\w@:.\\-]+\.\w+): Failed with result '(?P<result>[\w-]+)'")
_RESULTS = {
    "exit-code": "it ended with an error",
    "signal": "it was ended by a signal",
    "core-dump": "it crashed and left a core",
    "oom-kill": "the kernel killed it for want of memory",
    "timeout": "it took longer than its time limit to start or stop",
    "watchdog": "it did not answer its watchdog in time",
    "start-limit-hit": "it was started too often, so systemd gave up",
    "resources": "systemd could not set up what it needs",
    "dependency": "a unit that it needs failed",
    "protocol": "it did not follow the protocol its type asks for",
}


def check(machine: Machine) -> list[Fact]:
    """One fact for every failed unit, and for the alert's own one when it is well."""
    facts: list[Fact] = []
    own: tuple[Evidence, Row] | None = None
    for evidence, row in machine.rows("systemd_units"):
        mine = is_own_unit(machine, row)
        if mine and (own is None or _failed(row)):
            own = (evidence, row)
        if _failed(row) and not mine and len(facts) < _MOST:
            facts.append(_found(machine, evidence, row, mine=False))
    looked = machine.looked("systemd_units")
    if own is not None:
        return [_own(machine, *own), *facts]
    if not looked:
        return facts
    if facts or not machine.entity.machine:
        subject = machine.entity.subject
        why = "no unit carries its name" if any(True for _ in machine.rows("systemd_units")) else "no units"
        return [*facts, unknown(UNIT, subject, looked, _RULE, why_nothing(looked, why))]
    if all(complete(one) for one in looked):
        return [absent(UNIT, machine.name, 0.9, looked, _RULE, "no unit of the machine has failed")]
    return [unknown(UNIT, machine.name, looked, _RULE, why_nothing(looked, "the units were not read whole"))]


def is_own_unit(machine: Machine, row: Row) -> bool:
    name = text(row, "id")
    return name.endswith(".service") and unit_stem(name).lower() in machine.own_names


def _failed(row: Row) -> bool:
    looping = (text(row, "active_state"), text(row, "sub_state")) == ("activating", "auto-restart")
    return text(row, "active_state") == "failed" or looping


def _own(machine: Machine, evidence: Evidence, row: Row) -> Fact:
    if _failed(row):
        return _found(machine, evidence, row, mine=True)
    subject, state = machine.entity.subject, f"{text(row, 'active_state')} ({text(row, 'sub_state')})"
    detail = f"{text(row, 'id')} is {state}"
    if text(row, "active_state") in _ACTIVE and complete(evidence):
        return absent(UNIT, subject, 0.9, (evidence,), _RULE, detail)
    return unknown(UNIT, subject, (evidence,), _RULE, detail)


def _found(machine: Machine, evidence: Evidence, row: Row, *, mine: bool) -> Fact:
    name = text(row, "id")
    subject = machine.entity.subject if mine else f"{machine.name}:{name}"
    named = machine.entity.labels.get("name") == name
    confidence = _OWN if mine or named else _OTHER
    failed = text(row, "active_state") == "failed"
    detail = f"{name} has failed" if failed else f"{name} fails and is started again and again"
    cited = [evidence]
    values: dict[str, float] = {}
    result = text(row, "result")
    status, by_signal = (
        number(row, "exec_main_status"),
        text(row, "exec_main_code") in ("2", "3", "killed", "dumped"),
    )
    for source, line in machine.lines():
        exit_match, result_match = _EXIT.search(line.text), _RESULT.search(line.text)
        if exit_match is not None and exit_match["unit"] == name:
            status, by_signal = float(exit_match["status"]), exit_match["code"] in ("killed", "dumped")
            _cite(machine, cited, values, source, line)
        if result_match is not None and result_match["unit"] == name:
            result = result_match["result"]
            _cite(machine, cited, values, source, line)
    if result and result != "success":
        detail += f", result {result}: {_RESULTS.get(result, 'see its journal')}"
    if status:
        code = int(status)
        ending = ending_of(None, code) if by_signal else ending_of(code, None)
        detail += f"; {ending.words}"
        values["exit_code"] = float(code)
    return found(UNIT, subject, confidence, cited, _RULE, detail, **values)


def _cite(
    machine: Machine, cited: list[Evidence], values: dict[str, float], source: Evidence, line: LogLine
) -> None:
    if source not in cited:
        cited.append(source)
    if line.at is not None and line.at >= machine.entity.onset - _RECENT:
        values["onset"] = min(values.get("onset", line.at.timestamp()), line.at.timestamp())
