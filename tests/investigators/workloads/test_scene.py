"""How objects are put together: owners, names, revisions, events of both APIs."""

from __future__ import annotations

from datetime import timedelta

from investigators.facts.workloads.scene import scene_of
from tests.investigators.kube import (
    NOW,
    OLD_RS,
    POD,
    at,
    cluster_of,
    container,
    deployment,
    healthy,
    line,
    meta,
    replica_set,
    status,
    template,
    thing,
    workload,
    world_of,
)


def test_a_replica_sets_own_pods_are_found_beside_those_of_its_deployment() -> None:
    top = deployment()
    new, old = replica_set(of=top), replica_set(name=OLD_RS, of=top, revision=1)
    cluster = cluster_of(
        top,
        new,
        old,
        healthy(owner=new),
        healthy(owner=old, name=f"{OLD_RS}-aaaaa"),
        healthy(name="x", owner={}),
    )
    owners = {one.name: {pod.name for pod in cluster.pods_of(one)} for one in cluster.of("ReplicaSet")}
    assert owners == {new["metadata"]["name"]: {POD}, OLD_RS: {f"{OLD_RS}-aaaaa"}}
    assert len(cluster.pods_of(cluster.of("Deployment")[0])) == 2


def test_pods_are_found_by_name_when_their_replica_set_was_not_read() -> None:
    top = deployment()
    cluster = cluster_of(top, healthy(owner=replica_set(of=top)))
    assert [pod.name for pod in cluster.pods_of(cluster.of("Deployment")[0])] == [POD]


def test_pods_of_a_cron_job_belong_to_it() -> None:
    cron = thing(
        "CronJob", "report", api="batch/v1", spec={"jobTemplate": {"spec": {"template": template()}}}
    )
    job = workload("Job", "report-29401230")
    job["metadata"] = meta("report-29401230", owner=cron)
    unit = scene_of(world_of(cron, job, healthy(owner=job, name="report-29401230-abcde"))).units[0]
    assert (unit.service, len(unit.pods)) == ("report", 1)
    assert unit.containers


def test_revisions_go_by_number_and_the_newest_template_is_the_workloads() -> None:
    top = deployment(template(container(image="cart:9")))
    sets = [replica_set(of=top, name=f"cart-{n}{n}{n}{n}{n}{n}", revision=n, age=n) for n in (2, 10, 9)]
    unit = scene_of(world_of(top, *sets)).units[0]
    assert [one.name for one in unit.revisions] == ["cart-101010101010", "cart-999999", "cart-222222"]
    assert unit.containers[0]["image"] == "cart:9"


def test_events_of_the_newer_api_are_read_too() -> None:
    up = healthy()
    told = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": meta("cart.1"),
        "regarding": {"kind": "Pod", "namespace": "shop", "name": POD, "fieldPath": "spec.containers{app}"},
        "type": "Warning",
        "reason": "BackOff",
        "note": "Back-off restarting failed container app in pod cart",
        "deprecatedCount": 7,
        "deprecatedFirstTimestamp": at(9),
        "deprecatedLastTimestamp": at(2),
        "eventTime": None,
    }
    event = scene_of(world_of(up, told)).units[0].events[0]
    assert (event.count, event.first, event.last) == (
        7,
        NOW - timedelta(minutes=9),
        NOW - timedelta(minutes=2),
    )
    assert event.message.startswith("Back-off")


def test_a_sidecar_is_among_the_containers_and_an_init_container_is_told() -> None:
    tpl = template(initContainers=[container("migrate"), container("proxy", restartPolicy="Always")])
    unit = scene_of(world_of(healthy(tpl, init=[status("migrate"), status("proxy")]))).units[0]
    assert {box.name: box.init for box in unit.boxes} == {"migrate": True, "proxy": False, "app": False}


def test_log_lines_of_a_workload_are_those_of_its_pods_and_of_its_name_once() -> None:
    lines = [line("a"), line("b", pod="elsewhere", service="cart"), line("old", ago=300)]
    scene = scene_of(world_of(healthy(), lines=lines))
    unit = scene.units[0]
    assert [one.text for one in scene.lines(unit)] == ["a", "b"]
    assert [one.text for one in scene.lines(unit, old=True)] == ["a", "b", "old"]


def test_a_namesake_in_another_namespace_has_none_of_the_lines_without_a_namespace() -> None:
    world = world_of(healthy(), healthy(ns="staging", name="cart-5f5f5f5f5f-aaaaa"), lines=[line("a")])
    scene = scene_of(world)
    assert {unit.service: len(scene.lines(unit)) for unit in scene.units} == {"cart": 1, "staging/cart": 0}
    assert [unit.service for unit in scene.mine] == ["cart"]
