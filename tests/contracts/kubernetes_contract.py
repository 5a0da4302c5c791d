"""What a source over a Kubernetes API must do, whether the server is the stand-in or a real one.

``Server`` is either: it stores objects and says how to reach it, with full rights and with none.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Protocol

from adapters.evidence.kubernetes import KubernetesCluster
from bot.domain.clock import Clock
from bot.domain.evidence import Evidence, EvidenceStatus, Window
from config.schema import KubernetesSource
from investigators.queries import ChangeQuery, GraphQuery, LogQuery, ObjectQuery, PodLogQuery, Query
from tests.contracts.evidence_contract import check_evidence_source

CANARY = "c4n4ry-hunter2-swordfish"
MANY = 620
"""More objects than one page holds."""


class Server(Protocol):
    clock: Clock

    async def put(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Store an object, with its status; returns it as stored."""
        ...

    def config(self, **options: Any) -> KubernetesSource:
        """A way in that may read everything."""
        ...

    def powerless(self) -> KubernetesSource:
        """A way in that may list no Secrets in ``shop``."""
        ...


def template(image: str, **env: str) -> dict[str, Any]:
    return {
        "metadata": {"labels": {"app": "web"}},
        "spec": {
            "containers": [
                {
                    "name": "web",
                    "image": image,
                    "args": ["--cache=cache.shop.svc:6379", "--api-token", CANARY],
                    "env": [{"name": key, "value": value} for key, value in env.items()],
                    "envFrom": [{"configMapRef": {"name": "web-settings"}}],
                }
            ]
        },
    }


def owner(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    metadata = document["metadata"]
    return [
        {
            "apiVersion": document["apiVersion"],
            "kind": document["kind"],
            "name": metadata["name"],
            "uid": metadata["uid"],
            "controller": True,
        }
    ]


async def fill(server: Server) -> None:
    """A shop: web in two revisions with a pod, a cache, a secret, settings, and a namespace full of them."""
    for namespace in ("shop", "many"):
        await server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    new = template(
        "shop/web:2", DATABASE_URL=f"postgres://web:{CANARY}@db.example.org/shop", API_TOKEN=CANARY
    )
    deployment = await server.put(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "name": "web",
                "namespace": "shop",
                "labels": {"app.kubernetes.io/name": "storefront"},
                "annotations": {
                    "kubectl.kubernetes.io/last-applied-configuration": f'{{"token":"{CANARY}"}}',
                    "example.org/password": CANARY,
                },
            },
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": new},
        }
    )
    for number, spec in ((1, template("shop/web:1", MODE="calm")), (2, new)):
        replica_set = await server.put(
            {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "metadata": {
                    "name": f"web-5d78c9869{number}",
                    "namespace": "shop",
                    "annotations": {"deployment.kubernetes.io/revision": str(number)},
                    "ownerReferences": owner(deployment),
                },
                "spec": {
                    "replicas": number - 1,
                    "selector": {"matchLabels": {"app": "web"}},
                    "template": spec,
                },
            }
        )
    await server.put(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": "web-5d78c98692-abcde",
                "namespace": "shop",
                "labels": {"app": "web"},
                "ownerReferences": owner(replica_set),
            },
            "spec": new["spec"],
            "status": {"phase": "Pending"},
        }
    )
    for name, port in (("web", 80), ("cache", 6379)):
        await server.put(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name, "namespace": "shop"},
                "spec": {"selector": {"app": name}, "ports": [{"port": port, "protocol": "TCP"}]},
            }
        )
    # "c4n4ry-hunter2-swordfish", as a server keeps it.
    value = "YzRuNHJ5LWh1bnRlcjItc3dvcmRmaXNo"
    secret = {"name": "web-keys", "namespace": "shop"}
    data = {"password": value, "ca.crt": value}
    await server.put(
        {"apiVersion": "v1", "kind": "Secret", "metadata": secret, "type": "Opaque", "data": data}
    )
    settings = {"name": "web-settings", "namespace": "shop"}
    await server.put(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": settings, "data": {"MODE": CANARY}}
    )
    for index in range(MANY):
        metadata = {"name": f"one-{index:04d}", "namespace": "many"}
        await server.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "b"}})


def window(server: Server) -> Window:
    now = server.clock.now()
    return Window(start=now - timedelta(days=2), end=now + timedelta(minutes=1))


