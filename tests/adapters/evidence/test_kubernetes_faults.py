"""Every way in which an API server can fail to answer becomes evidence with a reason, never an exception."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from adapters.evidence.kubernetes import KubernetesCluster
from bot.domain.errors import Unavailable
from bot.domain.evidence import EvidenceStatus
from config.schema import KubernetesSource
from investigators.queries import ChangeQuery, GraphQuery, ObjectQuery, PodLogQuery, Query
from tests.adapters.evidence.kubernetes_world import (
    PODS,
    WINDOW,
    ask,
    asked,
    cluster,
    made,
    pod,
)
from tests.fakes.evidence import FixedClock
from tests.servers.kubernetes_api import KubernetesApi
from tests.servers.kubernetes_replies import Fault, answering, dropping, hanging, status
from tests.servers.ports import free_port

QUERIES: list[Query] = [
    PODS,
    ObjectQuery(object_kind="Pod", namespace="shop", name="web-1"),
    ObjectQuery(object_kind="Kustomization"),
    PodLogQuery(namespace="shop", pod="web-1"),
    ChangeQuery(),
    GraphQuery(),
]
TABLE = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {}, "columnDefinitions": [], "rows": []}


def refusing(code: int, reason: str, message: str) -> Fault:
    async def fault(request: web.Request) -> web.StreamResponse:
        return status(code, reason, message)

    return fault


async def redirecting(request: web.Request) -> web.StreamResponse:
    if request.path == "/login":
        return web.Response(text="<html>Sign in</html>", content_type="text/html")
    raise web.HTTPFound("/login")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (
            answering("<html>Sign in</html>", content_type="text/html"),
            "text/html that is not the Kubernetes API",
        ),
        (answering("{oops"), "broken JSON"),
        (answering("", 502, "text/plain"), "answered 502 with text/plain that is not the Kubernetes API"),
        (answering("<html>", 403, "text/html"), "answered 403 with text/html that is not the Kubernetes API"),
        (answering([1, 2]), "answered with list instead of a list of pods"),
        (answering({"kind": "PodList"}), "answered with PodList instead of a list of pods"),
        (answering({"kind": "PodList", "items": [1]}), "pods that are no objects"),
        (answering({"kind": "PodList", "items": {"a": 1}}), "answered with PodList instead"),
        (answering(TABLE), "answered with Table instead of a list of pods"),
        (redirecting, "a redirect, probably to a login page"),
        (
            refusing(500, "InternalError", "etcdserver: leader changed"),
            "500 InternalError: etcdserver: leader changed",
        ),
        (refusing(429, "TooManyRequests", "too many requests"), "answered 429: too many requests"),
        (refusing(401, "Unauthorized", "Unauthorized"), "answered 401: it does not accept our credential"),
        (refusing(410, "Expired", "too old resource version"), "too old resource version"),
        (answering("404 page not found", 404, "text/plain"), "does not know pods"),
        (dropping, "cannot reach the API server: ClientPayloadError"),
    ],
)
async def test_a_server_that_does_not_answer_as_it_should_is_a_gap(fault: Fault, reason: str) -> None:
    api = KubernetesApi()
    api.put(pod())
    api.misbehave("/pods", fault)
    evidence = await ask(api, PODS)
    assert evidence.status is EvidenceStatus.FAILED
    assert reason in (evidence.reason or "")
    assert evidence.manual == "kubectl get pods -A -o wide"


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.kind)
@pytest.mark.parametrize(
    "fault",
    [
        answering("<html>Sign in</html>", content_type="text/html"),
        answering("{oops"),
        answering([1, 2]),
        answering("null"),
        answering(TABLE),
        answering({"kind": "Status", "metadata": [1], "message": {"a": 1}}, 403),
        answering({"kind": "APIGroupList", "groups": [{"name": 1}, None], "items": [{"metadata": 7}]}),
        dropping,
    ],
)
async def test_no_question_survives_a_broken_server_as_an_exception_or_as_nothing_found(
    query: Query, fault: Fault
) -> None:
    api = KubernetesApi()
    api.misbehave("/", fault)
    evidence = await ask(api, query)
    assert evidence.status is not EvidenceStatus.OK
    if query != ObjectQuery(object_kind="Kustomization"):
        assert evidence.status is EvidenceStatus.FAILED


@pytest.mark.parametrize(
    "broken",
    [
        {"metadata": {"name": 7, "namespace": None, "creationTimestamp": "0001-01-01T00:00:00+14:00"}},
        {"metadata": {"name": "a"}, "spec": [1], "status": "x"},
        {"metadata": {"name": "a", "ownerReferences": {"a": 1}}, "spec": {"containers": [None, 1, {}]}},
        {
            "metadata": {"name": "a"},
            "status": {"conditions": [{}], "containerStatuses": [{"restartCount": "x"}]},
        },
        {"metadata": {"name": "a", "annotations": None, "labels": None}, "spec": {"replicas": "many"}},
    ],
)
@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.kind)
async def test_objects_of_an_odd_shape_never_raise(query: Query, broken: dict[str, Any]) -> None:
    api = KubernetesApi()
    api.misbehave("/(api|apis)/.*", answering({"kind": "List", "metadata": {}, "items": [broken]}))
    await ask(api, query)


async def test_a_server_that_is_not_there_is_a_gap() -> None:
    section = KubernetesSource.model_validate({"url": f"http://127.0.0.1:{free_port()}"})
    async with KubernetesCluster(section, FixedClock()) as source:
        evidence = await asked(source, PODS)
        assert evidence.status is EvidenceStatus.FAILED
        assert evidence.reason == "cannot reach the API server: Connection refused"
        with pytest.raises(Unavailable, match="Connection refused"):
            await source.version()


async def test_a_denied_list_names_the_right_and_how_to_see_it() -> None:
    api = KubernetesApi()
    api.deny("list", "deployments.apps", "shop")
    evidence = await ask(api, ObjectQuery(object_kind="Deployment", namespace="shop"))
    assert evidence.reason == (
        "may not list deployments.apps in namespace shop: RBAC denies it for "
        "system:serviceaccount:assent:assent"
    )
    assert evidence.manual == (
        "kubectl auth can-i list deployments.apps -n shop --as=system:serviceaccount:assent:assent"
    )


async def test_a_denied_log_asks_for_the_right_to_the_subresource() -> None:
    api = KubernetesApi()
    api.put(pod())
    api.deny("get", "pods/log")
    evidence = await ask(api, PodLogQuery(namespace="shop", pod="web-1", container="web"))
    assert evidence.status is EvidenceStatus.FAILED
    assert "may not get pods/log in namespace shop" in (evidence.reason or "")
    assert (evidence.manual or "").startswith("kubectl auth can-i get pods --subresource=log -n shop --as=")


async def test_a_kind_that_is_not_installed_is_empty_and_not_a_gap() -> None:
    for api in (KubernetesApi(), KubernetesApi(aggregated=False)):
        evidence = await ask(api, ObjectQuery(object_kind="Kustomization"))
        assert evidence.status is EvidenceStatus.EMPTY
        assert evidence.reason == "the cluster has no kind Kustomization"


@pytest.mark.parametrize("aggregated", [True, False])
async def test_a_group_that_cannot_be_asked_makes_a_missing_kind_unknown(aggregated: bool) -> None:
    api = KubernetesApi(aggregated=aggregated)
    api.stale("metrics.k8s.io")
    evidence = await ask(api, ObjectQuery(object_kind="PodMetrics"))
    assert evidence.status is EvidenceStatus.FAILED
    assert "cannot tell whether it knows PodMetrics: the group metrics.k8s.io" in (evidence.reason or "")


@pytest.mark.parametrize("aggregated", [True, False])
async def test_custom_kinds_are_found_by_asking_the_server(aggregated: bool) -> None:
    api = KubernetesApi(aggregated=aggregated)
    api.serve("gateway.networking.k8s.io", "v1", "Gateway", "gateways")
    api.serve("networking.istio.io", "v1", "Gateway", "gateways")
    api.put(made("Gateway", "edge", api_version="gateway.networking.k8s.io/v1"))
    api.put(made("Gateway", "mesh", api_version="networking.istio.io/v1"))
    evidence = await ask(api, ObjectQuery(object_kind="Gateway"))
    assert [(one["apiVersion"], one["metadata"]["name"]) for one in evidence.objects] == [
        ("gateway.networking.k8s.io/v1", "edge"),
        ("networking.istio.io/v1", "mesh"),
    ]


async def test_what_the_server_serves_is_remembered_for_minutes_and_a_miss_for_seconds() -> None:
    api, clock = KubernetesApi(), FixedClock()
    query = ObjectQuery(object_kind="Widget")
    async with cluster(api, clock) as source:
        for _ in range(2):
            assert (await asked(source, query)).status is EvidenceStatus.EMPTY
        assert [path for _, path, _ in api.requests] == ["/apis"]
        api.serve("example.org", "v1", "Widget", "widgets")
        api.put(made("Widget", "a", api_version="example.org/v1"))
        clock.moment += (WINDOW.end - WINDOW.start) / 120
        for _ in range(2):
            assert (await asked(source, query)).status is EvidenceStatus.OK
        assert [path for _, path, _ in api.requests].count("/apis") == 2


def crowd(api: KubernetesApi, count: int) -> None:
    api.fill(made("ConfigMap", f"c-{index:04d}") for index in range(count))


async def test_a_list_longer_than_a_page_comes_whole_and_in_order() -> None:
    api = KubernetesApi()
    crowd(api, 1201)
    evidence = await ask(api, ObjectQuery(object_kind="ConfigMap", namespace="shop"))
    assert [one["metadata"]["name"] for one in evidence.objects] == [f"c-{i:04d}" for i in range(1201)]
    assert evidence.reason is None
    assert [query.get("limit") for _, _, query in api.requests] == ["500", "500", "500"]


async def test_the_cap_on_objects_cuts_and_says_how_many_there_are() -> None:
    api = KubernetesApi()
    crowd(api, 700)
    evidence = await ask(api, ObjectQuery(object_kind="ConfigMap"), max_objects=600)
    assert len(evidence.objects) == 600
    assert evidence.reason == "only 600 configmaps read; 100 more"


async def test_the_cap_on_bytes_keeps_what_came_before_it() -> None:
    api = KubernetesApi()
    api.fill(made("ConfigMap", f"c-{index:04d}", data={"a": "x" * 1000}) for index in range(600))
    evidence = await ask(api, ObjectQuery(object_kind="ConfigMap"), max_bytes=680_000)
    assert len(evidence.objects) == 500
    assert "500 configmaps read, then it failed: the answer about configmaps is larger" in (
        evidence.reason or ""
    )
    alone = await ask(api, ObjectQuery(object_kind="ConfigMap"), max_bytes=65_536)
    assert alone.status is EvidenceStatus.FAILED


async def test_an_expired_token_goes_on_with_the_one_the_server_offers_and_says_so() -> None:
    api = KubernetesApi()
    crowd(api, 900)

    async def compacting(request: web.Request) -> web.StreamResponse:
        api.behave()
        api.put(made("ConfigMap", "c-0899-new"))
        api.compact()
        return await api._handle(request)

    api.misbehave("continue=", compacting)
    evidence = await ask(api, ObjectQuery(object_kind="ConfigMap"))
    assert len(evidence.objects) == 901
    assert evidence.reason == "configmaps changed while they were read; some may be missing"


async def test_an_expired_token_without_another_keeps_what_was_read() -> None:
    api = KubernetesApi()
    crowd(api, 900)
    api.misbehave("continue=", refusing(410, "Expired", "too old"))
    evidence = await ask(api, ObjectQuery(object_kind="ConfigMap"))
    assert len(evidence.objects) == 500
    assert evidence.reason == "500 configmaps read, then the list expired"


async def test_a_later_page_that_fails_keeps_the_earlier_ones_and_says_so() -> None:
    api = KubernetesApi()
    crowd(api, 900)
    api.misbehave("continue=", hanging)
    evidence = await ask(api, ObjectQuery(object_kind="ConfigMap"), timeout="2s")
    assert len(evidence.objects) == 500
    assert evidence.reason == "500 configmaps read, then it failed: no answer within 2 s"


async def test_a_server_that_pages_for_ever_is_left() -> None:
    api = KubernetesApi()
    page = {"kind": "PodList", "metadata": {"continue": "again"}, "items": []}
    api.misbehave("/pods", answering(page))
    evidence = await ask(api, PODS)
    assert evidence.status is EvidenceStatus.FAILED
    assert evidence.reason == "no Pod; 0 pods read, then only empty pages came"


async def test_a_server_that_does_not_answer_in_time_is_a_gap_and_not_an_absence() -> None:
    api = KubernetesApi()
    api.misbehave("/pods", hanging)
    one = await ask(api, PODS, timeout="50ms")
    assert (one.status, one.reason) == (EvidenceStatus.FAILED, "no answer within 0.05 s")


async def test_the_budget_ends_a_question_of_many_requests_with_what_is_in() -> None:
    api = KubernetesApi()
    api.put(pod())
    api.misbehave("/services", hanging)
    evidence = await ask(api, GraphQuery(), budget="2s")
    assert evidence.status is EvidenceStatus.OK
    assert "services: no answer within" in (evidence.reason or "")


@pytest.mark.parametrize(("busy", "expected"), [(2, EvidenceStatus.OK), (3, EvidenceStatus.FAILED)])
async def test_a_server_that_is_too_busy_is_asked_again_as_it_wishes(
    busy: int, expected: EvidenceStatus
) -> None:
    api = KubernetesApi()
    api.put(pod())
    refused = 0

    async def throttling(request: web.Request) -> web.StreamResponse:
        nonlocal refused
        refused += 1
        if refused == busy:
            api.behave()
        answer = status(429, "TooManyRequests", "too many requests, please try again later")
        answer.headers["Retry-After"] = "0"
        return answer

    api.misbehave("/pods", throttling)
    evidence = await ask(api, PODS)
    assert evidence.status is expected


async def test_one_namespace_that_is_denied_leaves_the_others_and_a_reason() -> None:
    api = KubernetesApi()
    api.put(pod())
    api.deny("list", "pods", "bank")
    evidence = await ask(api, PODS, namespaces=["shop", "bank"])
    assert [one["metadata"]["name"] for one in evidence.objects] == ["web-1"]
    assert (evidence.reason or "").startswith("may not list pods in namespace bank")
    nothing_else = await ask(api, PODS, namespaces=["empty", "bank"])
    assert nothing_else.status is EvidenceStatus.FAILED


async def test_a_namespace_outside_the_list_is_neither_covered_nor_read() -> None:
    api = KubernetesApi()
    api.put(pod())
    async with cluster(api, namespaces=["bank"]) as source:
        here = ObjectQuery(object_kind="Pod", namespace="shop")
        assert not source.covers(here)
        assert not source.covers(PodLogQuery(namespace="shop", pod="web-1"))
        assert source.covers(ObjectQuery(object_kind="Pod", namespace="bank"))
        evidence = await asked(source, here)
        assert evidence.reason == "the configuration does not let it look into namespace shop"
        assert (await asked(source, PODS)).status is EvidenceStatus.EMPTY
        api.fill(made("Namespace", name, None) for name in ("shop", "bank"))
        spaces = await asked(source, ObjectQuery(object_kind="Namespace"))
        assert [one["metadata"]["name"] for one in spaces.objects] == ["bank"]
    assert not [path for _, path, _ in api.requests if "shop" in path]


@pytest.mark.parametrize("name", ["../secrets", "a/b", "a?watch=true", "", "a b", "%2e%2e"])
async def test_a_name_that_is_no_name_never_becomes_a_path(name: str) -> None:
    api = KubernetesApi()
    for query in (
        ObjectQuery(object_kind="Pod", namespace=name),
        ObjectQuery(object_kind="Pod", namespace="shop", name=name),
        ObjectQuery(object_kind=f"Pod{name or '/'}"),
        PodLogQuery(namespace="shop", pod=name),
        PodLogQuery(namespace="shop", pod="web-1", container=name),
    ):
        assert (await ask(api, query)).status is EvidenceStatus.FAILED
    assert api.requests == []
