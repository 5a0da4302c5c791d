"""Kubernetes Services: found, not there, and not to be told."""

from __future__ import annotations

import pytest

from tests.investigators.platform.build import world
from tests.investigators.platform.cases import Case, case, judge, no, unknown
from tests.investigators.platform.objects import app, service, thing

CART = [service("cart"), *app("cart")]
FRONT = [service("front"), *app("front", env={"CART_ADDR": "cart:80"})]


SERVICES = [
    case(
        "a selector with a typo",
        world(service("cart", {"app": "crat"}), app("cart")),
        "service_selector_mismatch",
        says=("app=crat", "app=cart"),
    ),
    case(
        "a selector with a wrong version",
        world(
            service("cart", {"app": "cart", "version": "v2"}),
            app("cart", labels={"app": "cart", "version": "v1"}),
        ),
        "service_selector_mismatch",
        says=("version=v1",),
    ),
    case(
        "a selector with a label no pod has",
        world(service("cart", {"app": "cart", "tier": "web"}), app("cart")),
        "service_selector_mismatch",
        says=("no label tier",),
    ),
    case(
        "a selector that takes another's pods",
        world(service("cart", {"app": "front"}), app("cart"), service("front"), app("front")),
        "service_selector_mismatch",
        says=("front",),
    ),
    no(
        "a worker that shares only the product's label",
        world(
            CART,
            service("billing", {"app": "billing", "app.kubernetes.io/part-of": "shop"}),
            app("mailer", labels={"app": "mailer", "app.kubernetes.io/part-of": "shop"}),
        ),
        "service_selector_mismatch",
    ),
    no("a selector that fits", world(CART), "service_selector_mismatch", absent=True),
    no(
        "a workload without pods is no wrong selector",
        world(service("cart"), app("cart", replicas=0)),
        "service_selector_mismatch",
    ),
    no(
        "a Service for pods of another kind entirely",
        world(CART, service("legacy-billing", {"run": "batch"})),
        "service_selector_mismatch",
    ),
    unknown("pods that could not be listed", world(CART, failed=["Pod"]), "service_selector_mismatch"),
    case(
        "a target port that no container has",
        world(service("cart", target=9999), app("cart")),
        "service_target_port_mismatch",
        says=("9999", "8080"),
    ),
    case(
        "and callers that are refused",
        world(
            service("cart", target=9999, ip="10.96.7.7"),
            app("cart"),
            FRONT,
            logs={
                "front": [
                    'rpc error: code = Unavailable desc = connection error: desc = "transport: Error while '
                    'dialing: dial tcp 10.96.7.7:80: connect: connection refused"'
                ]
            },
        ),
        "service_target_port_mismatch",
        least=0.9,
    ),
    case(
        "a named port that no container has",
        world(service("cart", target="http"), app("cart", ports=[{"containerPort": 8080, "name": "web"}])),
        "service_target_port_mismatch",
        least=0.9,
        says=("http", "web"),
    ),
    no(
        "a named port that is there",
        world(service("cart", target="web"), app("cart", ports=[{"containerPort": 8080, "name": "web"}])),
        "service_target_port_mismatch",
        absent=True,
    ),
    no(
        "an undeclared port that the app says it listens on",
        world(service("cart", target=9000), app("cart", env={"PORT": "9000"})),
        "service_target_port_mismatch",
    ),
    no(
        "containers that declare no port",
        world(service("cart", target=9000), app("cart", ports=())),
        "service_target_port_mismatch",
    ),
    unknown(
        "Services that could not be listed", world(CART, failed=["Service"]), "service_target_port_mismatch"
    ),
    case(
        "no pod is ready",
        world(service("cart"), app("cart", ready=False)),
        "service_no_endpoints",
        says=("none of the 1 pods",),
    ),
    case(
        "no pod at all, and used",
        world(service("cart"), app("cart", replicas=0), FRONT),
        "service_no_endpoints",
        says=("front",),
    ),
    no(
        "one of two pods is ready",
        world(CART, app("cart", replicas=1)[1:], app("cart-canary", labels={"app": "cart"}, ready=False)),
        "service_no_endpoints",
        absent=True,
    ),
    unknown(
        "Services that could not be listed either", world(CART, failed=["Service"]), "service_no_endpoints"
    ),
    case(
        "only the slices are known",
        world(
            service("cart"),
            thing(
                "discovery.k8s.io/v1",
                "EndpointSlice",
                "cart-abc",
                addressType="IPv4",
                metadata={"labels": {"kubernetes.io/service-name": "cart"}},
                endpoints=[{"addresses": ["10.244.1.3"], "conditions": {"ready": False}}],
            ),
            failed=["Pod"],
        ),
        "service_no_endpoints",
        says=("EndpointSlice",),
    ),
    case(
        "a Service without selector that nobody filled",
        world(service("cart", {}), FRONT),
        "service_no_endpoints",
    ),
]


@pytest.mark.parametrize("one", SERVICES, ids=lambda one: f"{one.kind}: {one.name}")
def test_a_service_is_judged_by_its_selector_ports_and_endpoints(one: Case) -> None:
    judge(one)
