"""Nodes by what they report, by their daemons, and by which pods fail where."""

from __future__ import annotations

import pytest

from tests.investigators.platform.build import facts, world
from tests.investigators.platform.cases import Case, case, judge, no, unknown
from tests.investigators.platform.objects import (
    Object,
    app,
    at,
    condition,
    event,
    node,
    service,
    thing,
)

FINE = [node("node-1"), node("node-2"), service("cart"), *app("cart")]
N1 = ("node-1", "node")
STOPPED = condition("Ready", "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.")


def _broken(message: str, **more: float) -> Object:
    return node("node-1", condition("Ready", "False", "KubeletNotReady", message, **more))


def _with(*of: object) -> object:
    return world(*of, node("node-2"), app("cart"))  # type: ignore[arg-type]


def _lease(minutes: float) -> Object:
    return thing(
        "coordination.k8s.io/v1",
        "Lease",
        "node-1",
        namespace="kube-node-lease",
        spec={"renewTime": at(minutes)},
    )


RUNTIME = (
    "[container runtime is down, PLEG is not healthy: pleg was last seen active 3m7s ago; threshold is 3m0s]"
)
CNI = (
    "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady "
    "message:Network plugin "
    "returns error: cni plugin not initialized"
)
SANDBOX = (
    "Failed to create pod sandbox: rpc error: code = Unknown desc = "
    'failed to setup network for sandbox "ab12": '
    'plugin type="calico" failed (add): stat /var/lib/calico/nodename: no such file or directory'
)
POD = app("cart")[1]["metadata"]["name"]


def _proxies(*ready: bool) -> list[Object]:
    found = []
    for index, one in enumerate(ready):
        made = app(
            "kube-proxy",
            labels={"k8s-app": "kube-proxy"},
            namespace="kube-system",
            kind="DaemonSet",
            ready=one,
            node=f"node-{index + 1}",
        )
        found += made[1:]
        found[-1]["metadata"]["name"] = f"kube-proxy-{index}"  # type: ignore[index]
    return [made[0], *found]


def _spread(*broken: str, node_of: str = "node-2", elsewhere: str = "node-1") -> list[Object]:
    found: list[Object] = []
    for name in ("a", "b", "c", "d"):
        found += app(name, ready=name not in broken, node=node_of)
        found += app(f"{name}{name}", node=elsewhere)
    return found


