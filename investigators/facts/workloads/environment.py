"""wrong_env_value: an environment value that leads nowhere, that the program rejects, or that broke it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bot.domain.evidence import Fact
from investigators.facts.charge import Fault
from investigators.facts.workloads.boxes import mapping, objects
from investigators.facts.workloads.effects import CALLERS, CRASHING
from investigators.facts.workloads.endpoints import Endpoint, Known, endpoints_in, look_up
from investigators.facts.workloads.findings import LOG, Findings, Source
from investigators.facts.workloads.scene import (
    USUAL,
    Scene,
    Unit,
    alike,
    earlier,
    failing,
    pod_spec_of,
    scene_of,
)
from investigators.world.cluster import Thing
from investigators.world.world import Line, World

KIND = "wrong_env_value"
NEEDS: Mapping[str, tuple[str, ...]] = {KIND: ("Pod", "Service", LOG)}
_TROUBLE = re.compile(
    r"refused|no such host|not known|could not resolve|can(?:no|')t resolve|name resolution"
    r"|ENOTFOUND|EAI_AGAIN|unreachable|timed? ?out|timeout|deadline exceeded|unable to connect"
    r"|fail(?:ed|ure)? to connect"
    r"|can(?:no|')t connect|could not connect|connection (?:error|reset|failed)|UnknownHost|getaddrinfo"
    r"|dial tcp|name or service|nodename nor servname|bootstrap broker .* disconnected|no resolvable",
    re.IGNORECASE,
)
_INVALID = re.compile(
    r"invalid|unsupported|unrecogni[sz]ed|not (?:a )?(?:valid|supported|recogni[sz]ed)|unknown|malformed"
    r"|can(?:no|')t parse|could not parse|fail(?:ed)? to parse|parse error|parsing \"|NumberFormatException"
    r"|must be|expected|illegal|out of range|could not convert|not a number|bad value",
    re.IGNORECASE,
)
_TRIVIAL = frozenset(
    {"true", "false", "info", "debug", "warn", "error", "production", "prod", "none", "null"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """``value`` is what the template says, or what the ConfigMap it refers to holds (its keys only are ever
    read, so that is seldom known)."""

    container: str
    name: str
    value: str
    old: str | None
    """The value in the revision before; None where there is none, or it was the same."""


def check(world: World) -> list[Fact]:
    scene = scene_of(world)
    findings = Findings(scene=scene, rule="environment")
    for unit in scene.units:
        variables = list(variables_of(unit))
        if not variables:
            continue
        _endpoints(findings, unit, variables)
        _rejected(findings, unit, variables)
        _against_the_old(findings, unit, variables)
    return findings.facts(NEEDS)


def variables_of(unit: Unit) -> Iterator[Variable]:
    for container in unit.all_containers:
        _, before = earlier(unit, str(container.get("name")))
        old = plain_env(before)
        for name, value in plain_env(container).items():
            was = old.get(name, "") if before else None
            yield Variable(
                container=str(container.get("name")),
                name=name,
                value=value,
                old=None if was is None or was == value else was,
            )


def plain_env(container: Mapping[str, object]) -> dict[str, str]:
    """The variables whose value stands in the template."""
    return {
        str(one.get("name")): str(one["value"])
        for one in objects(container.get("env"))
        if isinstance(one.get("value"), str | int | float)
    }


def _endpoints(findings: Findings, unit: Unit, variables: list[Variable]) -> None:
    scene = findings.scene
    for variable in variables:
        for endpoint in endpoints_in(variable.name, variable.value):
            known = look_up(scene, unit, endpoint)
            lines = _troubled_lines(scene, unit, endpoint)
            confidence = _sure(scene, unit, variable, known, told=bool(lines))
            if confidence is None:
                continue
            if lines and scene.usual(unit, _complaint(endpoint)):
                confidence = min(confidence, USUAL)
            why = known.missing or "the program cannot reach it"
            detail = f"env {variable.name}={_shown(variable)} of {unit.service}: {why}{_was(variable)}"
            sources: list[Source] = [*unit.evidence]
            if known.missing:
                sources += scene.cluster.looked("Service")
            if lines:
                detail += f"; its log: {lines[-1].text.strip()[:160]!r}"
                sources.append(lines[-1])
            began = lines[0].at if lines else None
            findings.found(KIND, unit, confidence, sources, detail, of=variable.name, began=began)


def _sure(scene: Scene, unit: Unit, variable: Variable, known: Known, *, told: bool) -> float | None:
    """How sure a value is wrong; None where nothing says so. ``told``: the log says it cannot be reached."""
    changed = variable.old is not None
    slip = "(there is " in known.missing
    if told and known.missing:
        # Where nothing is like it, the other side may be what is missing.
        return 0.95 if changed or slip or known.service is not None else 0.75
    if told and changed and variable.old:
        return 0.85
    if not known.missing or not (changed or slip or known.service is not None):
        return None
    if not _suffers(scene, unit):
        return 0.45
    if changed and known.inside:
        return 0.85
    return 0.75 if slip else 0.6


def _complaint(endpoint: Endpoint) -> re.Pattern[str]:
    host = rf"(?<![\w.-]){re.escape(endpoint.host)}(?![\w-])"
    trouble = _TROUBLE.pattern
    return re.compile(rf"{host}.*(?:{trouble})|(?:{trouble}).*{host}", re.IGNORECASE)


def _troubled_lines(scene: Scene, unit: Unit, endpoint: Endpoint) -> list[Line]:
    """Lines that say that the program cannot reach the endpoint. With a port, the line must not name
    another one of the same host."""
    host = endpoint.host
    word = re.compile(rf"(?<![\w.-]){re.escape(host)}(?![\w-])(?:\.[\w.-]+)?(?::(\d{{2,5}}))?", re.IGNORECASE)
    return [
        line
        for line in scene.lines_with(unit, host)
        if _TROUBLE.search(line.text)
        and (match := word.search(line.text))
        and (endpoint.port is None or match[1] is None or int(match[1]) == endpoint.port)
    ]


def _rejected(findings: Findings, unit: Unit, variables: list[Variable]) -> None:
    """The program's log says that a value is invalid, by the variable's name or by the value itself."""
    scene = findings.scene
    suffers = _suffers(scene, unit)
    for variable in variables:
        quoted = _quoted(variable.value)
        lines = scene.lines_with(unit, variable.name) if len(variable.name) >= 4 else []
        lines += scene.lines_with(unit, variable.value) if quoted else []
        if not lines:
            continue
        named = re.compile(rf"(?<![\w-]){re.escape(variable.name)}(?![\w-])")
        for line in reversed(lines):
            by_name = len(variable.name) >= 4 and named.search(line.text) is not None
            by_value = quoted is not None and quoted.search(line.text) is not None
            if not (by_name or by_value) or not _INVALID.search(line.text):
                continue
            confidence = 0.92 if by_name and by_value else 0.85 if by_name else 0.75
            if variable.old is not None:
                confidence = max(confidence, 0.9)
            if not suffers:
                confidence = min(confidence, 0.6)
            if scene.usual(unit, alike(line)):
                confidence = min(confidence, USUAL)
            detail = (
                f"env {variable.name}={_shown(variable)} of {unit.service} is rejected by its program"
                f"{_was(variable)}: {line.text.strip()[:180]!r}"
            )
            sources: list[Source] = [*unit.evidence, line]
            findings.found(KIND, unit, confidence, sources, detail, of=variable.name, began=line.at)
            break


def _quoted(value: str) -> re.Pattern[str] | None:
    """The value as a log shows it: in quotes, after a colon or an equals sign; nothing for common words."""
    if len(value) < 3 or value.lower() in _TRIVIAL or value.isdecimal():
        return None
    return re.compile(rf"(?:[\"'`\[(=]|: ){re.escape(value)}(?:[\"'`\]),]|\s|\Z)")


def _against_the_old(findings: Findings, unit: Unit, variables: list[Variable]) -> None:
    """Pods of the present revision fail and pods of the one before, which differs in its environment alone,
    do not: the cluster itself makes the comparison."""
    scene = findings.scene
    changed = [one for one in variables if one.old is not None]
    if not changed or len(unit.revisions) < 2 or findings.has(KIND, unit):
        return
    if not _only_env_differs(unit):
        return
    new, old = (
        [box for box in unit.boxes if not box.init and _runs(box.pod, revision)]
        for revision in unit.revisions[:2]
    )
    if (
        not new
        or not old
        or any(failing(scene, box) for box in old)
        or not all(failing(scene, box) for box in new)
    ):
        return
    shown = "; ".join(f"{one.name}={_shown(one)}{_was(one)}" for one in changed[:3])
    detail = f"new pods of {unit.service} fail and old ones do not; only env differs: {shown}"
    sources: list[Source] = [*unit.revisions[:2], new[0].pod, old[0].pod]
    findings.found(KIND, unit, 0.8, sources, detail, of=unit.name)


def _only_env_differs(unit: Unit) -> bool:
    new, old = (pod_spec_of(one) for one in unit.revisions[:2])
    bare_new = [{k: v for k, v in one.items() if k != "env"} for one in objects(new.get("containers"))]
    bare_old = [{k: v for k, v in one.items() if k != "env"} for one in objects(old.get("containers"))]
    rest = all(new.get(key) == old.get(key) for key in {*new, *old} - {"containers"})
    return rest and bare_new == bare_old


def _runs(pod: Thing, revision: Thing) -> bool:
    """Whether a pod was made from a revision. A DaemonSet's pods carry the hash alone."""
    mark = mapping(pod.at("metadata", "labels")).get("controller-revision-hash")
    if isinstance(mark, str):
        return revision.name == mark or revision.name.endswith(f"-{mark}")
    return any(one.get("name") == revision.name for one in pod.items("metadata", "ownerReferences"))


def _suffers(scene: Scene, unit: Unit) -> bool:
    return any(failing(scene, box) for box in unit.boxes)


def _shown(variable: Variable) -> str:
    """The value without a password in it; sources redact, but a URL in a template may pass them."""
    return re.sub(r"://[^/@\s]+@", "://…@", variable.value)[:100]


def _was(variable: Variable) -> str:
    if variable.old is None:
        return ""
    return (
        " (not set before)"
        if not variable.old
        else f" (before {re.sub(r'://[^/@]+@', '://…@', variable.old)[:100]})"
    )


FAULTS = {
    KIND: Fault(
        title="an environment value of it is wrong",
        weight=1.0,
        explains=CRASHING | {"dns_failure", "service_name_wrong", "dependency_auth_failed"},
        spreads=CALLERS,
        steps=("Correct the variable in the pod template.",),
    )
}
