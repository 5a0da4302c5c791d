"""Networks that lose or delay packets."""

from __future__ import annotations

from typing import Any

import pytest

from bot.domain.evidence import TraceSpan
from tests.investigators.platform.build import call, counter, step, track, world
from tests.investigators.platform.cases import Case, case, judge, no, unknown
from tests.investigators.platform.objects import app

CART = app("cart")
POD = CART[1]["metadata"]["name"]


def _nic(name: str, before: float, after: float, device: str = "eth0") -> Any:
    return track(f"node_network_{name}_total", counter(before, after), "node-1", kind="node", device=device)


def _edges(*slow: tuple[str, str], mark: str = "") -> list[TraceSpan]:
    """Four services that call each other; the slow edges lose 200 ms on the way."""
    every = [("front", "cart"), ("cart", "stock"), ("front", "mail"), ("mail", "smtp")]
    found: list[TraceSpan] = []
    for caller, callee in every:
        lost = 200 if (caller, callee) in slow else 1
        found += call(caller, callee, client=10 + lost, server=10, mark=mark)
    return found


HEALTHY = _edges(mark="h")
PLACED = [
    *app("front", node="node-1"),
    *app("cart", node="node-2"),
    *app("stock", node="node-2"),
    *app("mail", node="node-2"),
    *app("smtp", node="node-3"),
    *app("audit", node="node-3"),
]
CASES = [
    case(
        "a node's card drops one in ten",
        world(tracks=[_nic("receive_drop", 0, 100), _nic("receive_packets", 1000, 1000)]),
        "packet_loss",
        "node-1",
        "node",
    ),
    case(
        "segments are sent again",
        world(
            tracks=[
                track("node_netstat_Tcp_RetransSegs", counter(1, 80), "node-1", kind="node"),
                track("node_netstat_Tcp_OutSegs", counter(1000, 1000), "node-1", kind="node"),
            ]
        ),
        "packet_loss",
        "node-1",
        "node",
        says=("8.0%",),
    ),
    case(
        "a pod's packets",
        world(
            CART,
            tracks=[
                track(
                    "container_network_receive_packets_dropped_total",
                    counter(0, 40),
                    "cart",
                    pod=POD,
                    interface="eth0",
                )
            ],
        ),
        "packet_loss",
        "cart",
        says=(POD,),
    ),
    case(
        "probes are lost",
        world(tracks=[track("ping_loss_ratio", step(0, 0.3), "node-1", kind="node")]),
        "packet_loss",
        "node-1",
        "node",
        says=("30%",),
    ),
    no(
        "drops as ever",
        world(tracks=[_nic("receive_drop", 100, 100), _nic("receive_packets", 1000, 1000)]),
        "packet_loss",
    ),
    no(
        "one in a hundred thousand",
        world(tracks=[_nic("receive_drop", 0, 1), _nic("receive_packets", 1e5, 1e5)]),
        "packet_loss",
    ),
    no("a virtual card", world(tracks=[_nic("receive_drop", 0, 100, "veth12ab")]), "packet_loss"),
    unknown("no counters", world(CART), "packet_loss"),
    case(
        "every edge of one service",
        world(spans=_edges(("front", "cart"), ("cart", "stock")), healthy_spans=HEALTHY),
        "network_delay",
        "cart",
        says=("199 ms", "front → cart"),
    ),
    case(
        "into one service only",
        world(spans=_edges(("mail", "smtp")), healthy_spans=HEALTHY),
        "network_delay",
        "smtp",
    ),
    case(
        "a round trip by probe",
        world(tracks=[track("ping_rtt_seconds", step(0.001, 0.2), "node-1", kind="node")]),
        "network_delay",
        "node-1",
        "node",
    ),
    case(
        "every edge of one node",
        world(
            PLACED,
            spans=[
                *_edges(("front", "cart"), ("cart", "stock"), ("front", "mail"), ("mail", "smtp")),
                *call("smtp", "audit", client=11, server=10),
            ],
            healthy_spans=[*HEALTHY, *call("smtp", "audit", client=11, server=10, mark="h")],
        ),
        "network_delay",
        "node-2",
        "node",
    ),
    no(
        "a server that is slow itself",
        world(
            spans=[
                *call("front", "cart", client=500, server=495),
                *call("cart", "stock", client=3, server=2),
            ],
            healthy_spans=[
                *call("front", "cart", client=6, server=5),
                *call("cart", "stock", client=3, server=2),
            ],
        ),
        "network_delay",
    ),
    no("no edge is slower", world(spans=_edges(), healthy_spans=HEALTHY), "network_delay", absent=True),
    no(
        "a round trip as ever",
        world(tracks=[track("ping_rtt_seconds", step(0.2, 0.2), "node-1", kind="node")]),
        "network_delay",
    ),
    unknown("no spans", world(CART), "network_delay"),
]


@pytest.mark.parametrize("one", CASES, ids=lambda one: f"{one.kind}: {one.name}")
def test_a_network_is_charged_where_all_that_suffers_has_it_in_common(one: Case) -> None:
    judge(one)
