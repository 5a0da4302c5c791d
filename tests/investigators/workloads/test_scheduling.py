"""Pods that find no node, from the scheduler's sentences of several versions and from nodes and claims."""

from __future__ import annotations

from typing import Any

import pytest

from bot.domain.evidence import FactVerdict
from investigators.facts.workloads.placement import FAULTS, NEEDS
from investigators.facts.workloads.scheduling import check
from investigators.facts.workloads.unschedulable import taken_apart
from tests.investigators.kube import (
    POD,
    causes,
    container,
    event,
    found,
    healthy,
    node,
    pending,
    pod,
    pvc,
    template,
    thing,
    verdict,
    world_of,
)

FOUND, ABSENT, UNKNOWN = FactVerdict.FOUND, FactVerdict.ABSENT, FactVerdict.UNKNOWN
PREEMPT = " preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod."
MASTER = "1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }"

MESSAGES = [
    ("insufficient_cpu", f"0/3 nodes are available: {MASTER}, 2 Insufficient cpu.{PREEMPT}"),
    ("insufficient_cpu", "0/3 nodes are available: 3 Insufficient cpu."),
    (
        "insufficient_cpu",  # up to 1.23
        "0/3 nodes are available: 1 node(s) had taint {node-role.kubernetes.io/master: }, that the "
        "pod didn't "
        "tolerate, 2 Insufficient cpu.",
    ),
    ("insufficient_memory", f"0/3 nodes are available: 3 Insufficient memory.{PREEMPT}"),
    ("insufficient_gpu", "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."),
    ("insufficient_resource", "0/3 nodes are available: 3 Insufficient ephemeral-storage."),
    (
        "taint_not_tolerated",
        f"0/3 nodes are available: 3 node(s) had untolerated taint {{for: batch}}.{PREEMPT}",
    ),
    (
        "taint_not_tolerated",  # 1.33 and later
        "0/2 nodes are available: 2 node(s) had untolerated taint(s). no new claims to deallocate, "
        "preemption: "
        "0/2 nodes are available: 2 Preemption is not helpful for scheduling.",
    ),
    (
        "taint_not_tolerated",
        "0/1 nodes are available: 1 node(s) had taint {gpu: true}, that the pod didn't tolerate.",
    ),
    (
        "node_selector_mismatch",
        f"0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.{PREEMPT}",
    ),
    ("node_selector_mismatch", "0/3 nodes are available: 3 node(s) didn't match node selector."),
    (
        "pod_affinity_unsatisfied",
        f"0/3 nodes are available: 3 node(s) didn't match pod affinity rules.{PREEMPT}",
    ),
    (
        "pod_anti_affinity_conflict",
        f"0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules.{PREEMPT}",
    ),
    (
        "pod_anti_affinity_conflict",
        "0/3 nodes are available: 3 node(s) didn't match pod affinity/anti-affinity rules, 3 node(s) didn't "
        "match pod anti-affinity rules.",
    ),
    (
        "pod_anti_affinity_conflict",
        "0/3 nodes are available: 3 node(s) didn't satisfy existing pods anti-affinity rules.",
    ),
    (
        "topology_spread_unsatisfied",
        f"0/3 nodes are available: 3 node(s) didn't match pod topology spread constraints.{PREEMPT}",
    ),
    (
        "topology_spread_unsatisfied",
        "0/3 nodes are available: 3 node(s) didn't match pod topology spread constraints (missing required "
        "label).",
    ),
    (
        "pvc_unbound",
        "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found",
    ),
    ("pvc_unbound", "pod has unbound immediate PersistentVolumeClaims (repeated 2 times)"),
    ("pvc_unbound", '0/3 nodes are available: persistentvolumeclaim "data" not found.'),
    ("pvc_unbound", "0/3 nodes are available: 3 node(s) didn't find available persistent volumes to bind."),
    ("volume_node_conflict", "0/3 nodes are available: 3 node(s) had volume node affinity conflict."),
    ("volume_limit_reached", "0/3 nodes are available: 3 node(s) exceed max volume count."),
    ("node_cordoned", f"0/3 nodes are available: 3 node(s) were unschedulable.{PREEMPT}"),
    (
        "node_cordoned",
        "0/2 nodes are available: 2 node(s) had untolerated taint {node.kubernetes.io/unschedulable: }.",
    ),
    ("too_many_pods", f"0/3 nodes are available: 3 Too many pods.{PREEMPT}"),
    (
        "host_port_conflict",
        f"0/3 nodes are available: 3 node(s) didn't have free ports for the requested pod ports.{PREEMPT}",
    ),
]


