"""What services depend on, judged by what their logs, spans and metrics say of it."""

from __future__ import annotations

import pytest

from tests.investigators.platform.build import call, found, line, span, step, track, world
from tests.investigators.platform.cases import Case, case, judge, no, unknown
from tests.investigators.platform.objects import app, service

SHOP = [
    service("cart", ip="10.96.5.5"),
    *app("cart", ip="10.244.7.7"),
    service("front", ip="10.96.6.6"),
    *app("front"),
    service("redis", port=6379, target=6379, ip="10.96.8.8"),
    *app("redis", image="redis:7", ports=[6379]),
]
CALLS_CART = {
    "Go by address": "dial tcp 10.96.5.5:80: connect: connection refused",
    "Go by pod address": "dial tcp 10.244.7.7:8080: connect: connection refused",
    "Go gRPC": "rpc error: code = Unavailable desc = connection error: desc = "
    '"transport: Error while dialing: '
    'dial tcp 10.96.5.5:80: connect: connection refused"',
    "Go by name": 'Get "http://cart:80/api": dial tcp 10.96.5.5:80: connect: connection refused',
    "Java": "java.net.ConnectException: Connection refused: cart/10.96.5.5:80",
    "Apache client": "Connect to cart:80 [cart/10.96.5.5] failed: Connection refused (Connection refused)",
    "Spring": 'I/O error on GET request for "http://cart:80/items": Connection refused',
    "Python": "HTTPConnectionPool(host='cart', port=80): Max retries exceeded with url: / (Caused by "
    "NewConnectionError('<urllib3.connection.HTTPConnection object at 0x7f>: Failed to establish a "
    "new connection: "
    "[Errno 111] Connection refused'))",
    "Node": "Error: connect ECONNREFUSED 10.96.5.5:80",
    "nginx": "2026/03/01 11:55:00 [error] 29#29: *1 connect() failed (111: Connection refused) "
    "while connecting to "
    'upstream, client: 10.244.1.1, server: , request: "GET / HTTP/1.1", upstream: "http://10.96.5.5:80/", '
    'host: "shop.example"',
    "C++ gRPC": "failed to connect to all addresses; last error: UNKNOWN: ipv4:10.96.5.5:80: Failed "
    "to connect to "
    "remote host: Connection refused",
    "curl": "curl: (7) Failed to connect to cart port 80: Connection refused",
    "a DNS name": 'Post "http://cart.shop.svc.cluster.local:80/": dial tcp: connect: connection refused',
}
REFUSED = CALLS_CART["Go by address"]
TIMEOUTS = {
    "Go": 'Get "http://cart:80/api": context deadline exceeded '
    "(Client.Timeout exceeded while awaiting headers)",
    "Python": "HTTPConnectionPool(host='cart', port=80): Read timed out. (read timeout=5)",
    "nginx": "upstream timed out (110: Operation timed out) while reading response header from "
    "upstream, client: "
    '10.244.1.1, server: , request: "GET / HTTP/1.1", upstream: "http://10.96.5.5:80/", host: "shop"',
    "Java": 'I/O error on GET request for "http://cart:80/": Read timed out; nested exception is '
    "java.net.SocketTimeoutException: Read timed out",
}
CASES = [
    *[
        case(f"as {who} writes it", world(SHOP, logs={"front": [text]}), "connection_refused")
        for who, text in CALLS_CART.items()
    ],
    case(
        "two callers are surer",
        world(SHOP, logs={"front": [REFUSED], "web": [REFUSED]}),
        "connection_refused",
        least=0.7,
    ),
    no(
        "a refusal of an hour ago",
        world(SHOP, lines=[line(REFUSED, service="front", minutes=50)]),
        "connection_refused",
    ),
    no(
        "a refusal by itself, on its own machine",
        world(SHOP, logs={"cart": ["dial tcp 127.0.0.1:9090: connect: connection refused"]}),
        "connection_refused",
    ),
    no(
        "a refusal that a healthy time shows as well",
        world(SHOP, logs={"front": [REFUSED]}, healthy_logs={"front": [REFUSED] * 5}),
        "connection_refused",
    ),
    no(
        "a log that says it is not so",
        world(SHOP, logs={"cart": ["no connection was refused today"]}),
        "connection_refused",
    ),
    no("nobody complains", world(SHOP, logs={"cart": ["GET / 200"]}), "connection_refused", absent=True),
    unknown(
        "a log that was cut", world(SHOP, logs={"cart": ["GET / 200"]}, log_cut="cut"), "connection_refused"
    ),
    unknown("no log at all", world(SHOP), "connection_refused"),
    case(
        "it has no ready pod",
        world(
            service("cart", ip="10.96.5.5"), app("cart", ready=False), app("front"), logs={"front": [REFUSED]}
        ),
        "dependency_down",
        least=0.8,
        says=("none of the pods",),
    ),
    case(
        "no host route",
        world(SHOP, logs={"front": ["java.net.NoRouteToHostException: No route to host: cart/10.96.5.5:80"]}),
        "dependency_down",
    ),
    case(
        "without a cluster, by name alone",
        world(logs={"front": [CALLS_CART["Spring"]]}, kinds={"cart": "service"}),
        "dependency_down",
    ),
    case(
        "a datastore of the graph",
        world(
            logs={
                "front": [
                    "psycopg2.OperationalError: connection to server at "
                    '"orders-db" (10.1.2.3), port 5432 failed: Connection refused'
                ]
            },
            kinds={"orders-db": "datastore"},
        ),
        "dependency_down",
        "orders-db",
        "datastore",
    ),
    *[
        case(
            f"the last words of {technology}",
            world(
                logs={"front": [text]},
                kinds={f"orders-{technology}": "datastore", "front": "service"},
                edges=[("front", f"orders-{technology}")],
            ),
            "dependency_down",
            f"orders-{technology}",
            "datastore",
        )
        for technology, text in {
            "mysql": "(2006, 'MySQL server has gone away')",
            "postgres": "psycopg2.OperationalError: server closed the connection unexpectedly",
            "postgresql": "FATAL:  the database system is shutting down",
            "redis": "LOADING Redis is loading the dataset in memory",
            "kafka": "kafka: client has run out of available brokers to talk to",
        }.items()
    ],
    case(
        "a client that names no host, with one such dependency",
        world(
            logs={"front": ["redis.exceptions.ConnectionError: Connection refused."]},
            kinds={"sessions-redis": "datastore", "front": "service"},
            edges=[("front", "sessions-redis")],
        ),
        "dependency_down",
        "sessions-redis",
        "datastore",
    ),
    case(
        "an exporter that cannot reach it",
        world(tracks=[track("pg_up", step(1, 0), "orders-db")], kinds={"orders-db": "datastore"}),
        "dependency_down",
        "orders-db",
        "datastore",
    ),
    case(
        "spans that fail without an answer",
        world(
            spans=[
                span(f"t{n}", "c", "front", kind="client", error=True, peer="cart", ms=1) for n in range(9)
            ],
            kinds={"cart": "service"},
        ),
        "dependency_down",
    ),
    case(
        "spans that name a whole address",
        world(
            spans=[
                span(f"t{n}", "c", "front", kind="client", error=True, peer="http://cart:80/api", ms=1)
                for n in range(9)
            ],
            kinds={"cart": "service"},
        ),
        "dependency_down",
    ),
    no(
        "an exporter that never reached it",
        world(tracks=[track("pg_up", [0] * 60, "orders-db")]),
        "dependency_down",
    ),
    no("a slow answer is no outage", world(SHOP, logs={"front": [TIMEOUTS["Python"]]}), "dependency_down"),
    no("its own log names no one", world(SHOP, logs={"cart": ["GET / 200"]}), "dependency_down", absent=True),
    unknown("no log", world(SHOP), "dependency_down"),
    *[
        case(f"as {who} writes it", world(SHOP, logs={"front": [text]}), "dependency_slow")
        for who, text in TIMEOUTS.items()
    ],
    case(
        "spans that take longer than in a healthy time",
        world(
            spans=[span(f"t{n}", "c", "cart", kind="client", peer="orders-db", ms=900) for n in range(9)],
            healthy_spans=[
                span(f"h{n}", "c", "cart", kind="client", peer="orders-db", ms=9) for n in range(9)
            ],
            kinds={"orders-db": "datastore"},
        ),
        "dependency_slow",
        "orders-db",
        "datastore",
    ),
    no(
        "spans as in a healthy time",
        world(
            spans=[span(f"t{n}", "c", "cart", kind="client", peer="orders-db", ms=9) for n in range(9)],
            healthy_spans=[
                span(f"h{n}", "c", "cart", kind="client", peer="orders-db", ms=9) for n in range(9)
            ],
        ),
        "dependency_slow",
    ),
    no(
        "a timeout that names nobody",
        world(SHOP, logs={"cart": ["context deadline exceeded"]}),
        "dependency_slow",
    ),
    no("nothing is slow", world(SHOP, logs={"cart": ["took 3ms"]}), "dependency_slow", absent=True),
    unknown("a cut log", world(SHOP, logs={"cart": ["took 3ms"]}, log_cut="cut"), "dependency_slow"),
    case(
        "a 503 of it",
        world(SHOP, logs={"front": ["GET http://cart:80/api: 503 Service Unavailable"]}),
        "upstream_degraded",
    ),
    case(
        "an Envoy access log",
        world(
            SHOP,
            logs={
                "front": [
                    '[2026-03-01T11:55:00Z] "GET /cart HTTP/1.1" 503 UH no_healthy_upstream - "-" 0 19 '
                    '0 - "-" '
                    '"curl/8" "7f1" "cart" "-" outbound|80||cart.shop.svc.cluster.local - 10.96.5.5:80 -'
                ]
            },
        ),
        "upstream_degraded",
    ),
    case(
        "spans of two callers that fail",
        world(
            spans=[
                *call("front", "cart", client=3, server=2, error=True),
                *call("web", "cart", client=3, server=2, error=True),
            ]
        ),
        "upstream_degraded",
        least=0.7,
    ),
    no("spans that do not fail", world(spans=call("front", "cart", client=3, server=2)), "upstream_degraded"),
    no(
        "spans that fail as they always do",
        world(
            spans=call("front", "cart", client=3, server=2, error=True),
            healthy_spans=call("front", "cart", client=3, server=2, error=True),
        ),
        "upstream_degraded",
    ),
    no("no complaint", world(SHOP, logs={"cart": ["fine"]}), "upstream_degraded", absent=True),
    unknown("no log of it", world(SHOP), "upstream_degraded"),
    case(
        "the cache refuses",
        world(
            SHOP,
            logs={
                "cart": [
                    "redis.exceptions.ConnectionError: Error 111 connecting to redis:6379. "
                    "Connection refused."
                ]
            },
        ),
        "cache_down",
        "redis",
    ),
    case(
        "by address",
        world(SHOP, logs={"cart": ["dial tcp 10.96.8.8:6379: connect: connection refused"]}),
        "cache_down",
        "redis",
    ),
    case(
        "its exporter says so", world(tracks=[track("redis_up", step(1, 0), "redis")]), "cache_down", "redis"
    ),
    no("a database is no cache", world(SHOP, logs={"front": [REFUSED]}), "cache_down"),
    no("nothing of the kind", world(SHOP, logs={"cart": ["fine"]}), "cache_down", absent=True),
    unknown("no log to see it in", world(SHOP), "cache_down"),
    case(
        "one provider outside fails",
        world(
            SHOP,
            logs={
                "cart": ['Post "https://api.stripe.com/v1/charges": dial tcp 54.187.1.1:443: i/o timeout'] * 2
            },
        ),
        "external_outage",
        "api.stripe.com",
        "external",
        least=0.7,
    ),
    case(
        "a status in words",
        world(SHOP, logs={"cart": ["POST https://api.stripe.com/v1/charges returned 503"] * 2}),
        "external_outage",
        "api.stripe.com",
        "external",
    ),
    no("a Service is not outside", world(SHOP, logs={"front": [REFUSED]}), "external_outage"),
    no("nothing outside fails", world(SHOP, logs={"cart": ["fine"]}), "external_outage", absent=True),
    unknown("an unread log", world(SHOP), "external_outage"),
    case(
        "429 of a provider",
        world(SHOP, logs={"cart": ["HTTP 429 Too Many Requests from https://api.stripe.com/v1/charges"]}),
        "rate_limited",
        "api.stripe.com",
        "external",
    ),
    case(
        "nobody named",
        world(SHOP, logs={"cart": ["openai.RateLimitError: Rate limit reached for requests"]}),
        "rate_limited",
        "cart",
    ),
    no(
        "a setting is no refusal",
        world(SHOP, logs={"cart": ["rate limit set to 100 requests per second"]}),
        "rate_limited",
        absent=True,
    ),
    no("an order number", world(SHOP, logs={"cart": ["order 429 failed validation"]}), "rate_limited"),
    unknown("its log is not there", world(SHOP), "rate_limited"),
    case("the scrape fails since", world(SHOP, tracks=[track("up", step(1, 0), "cart")]), "target_down"),
    no("the scrape works", world(SHOP, tracks=[track("up", step(1, 1), "cart")]), "target_down"),
]


@pytest.mark.parametrize("one", CASES, ids=lambda one: f"{one.kind}: {one.name}")
def test_what_callers_say_is_charged_to_what_they_call(one: Case) -> None:
    judge(one)


def test_the_common_callee_of_many_is_charged_and_none_of_them() -> None:
    of = world(SHOP, logs={"front": [REFUSED], "web": [REFUSED], "mail": [REFUSED]})
    assert {name for kind in ("dependency_down", "connection_refused") for _, name in found(of, kind)} == {
        "cart"
    }


def test_a_provider_is_less_surely_to_blame_when_others_outside_fail_too() -> None:
    texts = [
        f'Get "https://{host}/": dial tcp 5.6.7.8:443: i/o timeout' for host in ("a.example", "b.example")
    ]
    alone = found(world(SHOP, logs={"cart": texts[:1] * 2}), "external_outage")["external", "a.example"]
    together = found(world(SHOP, logs={"cart": texts * 2}), "external_outage")["external", "a.example"]
    assert together.confidence < alone.confidence
