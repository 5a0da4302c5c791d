"""The scheduler's sentence, taken apart: how many nodes refuse a pod, and for what."""

from __future__ import annotations

import re
from dataclasses import dataclass

from investigators.facts.workloads.nodefit import CORDON, resource_kind

_HEAD = re.compile(r"\A\s*(\d+)/(\d+) nodes are available: ?")
_PART = re.compile(r"(\d+) (?=node\(s\)|Insufficient|Too many|nodes? )")
_TAINTS = re.compile(r"\{([^{}]*)\}")
_KINDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("node_cordoned", re.compile(rf"were unschedulable|{re.escape(CORDON)}")),
    ("taint_not_tolerated", re.compile(r"taint")),
    ("insufficient_cpu", re.compile(r"Insufficient cpu")),
    ("insufficient_memory", re.compile(r"Insufficient memory")),
    ("insufficient_resource", re.compile(r"Insufficient \S+")),
    ("too_many_pods", re.compile(r"Too many pods")),
    ("host_port_conflict", re.compile(r"didn't have free ports")),
    ("topology_spread_unsatisfied", re.compile(r"topology spread constraints")),
    ("pod_anti_affinity_conflict", re.compile(r"anti-affinity rules")),
    ("pod_affinity_unsatisfied", re.compile(r"pod affinity rules")),
    ("node_selector_mismatch", re.compile(r"didn't match (?:Pod's |the )?node (?:selector|affinity)")),
    ("volume_node_conflict", re.compile(r"volume node affinity conflict|no available volume zone")),
    ("volume_limit_reached", re.compile(r"exceed max volume count")),
    (
        "pvc_unbound",
        re.compile(
            r"unbound immediate PersistentVolumeClaims|persistentvolumeclaim \""
            r"|didn't find available persistent|unbound PersistentVolumeClaims"
            r"|non-existent persistentvolume|storageclass\S* \"|enough free storage",
            re.IGNORECASE,
        ),
    ),
)
_RESOURCE = re.compile(r"Insufficient (\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """``nodes`` that refuse for this reason, 0 where the sentence names no number."""

    kind: str
    nodes: int
    what: str


def taken_apart(message: str) -> tuple[int, tuple[Part, ...]]:
    """How many nodes there are (0: not said), and each reason. What preemption would do is left out: it
    repeats the reasons."""
    text = re.split(r"\.? preemption: ", message, maxsplit=1)[0]
    head = _HEAD.match(text)
    total = int(head[2]) if head else 0
    body = text[head.end() :] if head else text
    pieces = _PART.split(body)
    parts = [
        one
        for number, clause in zip(pieces[1::2], pieces[2::2], strict=True)
        if (one := _part(clause, int(number)))
    ]
    lead = _part(pieces[0], 0)
    return total, tuple(([lead] if lead else []) + parts)


def _part(clause: str, nodes: int) -> Part | None:
    text = clause.strip(" ,.")
    for kind, pattern in _KINDS:
        if pattern.search(text):
            what = text
            if kind == "taint_not_tolerated":
                what = ", ".join(one.rstrip(": ") for one in _TAINTS.findall(text)) or text
            if match := _RESOURCE.match(text):
                what = match[1].rstrip(".,")
                kind = resource_kind(what)
            return Part(kind=kind, nodes=nodes, what=what)
    return None
