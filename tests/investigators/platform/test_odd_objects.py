"""Objects of another shape than the API's, as a hand-written snapshot may hold them."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

from tests.investigators.platform.build import facts, world
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
        for step in way:
            here = here[step]
        here[last] = chance.choice(ODD)
        assert facts(world(objects))
