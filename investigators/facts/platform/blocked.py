"""network_policy_blocked: an edge that is in use and that a NetworkPolicy does not let through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bot.domain.evidence import Evidence, Fact
from investigators.facts.charge import Subject
from investigators.facts.platform.layout import PodView
from investigators.facts.platform.policies import EGRESS, INGRESS, Peer, Port, blocking
from investigators.facts.platform.scene import Scene, Use, cite, listed
from investigators.world.cluster import Thing

KIND = "network_policy_blocked"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    policy: Thing
    subject: Subject
    edge: str
    failing: bool
    evidence: tuple[Evidence, ...]
    direction: str


def check(scene: Scene) -> list[Fact]:
    facts: list[Fact] = []
    if scene.cluster.of("NetworkPolicy"):
        blocks: dict[tuple[str, str, str], list[_Block]] = {}
        for block in (*_edges(scene), *_resolver(scene)):
            blocks.setdefault((block.policy.name, block.subject.name, block.direction), []).append(block)
        facts = [_fact(found) for found in blocks.values()]
    detail = "every known edge of it is let through by the NetworkPolicies, or there is none"
    return [*facts, *scene.silent((KIND,), ("NetworkPolicy", "Pod"), "network.policy", detail, facts)]


def _fact(found: list[_Block]) -> Fact:
    first = found[0]
    failing = [one for one in found if one.failing]
    edges = listed(one.edge for one in (failing or found))
    way = "into" if first.direction == INGRESS else "out of"
    detail = f"NetworkPolicy {first.policy.name} lets nothing {way} {first.subject.name} for {edges}"
    evidence = (first.policy.evidence, *(item for one in (failing or found)[:5] for item in one.evidence))
    confidence = 0.95 if failing else 0.75
    return first.subject.found(KIND, confidence, evidence, "network.policy", detail)


def _edges(scene: Scene) -> Iterator[_Block]:
    working = _working(scene)
    for use in scene.uses:
        sources = scene.layout.pods_of(use.caller)
        targets = _targets(scene, use)
        if (use.caller, use.callee.name) in working or not sources:
            continue
        source = sources[0]
        ports = _ports(use, targets)
        edge = f"{use.caller} → {use.callee.name}"
        there = _peer(targets[0]) if targets else Peer(address=use.callee.name)
        if targets or use.callee.kind == "external":
            for policy in _all_blocked(scene, EGRESS, source, there, ports):
                yield _block(scene, policy, use.caller, edge, use, EGRESS)
        if targets:
            for policy in _all_blocked(scene, INGRESS, targets[0], _peer(source), ports):
                yield _block(scene, policy, use.callee.name, edge, use, INGRESS)


def _peer(pod: PodView) -> Peer:
    return Peer(namespace=pod.namespace, labels=pod.labels, address=pod.ip)


def _block(scene: Scene, policy: Thing, name: str, edge: str, use: Use, direction: str) -> _Block:
    return _Block(
        policy=policy,
        subject=scene.subject_named(name),
        edge=edge,
        failing=use.failing,
        evidence=use.evidence,
        direction=direction,
    )


def _all_blocked(
    scene: Scene, direction: str, pod: PodView, peer: Peer, ports: list[Port]
) -> tuple[Thing, ...]:
    """The policies that stop it on every port that may be meant."""
    found: tuple[Thing, ...] = ()
    for port in ports or (None,):
        found = blocking(scene.cluster, direction, pod.namespace, pod.labels, peer, port)
        if not found:
            return ()
    return found


def _targets(scene: Scene, use: Use) -> tuple[PodView, ...]:
    if use.callee.service is not None:
        return scene.layout.backends[use.callee.service.namespace, use.callee.service.name]
    return scene.layout.pods_of(use.callee.name, use.callee.namespace or None)


def _ports(use: Use, targets: tuple[PodView, ...]) -> list[Port]:
    """The pod ports behind what is called: of one Service port if that is known, else of each."""
    names: Mapping[str, int] = targets[0].ports if targets else {}
    if use.callee.service is None or not targets:
        return [Port(number=use.port, names=names)] if use.port else []
    every = use.callee.service.items("spec", "ports")
    chosen = [one for one in every if one.get("port") == use.port] or every
    found = []
    for one in chosen:
        target = one.get("targetPort", one.get("port"))
        number = names.get(target) if isinstance(target, str) else target
        if isinstance(number, int):
            found.append(Port(number=number, protocol=str(one.get("protocol") or "TCP"), names=names))
    return found


def _working(scene: Scene) -> set[tuple[str, str]]:
    """Edges over which a call succeeded after the onset: whatever the policies say, they are open."""
    found = set()
    for span in scene.world.spans:
        if span.kind == "client" and not span.error and span.start >= scene.world.onset:
            child = scene.children.get((span.trace_id, span.span_id))
            if child is not None and child.service != span.service:
                found.add((span.service, child.service))
    return found


def _resolver(scene: Scene) -> Iterator[_Block]:
    """Callers whose lookups time out and whose policies let nothing out to the resolver."""
    resolver = next((pod for pod in scene.layout.pods if pod.labels.get("k8s-app") == "kube-dns"), None)
    there = (
        _peer(resolver)
        if resolver is not None
        else Peer(namespace="kube-system", labels={"k8s-app": "kube-dns"})
    )
    told = scene.symptoms.of("dns_timeout", "dns_server_failed")
    for caller in scene.callers(told):
        own = [one for one in told if one.caller == caller]
        for pod in scene.layout.pods_of(caller)[:1]:
            port = Port(number=53, protocol="UDP", names={"dns": 53})
            for policy in blocking(scene.cluster, EGRESS, pod.namespace, pod.labels, there, port):
                yield _Block(
                    policy=policy,
                    subject=scene.subject_named(caller),
                    edge=f"{caller} → the resolver, port 53",
                    failing=True,
                    evidence=cite(own[:3]),
                    direction=EGRESS,
                )
