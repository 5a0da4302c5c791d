"""Pods that the API server refuses to create: quota, limit range, webhook, pod security, permissions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from bot.domain.evidence import Fact
from investigators.facts.charge import Fault, namespace
from investigators.facts.workloads.boxes import condition
from investigators.facts.workloads.effects import CALLERS, CRASHING, DOWN
from investigators.facts.workloads.findings import LATER, LOG, Findings, Source
from investigators.facts.workloads.scene import USUAL, Scene, Unit, scene_of
from investigators.facts.workloads.shortfall import check_limits, check_quota, lacking
from investigators.world.cluster import moment
from investigators.world.world import World

_QUOTA = re.compile(r"exceeded quota: (?P<quota>[^,]+), requested: (?P<rest>.+)", re.DOTALL)
_QUOTA_NEEDS = re.compile(r"failed quota: (?P<quota>[^:]+): must specify (?P<rest>.+)", re.DOTALL)
_LIMIT = re.compile(
    r"((?:maximum|minimum) \S+ usage per (?:Container|Pod|PersistentVolumeClaim) is [^,\]]+"
    r"|\S+ max limit to request ratio per (?:Container|Pod) is [^,\]]+)(?:, but (?P<but>[^,\]]+))?"
)
_UNREACHABLE = re.compile(r"failed calling webhook \"(?P<hook>[^\"]+)\": (?P<why>.+)", re.DOTALL)
_DENIED = re.compile(
    r"admission webhook \"(?P<hook>[^\"]+)\" denied the request(?: without explanation)?:?\s*(?P<why>.*)"
    r"|ValidatingAdmissionPolicy '(?P<policy>[^']+)'.*? denied request: (?P<reason>.*)",
    re.DOTALL,
)
_SECURITY = re.compile(
    r"violates PodSecurity \"(?P<level>[^\"]+)\": (?P<why>.+)"
    r"|unable to validate against any (?:pod security policy|security context constraint): (?P<psp>.+)",
    re.DOTALL,
)
_ACCOUNT = re.compile(
    r"error looking up service account (?P<ref>\S+): serviceaccounts? \"(?P<name>[^\"]+)\" not found"
)
_RBAC = re.compile(
    r"User \"(?P<user>[^\"]+)\" cannot (?P<verb>\w+) resource \"(?P<resource>[^\"]+)\""
    r"(?: in API group \"(?P<group>[^\"]*)\")?"
    r"(?: (?:in the namespace \"(?P<ns>[^\"]+)\"|at the cluster scope))?"
)
_SHOWN = 300
_REFUSED = frozenset({"quota_exceeded", "limit_range_violated", "webhook_denied", "webhook_unreachable",
                      "pod_security_denied", "service_account_missing"})  # fmt: skip
_OWNERS = ("Pod", "ReplicaSet", "Event")
NEEDS: Mapping[str, tuple[str, ...]] = {
    "admission_denied": _OWNERS,
    "quota_exceeded": (*_OWNERS, "ResourceQuota"),
    "limit_range_violated": (*_OWNERS, "LimitRange"),
    "webhook_denied": _OWNERS,
    "webhook_unreachable": _OWNERS,
    "pod_security_denied": _OWNERS,
    "service_account_missing": (*_OWNERS, "ServiceAccount"),
    "rbac_denied": (*_OWNERS, LOG),
}


def check(world: World) -> list[Fact]:
    scene = scene_of(world)
    findings = Findings(scene=scene, rule="admission")
    for unit in scene.units:
        for refusal in _refusals(scene, unit):
            _judge(findings, unit, refusal)
        check_quota(findings, unit)
        check_limits(findings, unit)
        _account(findings, unit)
        _forbidden_calls(findings, unit)
    return findings.facts(NEEDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refusal:
    text: str
    source: Source
    began: datetime | None
    sure: float


def _refusals(scene: Scene, unit: Unit) -> Iterator[_Refusal]:
    """What controllers were told when they tried to create a pod. A condition holds until it succeeds; an
    event only says that it was so then."""
    current = unit.controller
    for thing in (unit.top, current if current is not unit.top else None):
        failure = {} if thing is None else condition(thing, "ReplicaFailure")
        if thing is not None and failure.get("status") == "True":
            yield _Refusal(
                text=str(failure.get("message") or ""),
                source=thing,
                began=moment(failure.get("lastTransitionTime")),
                sure=0.95,
            )
    for event in unit.events:
        if event.reason not in ("FailedCreate", "FailedUpdate") or not scene.recent(event.last):
            continue
        # An event about an older revision is history once a newer one is rolled out.
        present = current.name if current is not None and current.kind == "ReplicaSet" else None
        old = present is not None and event.about[0] == "ReplicaSet" and event.about[2] != present
        over = old or not lacking(unit)
        yield _Refusal(text=event.message, source=event, began=event.first, sure=0.4 if over else 0.9)


def _judge(findings: Findings, unit: Unit, refusal: _Refusal) -> None:
    text, began = refusal.text, refusal.began
    of, sure = unit.name, refusal.sure

    def found(kind: str, detail: str, confidence: float = sure) -> None:
        findings.found(kind, unit, confidence, (refusal.source,), detail, of=of, began=began)

    found("admission_denied", f"pods of {unit.name} are not created: {_short(text)}", min(sure, 0.8))
    if match := _QUOTA.search(text) or _QUOTA_NEEDS.search(text):
        detail = (
            f"ResourceQuota {match['quota'].strip()} in {unit.namespace} refuses pods of {unit.name}: "
            f"{'requested' if 'exceeded' in match[0] else 'must specify'} {_short(match['rest'])}"
        )
        found("quota_exceeded", detail)
        findings.found(
            "quota_exceeded", namespace(unit.namespace), sure, (refusal.source,), detail, of=of, began=began
        )
    elif match := _LIMIT.search(text):
        but = f", but {match['but']}" if match["but"] else ""
        found(
            "limit_range_violated", f"a LimitRange in {unit.namespace} refuses {unit.name}: {match[1]}{but}"
        )
    elif match := _UNREACHABLE.search(text):
        detail = f"admission webhook {match['hook']} cannot be called: {_short(match['why'])}"
        found("webhook_unreachable", detail)
    elif match := _DENIED.search(text):
        who = match["hook"] or f"policy {match['policy']}"
        detail = (
            f"admission {who} refuses pods of {unit.name}: {_short(match['why'] or match['reason'] or '')}"
        )
        found("webhook_denied", detail)
    elif match := _SECURITY.search(text):
        rule = f"PodSecurity {match['level']}" if match["level"] else "the cluster's security policy"
        found(
            "pod_security_denied",
            f"{rule} refuses pods of {unit.name}: {_short(match['why'] or match['psp'])}",
        )
    elif match := _ACCOUNT.search(text):
        found("service_account_missing", f"ServiceAccount {match['ref'].strip(':')} does not exist")
    elif match := _RBAC.search(text):
        found("rbac_denied", _rbac(match))
    else:
        for kind in _REFUSED:
            findings.unsure(kind, unit, f"pods are refused, for another reason: {_short(text)}")


def _account(findings: Findings, unit: Unit) -> None:
    """A ServiceAccount that the template names and nobody made. Every namespace has one called default, so
    a namespace without any was not read."""
    cluster = findings.scene.cluster
    name = unit.spec.get("serviceAccountName") or unit.spec.get("serviceAccount")
    if not isinstance(name, str) or not cluster.knows("ServiceAccount"):
        return
    if not cluster.of("ServiceAccount", unit.namespace) or cluster.get(
        "ServiceAccount", unit.namespace, name
    ):
        return
    confidence = LATER if unit.pods else 0.85
    sources = (*unit.evidence, *cluster.looked("ServiceAccount"))
    detail = f"ServiceAccount {unit.namespace}/{name}, which {unit.name} runs as, does not exist"
    findings.found("service_account_missing", unit, confidence, sources, detail, of=unit.name)


def _forbidden_calls(findings: Findings, unit: Unit) -> None:
    """The program itself is refused by the API server, as it says in its log."""
    lines = findings.scene.grep(unit, (" cannot ",), _RBAC)
    if not lines:
        return
    match = _RBAC.search(lines[-1].text)
    if match is None:
        return
    account = match["user"].rpartition(":")[2]
    own = str(unit.spec.get("serviceAccountName") or "default")
    confidence = 0.8 if account == own else 0.6
    bindings = findings.scene.cluster
    sources: tuple[Source, ...] = (lines[-1],)
    detail = _rbac(match)
    if account == own and bindings.knows("RoleBinding") and bindings.knows("ClusterRoleBinding"):
        bound = [
            one
            for kind in ("RoleBinding", "ClusterRoleBinding")
            for one in bindings.of(kind)
            for subject in one.items("subjects")
            if subject.get("name") == account
            and (subject.get("namespace") or one.namespace) == unit.namespace
        ]
        sources = (*sources, *bindings.looked("RoleBinding", "ClusterRoleBinding"))
        names = ", ".join(f"{one.kind} {one.name}" for one in bound[:3])
        detail += f"; it is bound by {names}" if bound else "; no binding names it"
        confidence = 0.85 if bound else 0.92
    if findings.scene.usual(unit, _RBAC):
        confidence = min(confidence, USUAL)
    findings.found("rbac_denied", unit, confidence, sources, detail, of=unit.name, began=lines[0].at)


def _rbac(match: re.Match[str]) -> str:
    where = f"in namespace {match['ns']}" if match["ns"] else "in the cluster"
    group = f".{match['group']}" if match["group"] else ""
    return f"{match['user']} may not {match['verb']} {match['resource']}{group} {where}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"


_DOWN = DOWN | {"admission_denied"}
FAULTS = {
    "admission_denied": Fault(
        title="the API server refuses its pods", weight=0.5, explains=DOWN, spreads=CALLERS
    ),
    "quota_exceeded": Fault(
        title="a resource quota is used up",
        weight=1.0,
        explains=_DOWN,
        spreads=CALLERS,
        steps=("Raise the ResourceQuota, lower the requests, or remove what uses it up.",),
    ),
    "limit_range_violated": Fault(
        title="its resources break the namespace's limit range",
        weight=1.0,
        explains=_DOWN,
        spreads=CALLERS,
        steps=("Bring requests and limits within the LimitRange, or change it.",),
    ),
    "webhook_denied": Fault(
        title="an admission policy refuses its pods",
        weight=1.0,
        explains=_DOWN,
        spreads=CALLERS,
        steps=("Change what the policy names in the pod template.",),
    ),
    "webhook_unreachable": Fault(
        title="an admission webhook cannot be called",
        weight=0.85,
        explains=_DOWN,
        spreads=CALLERS,
        steps=("See whether the webhook's own service runs, and its certificate.",),
    ),
    "pod_security_denied": Fault(
        title="pod security refuses its pods",
        weight=1.0,
        explains=_DOWN,
        spreads=CALLERS,
        steps=("Set the securityContext that the level asks for.",),
    ),
    "service_account_missing": Fault(
        title="its ServiceAccount does not exist",
        weight=1.0,
        explains=_DOWN,
        spreads=CALLERS,
        steps=("Create the ServiceAccount, or correct serviceAccountName.",),
    ),
    "rbac_denied": Fault(
        title="its account lacks a permission",
        weight=0.95,
        explains=_DOWN | CRASHING,
        spreads=CALLERS,
        steps=("Grant the verb on the resource with a Role and a RoleBinding.",),
    ),
}
