"""Addresses that are no names: who answers there, and who was given a wrong one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.domain.evidence import Change
from investigators.facts.platform.listeners import Listeners
from investigators.world.world import World
from tests.investigators.platform.build import evidence, found, step, track, world
from tests.investigators.platform.cases import Case, case, judge, no, unknown
from tests.investigators.platform.objects import NOW, app, service

KINDS = {"front": "service", "cart": "service", "orders-db": "datastore"}
REFUSED = "ERROR GET http://127.0.0.1:7001/items: [Errno 111] Connection refused"
LATE = "ERROR GET http://127.0.0.1:7001/items: timed out (1.00 s)"
EXPIRED = "https://127.0.0.1:7001/: certificate verify failed: certificate has expired (_ssl.c:992)"
FRONT = track("up", step(1, 1), "front", instance="box1:7000")
CART = track("up", step(1, 1), "cart", instance="box1:7001")
CART_DOWN = track("up", step(1, 0), "cart", instance="box1:7001")
CART_ELSEWHERE = track("up", step(1, 1), "cart", instance="box2:7001")
TABLES: Sequence[Mapping[str, Any]] = ({"pid": 7, "name": "cart"}, {"pid": 7, "port": 7001})


def plain(*texts: str, listed: Sequence[Mapping[str, Any]] = (), **more: Any) -> World:
    """No cluster; front calls cart and says this."""
    edges = more.pop("edges", [("front", "cart")])
    logs = {"front": list(texts), **more.pop("logs", {})}
    made = world(logs=logs, kinds=KINDS, edges=edges, subjects=("front",), **more)
    tables = evidence("osquery.table", "tables", empty=not listed)
    return replace(made, asked={**made.asked, "osquery.table": (replace(tables, records=tuple(listed)),)})


def config(removed: str, added: str, *, minutes: float = 6, of: str = "front") -> Change:
    diff = f"-  url: {removed}\n+  url: {added}\n"
    return Change(
        id="c1", kind="config", at=NOW - timedelta(minutes=minutes), service=of, title="Move", diff=diff
    )


CASES = [
    case("a port by its scrape", plain(REFUSED, tracks=[FRONT, CART]), "connection_refused", "cart"),
    case(
        "a port by what it said when it started",
        plain(REFUSED, logs={"cart": ["cart listening on 127.0.0.1:7001"]}, edges=[]),
        "connection_refused",
        "cart",
    ),
    case("a port by the socket table", plain(REFUSED, listed=TABLES, edges=[]), "connection_refused", "cart"),
    case(
        "an address with its port",
        plain(
            "dial tcp 10.1.2.3:7001: connect: connection refused",
            tracks=[track("up", step(1, 1), "cart", instance="10.1.2.3:7001")],
            edges=[],
        ),
        "connection_refused",
        "cart",
    ),
    case(
        "a dependency that the line names",
        plain("ERROR cart at 127.0.0.1:9999: connection refused"),
        "connection_refused",
        "cart",
    ),
    case(
        "the database on the same machine",
        plain(
            'psql: connection to server at "127.0.0.1", port 5432 failed: FATAL: sorry, too many clients '
            "already",
            edges=[("front", "orders-db")],
        ),
        "too_many_connections",
        "orders-db",
        "datastore",
    ),
    case("its certificate", plain(EXPIRED, tracks=[FRONT, CART]), "certificate_expiry", "cart"),
    case(
        "no answer, and no scrape either",
        plain(LATE, tracks=[FRONT, CART_DOWN]),
        "dependency_down",
        "cart",
        least=0.8,
        says=("the monitoring system cannot reach cart either",),
    ),
    no("no answer, and it is scraped", plain(LATE, tracks=[FRONT, CART]), "dependency_down"),
    no(
        "a line that names another port of it",
        plain(
            "ERROR cart at 127.0.0.1:9999: connection refused", logs={"cart": ["listening on 127.0.0.1:7001"]}
        ),
        "connection_refused",
    ),
    no("another machine's port", plain(REFUSED, tracks=[FRONT, CART_ELSEWHERE]), "connection_refused"),
    no("a port nobody is known to have", plain(REFUSED), "connection_refused"),
    no(
        "a name within another",
        plain("ERROR cart-archive at 127.0.0.1:9999: connection refused"),
        "connection_refused",
    ),
    case(
        "a port that a change put there",
        plain(REFUSED, tracks=[FRONT], changes=[config("http://127.0.0.1:7002/", "http://127.0.0.1:7001/")]),
        "service_port_wrong",
        "front",
        least=0.8,
    ),
    case(
        "a port that a change put in the right one's place",
        plain(
            REFUSED,
            tracks=[FRONT, track("up", step(1, 1), "cart", instance="box1:7002")],
            changes=[config("http://127.0.0.1:7002/", "http://127.0.0.1:7001/")],
        ),
        "service_port_wrong",
        "front",
        least=0.9,
        says=("cart answers at 127.0.0.1:7002",),
    ),
    case(
        "a name that a change put there",
        plain(
            "ERROR http://warehouse.invalid/items: [Errno -2] Name or service not known",
            changes=[config("http://127.0.0.1:7001/", "http://warehouse.invalid/")],
        ),
        "service_name_wrong",
        "front",
        least=0.9,
    ),
    case(
        "a name that is nearly another's",
        plain("dial tcp: lookup carrt.internal on 10.0.0.2:53: no such host"),
        "service_name_wrong",
        "front",
        least=0.8,
        says=("there is cart",),
    ),
    no(
        "a port that a change put there, where somebody is known to listen",
        plain(
            REFUSED,
            tracks=[FRONT, CART],
            changes=[config("http://127.0.0.1:7002/", "http://127.0.0.1:7001/")],
        ),
        "service_port_wrong",
        "front",
    ),
    no(
        "a port that was changed long before it failed",
        plain(
            REFUSED,
            tracks=[FRONT],
            changes=[config("http://127.0.0.1:7002/", "http://127.0.0.1:7001/", minutes=600)],
        ),
        "service_port_wrong",
        "front",
    ),
    no(
        "another service's change",
        plain(
            REFUSED,
            tracks=[FRONT],
            changes=[config("http://127.0.0.1:7002/", "http://127.0.0.1:7001/", of="cart")],
        ),
        "service_port_wrong",
        "front",
    ),
    no("a port that nothing explains", plain(REFUSED, tracks=[FRONT]), "service_port_wrong", "front"),
    no(
        "a name outside that nothing explains",
        plain("dial tcp: lookup api.example.com on 10.0.0.2:53: no such host"),
        "service_name_wrong",
        "front",
    ),
    no(
        "a name that two callers look up",
        plain(
            "dial tcp: lookup carrt.internal on 10.0.0.2:53: no such host",
            logs={"cart": ["dial tcp: lookup carrt.internal on 10.0.0.2:53: no such host"]},
        ),
        "service_name_wrong",
        "front",
    ),
    no("a log that was read whole", plain("INFO all is well"), "service_port_wrong", "front", absent=True),
    unknown(
        "a log that was cut",
        plain("INFO all is well", log_cut="the last 50000"),
        "service_port_wrong",
        "front",
    ),
]


@pytest.mark.parametrize("one", CASES, ids=[f"{one.kind}: {one.name}" for one in CASES])
def test_an_address_is_charged_to_who_answers_there_or_to_who_was_given_a_wrong_one(one: Case) -> None:
    judge(one)


def test_with_a_cluster_its_services_say_what_is_right() -> None:
    change = config("http://127.0.0.1:7002/", "http://127.0.0.1:7001/")
    one = world(service("cart"), app("cart"), logs={"front": [REFUSED]}, changes=[change], kinds=KINDS)
    assert not found(one, "service_port_wrong")


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("INFO cart listening on 127.0.0.1:7001", {7001}),
        ("Listening at: http://0.0.0.0:8000 (7)", {8000}),
        ('LOG:  listening on IPv4 address "0.0.0.0", port 5432', {5432}),
        ("server listening on [::]:8080", {8080}),
        ("Server is listening on port 3000", {3000}),
        ("Listening on :9090", {9090}),
        ("nobody is listening on it", set()),
        ("stopped at 12:30:45 while listening", set()),
    ],
)
def test_services_say_where_they_listen(text: str, ports: set[int]) -> None:
    assert set(Listeners(plain(logs={"cart": [text]})).tells("cart")) == ports


def test_two_that_share_an_address_are_neither_of_them() -> None:
    both = [track("up", [1, 1], name, instance="box1:7001") for name in ("cart", "front")]
    assert Listeners(plain(tracks=both)).at("box1", 7001) is None
