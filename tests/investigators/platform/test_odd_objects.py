"""Objects of another shape than the API's, as a hand-written snapshot may hold them."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from bot.domain.evidence import Evidence, FactVerdict
from investigators.world.cluster import Cluster
from investigators.world.world import World, index_lines
from tests.investigators.platform.build import call, counter, facts, step, track, world
from tests.investigators.platform.objects import (
    Object,
    app,
    condition,
    node,
    policy,
    resolver,
    service,
    thing,
)

ODD = (None, "", [], {}, 5, "x", -1, True, ["x"], {"a": "b"}, [None], 3.5, "10.0.0.0/99")
BACKEND = {"service": {"name": "cart", "port": {"number": 80}}}
WORLD: list[Object] = [
    service("cart"),
    *app("cart", cpu="500m", memory="256Mi", env={"A": "front:80"}, sidecar="istio-proxy"),
    service("front", ports=[{"name": "web", "port": 80, "targetPort": "web"}]),
    *app("front", ports=[{"containerPort": 80, "name": "web"}], env={"CART": "http://cart:80"}),
    *resolver(),
    node(
        "node-1", condition("Ready", "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.")
    ),
    policy(
        "p",
        {"app": "cart"},
        ingress=[
            {"from": [{"podSelector": {}}, {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]}
        ],
        egress=[{"to": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}], "ports": [{"port": "web"}]}],
    ),
    thing(
        "networking.k8s.io/v1",
        "Ingress",
        "shop",
        spec={
            "tls": [{"secretName": "tls"}],
            "rules": [{"host": "x", "http": {"paths": [{"path": "/", "backend": BACKEND}]}}],
        },
    ),
    thing(
        "networking.istio.io/v1",
        "VirtualService",
        "cart",
        spec={
            "hosts": ["cart"],
            "http": [
                {
                    "fault": {"delay": {"fixedDelay": "1s", "percentage": {"value": 5}}},
                    "route": [{"destination": {"host": "cart", "subset": "v1", "port": {"number": 80}}}],
                }
            ],
        },
    ),
    thing(
        "networking.istio.io/v1",
        "DestinationRule",
        "cart",
        spec={
            "host": "cart",
            "trafficPolicy": {"tls": {"mode": "DISABLE"}},
            "subsets": [{"name": "v1", "labels": {"version": "v1"}}],
        },
    ),
    thing("security.istio.io/v1", "PeerAuthentication", "default", spec={"mtls": {"mode": "STRICT"}}),
    thing(
        "gateway.networking.k8s.io/v1",
        "HTTPRoute",
        "shop",
        spec={
            "parentRefs": [{"name": "public"}],
            "rules": [{"matches": [{"path": {"value": "/"}}], "backendRefs": [{"name": "cart", "port": 80}]}],
        },
        status={"parents": [{"parentRef": {"name": "public"}, "conditions": [{"type": "Accepted"}]}]},
    ),
    thing(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        "cart",
        spec={
            "scaleTargetRef": {"name": "cart"},
            "maxReplicas": 2,
            "metrics": [{"resource": {"name": "cpu", "target": {"averageUtilization": 70}}}],
        },
        status={
            "currentReplicas": 2,
            "currentMetrics": [{"resource": {"name": "cpu", "current": {"averageUtilization": 90}}}],
            "conditions": [{"type": "ScalingLimited", "status": "True", "reason": "TooManyReplicas"}],
        },
    ),
    thing(
        "cert-manager.io/v1",
        "Certificate",
        "tls",
        spec={"secretName": "tls"},
        status={"notAfter": "2026-01-01T00:00:00Z", "conditions": [{"type": "Ready", "status": "False"}]},
    ),
    thing(
        "admissionregistration.k8s.io/v1",
        "ValidatingWebhookConfiguration",
        "guard",
        namespace="",
        webhooks=[{"name": "v.io", "clientConfig": {"service": {"namespace": "shop", "name": "cart"}}}],
    ),
]


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield (*path, key)
        yield from _paths(inner, (*path, key))


def test_one_odd_value_anywhere_breaks_no_rule() -> None:
    chance = random.Random(7)
    for _ in range(400):
        objects = copy.deepcopy(WORLD)
        here: Any = chance.choice(objects)
        kept = (("kind",), ("metadata",), ("metadata", "name"))
        *way, last = chance.choice([path for path in _paths(here) if path not in kept])
        for part in way:
            here = here[part]
        here[last] = chance.choice(ODD)
        assert facts(world(objects))


def _with_answers(of: World, **parts: Any) -> World:
    """The same world with every answer changed in the same way."""

    def changed(one: Evidence) -> Evidence:
        return replace(one, **parts)

    answers = [(kind, changed(one)) for kind, items in of.cluster.asked.items() for one in items]
    lines = tuple(replace(line, evidence=changed(line.evidence)) for line in of.lines)
    return replace(
        of,
        cluster=Cluster.build(answers),
        lines=lines,
        tracks=tuple(replace(track, evidence=changed(track.evidence)) for track in of.tracks),
        asked={kind: tuple(changed(one) for one in items) for kind, items in of.asked.items()},
        _lines_by=index_lines(lines),
    )


def _whole() -> World:
    return world(
        WORLD,
        logs={"cart": ["GET / 200 3ms"]},
        tracks=[
            track("http_requests_total", counter(5, 5), "cart", code="200"),
            track("http_request_duration_seconds", step(0.1, 0.1), "cart"),
            track("container_cpu_usage_seconds_total", counter(0.1, 0.1), "cart", pod="cart-1"),
            track("container_memory_working_set_bytes", step(1e6, 1e6), "cart", pod="cart-1"),
            track("node_cpu_seconds_total", counter(0.7, 0.7), "node-1", kind="node", mode="idle"),
        ],
        spans=[*call("front", "cart", client=3, server=2), *call("cart", "db", client=3, server=2)],
        healthy_spans=[*call("front", "cart", client=3, server=2), *call("cart", "db", client=3, server=2)],
    )


def test_whole_answers_prove_absence_and_the_same_ones_when_cut_never_do() -> None:
    whole = {fact.kind for fact in facts(_whole()) if fact.verdict is FactVerdict.ABSENT}
    assert len(whole) > 40
    cut = _with_answers(_whole(), reason="only the first 500")
    assert [fact.kind for fact in facts(cut) if fact.verdict is FactVerdict.ABSENT] == []
    assert whole <= {fact.kind for fact in facts(cut)}


def test_answers_that_failed_are_unknown_with_the_reason_of_the_source() -> None:
    failed = world(failed=("Pod", "Service", "Deployment", "Node", "NetworkPolicy", "Ingress"))
    said = [fact for fact in facts(failed) if fact.kind == "service_no_endpoints"]
    assert [(fact.verdict, fact.subject) for fact in said] == [(FactVerdict.UNKNOWN, "cart")]
    assert "403 may not list" in said[0].detail
