"""Whose series and lines they are, and what depends on what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.domain.evidence import EvidenceStatus, LogLine, Series
from investigators.queries import GraphQuery, LogQuery, ObjectQuery, PodLogQuery, Query
from investigators.world.building import build_world
from investigators.world.world import service_of_pod
from tests.investigators.signals.build import NOW, ONSET, evidence, series, span, told, world

Object = dict[str, Any]


def thing(kind: str, name: str, namespace: str = "shop", **rest: Any) -> Object:
    metadata: Object = {"name": name, "namespace": namespace, "labels": rest.pop("labels", {})}
    owner = rest.pop("owner", None)
    if owner is not None:
        metadata["ownerReferences"] = [{"kind": owner[0], "name": owner[1], "controller": True}]
    return {"kind": kind, "metadata": metadata, **rest}


def pod(name: str, owner: tuple[str, str], node: str = "n1", **labels: str) -> Object:
    return thing("Pod", name, owner=owner, labels=labels, spec={"nodeName": node})


CLUSTER: Sequence[Object] = (
    pod("web-abc-1", ("ReplicaSet", "web-abc"), app="web"),
    thing("ReplicaSet", "web-abc", owner=("Deployment", "storefront")),
    thing("Deployment", "storefront"),
    pod("db-0", ("StatefulSet", "db"), app="db"),
    thing("StatefulSet", "db"),
)


def asked(*objects: Object) -> list[tuple[Query, Any]]:
    kinds: dict[str, list[Object]] = {}
    for one in objects:
        kinds.setdefault(one["kind"], []).append(one)
    return [
        (ObjectQuery(object_kind=kind), evidence(ObjectQuery(object_kind=kind), objects=tuple(some)))
        for kind, some in kinds.items()
    ]


@pytest.mark.parametrize(
    ("labels", "owner"),
    [
        # kube-state-metrics
        ({"namespace": "shop", "deployment": "cart"}, ("cart", "service", "")),
        ({"namespace": "shop", "statefulset": "db"}, ("db", "service", "")),
        ({"namespace": "shop", "daemonset": "agent"}, ("agent", "service", "")),
        ({"namespace": "shop", "job_name": "import"}, ("import", "service", "")),
        ({"namespace": "shop", "pod": "web-abc-1"}, ("storefront", "service", "web-abc-1")),
        ({"node": "n1", "condition": "Ready"}, ("n1", "node", "")),
        # cAdvisor: the kubelet's own instance and node beside the pod
        (
            {
                "namespace": "shop",
                "pod": "db-0",
                "container": "db",
                "instance": "10.0.0.1:10250",
                "node": "n1",
            },
            ("db", "service", "db-0"),
        ),
        (
            {"pod_name": "cart-7d9f8b6c5-x2x4z", "namespace": "shop"},
            ("cart", "service", "cart-7d9f8b6c5-x2x4z"),
        ),
        # Istio
        ({"destination_workload": "cart", "reporter": "destination"}, ("cart", "service", "")),
        ({"destination_service_name": "cart"}, ("cart", "service", "")),
        # plain labels of services
        ({"service": "cart", "instance": "10.0.0.7:8080", "job": "shop"}, ("cart", "service", "")),
        ({"service_name": "cart"}, ("cart", "service", "")),
        ({"app": "cart"}, ("cart", "service", "")),
        ({"app_kubernetes_io_name": "cart"}, ("cart", "service", "")),
        ({"service": "", "app": "cart"}, ("cart", "service", "")),
        ({"service": "cart", "pod": "cart-canary-1"}, ("cart", "service", "cart-canary-1")),
        # node_exporter
        ({"instance": "box7:9100", "job": "node"}, ("box7", "node", "")),
        ({"nodename": "box7", "instance": "10.0.0.1:9100"}, ("box7", "node", "")),
        ({"job": "batch"}, ("batch", "service", "")),
        ({}, ("", "service", "")),
    ],
)
def test_labels_say_whose_a_series_is(labels: Mapping[str, str], owner: tuple[str, str, str]) -> None:
    (track,) = world(tracks=[series("x", [1, 2], **labels)], more=asked(*CLUSTER)).tracks
    assert (track.object, track.object_kind, track.pod) == owner


EXPORTER = {"job": "exporter", "service": "exporter", "pod": "exporter-x2x4z", "namespace": "monitoring"}


@pytest.mark.parametrize(
    ("metric", "labels", "owner"),
    [
        (
            "kube_pod_info",
            {**EXPORTER, "exported_namespace": "shop", "exported_pod": "web-abc-1"},
            ("storefront", "service", "web-abc-1"),
        ),
        (
            "kube_deployment_spec_replicas",
            {**EXPORTER, "exported_namespace": "shop", "deployment": "cart"},
            ("cart", "service", ""),
        ),
        ("requests_total", {**EXPORTER, "exported_service": "cart"}, ("cart", "service", "")),
        ("last_run", {"job": "push", "service": "cart", "exported_job": "night"}, ("cart", "service", "")),
        ("node_load1", {**EXPORTER, "instance": "box7:9100"}, ("box7", "node", "")),
        ("node_load1", {**EXPORTER, "instance": "10.0.0.1:9100", "pod": "agent-1"}, ("n7", "node", "")),
        ("node_load1", {**EXPORTER, "instance": "10.0.0.1:9100", "node": "n8"}, ("n8", "node", "")),
        ("node_load1", {"service": "cart"}, ("cart", "service", "")),
        ("node_pod:cpu:sum", {"pod": "web-abc-1", "node": "n1"}, ("storefront", "service", "web-abc-1")),
        ("nodejs_heap_bytes", {"service": "cart", "instance": "x:1"}, ("cart", "service", "")),
    ],
)
def test_what_an_exporter_says_is_not_of_the_exporter(
    metric: str, labels: Mapping[str, str], owner: tuple[str, str, str]
) -> None:
    agent = thing("Pod", "agent-1", "monitoring", spec={"nodeName": "n7"})
    (track,) = world(tracks=[series(metric, [1, 2], **labels)], more=asked(*CLUSTER, agent)).tracks
    assert (track.object, track.object_kind, track.pod) == owner


@pytest.mark.parametrize(
    ("name", "service"),
    [
        ("cart-7d9f8b6c5-x2x4z", "cart"),
        ("cart-service-64467852f-abcde", "cart-service"),
        ("db-0", "db"),
        ("db-12", "db"),
        ("agent-x2x4z", "agent"),
        ("cart", "cart"),
        ("shop-front", "shop-front"),
    ],
)
def test_the_shape_of_a_pods_name_says_its_service_where_no_owner_was_read(name: str, service: str) -> None:
    assert service_of_pod(name) == service


@pytest.mark.parametrize(
    ("labels", "service"),
    [
        ({"service": "cart"}, "cart"),
        ({"app": "cart"}, "cart"),
        ({"pod": "web-abc-1", "namespace": "shop"}, "storefront"),
        ({"pod": "web-abc-1"}, "storefront"),
        ({"pod": "cart-7d9f8b6c5-x2x4z"}, "cart"),
        ({"node": "n1"}, ""),
    ],
)
def test_labels_say_whose_a_line_is(labels: Mapping[str, str], service: str) -> None:
    (one,) = world(lines=[LogLine(at=ONSET, text="x", labels=labels)], more=asked(*CLUSTER)).lines
    assert one.service == service


def test_the_level_of_a_line_is_its_label_or_else_what_it_says() -> None:
    lines = [
        LogLine(at=ONSET, text="ERROR no space", labels={"service": "a"}),
        LogLine(at=ONSET, text="ERROR no space", labels={"service": "a", "level": "INFO"}),
        LogLine(at=ONSET, text="fine", labels={"service": "a"}),
    ]
    assert [one.level for one in world(lines=lines).lines] == ["error", "info", ""]


@pytest.mark.parametrize("label", ["span_id", "spanId", "spanid"])
def test_a_line_carries_its_span_under_any_usual_name(label: str) -> None:
    (one,) = world(lines=[LogLine(at=ONSET, text="x", labels={"service": "a", label: "7"})]).lines
    assert one.span_id == "7"


def test_the_last_words_of_a_pod_are_lines_of_its_service() -> None:
    query = PodLogQuery(namespace="shop", pod="web-abc-1", previous=True)
    line = LogLine(at=ONSET, text="panic: x", labels={"namespace": "shop", "pod": "web-abc-1"})
    built = world(more=[*asked(*CLUSTER), (query, evidence(query, lines=(line,)))])
    (one,) = built.lines_of("storefront")
    assert (one.previous, one.pod) == (True, "web-abc-1")
    assert built.lines_of_pod("web-abc-1") == (one,)


def test_lines_are_in_the_order_of_time_and_those_without_come_first() -> None:
    times = (ONSET, None, ONSET - timedelta(minutes=1))
    lines = [LogLine(at=at, text=str(at), labels={"service": "a"}) for at in times]
    assert [one.at for one in world(lines=lines).lines] == [None, times[2], times[0]]


def edges(built: Any) -> set[tuple[str, str, str, str]]:
    return {(edge.source, edge.target, edge.kind, edge.origin) for edge in built.graph.edges}


def test_a_span_below_one_of_another_service_is_a_call() -> None:
    spans = [
        span("t", "1", "front", None, 5),
        span("t", "2", "front", "1", 4),
        span("t", "3", "cart", "2", 3),
        span("other", "4", "db", "3", 3),
    ]
    assert edges(world(spans=spans)) == {("front", "cart", "calls", "spans")}


def test_a_client_span_that_names_its_peer_is_a_call() -> None:
    spans = [
        replace(span("t", "1", "cart", None, 5), peer="db"),
        replace(span("t", "2", "db", None, 5), peer="db"),
    ]
    assert edges(world(spans=spans)) == {("cart", "db", "calls", "spans")}


def test_where_there_are_no_spans_now_those_from_before_say_who_called_whom() -> None:
    spans = [span("t", "1", "front", None, 5), span("t", "2", "cart", "1", 4)]
    assert edges(world(healthy_spans=spans)) == {("front", "cart", "calls", "spans")}


def _service(name: str, **selector: str) -> Object:
    return thing("Service", name, spec={"selector": selector})


def _deployment(name: str, env: Mapping[str, str], command: Sequence[str] = ()) -> Object:
    container = {
        "name": "main",
        "env": [{"name": key, "value": value} for key, value in env.items()],
        "command": list(command),
    }
    return thing("Deployment", name, spec={"template": {"spec": {"containers": [container]}}})


def test_objects_say_where_pods_run_and_what_services_and_ingresses_lead_to() -> None:
    ingress = thing(
        "Ingress",
        "public",
        spec={
            "defaultBackend": {"service": {"name": "fallback"}},
            "rules": [{"http": {"paths": [{"backend": {"service": {"name": "web"}}}]}}, {"host": "x"}],
        },
    )
    found = edges(world(more=asked(*CLUSTER, _service("web", app="web"), ingress)))
    assert found == {
        ("storefront", "n1", "runs_on", "Pod"),
        ("db", "n1", "runs_on", "Pod"),
        ("web", "storefront", "routes_to", "Service"),
        ("public", "web", "routes_to", "Ingress"),
        ("public", "fallback", "routes_to", "Ingress"),
    }


@pytest.mark.parametrize(
    ("value", "called"),
    [
        ("http://cart:8080/api", True),
        ("cart.shop.svc.cluster.local:8080", True),
        ("postgres://user@cart/db", True),
        ("cart", True),
        ("my-cart:80", False),
        ("cart-v2:80", False),
        ("http://elsewhere/cartoon", False),
        ("", False),
    ],
)
def test_the_environment_of_a_container_names_whom_it_calls(value: str, called: bool) -> None:
    built = world(more=asked(_service("cart", app="cart"), _deployment("front", {"UPSTREAM": value})))
    assert (("front", "cart", "calls", "configuration") in edges(built)) is called


def test_the_command_of_a_container_names_whom_it_calls() -> None:
    front = _deployment("front", {}, ["serve", "--cart=cart:80"])
    assert ("front", "cart", "calls", "configuration") in edges(
        world(more=asked(_service("cart", app="cart"), front))
    )


def test_a_declared_topology_gives_kinds_and_edges() -> None:
    query = GraphQuery()
    records = (
        {"from": "front", "to": "store", "kind": "uses", "to_kind": "datastore", "origin": "map"},
        {"from": "alone", "to": None, "from_kind": "queue"},
        {"to": "nobody"},
        {"from": "front", "to": "front"},
    )
    built = world(more=[(query, evidence(query, records=records))])
    assert edges(built) == {("front", "store", "uses", "map")}
    assert (built.graph.kinds["store"], built.graph.kinds["alone"]) == ("datastore", "queue")


def test_what_was_seen_goes_before_what_is_declared() -> None:
    built = world(
        spans=[span("t", "1", "front", None, 5), span("t", "2", "cart", "1", 4)], edges=[("front", "cart")]
    )
    (edge,) = built.graph.edges
    assert (edge.origin, edge.seen_at) == ("spans", ONSET)


def test_a_source_that_failed_adds_nothing_and_is_remembered() -> None:
    query = LogQuery()
    answer = replace(
        evidence(query, lines=(LogLine(at=ONSET, text="x", labels={"service": "a"}),)),
        status=EvidenceStatus.FAILED,
        reason="timeout",
    )
    built = world(more=[(query, answer)])
    assert built.lines == ()
    assert built.looked("log.lines") == (answer,)


def test_the_alert_names_its_service_as_series_and_traces_do() -> None:
    alert = told(pod="web-abc-1", namespace="shop")
    built = build_world(NOW, ONSET, (alert,), ("web",), asked(*CLUSTER))
    assert built.subjects == ("storefront", "web")


def test_series_of_a_service_are_found_by_name() -> None:
    tracks: list[Series] = [series("latency", [1, 2], service="a"), series("latency", [1, 2], service="b")]
    assert [one.object for one in world(tracks=tracks).tracks_of("a")] == ["a"]