CASES = [
    case("Ready is False", _with(_broken("kubelet is posting no status")), "node_not_ready", *N1),
    case("Ready is Unknown", _with(node("node-1", STOPPED)), "node_not_ready", *N1, least=0.9),
    no("Ready", world(FINE), "node_not_ready", "node-1", absent=True),
    unknown(
        "nodes that could not be listed", world(app("cart"), failed=["Node"]), "node_not_ready", "node-1"
    ),
    case(
        "the API says so", _with(node("node-1", STOPPED)), "kubelet_stopped", *N1, says=("stopped posting",)
    ),
    case("its lease was not renewed", _with(node("node-1"), _lease(8)), "kubelet_stopped", *N1),
    no("its lease was renewed", _with(node("node-1"), _lease(0.1)), "kubelet_stopped", "node-1", absent=True),
    no("another reason", _with(_broken(RUNTIME)), "kubelet_stopped"),
    unknown("no nodes", world(app("cart"), failed=["Node"]), "kubelet_stopped", "node-1"),
    case("the kubelet says so", _with(_broken(RUNTIME)), "container_runtime_down", *N1),
    case(
        "the socket",
        _with(_broken("rpc error: dial unix /run/containerd/containerd.sock: connect: connection refused")),
        "container_runtime_down",
        *N1,
    ),
    case(
        "events of its pods",
        _with(
            node("node-1"),
            event(
                "FailedCreatePodSandBox",
                "Failed to create pod sandbox: "
                "rpc error: dial unix /run/containerd/containerd.sock: connect: no such file",
                ("Pod", POD),
            ),
        ),
        "container_runtime_down",
        *N1,
    ),
    no("another message", _with(_broken("PLEG took 1s")), "container_runtime_down", "node-1", absent=True),
    unknown("no Node", world(app("cart"), failed=["Node"]), "container_runtime_down", "node-1"),
    case("not initialised", _with(_broken(CNI)), "cni_down", *N1),
    case(
        "pods without a sandbox",
        _with(node("node-1"), event("FailedCreatePodSandBox", SANDBOX, ("Pod", POD))),
        "cni_down",
        *N1,
    ),
    case(
        "its pod does not run there",
        _with(
            node("node-1"),
            app(
                "calico-node",
                labels={"k8s-app": "calico-node"},
                namespace="kube-system",
                kind="DaemonSet",
                ready=False,
            ),
        ),
        "cni_down",
        *N1,
    ),
    case(
        "NetworkUnavailable",
        _with(node("node-1", condition("NetworkUnavailable", "True", "NoRouteCreated"))),
        "cni_down",
        *N1,
    ),
    no(
        "a sandbox long ago",
        _with(node("node-1"), event("FailedCreatePodSandBox", SANDBOX, ("Pod", POD), minutes=300)),
        "cni_down",
        "node-1",
        absent=True,
    ),
    unknown("no Node at all", world(app("cart"), failed=["Node"]), "cni_down", "node-1"),
    case("on one node", world(FINE, _proxies(True, False)), "kube_proxy_down", "node-2", "node"),
    case("on all nodes", world(FINE, _proxies(False, False)), "kube_proxy_down", "kube-proxy"),
    no(
        "on a node whose kubelet is gone, where nothing is ready",
        world(node("node-1"), node("node-2", STOPPED), app("cart"), _proxies(True, False)),
        "kube_proxy_down",
    ),
    no("on none", world(FINE, _proxies(True, True)), "kube_proxy_down"),
    no("pods unknown", world(FINE, failed=["Pod"]), "kube_proxy_down"),
    *[
        entry
        for short, kind in (
            ("Memory", "node_memory_pressure"),
            ("Disk", "node_disk_pressure"),
            ("PID", "node_pid_pressure"),
        )
        for entry in (
            case(
                "the condition",
                _with(node("node-1", condition(f"{short}Pressure", "True", f"KubeletHas{short}"))),
                kind,
                *N1,
                least=0.9,
            ),
            no("the condition is False", world(FINE), kind, "node-1", absent=True),
            unknown("no nodes listed", world(app("cart"), failed=["Node"]), kind, "node-1"),
        )
    ],
    case(
        "the event alone",
        _with(
            node("node-1"),
            event("EvictionThresholdMet", "Attempting to reclaim memory", ("Node", "node-1"), namespace=""),
        ),
        "node_memory_pressure",
        *N1,
    ),
    case(
        "disk by event",
        _with(
            node("node-1"),
            event(
                "FreeDiskSpaceFailed",
                "failed to garbage collect required amount of images",
                ("Node", "node-1"),
                namespace="",
            ),
        ),
        "node_disk_pressure",
        *N1,
    ),
    case(
        "cordoned",
        _with(
            node(
                "node-1",
                unschedulable=True,
                taints=[
                    {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule", "timeAdded": at(15)}
                ],
            )
        ),
        "node_cordoned",
        *N1,
    ),
    no("schedulable", world(FINE), "node_cordoned", "node-1", absent=True),
    unknown("no Nodes", world(app("cart"), failed=["Node"]), "node_cordoned", "node-1"),
    case(
        "nothing but daemons is left",
        world(
            node("node-1", unschedulable=True),
            node("node-2"),
            app("cart", node="node-2"),
            app("kube-proxy", kind="DaemonSet", namespace="kube-system"),
        ),
        "node_drained",
        *N1,
    ),
    no("its pods are still there", _with(node("node-1", unschedulable=True)), "node_drained"),
    no("pods of it are not known", world(node("node-1", unschedulable=True), failed=["Pod"]), "node_drained"),
    case(
        "three workloads fail there only",
        world(node("node-1"), node("node-2"), _spread("a", "b", "c")),
        "node_pods_failing",
        "node-2",
        "node",
        says=("3 of 4 pods",),
    ),
    no("one workload fails there", world(node("node-1"), node("node-2"), _spread("a")), "node_pods_failing"),
    no(
        "they fail elsewhere too",
        world(_spread("a", "b", "c"), app("e", ready=False), app("f", ready=False)),
        "node_pods_failing",
    ),
    no("there is only one node", world(_spread("a", "b", "c", elsewhere="node-2")), "node_pods_failing"),
    no("no list of pods", world(node("node-1"), failed=["Pod"]), "node_pods_failing"),
]


@pytest.mark.parametrize("one", CASES, ids=lambda one: f"{one.kind}: {one.name}")
def test_a_node_is_judged_by_what_it_and_its_daemons_report(one: Case) -> None:
    judge(one)


def test_a_condition_of_three_days_ago_is_hardly_a_cause() -> None:
    of = _with(_broken(RUNTIME, since=3 * 24 * 60))
    hits = [fact for fact in facts(of) if fact.verdict == "found" and fact.subject == "node-1"]  # type: ignore[arg-type]
    assert hits
    assert max(fact.confidence for fact in hits) < 0.5
