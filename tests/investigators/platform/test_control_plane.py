"""The cluster's own machinery."""

from __future__ import annotations

import pytest

from tests.investigators.platform.build import counter, step, track, world
from tests.investigators.platform.cases import Case, case, judge, no, unknown
from tests.investigators.platform.objects import Object, app, at, event, pod, service, thing

API = service("kubernetes", {}, port=443, target=6443, namespace="default", ip="10.96.0.1")
CART = [service("cart"), *app("cart")]


def _static(name: str, *, ready: bool = True) -> Object:
    return pod(
        f"{name}-master", {"component": name, "tier": "control-plane"}, namespace="kube-system", ready=ready
    )


def _machinery(**ready: bool) -> list[Object]:
    return [
        _static(name, ready=ready.get(name.replace("-", "_"), True))
        for name in ("kube-apiserver", "etcd", "kube-scheduler", "kube-controller-manager")
    ]


def _lease(name: str, minutes: float) -> Object:
    return thing(
        "coordination.k8s.io/v1", "Lease", name, namespace="kube-system", spec={"renewTime": at(minutes)}
    )


def _waiting(**more: object) -> Object:
    return pod(
        "cart-77-abcde",
        {"app": "cart"},
        node="",
        ip="",
        phase="Pending",
        conditions=[],
        **more,  # type: ignore[arg-type]
    )


def _about(name: str, kind: str) -> list[Case]:
    """A component by its pods and, where it has one, its lease."""
    key = name.replace("-", "_")
    return [
        case("its pods are not ready", world(_machinery(**{key: False})), kind, name),
        no("its pods are ready", world(_machinery(), subjects=[name]), kind, name, absent=True),
        unknown("a managed one shows no pods", world(CART, subjects=[name]), kind, name),
    ]


