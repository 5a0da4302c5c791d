"""Which known fix helps against which fault. Knows names of actions, not policy and not executors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bot.domain.diagnosis import SuggestedAction
from bot.domain.evidence import Evidence, Fact, FactVerdict
from bot.domain.ids import EvidenceId
from bot.domain.incident import Incident
from investigators.hypotheses import Candidate
from investigators.ports import Case
from investigators.recurrence import comes_back, told

RESTART = "process.restart"
_RESTART_HELPS = frozenset(
    {"memory_growth", "process_crash", "process_not_running", "process_hang", "fd_exhaustion"}
)
_RESTART_DECLARED = _RESTART_HELPS | {"process_stopped", "cpu_saturation", "target_down"}
"""With these a restart may help too, if the operator declared it as the fix of this alert."""

STEPS: Mapping[str, tuple[str, ...]] = {
    "process_crash": (
        "Read the last log lines before the exit, and the core dump if there is one (coredumpctl).",
        "A restart brings it back; the crash will return until its cause is mended.",
    ),
    "process_stopped": ("Ask who stopped it before starting it again.",),
    "process_not_running": ("Look at the supervisor's log for why it is not started.",),
    "process_hang": ("Take a stack dump before restarting (py-spy dump, jstack, gdb -p).",),
    "memory_growth": (
        "Take a heap profile before restarting; a restart frees the memory and loses the evidence.",
        "Compare with the last change to this service: growth like this is a leak or an unbounded cache.",
    ),
    "memory_pressure": ("Find the largest processes (ps aux --sort=-rss) and stop or limit what may be.",),
    "cpu_saturation": ("Profile the busy process (perf top, py-spy top) before restarting or scaling.",),
    "disk_filling": (
        "Find what grows: du -xh --max-depth=2 on the mount, and deleted open files (lsof +L1).",
    ),
    "fd_exhaustion": (
        "List the open descriptors (ls -l /proc/PID/fd) for what leaks; raise the limit if it is low.",
    ),
    "unit_failed": ("Read the unit's journal (journalctl -u UNIT -b) from its last start onwards.",),
    "port_taken": (
        "See who listens (ss -ltnp) and decide which of the two is to have the port before stopping either.",
    ),
    "process_high_memory": ("Ask whose process it is; limit or stop it where it may be.",),
    "process_high_cpu": ("Ask whose process it is; lower its priority or stop it where it may be.",),
    "too_many_processes": ("Find what starts them (ps -ef --forest) and stop that first.",),
    "zombie_processes": ("Their parent does not wait for them: restart the parent, not the children.",),
    "target_down": ("Ask the endpoint by hand with curl from the Prometheus host.",),
    "log_template_new": ("Read the log around the first new error.",),
    "log_errors": ("Read the log around these errors.",),
}


def suggest(
    case: Case, top: Candidate, facts: Sequence[Fact], evidence: Mapping[EvidenceId, Evidence]
) -> tuple[SuggestedAction | None, str | None]:
    """The action that would help, or why a likely one is not suggested.

    The route's declared action wins when the evidence agrees with it. By itself this suggests only a
    restart, only of a process that evidence names, and not again where the service came back to trouble:
    after this incident was resolved and opened again, or after another one of it was resolved lately.
    """
    incident = case.incident
    fault = top.hypothesis.fault
    process = _named_process(top, evidence)
    declared = incident.route.suggested_action
    if declared is not None:
        return _declared(incident, top, process)
    if fault not in _RESTART_HELPS or process is None:
        return None, None
    name, ids = process
    if fault == "process_crash" and not _still_down(top, facts):
        return None, f"{name} crashed but runs again, so a restart is not suggested."
    if incident.reopened:
        return (
            None,
            f"A restart of {name} is not suggested again: the incident came back after it was resolved.",
        )
    if comes_back(case.recurrence, top.hypothesis):
        return (
            None,
            f"A restart of {name} is not suggested again: {told(case.recurrence)}. "
            "Find what makes it come back.",
        )
    return _action(RESTART, {"process": name}, name, top, ids), None


def _declared(
    incident: Incident, top: Candidate, process: tuple[str, tuple[EvidenceId, ...]] | None
) -> tuple[SuggestedAction | None, str | None]:
    action = incident.route.suggested_action or ""
    params: dict[str, str | int] = dict(incident.route.suggested_params)
    fault = top.hypothesis.fault
    target = str(params.get("process") or params.get("service") or top.hypothesis.object)
    if action == RESTART:
        wanted = str(params.get("process", ""))
        if process is None:
            return (
                None,
                f"The route suggests {action}, but no evidence names the process, so it is not offered.",
            )
        if wanted and wanted != process[0]:
            return None, f"The route suggests {action} of {wanted}, but the evidence is about {process[0]}."
        if fault not in _RESTART_DECLARED:
            return None, f"The route suggests {action}, which does not help against {fault}."
        params["process"], target = process[0], process[0]
    ids: tuple[EvidenceId, ...] = process[1] if process is not None else ()
    return _action(action, params, target, top, ids), None


def _action(
    name: str, params: Mapping[str, str | int], target: str, top: Candidate, extra: tuple[EvidenceId, ...]
) -> SuggestedAction:
    return SuggestedAction(
        action=name,
        params=params,
        target=target,
        why=f"{top.hypothesis.object}: {top.hypothesis.statement}",
        evidence_ids=tuple(dict.fromkeys((*top.hypothesis.evidence_ids, *extra))),
    )


def _named_process(
    top: Candidate, evidence: Mapping[EvidenceId, Evidence]
) -> tuple[str, tuple[EvidenceId, ...]] | None:
    """The declared process of the entity, if a usable answer of the process table names it."""
    name = top.entity.process
    ids = tuple(
        item.id
        for item in evidence.values()
        if item.kind == "host.process"
        and item.usable
        and item.subject == top.entity.subject
        and any(record.get("name") == name for record in item.records)
    )
    return (name, ids) if name is not None and ids else None


def _still_down(top: Candidate, facts: Sequence[Fact]) -> bool:
    return any(
        fact.kind in ("process_not_running", "target_down")
        and fact.verdict is FactVerdict.FOUND
        and fact.subject == top.entity.subject
        for fact in facts
    )
