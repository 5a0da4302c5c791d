"""What quota and limit range refuse, reckoned from the objects: events are gone after an hour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from investigators.facts.charge import namespace
from investigators.facts.workloads.boxes import mapping, objects, whole
from investigators.facts.workloads.findings import Findings
from investigators.facts.workloads.quantity import amount, quantities
from investigators.facts.workloads.scene import Unit
from investigators.world.cluster import Thing

_SLACK = 1e-6


def requests_of(spec: Mapping[str, Any], part: str = "requests") -> dict[str, float]:
    """What a whole pod asks for: the sum of its containers, or its biggest init container, and its overhead.
    A limit without a request is its request."""
    total: dict[str, float] = {}
    for container in objects(spec.get("containers")):
        _add(total, _resources(container, part))
    for container in objects(spec.get("initContainers")):
        own = _resources(container, part)
        if container.get("restartPolicy") == "Always":
            _add(total, own)
        for name, value in own.items():
            total[name] = max(total.get(name, 0.0), value)
    _add(total, quantities(spec.get("overhead")))
    return total


def _add(total: dict[str, float], more: Mapping[str, float]) -> None:
    for name, value in more.items():
        total[name] = total.get(name, 0.0) + value


def _resources(container: Mapping[str, Any], part: str) -> dict[str, float]:
    resources = mapping(container.get("resources"))
    limits = quantities(resources.get("limits"))
    return limits if part == "limits" else {**limits, **quantities(resources.get("requests"))}


def missing_pods(unit: Unit) -> tuple[Thing, int] | None:
    """The object that should have more pods than it was able to create, and how many more."""
    thing = unit.controller
    if thing is None or thing.at("metadata", "deletionTimestamp") is not None:
        return None
    if thing.kind in ("ReplicaSet", "StatefulSet"):
        wanted, present = whole(thing.at("spec", "replicas"), 1), whole(thing.at("status", "replicas"))
        # In order: a StatefulSet does not try the next pod before the ones there are ready.
        ordered = thing.kind == "StatefulSet" and thing.at("spec", "podManagementPolicy") != "Parallel"
        if ordered and whole(thing.at("status", "readyReplicas")) < present:
            return None
        return (thing, wanted - present) if wanted > present else None
    if thing.kind == "Job":
        state = mapping(thing.at("status"))
        idle = not any(state.get(key) for key in ("active", "succeeded", "failed", "conditions"))
        return (thing, 1) if idle and not thing.at("spec", "suspend") and not unit.pods else None
    return None


def lacking(unit: Unit) -> bool:
    """Whether it has fewer pods than it should, as far as its objects tell."""
    thing = unit.controller
    if thing is None:
        return True
    if thing.kind == "DaemonSet":
        wanted = whole(thing.at("status", "desiredNumberScheduled"), 1)
        return whole(thing.at("status", "currentNumberScheduled")) < wanted
    if thing.kind in ("ReplicaSet", "StatefulSet", "Deployment"):
        return whole(thing.at("status", "replicas")) < whole(thing.at("spec", "replicas"), 1)
    return not unit.pods


def check_quota(findings: Findings, unit: Unit) -> None:
    cluster = findings.scene.cluster
    short = missing_pods(unit)
    if short is None:
        return
    thing, count = short
    asked = {name: want for name, want in _asked(findings, unit).items() if want > 0}
    for quota in cluster.of("ResourceQuota", unit.namespace):
        if quota.at("spec", "scopes") or quota.at("spec", "scopeSelector"):
            continue
        hard = quantities(quota.at("status", "hard") or quota.at("spec", "hard"))
        used = quantities(quota.at("status", "used"))
        for resource, limit in hard.items():
            want = asked.get(resource)
            if want is None or resource not in used or used[resource] + want <= limit + _SLACK:
                continue
            detail = (
                f"ResourceQuota {quota.name} in {unit.namespace} has {resource} "
                f"{_shown(quota, 'used', resource)} of {_shown(quota, 'hard', resource)} in use and "
                f"a pod of {unit.name} needs {amount(resource, want)} more; "
                f"{thing.kind} {thing.name} lacks {count} of its pods"
            )
            values = {"used": used[resource], "hard": limit, "requested": want}
            for whose in (unit, namespace(unit.namespace)):
                findings.found(
                    "quota_exceeded", whose, 0.8, (quota, thing), detail, of=unit.name, numbers=values
                )


def _asked(findings: Findings, unit: Unit) -> dict[str, float]:
    """What one more pod takes from a quota, with the defaults that a LimitRange would give it."""
    defaults: dict[str, dict[str, float]] = {"requests": {}, "limits": {}}
    for limits in findings.scene.cluster.of("LimitRange", unit.namespace):
        for rule in limits.items("spec", "limits"):
            if rule.get("type") == "Container":
                defaults["requests"].update(quantities(rule.get("default")))
                defaults["requests"].update(quantities(rule.get("defaultRequest")))
                defaults["limits"].update(quantities(rule.get("default")))
    asked = {"pods": 1.0, "count/pods": 1.0}
    for part in ("requests", "limits"):
        own = requests_of(unit.spec, part)
        for name, value in defaults[part].items():
            lacking = sum(name not in _resources(one, part) for one in unit.containers)
            own[name] = own.get(name, 0.0) + value * lacking
        asked |= {f"{part}.{name}": value for name, value in own.items()}
    for name in ("cpu", "memory"):
        asked[name] = asked.get(f"requests.{name}", 0.0)
    return asked


def _shown(quota: Thing, part: str, resource: str) -> object:
    return quota.at("status", part, resource) or quota.at("spec", part, resource)


def check_limits(findings: Findings, unit: Unit) -> None:
    short = missing_pods(unit)
    if short is None:
        return
    thing, _ = short
    for limits in findings.scene.cluster.of("LimitRange", unit.namespace):
        for rule in limits.items("spec", "limits"):
            broken = _broken(unit, rule)
            if broken is not None:
                detail = f"LimitRange {limits.name} in {unit.namespace} refuses {unit.name}: {broken}"
                findings.found("limit_range_violated", unit, 0.85, (limits, thing), detail, of=unit.name)


def _broken(unit: Unit, rule: Mapping[str, Any]) -> str | None:
    kind = rule.get("type")
    if kind == "Container":
        sides = [(f"container {one.get('name')}", _resources(one, "limits"), _resources(one, "requests"))
                 for one in unit.all_containers]  # fmt: skip
    elif kind == "Pod":
        sides = [("the pod", requests_of(unit.spec, "limits"), requests_of(unit.spec))]
    else:
        return None
    for what, limits, requests in sides:
        for name, most in quantities(rule.get("max")).items():
            value = limits.get(name, requests.get(name, 0.0))
            if value > most + _SLACK:
                return f"{what} has {name} {amount(name, value)}, the maximum is {mapping(rule['max'])[name]}"
        for name, least in quantities(rule.get("min")).items():
            value = requests.get(name, least)
            if value < least - _SLACK:
                asked = f"{what} asks for {name} {amount(name, value)}"
                return f"{asked}, the minimum is {mapping(rule['min'])[name]}"
        for name, most in quantities(rule.get("maxLimitRequestRatio")).items():
            if requests.get(name) and limits.get(name, 0.0) / requests[name] > most + _SLACK:
                ratio = limits[name] / requests[name]
                return f"{what} has a {name} limit {ratio:g} times its request, at most {most:g} is allowed"
    return None
