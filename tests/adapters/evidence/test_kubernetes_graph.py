"""The service graph of a cluster: every edge with where it comes from."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from adapters.evidence.kubernetes.topology import graph
from bot.domain.evidence import EvidenceStatus
from investigators.queries import GraphQuery
from tests.adapters.evidence.kubernetes_world import ask, made, owned_by, pod_template
from tests.fakes.evidence import NOW
from tests.servers.kubernetes_api import KubernetesApi

Edge = tuple[str, str, str]


def service(name: str, namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    return made("Service", name, namespace, spec={"selector": {"app": name}, **spec})


def workload(name: str, kind: str = "Deployment", **spec: Any) -> dict[str, Any]:
    group = "batch/v1" if kind in ("Job", "CronJob") else "apps/v1"
    return made(kind, name, api_version=group, spec={"template": pod_template(labels={"app": name}, **spec)})


def env(name: str, value: str) -> dict[str, Any]:
    return {"container": {"env": [{"name": name, "value": value}]}}


def edges(*objects: dict[str, Any]) -> dict[Edge, dict[str, Any]]:
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for one in objects:
        by_kind.setdefault(one["kind"], []).append(one)
    return {(str(r["from"]), str(r["kind"]), str(r["to"])): dict(r) for r in graph(by_kind, 7.0) if r["to"]}


async def test_a_cluster_is_read_into_one_graph_with_origins_and_ages() -> None:
    api = KubernetesApi()
    api.serve("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes")
    web = api.put(workload("web", **env("CART_ADDR", "cart:7070")))
    api.put(
        workload(
            "cart",
            "StatefulSet",
            volumes=[{"name": "d", "persistentVolumeClaim": {"claimName": "cart-data"}}],
        )
    )
    replicas = {"ownerReferences": owned_by(web)}
    replica_set = api.put(
        made("ReplicaSet", "web-5d78c98692", api_version="apps/v1", metadata=replicas, spec={"replicas": 1})
    )
    api.put(
        made(
            "Pod",
            "web-5d78c98692-x",
            metadata={"ownerReferences": owned_by(replica_set)},
            spec={"nodeName": "n1"},
        )
    )
    api.fill([service("web"), service("cart"), service("lonely")])
    api.put(service("front", selector={"app": "web"}))
    rules = [
        {
            "host": "shop.example.org",
            "http": {"paths": [{"path": "/", "backend": {"service": {"name": "front"}}}]},
        }
    ]
    api.put(made("Ingress", "edge", api_version="networking.k8s.io/v1", spec={"rules": rules}))
    backend = [{"backendRefs": [{"name": "cart", "port": 80}]}]
    api.put(
        made(
            "HTTPRoute",
            "cart",
            api_version="gateway.networking.k8s.io/v1",
            spec={"hostnames": ["cart.example.org"], "rules": backend},
        )
    )
    evidence = await ask(api, GraphQuery())
    assert evidence.reason is None
    found = {
        (r["from"], r["kind"], r["to"], r["origin"], r["seen_at"])
        for r in evidence.records
        if r["to"] is not None
    }
    now = NOW.timestamp()
    assert found == {
        ("web", "runs_on", "web-5d78c98692-x", "owner references", now),
        ("web-5d78c98692-x", "runs_on", "n1", "pod", now),
        ("web", "calls", "cart", "configuration", None),
        ("cart", "uses", "cart-data", "volume", None),
        ("front", "routes_to", "web", "Service", None),
        ("shop.example.org", "routes_to", "front", "Ingress", None),
        ("cart.example.org", "routes_to", "cart", "HTTPRoute", None),
    }  # fmt: skip
    assert [r["from"] for r in evidence.records if r["to"] is None] == ["lonely"]
    assert evidence.manual == (
        "kubectl get services,ingresses,deployments,statefulsets,daemonsets,pods -A -o wide"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CART", "http://cart:8080/api"),
        ("CART", "http://cart"),
        ("CART", "cart:7070"),
        ("CART", "cart.shop.svc:7070"),
        ("CART", "cart.shop.svc.cluster.local:7070"),
        ("CART_HOST", "cart"),
        ("CART_SERVICE", "cart.shop"),
        ("DSN", "postgres://user:[redacted:url-password]@cart:5432/db?sslmode=off"),
        ("BROKERS", "kafka-0.example.org:9092,cart:9092"),
        ("JDBC", "jdbc:postgresql://cart:5432/shop"),
    ],
)
def test_a_variable_that_names_a_service_is_a_call(name: str, value: str) -> None:
    found = edges(workload("web", **env(name, value)), service("cart"))
    assert ("web", "calls", "cart") in found


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MODE", "cart"),
        ("NOTE", "put it into the cart"),
        ("CART_HOST", "cart.bank.svc"),
        ("CART_HOST", "cart.example.org"),
        ("CART_TIMEOUT", "5s"),
        ("AT", "12:30"),
        ("CART_URL", ""),
    ],
)
def test_a_variable_that_only_looks_like_it_is_no_call(name: str, value: str) -> None:
    found = edges(workload("web", **env(name, value)), service("cart"))
    assert ("web", "calls", "cart") not in found


def test_arguments_name_services_too() -> None:
    container = {"args": ["--redis=cart:6379", "serve"], "command": ["web", "http://ads/"]}
    found = edges(workload("web", container=container), service("cart"), service("ads"))
    assert {("web", "calls", "cart"), ("web", "calls", "ads")} <= found.keys()


@pytest.mark.parametrize(
    ("value", "host", "kind"),
    [
        ("postgres://db.example.org:5432/shop", "db.example.org", "datastore"),
        ("amqps://mq.example.org", "mq.example.org", "queue"),
        ("https://api.example.org/v1", "api.example.org", "external"),
    ],
)
def test_what_is_outside_is_known_by_its_scheme(value: str, host: str, kind: str) -> None:
    assert edges(workload("web", **env("X", value)))["web", "calls", host]["to_kind"] == kind


@pytest.mark.parametrize(
    "value", ["http://10.0.0.7:80/", "http://localhost:80/", "http://gone.shop.svc/", "http://x.local/"]
)
def test_addresses_and_names_of_the_cluster_are_not_outside(value: str) -> None:
    assert edges(workload("web", **env("X", value))) == {}


def test_a_service_of_an_outside_name_calls_it() -> None:
    found = edges(service("db", type="ExternalName", externalName="db.example.org", selector=None))
    assert found["db", "calls", "db.example.org"]["to_kind"] == "external"


def test_a_pod_whose_replica_set_was_not_read_belongs_to_the_deployment_all_the_same() -> None:
    owner = {
        "ownerReferences": [{"kind": "ReplicaSet", "name": "web-5d78c98692", "uid": "u", "controller": True}]
    }
    found = edges(made("Pod", "web-5d78c98692-x", metadata=owner, spec={"nodeName": "n1"}))
    assert ("web", "runs_on", "web-5d78c98692-x") in found


def test_a_replica_set_that_nobody_owns_keeps_its_name() -> None:
    bare = made("ReplicaSet", "web-5d78c98692", api_version="apps/v1", metadata={"uid": "u"}, spec={})
    found = edges(
        bare, made("Pod", "x", metadata={"ownerReferences": owned_by(bare)}, spec={"nodeName": "n1"})
    )
    assert ("web-5d78c98692", "runs_on", "x") in found


def test_the_claims_of_a_stateful_set_are_those_of_its_pods() -> None:
    owner = made(
        "StatefulSet", "db", api_version="apps/v1", metadata={"uid": "s"}, spec={"template": pod_template()}
    )
    claim = {"name": "data", "persistentVolumeClaim": {"claimName": "data-db-0"}}
    member = made("Pod", "db-0", metadata={"ownerReferences": owned_by(owner)}, spec={"volumes": [claim]})
    assert edges(owner, member)["db", "uses", "data-db-0"]["seen_at"] == 7.0


def test_pods_of_a_job_belong_to_its_cron_job() -> None:
    cron = made(
        "CronJob",
        "nightly",
        api_version="batch/v1",
        metadata={"uid": "c"},
        spec={"jobTemplate": {"spec": {"template": pod_template(**env("A", "http://cart/"))}}},
    )
    job = made(
        "Job",
        "nightly-281",
        api_version="batch/v1",
        metadata={"uid": "j", "ownerReferences": owned_by(cron)},
        spec={"template": pod_template()},
    )
    pod = made("Pod", "nightly-281-x", metadata={"ownerReferences": owned_by(job)}, spec={"nodeName": "n1"})
    found = edges(cron, job, pod, service("cart"))  # fmt: skip
    assert {("nightly", "runs_on", "nightly-281-x"), ("nightly", "calls", "cart")} <= found.keys()


def test_a_pod_that_is_not_scheduled_runs_nowhere() -> None:
    assert [kind for _, kind, _ in edges(made("Pod", "alone", spec={}))] == []


async def test_what_could_not_be_read_makes_the_graph_incomplete() -> None:
    api = KubernetesApi()
    api.put(workload("web"))
    api.deny("list", "ingresses.networking.k8s.io")
    evidence = await ask(api, GraphQuery())
    assert evidence.status is EvidenceStatus.OK
    assert (evidence.reason or "").startswith("may not list ingresses.networking.k8s.io: RBAC denies it")
    assert (await ask(KubernetesApi(), GraphQuery())).status is EvidenceStatus.EMPTY


async def test_asking_twice_gives_the_same_graph() -> None:
    api = KubernetesApi()
    api.fill(workload(f"w{index}", **env("X_URL", f"http://w{index + 1}/")) for index in range(20))
    api.fill(service(f"w{index}") for index in range(20))
    first, second = await ask(api, GraphQuery()), await ask(api, GraphQuery())
    assert first.records == second.records
    assert second.taken_at - first.taken_at == timedelta(0)