@pytest.mark.parametrize(("kind", "message"), MESSAGES)
def test_the_schedulers_sentence_names_the_fault(kind: str, message: str) -> None:
    world = world_of(pending(message))
    fact = found(check, kind, world)
    assert fact.confidence >= 0.85
    assert found(check, "failed_scheduling", world).confidence >= 0.9
    others = {one.kind for one in causes(check(world)) if one.confidence >= 0.6}
    assert others == {kind, "failed_scheduling"}
    assert "failed_scheduling" in FAULTS[kind].explains


@pytest.mark.parametrize(("kind", "message"), MESSAGES)
def test_events_say_it_when_the_pods_could_not_be_read(kind: str, message: str) -> None:
    told = event(("Pod", POD), "FailedScheduling", message, count=4, first=12)
    world = world_of(told, failed={"Pod": "timeout after 10 s"})
    assert found(check, kind, world).confidence >= 0.7


def test_the_sentence_is_taken_apart_with_its_numbers() -> None:
    total, parts = taken_apart(
        "0/7 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {a: b}, "
        "{node.kubernetes.io/disk-pressure: }, 4 node(s) were unschedulable. preemption: 0/7 nodes are "
        "available: 7 Preemption is not helpful for scheduling."
    )
    assert total == 7
    assert [(one.kind, one.nodes) for one in parts] == [
        ("insufficient_cpu", 1),
        ("taint_not_tolerated", 2),
        ("node_cordoned", 4),
    ]


@pytest.mark.parametrize("kind", sorted(NEEDS))
def test_a_running_pod_has_none(kind: str) -> None:
    assert verdict(check, kind, world_of(healthy(), node())) is ABSENT


@pytest.mark.parametrize("kind", sorted(NEEDS))
def test_without_pods_every_kind_is_unknown(kind: str) -> None:
    assert verdict(check, kind, world_of(failed={"Pod": "403 Forbidden"})) is UNKNOWN


@pytest.mark.parametrize("kind", sorted(set(NEEDS) - {"failed_scheduling"}))
def test_a_pending_pod_without_a_reason_leaves_the_specific_kinds_open(kind: str) -> None:
    assert verdict(check, kind, world_of(pending(None))) is UNKNOWN


def test_a_pod_of_another_namespace_is_not_charged_to_the_incidents_service() -> None:
    """Two services of one name: staging's pending pod says nothing about the shop's."""
    world = world_of(healthy(), pending(MESSAGES[0][1], name="cart-5f5f5f5f5f-aaaaa", ns="staging"))
    assert verdict(check, "failed_scheduling", world) is ABSENT
    assert found(check, "insufficient_cpu", world, "staging/cart").subject_kind == "service"


def test_a_pod_that_was_placed_since_is_not_pending() -> None:
    placed = healthy()
    told = event(placed, "FailedScheduling", MESSAGES[0][1], last=18)
    assert not causes(check(world_of(placed, told)))


def test_trouble_that_is_days_older_than_the_alert_counts_for_less() -> None:
    old = pending(MESSAGES[0][1], age=60 * 24 * 3)
    old["status"]["conditions"][0]["lastTransitionTime"] = old["metadata"]["creationTimestamp"]
    assert found(check, "insufficient_cpu", world_of(old)).confidence <= 0.55


def test_a_control_plane_taint_is_by_design() -> None:
    world = world_of(pending(MESSAGES[0][1]))
    assert found(check, "taint_not_tolerated", world).confidence <= 0.3


def test_taints_that_the_scheduler_no_longer_names_come_from_the_nodes() -> None:
    said = "0/2 nodes are available: 2 node(s) had untolerated taint(s). no new claims to deallocate"
    batch = node(taints=[{"key": "dedicated", "value": "batch", "effect": "NoSchedule"}])
    role = "node-role.kubernetes.io/control-plane"
    head = node("head", taints=[{"key": role, "effect": "NoSchedule"}])
    fact = found(check, "taint_not_tolerated", world_of(pending(said), head, batch))
    assert "{dedicated=batch:NoSchedule, " in fact.detail
    assert fact.confidence >= 0.9
    mixed = "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s)."
    assert found(check, "taint_not_tolerated", world_of(pending(mixed), head, node())).confidence <= 0.3


