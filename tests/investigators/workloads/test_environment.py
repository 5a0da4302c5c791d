"""Environment values that lead nowhere or that the program rejects, and what a revision changed."""

from __future__ import annotations

from typing import Any

import pytest

from bot.domain.evidence import FactVerdict
from investigators.facts.workloads import revisions
from investigators.facts.workloads.endpoints import Endpoint, endpoints_in
from investigators.facts.workloads.environment import check
from tests.investigators.kube import (
    OLD_RS,
    RS,
    causes,
    container,
    deployment,
    ended,
    event,
    found,
    healthy,
    line,
    meta,
    pod,
    replica_set,
    service,
    status,
    template,
    verdict,
    waiting,
    workload,
    world_of,
)

ABSENT, FOUND, UNKNOWN = FactVerdict.ABSENT, FactVerdict.FOUND, FactVerdict.UNKNOWN
KIND = "wrong_env_value"
REDIS = service("redis-cart", ports=[{"port": 6379}])


def env(**values: str) -> Any:
    return template(container(env=[{"name": name, "value": value} for name, value in values.items()]))


def crashing(tpl: Any, **more: Any) -> Any:
    return pod(tpl, status(state=waiting("CrashLoopBackOff"), last=ended(1), restarts=4), **more)


WRONG = [
    (
        "REDIS_ADDR", "redis-crat:6379", "dial tcp: lookup redis-crat on 10.96.0.10:53: no such host",
        "there is redis-cart", 0.9,
    ),
    (
        "REDIS_URL", "redis://redis-cart:6380/0", "Error 111 connecting to redis-cart:6380. "
                                                  "Connection refused.",
        "has port 6379, not 6380", 0.9,
    ),
    (
        "REDIS_HOST", "redis", "getaddrinfo ENOTFOUND redis", "redis does not exist (there is "
                                                              "redis-cart)", 0.9,
    ),
    (
        "REDIS_ADDR", "redis-cart.shpo.svc.cluster.local:6379",
        "lookup redis-cart.shpo.svc.cluster.local: no such host", "namespace shpo has no Service", 0.75,
    ),
    (
        "DB_URL", "jdbc:postgresql://db.shop:5432/cart", "java.net.UnknownHostException: "
                                                         "db.shop", "shop/db", 0.75,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "said", "missing", "sure"), WRONG)
def test_a_value_that_leads_nowhere_is_found_with_the_programs_words(
    name: str, value: str, said: str, missing: str, sure: float
) -> None:
    world = world_of(crashing(env(**{name: value})), REDIS, lines=[line(said)])
    fact = found(check, KIND, world)
    assert name in fact.detail
    assert missing in fact.detail
    assert fact.confidence >= sure


def test_a_value_that_leads_somewhere_is_no_fault_when_that_is_down() -> None:
    """The name and the port are right: that the other side refuses is its own fault."""
    tpl = env(REDIS_ADDR="redis-cart:6379", BIND_ADDR="0.0.0.0:8080", MODE="cluster", HOST="cart-0")
    world = world_of(crashing(tpl), REDIS, lines=[line("dial tcp redis-cart:6379: connection refused")])
    assert verdict(check, KIND, world) is ABSENT


def test_a_name_outside_the_cluster_is_not_judged() -> None:
    tpl = env(API_URL="https://api.example.com/v1", STATSD_HOST="10.0.0.7")
    world = world_of(crashing(tpl), REDIS, lines=[line("timeout connecting to api.example.com")])
    assert verdict(check, KIND, world) is ABSENT


def test_a_slip_of_the_pen_is_found_without_a_log() -> None:
    fact = found(check, KIND, world_of(crashing(env(REDIS_ADDR="redis-crat:6379")), REDIS))
    assert "(there is redis-cart)" in fact.detail
    assert fact.confidence >= 0.7


def test_services_that_could_not_be_read_prove_nothing() -> None:
    tpl = env(REDIS_ADDR="redis-crat:6379")
    world = world_of(
        crashing(tpl), failed={"Service": "403 Forbidden"}, lines=[line("no such host: redis-crat")]
    )
    assert verdict(check, KIND, world) is UNKNOWN
    assert verdict(check, KIND, world_of(healthy(env(A="b")), REDIS, logs="failed")) is UNKNOWN


