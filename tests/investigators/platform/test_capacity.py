"""CPU, memory, replicas, autoscalers and neighbours."""

from __future__ import annotations

from typing import Any

import pytest

from bot.domain.evidence import Change
from tests.investigators.platform.build import NOW, ONSET, counter, found, step, track, world
from tests.investigators.platform.cases import Case, case, judge, no, unknown
from tests.investigators.platform.objects import Object, app, event, node, service, thing

CART = [service("cart"), *app("cart", cpu="500m", memory="256Mi")]
POD = CART[1:][1]["metadata"]["name"]
MI = 2.0**20


def _throttle(before: float, after: float, of: str = "cart") -> list[Any]:
    name = {"pod": POD, "container": "cart"}
    return [
        track(
            "container_cpu_cfs_throttled_periods_total", counter(before, after), of, pod=POD, container="cart"
        ),
        track("container_cpu_cfs_periods_total", counter(10, 10), of, pod=name["pod"], container="cart"),
    ]


def _cpu(before: float, after: float, of: str = "cart", pod: str = POD) -> Any:
    return track("container_cpu_usage_seconds_total", counter(before, after), of, pod=pod, container=of)


def _memory(before: float, after: float) -> Any:
    values = step(before * MI, after * MI)
    return track("container_memory_working_set_bytes", values, "cart", pod=POD, container="cart")


def _idle(before: float, after: float) -> Any:
    return track(
        "node_cpu_seconds_total", counter(before, after), "node-1", kind="node", mode="idle", cpu="0"
    )


def _scaler(current: int, most: int, now: int, *conditions: Object) -> Object:
    return thing(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        "cart",
        spec={
            "scaleTargetRef": {"kind": "Deployment", "name": "cart"},
            "minReplicas": 1,
            "maxReplicas": most,
            "metrics": [
                {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 70}}}
            ],
        },
        status={
            "currentReplicas": current,
            "desiredReplicas": current,
            "currentMetrics": [
                {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": now}}}
            ],
            "conditions": list(conditions),
        },
    )


TOPPED = {"type": "ScalingLimited", "status": "True", "reason": "TooManyReplicas",
          "message": "the desired replica count is more than the maximum replica count"}  # fmt: skip
BLIND = {"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric",
         "message": "the HPA was unable to compute the replica count: unable to fetch metrics"}  # fmt: skip
USED = app("front", env={"CART_ADDR": "cart:80"})
SCALED = Change(id="c9", kind="scale", at=ONSET, service="cart", before="3", after="1")
GREEDY = app("batch", pods=1)
BATCH = GREEDY[1]["metadata"]["name"]
BUSY = [_idle(0.6, 0.02), _cpu(0.2, 0.1), _cpu(0.3, 3.4, "batch", BATCH)]