CASES = [
    *_about("kube-apiserver", "api_server_down"),
    *_about("etcd", "etcd_down"),
    *_about("kube-scheduler", "scheduler_down"),
    *_about("kube-controller-manager", "controller_manager_down"),
    case(
        "its clients are refused",
        world(
            CART,
            API,
            logs={
                "cart": ["dial tcp 10.96.0.1:443: connect: connection refused"],
                "operator": ['Get "https://10.96.0.1:443/api/v1/pods": dial tcp 10.96.0.1:443: i/o timeout'],
            },
        ),
        "api_server_down",
        "kube-apiserver",
        least=0.8,
    ),
    no(
        "another Service is refused",
        world(CART, API, logs={"front": ["dial tcp cart:80: connect: connection refused"]}),
        "api_server_down",
    ),
    case(
        "its clients wait",
        world(
            CART,
            API,
            logs={"operator": ['Get "https://10.96.0.1:443/api/v1/pods": context deadline exceeded']},
        ),
        "api_server_slow",
        "kube-apiserver",
    ),
    case(
        "it answers with errors",
        world(
            tracks=[
                track("apiserver_request_total", counter(10, 10), "kube-apiserver", code="200"),
                track("apiserver_request_total", counter(0, 3), "kube-apiserver", code="504"),
            ]
        ),
        "api_server_slow",
        "kube-apiserver",
    ),
    no(
        "it answers 404",
        world(
            tracks=[
                track("apiserver_request_total", counter(10, 10), "kube-apiserver", code="200"),
                track("apiserver_request_total", counter(0, 3), "kube-apiserver", code="404"),
            ]
        ),
        "api_server_slow",
    ),
    no("nobody says so", world(CART, API), "api_server_slow"),
    case(
        "its certificate",
        world(
            CART,
            API,
            logs={
                "operator": [
                    'Get "https://10.96.0.1:443/api": tls: failed to verify certificate: '
                    "x509: certificate has expired or is not "
                    "yet valid: current time 2026-03-01T11:55:00Z is after 2026-02-28T23:59:59Z"
                ]
            },
        ),
        "api_certificate_expired",
        "kube-apiserver",
    ),
    no(
        "another's certificate",
        world(
            CART,
            API,
            logs={"front": ['Get "https://cart:80/": x509: certificate has expired or is not yet valid']},
        ),
        "api_certificate_expired",
    ),
    no("no word of certificates", world(CART, API), "api_certificate_expired"),
    case(
        "an API that is not served",
        world(
            CART,
            thing(
                "apiregistration.k8s.io/v1",
                "APIService",
                "v1beta1.metrics.k8s.io",
                namespace="",
                spec={"service": {"name": "metrics-server"}},
                status={
                    "conditions": [
                        {
                            "type": "Available",
                            "status": "False",
                            "reason": "MissingEndpoints",
                            "message": "no addresses",
                        }
                    ]
                },
            ),
        ),
        "api_service_down",
        "metrics-server",
    ),
    no(
        "an API that is served",
        world(
            CART,
            thing(
                "apiregistration.k8s.io/v1",
                "APIService",
                "v1",
                namespace="",
                status={"conditions": [{"type": "Available", "status": "True"}]},
            ),
        ),
        "api_service_down",
    ),
    no("no such object", world(CART, failed=["APIService"], asked=["APIService"]), "api_service_down"),
    case(
        "no leader",
        world(logs={"etcd": ['{"level":"warn","msg":"etcdserver: no leader"}']}),
        "etcd_down",
        "etcd",
    ),
    case(
        "no leader by metric",
        world(tracks=[track("etcd_server_has_leader", step(1, 0), "etcd")]),
        "etcd_down",
        "etcd",
    ),
    case(
        "its clients wait for it",
        world(logs={"kube-apiserver": ["etcdserver: request timed out"] * 3}),
        "etcd_slow",
        "etcd",
    ),
    no("nobody waits", world(logs={"etcd": ["compacted revision 120"]}), "etcd_slow"),
    no("another's log about the like", world(logs={"cart": ["apply request took too long"]}), "etcd_slow"),
    case(
        "full",
        world(logs={"kube-apiserver": ["etcdserver: mvcc: database space exceeded"]}),
        "etcd_space_exceeded",
        "etcd",
    ),
    case(
        "full by metric",
        world(
            tracks=[
                track("etcd_mvcc_db_total_size_in_bytes", step(1e9, 2.1e9), "etcd"),
                track("etcd_server_quota_backend_bytes", step(2.1e9, 2.1e9), "etcd"),
            ]
        ),
        "etcd_space_exceeded",
        "etcd",
    ),
    no(
        "room is left",
        world(
            tracks=[
                track("etcd_mvcc_db_total_size_in_bytes", step(1e9, 1e9), "etcd"),
                track("etcd_server_quota_backend_bytes", step(2.1e9, 2.1e9), "etcd"),
            ]
        ),
        "etcd_space_exceeded",
    ),
    no(
        "no quota known",
        world(tracks=[track("etcd_mvcc_db_total_size_in_bytes", step(1e9, 2.1e9), "etcd")]),
        "etcd_space_exceeded",
    ),
    case(
        "pods nobody looked at", world(CART, _waiting()), "scheduler_down", "kube-scheduler", says=("cart",)
    ),
    case(
        "nobody holds its lease", world(CART, _lease("kube-scheduler", 5)), "scheduler_down", "kube-scheduler"
    ),
    no(
        "a pod it could not place",
        world(
            CART, _waiting(), event("FailedScheduling", "0/3 nodes are available", ("Pod", "cart-77-abcde"))
        ),
        "scheduler_down",
    ),
    no("a pod of a moment ago", world(CART, _waiting(creationTimestamp=at(0.5))), "scheduler_down"),
    no("events that could not be read", world(CART, _waiting(), failed=["Event"]), "scheduler_down"),
    no("its lease is fresh", world(CART, _lease("kube-scheduler", 0.05)), "scheduler_down"),
    case(
        "changes nobody saw",
        world(app("cart", generation=(5, 4)), app("front", generation=(3, 2))),
        "controller_manager_down",
        "kube-controller-manager",
        says=("cart, front",),
    ),
    no("changes that were seen", world(app("cart", generation=(5, 5))), "controller_manager_down"),
    case(
        "a namespace that cannot go",
        world(
            CART,
            thing(
                "v1",
                "Namespace",
                "old",
                namespace="",
                metadata={"deletionTimestamp": at(90)},
                spec={"finalizers": ["kubernetes"]},
            ),
        ),
        "stuck_terminating",
        "old",
        "namespace",
    ),
    no(
        "one that is going",
        world(
            CART,
            thing(
                "v1",
                "Namespace",
                "old",
                namespace="",
                metadata={"deletionTimestamp": at(1)},
                spec={"finalizers": ["kubernetes"]},
            ),
        ),
        "stuck_terminating",
    ),
    no(
        "one that stays",
        world(CART, thing("v1", "Namespace", "old", namespace="", spec={"finalizers": ["kubernetes"]})),
        "stuck_terminating",
    ),
    case(
        "a change its operator did not see",
        world(
            CART,
            thing(
                "kafka.strimzi.io/v1beta2",
                "Kafka",
                "events",
                metadata={"generation": 4},
                status={"observedGeneration": 3},
            ),
        ),
        "operator_stuck",
        "events",
    ),
    no(
        "one it saw",
        world(
            CART,
            thing(
                "kafka.strimzi.io/v1beta2",
                "Kafka",
                "events",
                metadata={"generation": 4},
                status={"observedGeneration": 4},
            ),
        ),
        "operator_stuck",
    ),
    no(
        "one that says nothing of it",
        world(CART, thing("kafka.strimzi.io/v1beta2", "Kafka", "events", metadata={"generation": 4})),
        "operator_stuck",
    ),
]


@pytest.mark.parametrize("one", CASES, ids=lambda one: f"{one.kind}: {one.name}")
def test_the_machinery_is_judged_by_its_pods_its_leases_and_its_clients(one: Case) -> None:
    judge(one)