async def check_kubernetes(server: Server) -> None:
    """Every promise of the port that does not need a kubelet."""
    span = window(server)
    async with KubernetesCluster(server.config(name="cluster"), server.clock) as cluster:
        pod = PodLogQuery(namespace="shop", pod="web-5d78c98692-abcde", container="web")
        cases: list[tuple[Query, EvidenceStatus]] = [
            (ObjectQuery(object_kind="Pod", namespace="shop"), EvidenceStatus.OK),
            (ObjectQuery(object_kind="Deployment"), EvidenceStatus.OK),
            (ObjectQuery(object_kind="Deployment", namespace="shop", name="web"), EvidenceStatus.OK),
            (ObjectQuery(object_kind="Deployment", name="web"), EvidenceStatus.OK),
            (ObjectQuery(object_kind="Deployment", namespace="shop", name="gone"), EvidenceStatus.EMPTY),
            (ObjectQuery(object_kind="Namespace", name="shop"), EvidenceStatus.OK),
            (ObjectQuery(object_kind="StatefulSet", namespace="shop"), EvidenceStatus.EMPTY),
            (ObjectQuery(object_kind="NoSuchKindAnywhere"), EvidenceStatus.EMPTY),
            (ObjectQuery(object_kind="Pod", namespace="shop/../../secrets"), EvidenceStatus.FAILED),
            (pod, EvidenceStatus.EMPTY),
            (PodLogQuery(namespace="shop", pod="gone"), EvidenceStatus.FAILED),
            (PodLogQuery(namespace="shop", pod=pod.pod, container="sidecar"), EvidenceStatus.FAILED),
            (ChangeQuery(services=("storefront",)), EvidenceStatus.OK),
            (ChangeQuery(services=("somebody-elses",)), EvidenceStatus.EMPTY),
            (GraphQuery(), EvidenceStatus.OK),
        ]
        answers = await check_evidence_source(cluster, cases, span, unanswered=LogQuery())
        for evidence in answers:
            assert CANARY not in str(evidence), evidence.query
            assert "YzRuNHJ5" not in str(evidence), evidence.query
        _check_objects(answers[0])
        _check_secrets(await cluster.ask(ObjectQuery(object_kind="Secret", namespace="shop"), span, "s"))
        _check_pages(await cluster.ask(ObjectQuery(object_kind="ConfigMap", namespace="many"), span, "s"))
        _check_changes(answers[-3])
        _check_graph(answers[-1])
    await _check_rights(server, span)


def _check_objects(evidence: Evidence) -> None:
    (pod,) = evidence.objects
    assert (pod["kind"], pod["apiVersion"]) == ("Pod", "v1")
    assert "managedFields" not in pod["metadata"]
    (container,) = pod["spec"]["containers"]
    env = {one["name"]: one["value"] for one in container["env"]}
    assert env["API_TOKEN"] == "[redacted:secret]"
    assert env["DATABASE_URL"] == "postgres://web:[redacted:url-password]@db.example.org/shop"
    assert container["args"][0] == "--cache=cache.shop.svc:6379"
    assert "Pending" in evidence.excerpt


def _check_secrets(evidence: Evidence) -> None:
    found = {one["metadata"]["name"]: one for one in evidence.objects}
    assert found["web-keys"]["data"] == {"password": "", "ca.crt": ""}
    assert found["web-keys"]["type"] == "Opaque"
    assert "ca.crt, password" in evidence.excerpt


def _check_pages(evidence: Evidence) -> None:
    names = [
        one["metadata"]["name"] for one in evidence.objects if one["metadata"]["name"] != "kube-root-ca.crt"
    ]
    assert names == [f"one-{index:04d}" for index in range(MANY)]
    assert evidence.reason is None


def _check_changes(evidence: Evidence) -> None:
    rollouts = [one for one in evidence.changes if one.id.startswith("deployment/")]
    assert [one.id for one in rollouts if one.kind == "deploy"] == [
        "deployment/shop/web@1",
        "deployment/shop/web@2",
    ]
    last = rollouts[-1]
    assert (last.service, last.before, last.after) == ("storefront", "shop/web:1", "shop/web:2")
    assert "-containers.web.image: shop/web:1\n+containers.web.image: shop/web:2" in last.diff
    assert "+containers.web.env.API_TOKEN: [redacted:secret]" in last.diff


def _check_graph(evidence: Evidence) -> None:
    edges = {(one["from"], one["kind"], one["to"]) for one in evidence.records}
    assert ("web", "calls", "cache") in edges
    assert ("web", "calls", "db.example.org") in edges
    assert ("web", "runs_on", "web-5d78c98692-abcde") in edges


async def _check_rights(server: Server, span: Window) -> None:
    async with KubernetesCluster(server.powerless(), server.clock) as cluster:
        refused = await cluster.ask(ObjectQuery(object_kind="Secret", namespace="shop"), span, "s")
        assert refused.status is EvidenceStatus.FAILED
        assert refused.reason is not None
        assert refused.reason.startswith("may not list secrets in namespace shop: RBAC denies it for ")
        assert refused.manual is not None
        assert refused.manual.startswith("kubectl auth can-i list secrets -n shop --as=")
    stranger = KubernetesSource.model_validate(
        {**server.config().model_dump(), "token": "not-the-token-of-anybody"}
    )
    async with KubernetesCluster(stranger, server.clock) as cluster:
        unknown = await cluster.ask(ObjectQuery(object_kind="Pod"), span, "s")
        assert unknown.status is EvidenceStatus.FAILED
        assert unknown.reason == "answered 401: it does not accept our credential"
