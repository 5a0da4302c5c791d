"""Name resolution: the resolver, or one name."""

from __future__ import annotations

import pytest

from tests.investigators.platform.build import line, world
from tests.investigators.platform.cases import Case, case, judge, no, unknown
from tests.investigators.platform.objects import app, resolver, service

CART = [service("cart"), *app("cart")]
FRONT = [service("front"), *app("front", env={"CART_ADDR": "cart:80"})]


_AGAIN = "getaddrinfo EAI_AGAIN cart"
DNS = [
    case(
        "the resolver has no ready pod",
        world(CART, resolver(ready=False)),
        "dns_failure",
        "coredns",
        least=0.95,
    ),
    case(
        "the resolver is scaled to nothing",
        world(CART, resolver(replicas=0)),
        "dns_failure",
        "coredns",
        says=("0 replicas",),
    ),
    case(
        "many callers cannot look up anything",
        world(
            CART,
            FRONT,
            resolver(),
            logs={
                "front": [_AGAIN],
                "web": [
                    "dial tcp: lookup cart on 10.96.0.10:53: read udp 10.244.1.3:4->10.96.0.10:53: "
                    "i/o timeout"
                ],
            },
        ),
        "dns_failure",
        "coredns",
        least=0.75,
    ),
    case(
        "the resolver says a Service does not exist",
        world(
            CART,
            FRONT,
            resolver(),
            logs={
                "front": ["getaddrinfo ENOTFOUND cart"],
                "web": ["lookup front on 10.96.0.10:53: no such host"],
            },
        ),
        "dns_failure",
        "coredns",
    ),
    case(
        "one caller, one name",
        world(CART, FRONT, resolver(), logs={"front": [_AGAIN]}),
        "dns_failure",
        "front",
        least=0.5,
    ),
    case(
        "one name outside",
        world(
            CART,
            FRONT,
            resolver(),
            logs={
                "front": ["getaddrinfo EAI_AGAIN api.stripe.com"],
                "cart": ["getaddrinfo EAI_AGAIN api.stripe.com"],
            },
        ),
        "dns_failure",
        "api.stripe.com",
        "external",
    ),
    case(
        "the resolver's own log",
        world(
            CART,
            resolver(),
            logs={"coredns": ['[FATAL] plugin/loop: Loop (127.0.0.1:55953 -> :1053) detected for zone "."']},
        ),
        "dns_failure",
        "coredns",
    ),
    no(
        "the resolver works and nobody complains",
        world(CART, resolver(), logs={"cart": ["GET /cart 200 3ms"]}),
        "dns_failure",
        absent=True,
    ),
    no(
        "a lookup that failed an hour ago",
        world(CART, resolver(), lines=[line(_AGAIN, service="cart", minutes=55)]),
        "dns_failure",
    ),
    no(
        "a name that is just wrong",
        world(CART, FRONT, resolver(), logs={"front": ["getaddrinfo ENOTFOUND crat"]}),
        "dns_failure",
    ),
    unknown(
        "a log that was cut",
        world(CART, resolver(), logs={"cart": ["GET / 200"]}, log_cut="5000 lines only"),
        "dns_failure",
    ),
]


@pytest.mark.parametrize("one", DNS, ids=lambda one: f"{one.kind}: {one.name}")
def test_failing_lookups_are_charged_to_the_resolver_only_when_they_are_its_fault(one: Case) -> None:
    judge(one)