def test_where_some_nodes_fit_the_selector_their_lack_is_the_cause() -> None:
    world = world_of(
        pending("0/3 nodes are available: 1 Insufficient memory, 2 node(s) didn't match Pod's node affinity.")
    )
    lack, selector = (found(check, k, world) for k in ("insufficient_memory", "node_selector_mismatch"))
    assert lack.confidence > selector.confidence + 0.2


BIG = template(container(resources={"requests": {"cpu": "6", "memory": "1Gi"}}))


def test_the_numbers_come_from_the_nodes() -> None:
    other = healthy(template(container(resources={"requests": {"cpu": "3"}})), name="other-0", owner={})
    world = world_of(pending("0/1 nodes are available: 1 Insufficient cpu.", BIG), node(), other)
    fact = found(check, "insufficient_cpu", world)
    assert fact.values["requested"] == 6
    assert fact.values["largest"] == 4
    assert fact.values["free"] == 1
    assert "the largest node has 4" in fact.detail


@pytest.mark.parametrize(
    ("kind", "tpl", "nodes"),
    [
        ("insufficient_cpu", BIG, [node()]),
        ("insufficient_memory", template(container(resources={"requests": {"memory": "32Gi"}})), [node()]),
        ("insufficient_gpu", template(container(resources={"limits": {"nvidia.com/gpu": "1"}})), [node()]),
        ("too_many_pods", template(), [node(pods="0")]),
        ("node_selector_mismatch", template(nodeSelector={"disk": "ssd"}), [node(labels={"disk": "hdd"})]),
        ("taint_not_tolerated", template(), [node(taints=[{"key": "gpu", "effect": "NoSchedule"}])]),
        ("node_cordoned", template(), [node(cordoned=True)]),
    ],
)
def test_without_a_message_the_objects_are_reckoned_with(kind: str, tpl: Any, nodes: list[Any]) -> None:
    assert found(check, kind, world_of(pending(None, tpl), *nodes)).confidence >= 0.85


def test_a_lack_that_the_nodes_no_longer_have_is_doubted() -> None:
    said = "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint {gpu: true}."
    taint = {"key": "gpu", "value": "true", "effect": "NoSchedule"}
    small = template(container(resources={"requests": {"cpu": "2"}}))
    other = healthy(template(container(resources={"requests": {"cpu": "3"}})), name="other-0", owner={})
    special = node("node-2", taints=[taint])
    full = found(check, "insufficient_cpu", world_of(pending(said, small), node(), other, special))
    assert full.confidence >= 0.85
    assert "free on a node that would do is 1" in full.detail
    assert found(check, "insufficient_cpu", world_of(pending(said, small), node(), special)).confidence <= 0.7


def test_a_node_that_was_not_read_whole_refuses_nothing() -> None:
    bare = node()
    bare["status"] = {}
    assert {one.kind for one in causes(check(world_of(pending(None, BIG), bare)))} == {"failed_scheduling"}


def test_a_tolerated_taint_and_a_matching_selector_refuse_nothing() -> None:
    tpl = template(
        nodeSelector={"disk": "ssd"},
        tolerations=[{"key": "gpu", "operator": "Exists"}],
    )
    fits = node(labels={"disk": "ssd"}, taints=[{"key": "gpu", "value": "x", "effect": "NoSchedule"}])
    found_kinds = {one.kind for one in causes(check(world_of(pending(None, tpl), fits)))}
    assert found_kinds == {"failed_scheduling"}


def test_affinity_is_told_from_selector_by_what_the_pod_asks_for() -> None:
    terms = [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["eu-9"]}]}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    tpl = template(affinity={"nodeAffinity": required})
    said = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
    fact = found(check, "node_affinity_mismatch", world_of(pending(said, tpl), node(labels={"zone": "eu-1"})))
    assert "zone In eu-9" in fact.detail
    assert "no node has it" in fact.detail


def test_a_cordon_is_charged_to_the_node_too() -> None:
    said = "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable."
    world = world_of(pending(said), node(), node("node-2", cordoned=True))
    assert found(check, "node_cordoned", world, "node-2").subject_kind == "node"
    assert found(check, "node_cordoned", world).confidence >= 0.7