CASES = [
    case(
        "half of its periods",
        world(CART, tracks=_throttle(0.1, 6)),
        "cpu_throttling",
        least=0.85,
        says=("60%", "500m"),
    ),
    no("a few periods", world(CART, tracks=_throttle(0.1, 0.5)), "cpu_throttling", absent=True),
    no("as much as ever", world(CART, tracks=_throttle(6, 6)), "cpu_throttling"),
    unknown("no such metric", world(CART), "cpu_throttling"),
    case("at its limit", world(CART, tracks=[_cpu(0.1, 0.5)]), "cpu_saturation", least=0.8),
    case(
        "without a limit, far more than before", world(app("cart"), tracks=[_cpu(0.1, 1.5)]), "cpu_saturation"
    ),
    no("below its limit", world(CART, tracks=[_cpu(0.1, 0.2)]), "cpu_saturation", absent=True),
    no("much, as ever, without a limit", world(app("cart"), tracks=[_cpu(1.5, 1.5)]), "cpu_saturation"),
    unknown("no metric of it", world(CART), "cpu_saturation"),
    case(
        "nearly all of its limit",
        world(CART, tracks=[_memory(100, 250)]),
        "memory_near_limit",
        says=("256Mi",),
    ),
    no("half of its limit", world(CART, tracks=[_memory(100, 130)]), "memory_near_limit", absent=True),
    no("no limit", world(app("cart"), tracks=[_memory(100, 250)]), "memory_near_limit"),
    unknown("nobody measures it", world(CART), "memory_near_limit"),
    case(
        "none, and used",
        world(service("cart"), app("cart", replicas=0), USED),
        "replica_shortage",
        least=0.85,
    ),
    case(
        "by a change",
        world(service("cart"), app("cart"), changes=[SCALED]),
        "replica_shortage",
        says=("from 3 to 1", "c9"),
    ),
    case(
        "by an event",
        world(
            service("cart"),
            app("cart"),
            event(
                "ScalingReplicaSet",
                "Scaled down replica set cart-5d9c7b6f4 from 3 to 1",
                ("Deployment", "cart"),
            ),
        ),
        "replica_shortage",
    ),
    case(
        "by the wanted number",
        world(
            service("cart"), app("cart"), tracks=[track("kube_deployment_spec_replicas", step(4, 1), "cart")]
        ),
        "replica_shortage",
        says=("from 4 to 1",),
    ),
    no(
        "a rollout that scales the old one down",
        world(
            CART,
            event(
                "ScalingReplicaSet", "Scaled down replica set cart-77f from 1 to 0", ("Deployment", "cart")
            ),
        ),
        "replica_shortage",
        absent=True,
    ),
    no("as many as wanted", world(CART), "replica_shortage", absent=True),
    unknown(
        "workloads that could not be listed",
        world(service("cart"), failed=["Deployment"]),
        "replica_shortage",
    ),
    case(
        "not all are ready",
        world(service("cart"), app("cart", replicas=2, ready=False)),
        "replicas_unavailable",
    ),
    no("all are ready", world(CART), "replicas_unavailable"),
    no("their number is not known", world(service("cart"), failed=["Deployment"]), "replicas_unavailable"),
    case(
        "at its maximum and above its target",
        world(CART, _scaler(5, 5, 180, TOPPED)),
        "autoscaler_limit",
        least=0.85,
        says=("5 replicas", "180 %"),
    ),
    case(
        "by a queue's length",
        world(
            CART,
            thing(
                "autoscaling/v2",
                "HorizontalPodAutoscaler",
                "cart",
                spec={
                    "scaleTargetRef": {"kind": "Deployment", "name": "cart"},
                    "maxReplicas": 3,
                    "metrics": [
                        {"external": {"metric": {"name": "jobs"}, "target": {"averageValue": "100"}}}
                    ],
                },
                status={
                    "currentReplicas": 3,
                    "currentMetrics": [
                        {"external": {"metric": {"name": "jobs"}, "current": {"averageValue": "2k"}}}
                    ],
                },
            ),
        ),
        "autoscaler_limit",
        says=("jobs at 2000 of a wanted 100",),
    ),
    no("at its maximum, and that is enough", world(CART, _scaler(5, 5, 60)), "autoscaler_limit", absent=True),
    no("below its maximum", world(CART, _scaler(3, 5, 180)), "autoscaler_limit"),
    unknown(
        "autoscalers that could not be listed",
        world(CART, failed=["HorizontalPodAutoscaler"]),
        "autoscaler_limit",
    ),
    case(
        "cannot read metrics",
        world(CART, _scaler(1, 5, 0, BLIND)),
        "autoscaler_broken",
        says=("FailedGetResourceMetric",),
    ),
    no(
        "switched off on purpose",
        world(CART, _scaler(0, 5, 0, {**BLIND, "reason": "ScalingDisabled"})),
        "autoscaler_broken",
        absent=True,
    ),
    unknown("no list of autoscalers", world(CART, failed=["HorizontalPodAutoscaler"]), "autoscaler_broken"),
    case(
        "another pod took the node's CPU",
        world(CART, GREEDY, node("node-1"), tracks=BUSY),
        "noisy_neighbour",
        "batch",
        says=("cart",),
    ),
    no(
        "it took as much before",
        world(
            CART,
            GREEDY,
            node("node-1"),
            tracks=[_idle(0.1, 0.05), _cpu(0.2, 0.1), _cpu(3.4, 3.4, "batch", BATCH)],
        ),
        "noisy_neighbour",
    ),
    no(
        "the node has CPU left",
        world(
            CART,
            GREEDY,
            node("node-1", cpu="32"),
            tracks=[_idle(0.6, 0.6), _cpu(0.2, 0.2), _cpu(0.3, 3.4, "batch", BATCH)],
        ),
        "noisy_neighbour",
    ),
    no(
        "nobody knows where the pods run",
        world(node("node-1"), failed=["Pod"], tracks=BUSY),
        "noisy_neighbour",
    ),
    case(
        "no idle time",
        world(CART, node("node-1"), tracks=[_idle(0.6, 0.02)]),
        "node_cpu_pressure",
        "node-1",
        "node",
        says=("98% busy",),
    ),
    case(
        "tasks wait",
        world(
            CART,
            tracks=[
                track("node_pressure_cpu_waiting_seconds_total", counter(0.01, 0.6), "node-1", kind="node")
            ],
        ),
        "node_cpu_pressure",
        "node-1",
        "node",
    ),
    no(
        "idle time is left", world(CART, tracks=[_idle(0.6, 0.5)]), "node_cpu_pressure", "node-1", absent=True
    ),
    no("busy as ever", world(CART, tracks=[_idle(0.03, 0.03)]), "node_cpu_pressure"),
    unknown("nobody measures the node", world(CART), "node_cpu_pressure", "node-1"),
    case(
        "tasks wait for disks",
        world(
            CART,
            tracks=[
                track("node_pressure_io_stalled_seconds_total", counter(0.01, 0.7), "node-1", kind="node")
            ],
        ),
        "node_io_pressure",
        "node-1",
        "node",
    ),
    no(
        "they hardly wait",
        world(
            CART,
            tracks=[
                track("node_pressure_io_stalled_seconds_total", counter(0.01, 0.05), "node-1", kind="node")
            ],
        ),
        "node_io_pressure",
    ),
    no("no metric of waiting", world(CART), "node_io_pressure"),
    case(
        "memory by metric",
        world(
            tracks=[
                track("node_memory_MemAvailable_bytes", step(8e9, 3e8), "node-1", kind="node"),
                track("node_memory_MemTotal_bytes", step(16e9, 16e9), "node-1", kind="node"),
            ]
        ),
        "node_memory_pressure",
        "node-1",
        "node",
    ),
    case(
        "disk by metric",
        world(
            tracks=[
                track("node_filesystem_avail_bytes", step(8e9, 3e8), "node-1", kind="node", mountpoint="/"),
                track(
                    "node_filesystem_size_bytes", step(100e9, 100e9), "node-1", kind="node", mountpoint="/"
                ),
            ]
        ),
        "node_disk_pressure",
        "node-1",
        "node",
    ),
]


@pytest.mark.parametrize("one", CASES, ids=lambda one: f"{one.kind}: {one.name}")
def test_capacity_is_judged_against_limits_and_against_before(one: Case) -> None:
    judge(one)


def test_a_workload_scaled_to_nothing_that_nobody_uses_is_hardly_a_cause() -> None:
    hits = found(world(app("old", replicas=0), subjects=["cart"]), "replica_shortage")
    assert hits["service", "old"].confidence < 0.5


def test_a_metric_that_ended_long_ago_says_nothing_about_now() -> None:
    old = [track("container_memory_working_set_bytes", [250 * MI] * 30, "cart", pod=POD, container="cart")][0]
    moved = tuple(type(one)(at=one.at - (NOW - ONSET) * 6, value=one.value) for one in old.series.samples)
    gone = type(old)(
        object="cart",
        object_kind="service",
        pod=POD,
        series=type(old.series)(name=old.series.name, labels=old.series.labels, samples=moved),
        evidence=old.evidence,
    )
    assert not found(world(CART, tracks=[gone]), "memory_near_limit")
