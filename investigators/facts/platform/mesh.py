"""Service mesh: faults that somebody injects on purpose, and TLS that only one side speaks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bot.domain.evidence import Fact
from investigators.facts.platform.layout import PodView
from investigators.facts.platform.reading import mapping, objects, texts
from investigators.facts.platform.scene import Scene, cite, clip, listed
from investigators.facts.platform.symptoms import Symptom
from investigators.world.cluster import Thing, selector_matches

INJECTED, MTLS = "mesh_fault_injected", "mtls_mismatch"


def check(scene: Scene) -> list[Fact]:
    facts = [*_injected(scene), *_mtls(scene), *_spoken(scene)]
    if scene.cluster.asked.get("VirtualService"):
        detail = "no VirtualService injects a fault"
        facts += scene.silent((INJECTED,), ("VirtualService",), "mesh.fault", detail, facts)
    if scene.cluster.asked.get("PeerAuthentication"):
        detail = "callers and callees agree on TLS"
        needs = ("PeerAuthentication", "DestinationRule", "Pod")
        facts += scene.silent((MTLS,), needs, "mesh.mtls", detail, facts)
    return facts


def _injected(scene: Scene) -> Iterator[Fact]:
    for thing in scene.cluster.of("VirtualService"):
        for rule in thing.items("spec", "http"):
            fault = rule.get("fault")
            if not isinstance(fault, Mapping):
                continue
            said = [
                text for text in (_delay(fault.get("delay")), _abort(fault.get("abort"))) if text is not None
            ]
            hosts = [
                str(mapping(route.get("destination")).get("host", "")) for route in objects(rule.get("route"))
            ]
            for host in dict.fromkeys(hosts or texts(thing.at("spec", "hosts"))):
                callee = scene.names.resolve(host, thing.namespace)
                if callee is not None and said:
                    detail = f"VirtualService {thing.name} injects {' and '.join(said)} into calls of {host}"
                    yield scene.subject(callee).found(INJECTED, 0.96, (thing.evidence,), "mesh.fault", detail)


def _delay(value: object) -> str | None:
    if not isinstance(value, Mapping) or not _percent(value):
        return None
    return f"a delay of {value.get('fixedDelay', '?')} ({_percent(value):g} %)"


def _abort(value: object) -> str | None:
    if not isinstance(value, Mapping) or not _percent(value):
        return None
    status = value.get("httpStatus") or value.get("grpcStatus") or "?"
    return f"errors {status} ({_percent(value):g} %)"


def _percent(value: Mapping[str, object]) -> float:
    """Of the calls that the fault hits; 100 where nothing is said."""
    share = value.get("percentage")
    number = share.get("value") if isinstance(share, Mapping) else value.get("percent", 100)
    return float(number) if isinstance(number, int | float) else 0.0


def _mtls(scene: Scene) -> Iterator[Fact]:
    """A callee that takes only mutual TLS, and callers that do not speak it."""
    for (space, name), service in scene.layout.services.items():
        backends = scene.layout.backends[space, name]
        strict = next(_strict(scene, space, backends), None) if backends else None
        if strict is None:
            continue
        callee = scene.names.called(service)
        plain = [
            one
            for one in scene.cluster.of("DestinationRule")
            if scene.names.split(str(one.at("spec", "host", default="")), one.namespace) == (space, name)
            and one.at("spec", "trafficPolicy", "tls", "mode") in ("DISABLE", "SIMPLE")
        ]
        for one in plain:
            mode = one.at("spec", "trafficPolicy", "tls", "mode")
            detail = (
                f"PeerAuthentication {strict.name} demands mutual TLS of {name}, "
                f"DestinationRule {one.name} tells callers TLS {mode}"
            )
            cited = (strict.evidence, one.evidence)
            yield scene.subject(callee).found(MTLS, 0.95, cited, "mesh.mtls", detail)
        if plain:
            continue
        bare = [
            use for use in scene.uses if use.callee.name == callee.name and _outside_mesh(scene, use.caller)
        ]
        if bare:
            failing = any(use.failing for use in bare)
            detail = (
                f"PeerAuthentication {strict.name} demands mutual TLS of {name}; "
                f"{listed(use.caller for use in bare)} has no sidecar"
            )
            seen = (strict.evidence, *(item for use in bare[:3] for item in use.evidence))
            yield scene.subject(callee).found(MTLS, 0.9 if failing else 0.75, seen, "mesh.mtls", detail)


def _strict(scene: Scene, namespace: str, backends: tuple[PodView, ...]) -> Iterator[Thing]:
    """The PeerAuthentication that rules these pods, where it is STRICT: the most specific one counts."""
    own, wide, mesh = None, None, None
    for one in scene.cluster.of("PeerAuthentication"):
        labels = one.at("spec", "selector", "matchLabels")
        if labels and one.namespace == namespace:
            if any(selector_matches(labels, pod.labels) for pod in backends):
                own = one
        elif one.namespace == namespace:
            wide = one
        elif one.namespace == "istio-system":
            mesh = one
    ruling = own or wide or mesh
    if ruling is not None and ruling.at("spec", "mtls", "mode") == "STRICT":
        yield ruling


def _outside_mesh(scene: Scene, caller: str) -> bool:
    pods = scene.layout.pods_of(caller)
    names = {
        str(container.get("name"))
        for pod in pods
        for part in ("containers", "initContainers")
        for container in pod.thing.items("spec", part)
    }
    return bool(pods) and "istio-proxy" not in names and "linkerd-proxy" not in names


def _spoken(scene: Scene) -> Iterator[Fact]:
    """Handshakes in logs that fail because one side speaks plain text or gives no certificate."""
    found: dict[tuple[str, str], list[Symptom]] = {}
    for one in scene.symptoms.of(MTLS):
        if one.callee is not None:
            found.setdefault((one.callee.name, one.callee.kind), []).append(one)
        elif one.caller:
            found.setdefault((one.caller, scene.names.kind_of(one.caller)), []).append(one)
    for (name, _), told in found.items():
        callers = listed(scene.callers(told))
        detail = f"{callers or name}: {clip(told[-1].line.text)}"
        yield scene.subject_named(name).found(MTLS, 0.7, cite(told), "mesh.handshake", detail)
