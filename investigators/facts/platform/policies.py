"""NetworkPolicy as the API defines it: which policies isolate a pod, and whether any of them lets a
connection through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from investigators.facts.platform.reading import mapping, number, objects, texts
from investigators.world.cluster import Cluster, Thing, selector_matches

INGRESS, EGRESS = "Ingress", "Egress"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """The other end: a pod with its namespace, or (labels None) something outside; either with its address,
    if that is known."""

    namespace: str = ""
    labels: Mapping[str, str] | None = None
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A port of the pod that is called; ``names`` are its named ports."""

    number: int
    protocol: str = "TCP"
    names: Mapping[str, int]


def blocking(
    cluster: Cluster, direction: str, namespace: str, labels: Mapping[str, str], peer: Peer, port: Port | None
) -> tuple[Thing, ...]:
    """The policies that together stop the connection at this pod; empty when it is let through, or when
    that cannot be told. Port None: whatever port."""
    selecting = [
        policy
        for policy in cluster.of("NetworkPolicy", namespace)
        if direction in types_of(policy)
        and selector_matches(_selector(policy.at("spec", "podSelector")), labels)
    ]
    for policy in selecting:
        for rule in policy.items("spec", direction.lower()):
            if _rule_allows(cluster, policy, rule, direction, peer, port) is not False:
                return ()
    return tuple(selecting)


def types_of(policy: Thing) -> tuple[str, ...]:
    """Ingress always counts unless the policy names other types; Egress by default only with a rule."""
    named = texts(policy.at("spec", "policyTypes"))
    if named:
        return tuple(named)
    return (INGRESS, EGRESS) if policy.at("spec", "egress") is not None else (INGRESS,)


def _rule_allows(
    cluster: Cluster,
    policy: Thing,
    rule: Mapping[str, Any],
    direction: str,
    peer: Peer,
    port: Port | None,
) -> bool | None:
    """None where it depends on labels of a namespace or on an address that are not known."""
    if port is not None and not _port_allowed(objects(rule.get("ports")), port):
        return False
    peers = objects(rule.get("from" if direction == INGRESS else "to"))
    if not peers:
        return True
    answers = [_peer_matches(cluster, policy, one, peer) for one in peers]
    if True in answers:
        return True
    return None if None in answers else False


def _port_allowed(ports: Sequence[Mapping[str, Any]], port: Port) -> bool:
    if not ports:
        return True
    for one in ports:
        if str(one.get("protocol") or "TCP") != port.protocol:
            continue
        low = one.get("port")
        if low is None:
            return True
        first = port.names.get(str(low), number(low))
        if first is not None and first <= port.number <= (number(one.get("endPort")) or first):
            return True
    return False


def _peer_matches(cluster: Cluster, policy: Thing, one: Mapping[str, Any], peer: Peer) -> bool | None:
    block = mapping(one.get("ipBlock"))
    if block:
        inside = _inside(peer.address, str(block.get("cidr")))
        if inside and any(_inside(peer.address, each) for each in texts(block.get("except"))):
            return False
        # Whether a block holds for pods too is up to the network plugin.
        return None if inside and peer.labels is not None else inside
    if peer.labels is None:
        return False
    if "namespaceSelector" in one:
        here = _namespace_matches(cluster, _selector(one["namespaceSelector"]), peer.namespace)
    else:
        here = peer.namespace == policy.namespace
    pods = selector_matches(_selector(one.get("podSelector")), peer.labels)
    return False if not pods else here


def _inside(address: str, block: str) -> bool | None:
    """None where one of them is no address."""
    try:
        return ip_address(address) in ip_network(block, strict=False)
    except ValueError:
        return None


def _namespace_matches(cluster: Cluster, selector: Mapping[str, Any], namespace: str) -> bool | None:
    if not selector:
        return True
    thing = cluster.get("Namespace", "", namespace)
    labels = {"kubernetes.io/metadata.name": namespace, **(thing.labels if thing else {})}
    if selector_matches(selector, labels):
        return True
    return False if thing is not None or "kubernetes.io/metadata.name" in str(selector) else None


def _selector(value: object) -> Mapping[str, Any]:
    """A label selector in the long form, so that an empty one selects everything."""
    if not isinstance(value, Mapping) or not value:
        return {}
    return value