REJECTED = [
    ("LOG_LEVEL", "verbos", "Error: invalid log level 'verbos'"),
    ("WORKERS", "many", "ValueError: invalid literal for int() with base 10: 'many'"),
    (
        "CACHE_TTL",
        "5 minutes",
        'time: unknown unit " minutes" in duration; cannot parse CACHE_TTL "5 minutes"',
    ),
    ("MAX_POOL", "abc", "MAX_POOL must be a positive number"),
    ("TRACE_SAMPLER", "sometimes", 'java.lang.NumberFormatException: For input string: "sometimes"'),
]


@pytest.mark.parametrize(("name", "value", "text"), REJECTED)
def test_a_value_that_the_program_rejects_is_found(name: str, value: str, text: str) -> None:
    fact = found(check, KIND, world_of(crashing(env(**{name: value})), lines=[line(text)]))
    assert f"{name}={value}" in fact.detail
    assert fact.confidence >= 0.75


def test_a_complaint_about_something_else_is_no_wrong_value() -> None:
    tpl = env(LOG_LEVEL="info", PORT="8080", MODE="prod")
    texts = ["invalid request: 'info' is no field", "invalid token at 8080", "unknown user in prod"]
    world = world_of(crashing(tpl), lines=[line(text) for text in texts])
    assert verdict(check, KIND, world) is ABSENT


def test_a_complaint_of_a_program_that_works_counts_less() -> None:
    tpl = env(TRACE_SAMPLER="sometimes")
    world = world_of(healthy(tpl), lines=[line("invalid sampler 'sometimes', using default")])
    assert found(check, KIND, world).confidence <= 0.6


def rolled(tpl: Any, before: Any, *more: Any, **kw: Any) -> list[Any]:
    top = deployment(tpl)
    old = replica_set(before, name=OLD_RS, of=top, revision=1, replicas=1, age=60 * 24)
    new = replica_set(tpl, of=top, **kw)
    return [top, old, new, *more]


def test_new_pods_that_fail_beside_old_ones_that_do_not_show_what_the_environment_did() -> None:
    tpl, before = env(FEATURE_X="on"), env(FEATURE_X="off")
    objects = rolled(tpl, before)
    bad = crashing(tpl, owner=objects[2])
    good = healthy(before, owner=objects[1], name=f"{OLD_RS}-aaaaa")
    fact = found(check, KIND, world_of(*objects, bad, good))
    assert "FEATURE_X=on (before off)" in fact.detail
    both = crashing(before, owner=objects[1], name=f"{OLD_RS}-aaaaa")
    assert verdict(check, KIND, world_of(*objects, bad, both, lines=[line("ok")])) is ABSENT


def test_the_value_before_is_shown() -> None:
    objects = rolled(env(REDIS_ADDR="redis-new:6379"), env(REDIS_ADDR="redis-cart:6379"))
    bad = crashing(env(REDIS_ADDR="redis-new:6379"), owner=objects[2])
    assert "(before redis-cart:6379)" in found(check, KIND, world_of(*objects, bad, REDIS)).detail


def test_a_password_in_a_url_is_not_shown() -> None:
    tpl = env(DB_URL="postgres://cart:hunter2@db-wrong:5432/cart")
    world = world_of(crashing(tpl), REDIS, lines=[line("could not connect to db-wrong:5432")])
    assert "hunter2" not in found(check, KIND, world).detail


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("A_URL", "http://user:pw@cart.shop.svc:8080/x", [("cart.shop.svc", 8080)]),
        ("B_URL", "https://cart", [("cart", 443)]),
        ("C", "kafka-0:9092,kafka-1:9092", [("kafka-0", 9092), ("kafka-1", 9092)]),
        ("REDIS_HOST", "redis", [("redis", None)]),
        ("GREETING", "hello", []),
        ("TIME", "12:30:00", []),
        ("BIND_ADDR", "cart:8080", []),
        ("X_HOST", "localhost", []),
        ("X_HOST", "true", []),
        ("IMAGE", "registry.example/cart:1234", []),
    ],
)
def test_where_a_value_points_is_read_from_it(
    name: str, value: str, expected: list[tuple[str, int | None]]
) -> None:
    assert list(endpoints_in(name, value)) == [Endpoint(host=host, port=port) for host, port in expected]