def test_a_host_port_names_who_holds_it() -> None:
    tpl = template(container(ports=[{"containerPort": 80, "hostPort": 80}]))
    holder = healthy(tpl, name="ingress-x", owner={})
    said = "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."
    fact = found(check, "host_port_conflict", world_of(pending(said, tpl), holder))
    assert "host port 80" in fact.detail
    assert "pod ingress-x" in fact.detail


def test_a_scheduler_that_nobody_runs_is_named() -> None:
    waiting = pod(template(schedulerName="volcano"), phase="Pending", node=None)
    assert "volcano" in found(check, "scheduler_missing", world_of(waiting)).detail
    fresh = pod(template(schedulerName="volcano"), phase="Pending", node=None, age=0.1)
    assert verdict(check, "scheduler_missing", world_of(fresh)) is ABSENT
    unseen = pod(phase="Pending", node=None)
    assert verdict(check, "scheduler_missing", world_of(unseen)) is ABSENT
    assert found(check, "failed_scheduling", world_of(unseen)).confidence <= 0.6


def test_a_gated_pod_is_not_short_of_anything() -> None:
    gated = pod(
        template(schedulingGates=[{"name": "example.com/quota"}]),
        phase="Pending",
        node=None,
        conditions=[{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}],
    )
    world = world_of(gated)
    assert "example.com/quota" in found(check, "failed_scheduling", world).detail
    assert {one.kind for one in causes(check(world))} == {"failed_scheduling"}


CLAIMING = template(volumes=[{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}])
UNBOUND = "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims."


def volume(name: str = "pv-1", *, phase: str = "Available", size: str = "10Gi", mode: str = "Filesystem",
           modes: tuple[str, ...] = ("ReadWriteOnce",), storage_class: str = "fast") -> Any:  # fmt: skip
    spec = {
        "capacity": {"storage": size},
        "accessModes": list(modes),
        "volumeMode": mode,
        "storageClassName": storage_class,
    }
    return thing("PersistentVolume", name, ns=None, spec=spec, status={"phase": phase})


def storage(name: str = "fast", *, binding: str = "Immediate", **more: Any) -> Any:
    return thing(
        "StorageClass", name, ns=None, api="storage.k8s.io/v1", volumeBindingMode=binding,
        provisioner=more.pop("provisioner", "kubernetes.io/no-provisioner"), **more,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("objects", "said"),
    [
        ([pvc()], "StorageClass fast, which does not exist"),
        ([pvc(storage_class=None)], "names no StorageClass and there is no default"),
        ([storage()], "does not exist"),
        ([pvc(phase="Lost", volumeName="pv-9")], "lost its volume pv-9"),
        ([pvc(modes=["ReadWriteMany"]), storage(), volume()], "claim asks for ReadWriteMany"),
        ([pvc(size="50Gi"), storage(), volume()], "holds 10Gi, the claim asks for 50Gi"),
        ([pvc(volumeMode="Block"), storage(), volume()], "volumeMode Filesystem, the claim asks for Block"),
        ([pvc(), storage(), volume(phase="Released")], "pv-1 is Released"),
        ([pvc(volumeName="gone"), storage(), volume()], "names volume gone, which does not exist"),
        (
            [
                pvc(),
                storage(provisioner="ebs.csi.aws.com"),
                event(pvc(), "ProvisioningFailed", "failed to provision volume: rpc error: quota exceeded"),
            ],
            "ProvisioningFailed: failed to provision volume",
        ),
    ],
)
def test_why_a_claim_is_not_bound_is_said(objects: list[Any], said: str) -> None:
    fact = found(check, "pvc_unbound", world_of(pending(UNBOUND, CLAIMING), *objects))
    assert said in fact.detail
    assert fact.confidence >= 0.9


def test_an_unbound_claim_is_seen_without_the_schedulers_words() -> None:
    assert found(check, "pvc_unbound", world_of(pending(None, CLAIMING), pvc())).confidence >= 0.9


def test_claims_that_could_not_be_read_leave_the_claim_unknown() -> None:
    world = world_of(healthy(CLAIMING), failed={"PersistentVolumeClaim": "403 Forbidden"})
    assert verdict(check, "pvc_unbound", world) is UNKNOWN
