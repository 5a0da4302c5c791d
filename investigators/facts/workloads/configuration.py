"""Secrets and ConfigMaps that a pod needs and that are not there, or lack a key."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from bot.domain.evidence import Fact
from investigators.facts.charge import Fault
from investigators.facts.workloads.boxes import leaving, mapping
from investigators.facts.workloads.effects import CALLERS, DOWN
from investigators.facts.workloads.findings import LATER, Findings, Source
from investigators.facts.workloads.references import Ref, references
from investigators.facts.workloads.scene import Scene, Unit, scene_of
from investigators.world.world import World

_CONFIG = frozenset({"CreateContainerConfigError", "CreateContainerError"})
_KINDS = {"secret": "Secret", "configmap": "ConfigMap"}
_MISSING = re.compile(
    r"\b(?P<kind>secret|configmap)s? \"(?P<name>[^\"]+)\" not found"
    r"|object \"(?P<ns>[^\"/]+)\"/\"(?P<object>[^\"]+)\" not registered",
    re.IGNORECASE,
)
_KEY = re.compile(
    r"couldn't find key (?P<key>\S+) in (?P<kind>Secret|ConfigMap) (?P<ref>\S+)"
    r"|references non-existent (?P<what>secret|config) key: (?P<gone>\S+)",
    re.IGNORECASE,
)
_NEEDS_EVENT = ("Pod", "Event")
NEEDS: Mapping[str, tuple[str, ...]] = {
    "container_config": ("Pod",),
    "secret_missing": (*_NEEDS_EVENT, "Secret"),
    "config_map_missing": (*_NEEDS_EVENT, "ConfigMap"),
    "secret_key_missing": (*_NEEDS_EVENT, "Secret"),
    "config_map_key_missing": (*_NEEDS_EVENT, "ConfigMap"),
}
_NAMES = {("Secret", False): "secret_missing", ("ConfigMap", False): "config_map_missing",
          ("Secret", True): "secret_key_missing", ("ConfigMap", True): "config_map_key_missing"}  # fmt: skip


def check(world: World) -> list[Fact]:
    scene = scene_of(world)
    findings = Findings(scene=scene, rule="configuration")
    for unit in scene.units:
        for trouble in _troubles(scene, unit):
            _judge(findings, unit, trouble)
        _cross_check(findings, unit)
    return findings.facts(NEEDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trouble:
    where: str
    pod: str
    text: str
    sources: tuple[Source, ...]
    config: bool
    began: datetime | None


def _troubles(scene: Scene, unit: Unit) -> Iterator[_Trouble]:
    """What kubelet says of containers that it cannot make now, and of volumes it cannot fill."""
    for box in unit.boxes:
        if box.waiting_reason in _CONFIG and not leaving(box.pod):
            message = str(box.waiting.get("message") or "")
            if not message:
                failed = [e for e in scene.events_of(box.pod) if e.reason == "Failed"]
                message = failed[-1].message if failed else ""
            yield _Trouble(
                where=box.where,
                pod=box.pod.name,
                text=message,
                sources=(box.pod,),
                config=True,
                began=box.pod.created_at,
            )
    for pod in unit.pods:
        if pod.at("status", "phase") != "Pending" or leaving(pod):
            continue
        for event in scene.events_of(pod):
            if event.reason == "FailedMount":
                yield _Trouble(
                    where=f"pod {pod.name}",
                    pod=pod.name,
                    text=event.message,
                    sources=(pod, event),
                    config=False,
                    began=pod.created_at,
                )


def _judge(findings: Findings, unit: Unit, trouble: _Trouble) -> None:
    text = " ".join(trouble.text.split())
    shown = text[:260] or "the kubelet gives no reason"
    if trouble.config:
        detail = f"{trouble.where} cannot be made: {shown}"
        findings.found(
            "container_config", unit, 0.9, trouble.sources, detail, of=trouble.pod, began=trouble.began
        )
    kind, what = _named(findings.scene, unit, text)
    if kind:
        detail = f"{what}, which {trouble.where} needs: {shown}"
        findings.found(kind, unit, 0.95, trouble.sources, detail, of=trouble.pod, began=trouble.began)
    elif trouble.config and not text:
        for one in NEEDS:
            if one != "container_config":
                findings.unsure(one, unit, f"{trouble.where} cannot be made, and nothing says why")


def _named(scene: Scene, unit: Unit, text: str) -> tuple[str, str]:
    """The kind of fault and the object that kubelet names; empty when it names none."""
    if match := _KEY.search(text):
        key = match["key"] or match["gone"]
        kind = match["kind"] or ("Secret" if match["what"].lower() == "secret" else "ConfigMap")
        kind = "Secret" if kind.lower() == "secret" else "ConfigMap"
        where = match["ref"] or f"{unit.namespace}/{_holder(unit, kind, key)}"
        return _NAMES[(kind, True)], f"key {key} is not in {kind} {where}"
    if match := _MISSING.search(text):
        if match["kind"]:
            kind, name = _KINDS[match["kind"].lower()], match["name"]
        else:
            # Kubelet says so when it has not seen the object, whichever of the two it is.
            name = match["object"]
            kind = next((ref.kind for ref in references(unit.spec) if ref.name == name), "")
            if not kind or not scene.cluster.knows(kind) or scene.cluster.get(kind, unit.namespace, name):
                return "", ""
        return _NAMES[(kind, False)], f"{kind} {unit.namespace}/{name} does not exist"
    return "", ""


def _holder(unit: Unit, kind: str, key: str) -> str:
    names = [ref.name for ref in references(unit.spec) if ref.kind == kind and ref.key == key]
    return names[0] if names else "?"


def _cross_check(findings: Findings, unit: Unit) -> None:
    """References of the template that lead nowhere. Running containers keep what they were started with, so
    there it is only what will fail at the next start."""
    cluster = findings.scene.cluster
    starting = [
        pod for pod in unit.pods if pod.at("status", "phase") == "Pending" and pod.at("spec", "nodeName")
    ]
    failing = bool(starting) or any(box.waiting_reason in _CONFIG for box in unit.boxes)
    for ref in references(unit.spec):
        if not cluster.knows(ref.kind):
            continue
        thing = cluster.get(ref.kind, unit.namespace, ref.name)
        if thing is None:
            # Kubernetes puts a ConfigMap in each namespace; without any object, the namespace was not read.
            if not failing and not cluster.of(ref.kind, unit.namespace):
                continue
            sources: list[Source] = [*unit.evidence, *cluster.looked(ref.kind)]
            _found(findings, unit, ref, sources, failing, missing=f"{ref.kind} {unit.namespace}/{ref.name}")
        elif ref.key is not None:
            keys = [
                *mapping(thing.at("data")),
                *mapping(thing.at("binaryData")),
                *mapping(thing.at("stringData")),
            ]
            if ref.key not in keys:
                near = _near(ref.key, keys)
                what = f"key {ref.key} of {ref.kind} {unit.namespace}/{ref.name}"
                if keys:
                    what += f" (it has {near or ', '.join(keys[:4])})"
                _found(findings, unit, ref, [thing, *unit.evidence], failing, missing=what)


def _found(
    findings: Findings, unit: Unit, ref: Ref, sources: list[Source], failing: bool, *, missing: str
) -> None:
    kind = _NAMES[(ref.kind, ref.key is not None and missing.startswith("key "))]
    if findings.has(kind, unit):
        return
    detail = f"{missing} does not exist; {ref.place} of {unit.name} needs it"
    if not failing:
        detail += " when a pod starts again"
    findings.found(kind, unit, 0.88 if failing else LATER, sources, detail, of=unit.name)


def _near(key: str, keys: list[str]) -> str:
    plain = re.sub(r"[^a-z0-9]", "", key.lower())
    alike = [one for one in keys if re.sub(r"[^a-z0-9]", "", one.lower()) in (plain, plain + "s", plain[:-1])]
    return alike[0] if alike else ""


def _fault(title: str, step: str) -> Fault:
    return Fault(
        title=title,
        weight=1.0,
        explains=DOWN | {"container_config", "volume_mount", "crashloop"},
        spreads=CALLERS,
        steps=(step,),
    )


FAULTS = {
    "container_config": Fault(
        title="its container cannot be made from its configuration",
        weight=0.6,
        explains=DOWN,
        spreads=CALLERS,
    ),
    "secret_missing": _fault("a Secret it needs does not exist", "Create the Secret or correct its name."),
    "config_map_missing": _fault(
        "a ConfigMap it needs does not exist", "Create the ConfigMap or correct its name."
    ),
    "secret_key_missing": _fault("a Secret lacks a key it needs", "Add the key to the Secret or correct it."),
    "config_map_key_missing": _fault(
        "a ConfigMap lacks a key it needs", "Add the key to the ConfigMap or correct it."
    ),
}
