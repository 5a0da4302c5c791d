"""What a person would ask about next and need not: few lines, from facts that a live source showed absent."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bot.domain.evidence import Fact, FactVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """``asked`` kinds must all be absent at one object for the answer to be given; ``denies`` kinds, found
    there, make it untrue."""

    answer: str
    asked: frozenset[str]
    denies: frozenset[str] = frozenset()


_QUESTIONS: tuple[_Question, ...] = (
    _Question(
        answer="no container crashed, was OOM-killed or is kept from restarting",
        asked=frozenset({"oom_killed", "process_crash", "crashloop"}),
        denies=frozenset({"process_stopped", "bad_command", "init_container_failed"}),
    ),
    _Question(
        answer="its pods were admitted and scheduled",
        asked=frozenset({"failed_scheduling", "admission_denied"}),
        denies=frozenset({"replica_shortage", "quota_exceeded"}),
    ),
    _Question(
        answer="its images were pulled, and what they mount and read is there",
        asked=frozenset({"image_pull", "secret_missing", "config_map_missing"}),
        denies=frozenset({"volume_mount", "container_config"}),
    ),
    _Question(answer="no probe fails", asked=frozenset({"probe_failing"})),
    _Question(
        answer="its Service leads to its pods",
        asked=frozenset({"service_selector_mismatch", "service_target_port_mismatch"}),
        denies=frozenset({"service_no_endpoints", "service_missing"}),
    ),
    _Question(
        answer="no NetworkPolicy blocks a connection in use", asked=frozenset({"network_policy_blocked"})
    ),
    _Question(
        answer="its log tells of no failed name lookup and no expired certificate",
        asked=frozenset({"dns_failure", "certificate_expiry"}),
        denies=frozenset({"service_name_wrong", "mtls_mismatch"}),
    ),
    _Question(
        answer="ready, with memory, disk and process ids to spare",
        asked=frozenset(
            {"node_not_ready", "node_memory_pressure", "node_disk_pressure", "node_pid_pressure"}
        ),
    ),
    _Question(answer="it is not held back by a CPU limit", asked=frozenset({"cpu_throttling"})),
    _Question(
        answer="nothing was deployed or configured in the two hours before",
        asked=frozenset({"recent_deploy", "config_changed"}),
        denies=frozenset({"bad_change"}),
    ),
)
_OBJECTS = 3


def answered(facts: Sequence[Fact], objects: Collection[str]) -> tuple[str, ...]:
    """One line for each question with the objects for which its answer is no; ``objects`` are those that the
    incident is about. A question with an unknown part is not answered."""
    verdicts: dict[tuple[str, str], set[FactVerdict]] = {}
    for fact in facts:
        verdicts.setdefault((fact.subject, fact.kind), set()).add(fact.verdict)
    lines = []
    for question in _QUESTIONS:
        clear = [name for name in objects if _clear(question, name, verdicts)]
        if clear:
            more = f" and {len(clear) - _OBJECTS} more" if len(clear) > _OBJECTS else ""
            lines.append(f"{', '.join(clear[:_OBJECTS])}{more}: {question.answer}")
    return tuple(lines)


def _clear(question: _Question, name: str, verdicts: dict[tuple[str, str], set[FactVerdict]]) -> bool:
    looked = all(verdicts.get((name, kind)) == {FactVerdict.ABSENT} for kind in question.asked)
    return looked and not any(FactVerdict.FOUND in verdicts.get((name, kind), ()) for kind in question.denies)
