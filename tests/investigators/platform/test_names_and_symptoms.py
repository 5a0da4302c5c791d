"""What a host name stands for, which lines complain, and whose complaint counts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bot.domain.evidence import FactVerdict
from investigators.facts.platform.catalogue import FAULTS
from investigators.facts.platform.names import hosts_in
from investigators.facts.platform.patterns import PATTERNS
from investigators.facts.platform.scene import Scene
from investigators.facts.platform.similar import likeness, nearest
from tests.investigators.platform.build import counter, facts, found, line, track, world
from tests.investigators.platform.objects import app, namespace, node, service, thing

SHOP = world(
    service("cart", ip="10.96.5.5"),
    app("cart", ip="10.244.7.7"),
    service("pay", {}, type="ExternalName", externalName="api.stripe.com"),
    service("ledger-svc", {"app": "ledger"}),
    app("ledger"),
    service("db", namespace="data"),
    app("db", namespace="data"),
    namespace("data"),
    namespace("shop"),
    node("node-1"),
    kinds={"cart": "service", "ledger": "service", "orders-db": "datastore"},
)
NAMES = Scene(SHOP).names
REFUSED = "dial tcp 10.96.5.5:80: connect: connection refused"


@pytest.mark.parametrize(
    ("host", "name", "kind"),
    [
        ("cart", "cart", "service"),
        ("cart.shop", "cart", "service"),
        ("cart.shop.svc", "cart", "service"),
        ("CART.shop.svc.cluster.local.", "cart", "service"),
        ("cart-0.cart.shop.svc.cluster.local", "cart", "service"),
        ("10.96.5.5", "cart", "service"),
        ("10.244.7.7", "cart", "service"),
        ("192.168.1.5", "node-1", "node"),
        ("ledger-svc", "ledger", "service"),
        ("db.data", "db", "service"),
        ("orders-db", "orders-db", "datastore"),
        ("pay", "pay", "external"),
        ("api.stripe.com", "api.stripe.com", "external"),
        ("54.187.1.1", "54.187.1.1", "external"),
    ],
)
def test_a_host_stands_for_the_object_behind_it(host: str, name: str, kind: str) -> None:
    callee = NAMES.resolve(host, "shop")
    assert callee is not None
    assert (callee.name, callee.kind) == (name, kind)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "10.99.99.99", "::1"])
def test_a_host_that_nobody_can_place_stands_for_nothing(host: str) -> None:
    assert NAMES.resolve(host, "shop") is None


@pytest.mark.parametrize(
    ("variable", "value", "hosts"),
    [
        ("CART_ADDR", "cart:7070", [("cart", 7070)]),
        ("X", "http://cart.shop.svc:80/api?x=1", [("cart.shop.svc", 80)]),
        ("DATABASE_URL", "postgres://app:***@db.data:5432/shop?sslmode=disable", [("db.data", 5432)]),
        (
            "BROKERS",
            "kafka-0.kafka:9092,kafka-1.kafka:9092",
            [("kafka-0.kafka", 9092), ("kafka-1.kafka", 9092)],
        ),
        ("REDIS_HOST", "redis", [("redis", None)]),
        ("LOG_LEVEL", "debug", []),
        ("GREETING", "hello dear shop", []),
        ("TIMEOUT", "30", []),
        ("OTEL_SERVICE_NAME", "cart", []),
    ],
)
def test_hosts_are_read_from_values_that_name_some(variable: str, value: str, hosts: list[object]) -> None:
    assert list(hosts_in(variable, value)) == hosts


def test_names_are_alike_when_a_person_would_mix_them_up() -> None:
    assert nearest("crat", ["cart", "front", "mail"]) == "cart"
    assert nearest("cart-service", ["cart", "card-reader"]) == "cart"
    assert nearest("billing", ["cart", "front", "mail"]) is None
    assert likeness("orders", "orders-db") > likeness("orders", "stock")


def test_what_was_so_well_before_the_onset_is_no_symptom_of_it() -> None:
    steady = [line(REFUSED, service="front", minutes=minutes) for minutes in range(1, 60, 2)]
    fresh = [line(REFUSED, service="front", minutes=minutes / 2) for minutes in range(1, 12)]
    objects = [service("cart", ip="10.96.5.5"), *app("cart")]
    calm = [line("GET / 200", service="front", minutes=59)]
    assert not found(world(objects, lines=[*calm, *steady]), "connection_refused")
    assert found(world(objects, lines=[*calm, *fresh]), "connection_refused")


def test_a_usual_complaint_about_one_hides_no_new_one_about_another() -> None:
    noise = "dial tcp: connect to metrics:4317: connect: connection refused"
    objects = [service("cart", ip="10.96.5.5"), *app("cart"), service("metrics"), *app("metrics")]
    of = world(objects, logs={"front": [noise, REFUSED]}, healthy_logs={"front": [noise] * 9})
    assert set(found(of, "connection_refused")) == {("service", "cart")}


def test_a_flood_of_the_same_complaint_counts_every_caller_and_stays_one_fact() -> None:
    objects = [service("cart", ip="10.96.5.5"), *app("cart")]
    lines = [line(REFUSED, service=f"caller-{index % 4}") for index in range(2_000)]
    facts_of = [fact for fact in facts(world(objects, lines=lines)) if fact.kind == "connection_refused"]
    assert [fact.subject for fact in facts_of if fact.verdict is FactVerdict.FOUND] == ["cart"]
    assert "and 1 more" in facts_of[0].detail


def test_every_needle_says_something_in_lower_case() -> None:
    needles = [needle for pattern in PATTERNS for needle in pattern.needles]
    assert all(len(needle) >= 3 and needle == needle.lower() for needle in needles)


def test_without_kubernetes_logs_and_metrics_nothing_is_said_at_all() -> None:
    bare = world()
    assert facts(type(bare)(**{**_fields(bare), "asked": {}})) == []


def test_the_same_world_gives_the_same_facts() -> None:
    assert facts(SHOP) == facts(SHOP)


def test_every_kind_is_in_the_catalogue_and_explains_neither_itself_nor_its_causes() -> None:
    for kind, fault in FAULTS.items():
        assert fault.title
        assert 0 <= fault.weight <= 1
        assert kind not in fault.explains, kind
        assert fault.weight == 0 or fault.steps or fault.weight <= 0.4, kind
        for other in fault.explains & FAULTS.keys():
            assert kind not in FAULTS[other].explains, (kind, other)


@pytest.mark.parametrize(
    "broken",
    [
        lambda: world(service("cart", {"app": "cart"}, ports=[]), app("cart")),
        lambda: world(service("cart", ports=[{"port": 80}]), app("cart", ports=())),
        lambda: world(thing("networking.k8s.io/v1", "Ingress", "odd", spec={"rules": [{"host": "x"}]})),
        lambda: world(thing("networking.k8s.io/v1", "NetworkPolicy", "odd", spec={}), app("cart")),
        lambda: world(thing("gateway.networking.k8s.io/v1", "HTTPRoute", "odd", spec={"rules": [{}]})),
        lambda: world(thing("networking.istio.io/v1", "VirtualService", "odd", spec={"http": [{}]})),
        lambda: world(thing("autoscaling/v2", "HorizontalPodAutoscaler", "odd", spec={}, status={})),
        lambda: world(thing("v1", "Node", "odd", namespace="")),
        lambda: world(thing("v1", "Pod", "odd")),
        lambda: world(thing("apps/v1", "Deployment", "odd")),
        lambda: world(thing("v1", "Service", "odd")),
        lambda: world(thing("v1", "Event", "odd")),
        lambda: world(
            tracks=[track("up", [], "cart"), track("pg_up", [], "db"), track("x_latency", [], "cart")]
        ),
        lambda: world(tracks=[track("container_memory_working_set_bytes", [], "cart", pod="p")]),
        lambda: world(tracks=[track("etcd_mvcc_db_total_size_in_bytes", counter(0, 0, samples=1), "etcd")]),
    ],
)
def test_objects_and_series_with_nothing_in_them_break_no_rule(broken: Callable[[], object]) -> None:
    assert isinstance(facts(broken()), list)  # type: ignore[arg-type]


def _fields(of: object) -> dict[str, object]:
    return {name: getattr(of, name) for name in of.__dataclass_fields__}  # type: ignore[attr-defined]
