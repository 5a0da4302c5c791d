"""Ingress, Gateway API and Istio routes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.investigators.platform.build import facts, world
from tests.investigators.platform.cases import Case, case, judge, no, unknown
from tests.investigators.platform.objects import Object, app, resolver, service, thing

CART = [service("cart"), *app("cart")]
FRONT = [service("front"), *app("front", env={"CART_ADDR": "cart:80"})]


def _ingress(
    name: Any = "shop",
    *,
    backend: Any = "cart",
    port: Any = None,
    path: Any = "/",
    cls: Any = "nginx",
    **annotations: Any,
) -> Object:
    return thing(
        "networking.k8s.io/v1",
        "Ingress",
        name,
        metadata={"annotations": annotations.get("annotations", {})},
        spec={
            "ingressClassName": cls,
            "rules": [
                {
                    "host": "shop.example",
                    "http": {
                        "paths": [
                            {
                                "path": path,
                                "pathType": "Prefix",
                                "backend": {"service": {"name": backend, "port": port or {"number": 80}}},
                            }
                        ]
                    },
                }
            ],
        },
    )


CLASS = thing("networking.k8s.io/v1", "IngressClass", "nginx", namespace="")


def _virtual(route: Any, **rule: Any) -> Object:
    return thing(
        "networking.istio.io/v1beta1",
        "VirtualService",
        "cart",
        spec={"hosts": ["cart"], "http": [{"route": route, **rule}]},
    )


def _rule(**subsets: Any) -> Object:
    return thing(
        "networking.istio.io/v1beta1",
        "DestinationRule",
        "cart",
        spec={
            "host": "cart",
            "subsets": [{"name": key, "labels": {"version": value}} for key, value in subsets.items()],
        },
    )


VERSIONED = [service("cart"), *app("cart", labels={"app": "cart", "version": "v1"})]
ISTIO = ["VirtualService", "DestinationRule"]


def _route(backend: Any = "cart", port: Any = 80, **status: Any) -> Object:
    return thing(
        "gateway.networking.k8s.io/v1",
        "HTTPRoute",
        "shop",
        spec={
            "parentRefs": [{"name": "public"}],
            "rules": [{"backendRefs": [{"name": backend, "port": port}]}],
        },
        **status,
    )


GATEWAY = thing("gateway.networking.k8s.io/v1", "Gateway", "public")

ROUTES = [
    case(
        "an Ingress to a Service that is not there",
        world(CART, CLASS, _ingress(backend="carts")),
        "ingress_misroute",
        says=("carts", "cart does"),
    ),
    case(
        "an Ingress to a port that is not there",
        world(CART, CLASS, _ingress(port={"number": 8081})),
        "ingress_misroute",
        says=("8081",),
    ),
    case(
        "an Ingress of a class that is not there",
        world(CART, CLASS, _ingress(cls="ngnix")),
        "ingress_misroute",
        says=("ngnix",),
    ),
    case(
        "a rewrite to a group that is not there",
        world(
            CART,
            CLASS,
            _ingress(path="/cart", annotations={"nginx.ingress.kubernetes.io/rewrite-target": "/$2"}),
        ),
        "ingress_misroute",
    ),
    case(
        "two Ingresses claim one path",
        world(CART, FRONT, CLASS, _ingress(), _ingress("other", backend="front")),
        "ingress_misroute",
    ),
    case(
        "a path of one to another",
        world(CART, FRONT, CLASS, _ingress(path="/api/v1/cart", backend="front")),
        "ingress_misroute",
        says=("/api/v1/cart to front",),
    ),
    case(
        "calls of one that all lead to another",
        world(CART, FRONT, _virtual([{"destination": {"host": "front"}}])),
        "gateway_misroute",
        says=("all calls of cart to front",),
    ),
    no(
        "calls of one that lead to its own next version",
        world(CART, service("cart-v2"), app("cart-v2"), _virtual([{"destination": {"host": "cart-v2"}}])),
        "gateway_misroute",
    ),
    no("an Ingress that is right", world(CART, CLASS, _ingress()), "ingress_misroute", absent=True),
    no(
        "a rewrite that is right",
        world(
            CART,
            CLASS,
            _ingress(
                path="/cart(/|$)(.*)", annotations={"nginx.ingress.kubernetes.io/rewrite-target": "/$2"}
            ),
        ),
        "ingress_misroute",
    ),
    unknown("Ingresses that could not be listed", world(CART, failed=["Ingress"]), "ingress_misroute"),
    case(
        "an HTTPRoute to a Service that is not there",
        world(CART, GATEWAY, _route("crat")),
        "gateway_misroute",
    ),
    case("an HTTPRoute to a wrong port", world(CART, GATEWAY, _route(port=81)), "gateway_misroute"),
    case(
        "an HTTPRoute that hangs on no Gateway",
        world(CART, _route(), asked=["Gateway"]),
        "gateway_misroute",
        says=("public",),
    ),
    case(
        "a host that no listener takes",
        world(
            CART,
            GATEWAY,
            _route(
                status={
                    "parents": [
                        {
                            "parentRef": {"name": "public"},
                            "conditions": [
                                {
                                    "type": "Accepted",
                                    "status": "False",
                                    "reason": "NoMatchingListenerHostname",
                                    "message": "No listener hostname matches",
                                }
                            ],
                        }
                    ]
                }
            ),
        ),
        "gateway_misroute",
        says=("NoMatchingListenerHostname",),
    ),
    case(
        "a VirtualService to a host that is not there",
        world(CART, _virtual([{"destination": {"host": "crat"}}])),
        "gateway_misroute",
    ),
    no("an HTTPRoute that is right", world(CART, GATEWAY, _route()), "gateway_misroute", absent=True),
    no(
        "a VirtualService to a host outside",
        world(CART, _virtual([{"destination": {"host": "api.stripe.com"}}])),
        "gateway_misroute",
    ),
    unknown(
        "HTTPRoutes that could not be listed",
        world(CART, failed=["HTTPRoute"], asked=["HTTPRoute"]),
        "gateway_misroute",
    ),
    case(
        "weight to a subset without pods",
        world(
            VERSIONED,
            _rule(v1="v1", v2="v2"),
            _virtual(
                [
                    {"destination": {"host": "cart", "subset": "v1"}, "weight": 50},
                    {"destination": {"host": "cart", "subset": "v2"}, "weight": 50},
                ]
            ),
        ),
        "traffic_to_dead_subset",
        says=("50 %",),
    ),
    case(
        "a subset that nobody defines",
        world(VERSIONED, _rule(v1="v1"), _virtual([{"destination": {"host": "cart", "subset": "canary"}}])),
        "traffic_to_dead_subset",
        says=("canary",),
    ),
    no(
        "no weight to the dead subset",
        world(
            VERSIONED,
            _rule(v1="v1", v2="v2"),
            _virtual(
                [
                    {"destination": {"host": "cart", "subset": "v1"}, "weight": 100},
                    {"destination": {"host": "cart", "subset": "v2"}, "weight": 0},
                ]
            ),
        ),
        "traffic_to_dead_subset",
        absent=True,
    ),
    unknown(
        "VirtualServices that could not be listed",
        world(CART, failed=["VirtualService"], asked=["VirtualService"]),
        "traffic_to_dead_subset",
    ),
    case(
        "an injected delay",
        world(
            CART,
            _virtual(
                [{"destination": {"host": "cart"}}],
                fault={"delay": {"fixedDelay": "7s", "percentage": {"value": 100}}},
            ),
        ),
        "mesh_fault_injected",
        says=("7s", "100 %"),
    ),
    case(
        "an injected abort",
        world(
            CART,
            _virtual(
                [{"destination": {"host": "cart"}}],
                fault={"abort": {"httpStatus": 503, "percentage": {"value": 25.5}}},
            ),
        ),
        "mesh_fault_injected",
        says=("503", "25.5"),
    ),
    no(
        "a fault that hits no call",
        world(
            CART,
            _virtual(
                [{"destination": {"host": "cart"}}],
                fault={"abort": {"httpStatus": 503, "percentage": {"value": 0}}},
            ),
        ),
        "mesh_fault_injected",
        absent=True,
    ),
    unknown(
        "VirtualServices unknown",
        world(CART, failed=["VirtualService"], asked=["VirtualService"]),
        "mesh_fault_injected",
    ),
]


@pytest.mark.parametrize("one", ROUTES, ids=lambda one: f"{one.kind}: {one.name}")
def test_routes_must_lead_to_services_that_are_there(one: Case) -> None:
    judge(one)


def test_a_healthy_shop_has_no_fault_on_its_service_path() -> None:
    of = world(CART, FRONT, resolver(), CLASS, _ingress(backend="front"), logs={"front": ["GET / 200 4ms"]})
    assert [(fact.kind, fact.subject) for fact in facts(of) if fact.verdict == "found"] == []
