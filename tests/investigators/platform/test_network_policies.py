"""NetworkPolicies as the API defines them, on edges that are in use."""

from __future__ import annotations

import pytest

from tests.investigators.platform.build import call, world
from tests.investigators.platform.cases import Case, case, judge, no, unknown
from tests.investigators.platform.objects import app, namespace, policy, resolver, service

CART = [service("cart"), *app("cart")]
FRONT = [service("front"), *app("front", env={"CART_ADDR": "cart:80"})]


_TIMEOUT = {"front": ["dial tcp 10.96.5.5:80: i/o timeout"]}
_CART = [service("cart", ip="10.96.5.5"), *app("cart")]
NETWORK = [
    case(
        "default deny into the callee",
        world(_CART, FRONT, policy("deny-all", {}, types=["Ingress"])),
        "network_policy_blocked",
        says=("deny-all", "front → cart"),
    ),
    case(
        "and the caller times out",
        world(_CART, FRONT, policy("deny-all", {}, types=["Ingress"]), logs=_TIMEOUT),
        "network_policy_blocked",
        least=0.9,
    ),
    case(
        "only another app is let in",
        world(
            _CART,
            FRONT,
            policy(
                "only-web",
                {"app": "cart"},
                ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}],
            ),
        ),
        "network_policy_blocked",
    ),
    case(
        "only another port is let in",
        world(
            _CART,
            FRONT,
            policy("port", {"app": "cart"}, ingress=[{"ports": [{"port": 9090, "protocol": "TCP"}]}]),
        ),
        "network_policy_blocked",
    ),
    case(
        "another namespace is not let in",
        world(
            _CART,
            namespace("web"),
            namespace("shop"),
            app("front", namespace="web", env={"CART_ADDR": "cart.shop:80"}),
            policy("same-namespace", {"app": "cart"}, ingress=[{"from": [{"podSelector": {}}]}]),
        ),
        "network_policy_blocked",
    ),
    case(
        "nothing is let out of the caller",
        world(_CART, FRONT, policy("egress", {"app": "front"}, types=["Egress"])),
        "network_policy_blocked",
        "front",
        says=("out of front",),
    ),
    case(
        "an edge known from traces only",
        world(_CART, app("web"), policy("deny", {"app": "cart"}, types=["Ingress"]), edges=[("web", "cart")]),
        "network_policy_blocked",
    ),
    case(
        "the resolver is not let through",
        world(
            _CART,
            FRONT,
            resolver(),
            policy(
                "egress",
                {"app": "front"},
                types=["Egress"],
                egress=[{"to": [{"podSelector": {"matchLabels": {"app": "cart"}}}]}],
            ),
            logs={
                "front": ["lookup cart on 10.96.0.10:53: read udp 10.244.1.3:4->10.96.0.10:53: i/o timeout"]
            },
        ),
        "network_policy_blocked",
        "front",
        says=("port 53",),
    ),
    no(
        "the caller is let in by name and port",
        world(
            _CART,
            FRONT,
            policy(
                "let",
                {"app": "cart"},
                ingress=[
                    {
                        "from": [{"podSelector": {"matchLabels": {"app": "front"}}}],
                        "ports": [{"port": 8080, "protocol": "TCP"}],
                    }
                ],
            ),
        ),
        "network_policy_blocked",
        absent=True,
    ),
    no(
        "two policies of which one lets it in",
        world(
            _CART,
            FRONT,
            policy("deny-all", {}, types=["Ingress"]),
            policy(
                "let",
                {"app": "cart"},
                ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "front"}}}]}],
            ),
        ),
        "network_policy_blocked",
    ),
    no(
        "a port range that holds it",
        world(
            _CART,
            FRONT,
            policy("range", {"app": "cart"}, ingress=[{"ports": [{"port": 8000, "endPort": 9000}]}]),
        ),
        "network_policy_blocked",
    ),
    no(
        "a namespace by its label",
        world(
            _CART,
            namespace("web", team="web"),
            namespace("shop"),
            app("front", namespace="web", env={"CART_ADDR": "cart.shop:80"}),
            policy(
                "let",
                {"app": "cart"},
                ingress=[{"from": [{"namespaceSelector": {"matchLabels": {"team": "web"}}}]}],
            ),
        ),
        "network_policy_blocked",
    ),
    no(
        "an edge that nobody uses",
        world(_CART, app("web"), policy("deny-all", {"app": "cart"}, types=["Ingress"])),
        "network_policy_blocked",
    ),
    no(
        "calls that succeed since",
        world(
            _CART,
            FRONT,
            policy("deny-all", {}, types=["Ingress"]),
            spans=call("front", "cart", client=5, server=3),
        ),
        "network_policy_blocked",
    ),
    no(
        "a policy of another namespace",
        world(_CART, FRONT, policy("deny", {}, namespace="web", types=["Ingress"])),
        "network_policy_blocked",
    ),
    case(
        "an address outside that no block holds",
        world(
            app("front", env={"PAY": "http://54.187.1.1:443"}),
            policy(
                "egress",
                {"app": "front"},
                egress=[{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}],
                types=["Egress"],
            ),
        ),
        "network_policy_blocked",
        "front",
    ),
    case(
        "an address that the block leaves out",
        world(
            app("front", env={"PAY": "http://54.187.1.1:443"}),
            policy(
                "egress",
                {"app": "front"},
                egress=[{"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["54.0.0.0/8"]}}]}],
                types=["Egress"],
            ),
        ),
        "network_policy_blocked",
        "front",
    ),
    no(
        "an address outside that a block holds",
        world(
            app("front", env={"PAY": "http://54.187.1.1:443"}),
            policy(
                "egress",
                {"app": "front"},
                egress=[{"to": [{"ipBlock": {"cidr": "54.0.0.0/8"}}]}],
                types=["Egress"],
            ),
        ),
        "network_policy_blocked",
    ),
    no(
        "a name outside whose address is not known",
        world(
            app("front", env={"PAY": "https://1password.example:443"}),
            policy(
                "egress",
                {"app": "front"},
                egress=[{"to": [{"ipBlock": {"cidr": "54.0.0.0/8"}}]}],
                types=["Egress"],
            ),
        ),
        "network_policy_blocked",
    ),
    no(
        "pods, by a block that only some plugins apply to pods",
        world(
            _CART,
            FRONT,
            policy("let", {"app": "cart"}, ingress=[{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]),
        ),
        "network_policy_blocked",
    ),
    unknown(
        "policies that could not be listed",
        world(_CART, FRONT, failed=["NetworkPolicy"]),
        "network_policy_blocked",
    ),
]


@pytest.mark.parametrize("one", NETWORK, ids=lambda one: f"{one.kind}: {one.name}")
def test_a_policy_is_to_blame_only_for_edges_in_use_that_it_stops(one: Case) -> None:
    judge(one)