def test_what_a_new_revision_changed_is_said() -> None:
    new = template(
        container(image="cart:2", env=[{"name": "A", "value": "2"}], resources={"limits": {"cpu": "1"}})
    )
    old = template(
        container(image="cart:1", env=[{"name": "A", "value": "1"}], resources={"limits": {"cpu": "2"}})
    )
    world = world_of(*rolled(new, old, age=12))
    deploy, config = (found(revisions.check, kind, world) for kind in ("recent_deploy", "config_changed"))
    assert "app.image cart:1 → cart:2" in deploy.detail
    assert "app.env A 1 → 2" in config.detail
    assert "app.resources.limits.cpu 2 → 1" in config.detail
    assert "before the alert began" in config.detail
    assert {fault.weight for fault in revisions.FAULTS.values()} == {0.0}


def test_a_new_image_alone_is_no_change_of_configuration() -> None:
    world = world_of(
        *rolled(template(container(image="cart:2")), template(container(image="cart:1")), age=12)
    )
    assert verdict(revisions.check, "recent_deploy", world) is FOUND
    assert verdict(revisions.check, "config_changed", world) is ABSENT


def test_a_roll_out_of_yesterday_is_not_recent() -> None:
    world = world_of(*rolled(env(A="2"), env(A="1"), age=60 * 20))
    assert not causes(revisions.check(world))
    assert verdict(revisions.check, "recent_deploy", world) is ABSENT


def test_the_first_revision_changed_nothing() -> None:
    top = deployment()
    assert not causes(revisions.check(world_of(top, replica_set(of=top, revision=1, age=12))))


def test_a_rollback_is_dated_by_its_scaling() -> None:
    marks = {"deployment.kubernetes.io/revision-history": "1"}
    objects = rolled(env(A="2"), env(A="1"), age=60 * 24 * 9, annotations=marks)
    assert verdict(revisions.check, "recent_deploy", world_of(*objects)) is ABSENT
    for said in (f"Scaled up replica set {RS} to 1", f"Scaled up replica set {RS} from 0 to 1"):
        scaled = event(objects[0], "ScalingReplicaSet", said, kind="Normal", last=12)
        assert verdict(revisions.check, "recent_deploy", world_of(*objects, scaled)) is FOUND


def kept(of: Any, name: str, revision: int, tpl: Any, age: float) -> Any:
    """A ControllerRevision."""
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": meta(name, age=age, owner=of),
        "revision": revision,
        "data": {"spec": {"template": {"$patch": "replace", **tpl}}},
    }


@pytest.mark.parametrize(("kind", "mark"), [("StatefulSet", "cart-6d5f7c9b8"), ("DaemonSet", "6d5f7c9b8")])
def test_revisions_of_stateful_and_daemon_sets_are_compared_too(kind: str, mark: str) -> None:
    tpl, before = env(FEATURE_X="on"), env(FEATURE_X="off")
    top = workload(kind, "cart", tpl)
    new, old = kept(top, "cart-6d5f7c9b8", 2, tpl, 12), kept(top, "cart-5b4c7d9f6", 1, before, 9000)
    bad = crashing(tpl, owner=top, name="cart-1")
    bad["metadata"]["labels"] = {"controller-revision-hash": mark}
    good = healthy(before, owner=top, name="cart-0")
    good["metadata"]["labels"] = {"controller-revision-hash": mark.replace("6d5f7c9b8", "5b4c7d9f6")}
    world = world_of(top, new, old, bad, good)
    assert "FEATURE_X off → on" in found(revisions.check, "config_changed", world).detail
    assert "FEATURE_X=on (before off)" in found(check, KIND, world).detail
    back = kept(top, "cart-6d5f7c9b8", 2, tpl, 9999)
    assert verdict(revisions.check, "config_changed", world_of(top, back, old)) is ABSENT


@pytest.mark.parametrize("kind", ["recent_deploy", "config_changed"])
def test_revisions_that_could_not_be_read_are_unknown(kind: str) -> None:
    world = world_of(healthy(), failed={"ReplicaSet": "timeout"})
    assert verdict(revisions.check, kind, world) is UNKNOWN
