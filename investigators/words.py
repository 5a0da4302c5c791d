"""What causes are called, and sentences about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from investigators.facts.known import FAULTS
from investigators.hypotheses import Candidate
from investigators.synthesis import Synthesis

_NAMED = 6

TITLES: Mapping[str, str] = {
    "process_crash": "the process crashed",
    "process_stopped": "the process was stopped on purpose",
    "process_not_running": "the process does not run",
    "process_hang": "the process runs but does not respond",
    "memory_growth": "memory keeps growing, as with a leak",
    "memory_pressure": "the machine is short of memory",
    "cpu_saturation": "CPU is saturated",
    "disk_filling": "a filesystem is full or filling up",
    "unit_failed": "a systemd unit failed",
    "port_taken": "another process holds its port",
    "process_high_memory": "a process takes much of the machine's memory",
    "process_high_cpu": "a process uses whole cores",
    "too_many_processes": "one program has a crowd of processes",
    "zombie_processes": "ended processes are never waited for",
    "fd_exhaustion": "file descriptors run out",
    "target_down": "the target cannot be scraped",
    "log_template_new": "a new kind of error appears in the log",
    "log_errors": "the log holds errors",
}


def cause_of(top: Candidate) -> str:
    hypothesis = top.hypothesis
    return f"{hypothesis.object}: {title_of(hypothesis.fault)}"


def title_of(fault: str) -> str:
    if fault in TITLES:
        return TITLES[fault]
    return FAULTS[fault].title if fault in FAULTS else fault.replace("_", " ")


def together(synthesis: Synthesis) -> list[str]:
    """Of an incident about several things: which of them the cause reaches, and what goes wrong beside it."""
    parts = _dependents(synthesis.reached)
    for one, reached in synthesis.apart:
        statement = sentence(one.hypothesis.statement, one.entity.subject)
        parts += [f"A fault of its own is at {cause_of(one)}. {statement}", *_dependents(reached)]
    return parts


def _dependents(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return [f"{', '.join(names[:_NAMED])}{more} {'depends' if len(names) == 1 else 'depend'} on it."]


def sentence(text: str, name: str) -> str:
    """A detail as a sentence; a name at its beginning keeps its own spelling."""
    begun = text if text.startswith(name) else f"{text[:1].upper()}{text[1:]}"
    return begun + ("" if text.endswith((".", "!", "?")) else ".")
