"""Mutual TLS in a mesh."""

from __future__ import annotations

from typing import Any

import pytest

from tests.investigators.platform.build import world
from tests.investigators.platform.cases import Case, case, judge, no, unknown
from tests.investigators.platform.objects import Object, app, service, thing

CART = [service("cart"), *app("cart")]
FRONT = [service("front"), *app("front", env={"CART_ADDR": "cart:80"})]


def _peer(mode: Any, labels: Any = None, namespace: Any = "shop") -> Object:
    selector = {"selector": {"matchLabels": labels}} if labels else {}
    return thing(
        "security.istio.io/v1beta1",
        "PeerAuthentication",
        "default",
        namespace=namespace,
        spec={**selector, "mtls": {"mode": mode}},
    )


def _tls(mode: Any) -> Object:
    return thing(
        "networking.istio.io/v1beta1",
        "DestinationRule",
        "cart-tls",
        spec={"host": "cart.shop.svc.cluster.local", "trafficPolicy": {"tls": {"mode": mode}}},
    )


MESHED = [service("cart"), *app("cart", sidecar="istio-proxy")]
CALLER = app("front", env={"CART_ADDR": "cart:80"}, sidecar="istio-proxy")
MTLS_ASKED = ["PeerAuthentication", "DestinationRule"]
MESH = [
    case(
        "callers are told to speak plain text",
        world(MESHED, CALLER, _peer("STRICT"), _tls("DISABLE")),
        "mtls_mismatch",
        least=0.9,
    ),
    case("a caller without sidecar", world(MESHED, FRONT, _peer("STRICT")), "mtls_mismatch", says=("front",)),
    case(
        "a handshake that fails in a log",
        world(
            CART,
            FRONT,
            logs={"front": ['Get "https://cart:80/": http: server gave HTTP response to HTTPS client']},
        ),
        "mtls_mismatch",
    ),
    no(
        "permissive takes both",
        world(MESHED, FRONT, _peer("PERMISSIVE"), asked=MTLS_ASKED),
        "mtls_mismatch",
        absent=True,
    ),
    no(
        "the workload's own rule counts",
        world(
            MESHED,
            FRONT,
            _peer("STRICT", namespace="istio-system"),
            thing(
                "security.istio.io/v1",
                "PeerAuthentication",
                "cart",
                spec={"selector": {"matchLabels": {"app": "cart"}}, "mtls": {"mode": "PERMISSIVE"}},
            ),
        ),
        "mtls_mismatch",
    ),
    no("everybody speaks it", world(MESHED, CALLER, _peer("STRICT"), _tls("ISTIO_MUTUAL")), "mtls_mismatch"),
    unknown(
        "rules that could not be listed",
        world(MESHED, CALLER, _peer("STRICT"), asked=MTLS_ASKED, failed=["DestinationRule"]),
        "mtls_mismatch",
    ),
]


@pytest.mark.parametrize("one", MESH, ids=lambda one: f"{one.kind}: {one.name}")
def test_both_sides_must_speak_the_same_tls(one: Case) -> None:
    judge(one)
