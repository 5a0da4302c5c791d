"""What a person is shown of an answer is what kubectl would have shown."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from adapters.evidence.kubernetes.look import age
from adapters.evidence.kubernetes.pods import pod_status
from adapters.evidence.kubernetes.rows import table
from investigators.queries import ObjectQuery
from tests.adapters.evidence.kubernetes_world import ago, ask, made, pod, pod_template
from tests.fakes.evidence import NOW
from tests.servers.kubernetes_api import KubernetesApi


def running(**more: Any) -> dict[str, Any]:
    return {"name": "web", "ready": True, "state": {"running": {}}, "restartCount": 0, **more}


def waiting(reason: str, **more: Any) -> dict[str, Any]:
    return {
        "name": "web",
        "ready": False,
        "state": {"waiting": {"reason": reason}},
        "restartCount": 0,
        **more,
    }


def ended(code: int = 0, **more: Any) -> dict[str, Any]:
    return {"name": "web", "ready": False, "state": {"terminated": {"exitCode": code, **more}}}


@pytest.mark.parametrize(
    ("status", "metadata", "expected"),
    [
        ({"phase": "Running", "containerStatuses": [running()]}, {}, "Running"),
        ({"phase": "Running", "containerStatuses": [waiting("CrashLoopBackOff")]}, {}, "CrashLoopBackOff"),
        ({"phase": "Pending", "containerStatuses": [waiting("ImagePullBackOff")]}, {}, "ImagePullBackOff"),
        ({"phase": "Failed", "containerStatuses": [ended(1, reason="Error")]}, {}, "Error"),
        ({"phase": "Failed", "containerStatuses": [ended(137, signal=9)]}, {}, "Signal:9"),
        ({"phase": "Failed", "containerStatuses": [ended(3)]}, {}, "ExitCode:3"),
        ({"phase": "Failed", "reason": "Evicted"}, {}, "Evicted"),
        ({"phase": "Succeeded", "containerStatuses": [ended(0, reason="Completed")]}, {}, "Completed"),
        (
            {"phase": "Running", "containerStatuses": [ended(0, reason="Completed"), running()]},
            {},
            "NotReady",
        ),
        ({"phase": "Pending", "initContainerStatuses": [waiting("ErrImagePull")]}, {}, "Init:ErrImagePull"),
        ({"phase": "Pending", "initContainerStatuses": [ended(2, reason="Error")]}, {}, "Init:Error"),
        (
            {"phase": "Pending", "initContainerStatuses": [ended(), waiting("PodInitializing")]},
            {},
            "Init:1/2",
        ),
        (
            {"phase": "Running", "containerStatuses": [running()]},
            {"deletionTimestamp": ago(minutes=1)},
            "Terminating",
        ),
        ({"phase": "Running", "reason": "NodeLost"}, {"deletionTimestamp": ago(minutes=1)}, "Unknown"),
        ({}, {}, "Unknown"),
    ],
)
def test_the_status_of_a_pod_is_what_kubectl_says(
    status: dict[str, Any], metadata: dict[str, Any], expected: str
) -> None:
    spec = {"containers": [{"name": "web"}], "initContainers": [{"name": "a"}, {"name": "b"}]}
    assert pod_status(made("Pod", "web-1", metadata=metadata, spec=spec, status=status)) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (5, "5s"),
        (119, "119s"),
        (125, "2m5s"),
        (180, "3m"),
        (1900, "31m"),
        (3 * 3600 + 60, "3h1m"),
        (26 * 3600, "26h"),
        (3 * 86400 + 3600, "3d1h"),
        (40 * 86400, "40d"),
        (-5, "0s"),
    ],
)
def test_ages_are_written_as_kubectl_writes_them(seconds: int, expected: str) -> None:
    assert age(NOW - timedelta(seconds=seconds), NOW) == expected


async def test_pods_are_a_table_with_the_unwell_first() -> None:
    api = KubernetesApi()
    crashed = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": ago(minutes=2)}}
    created = {"creationTimestamp": ago(days=2)}
    sick = pod("web-2", containerStatuses=[waiting("CrashLoopBackOff", restartCount=7, lastState=crashed)])
    for one in (pod("web-1", containerStatuses=[running()]), sick):
        one["metadata"] |= created
        api.put(one)
    evidence = await ask(api, ObjectQuery(object_kind="Pod", namespace="shop"))
    assert evidence.summary == "2 pods, 1 of them not well"
    assert [line.split() for line in evidence.excerpt.splitlines()] == [
        ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "NODE", "REASON"],
        [
            "web-2",
            "0/1",
            "CrashLoopBackOff",
            "7",
            "(2m",
            "ago)",
            "2d",
            "n1",
            "web",
            "last",
            "OOMKilled",
            "(137)",
        ],
        ["web-1", "1/1", "Running", "0", "2d", "n1"],
    ]


async def test_a_pod_that_cannot_be_scheduled_says_why() -> None:
    api = KubernetesApi()
    why = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/3 nodes: taint",
    }
    api.put(made("Pod", "web-1", spec={"containers": [{}]}, status={"phase": "Pending", "conditions": [why]}))
    evidence = await ask(api, ObjectQuery(object_kind="Pod"))
    assert "Unschedulable: 0/3 nodes: taint" in evidence.excerpt


async def test_a_sidecar_counts_as_a_container_that_must_be_ready() -> None:
    api = KubernetesApi()
    spec = {"containers": [{"name": "web"}], "initContainers": [{"name": "mesh", "restartPolicy": "Always"}]}
    mesh = running(name="mesh", started=True)
    status = {"phase": "Running", "containerStatuses": [running()], "initContainerStatuses": [mesh]}
    api.put(made("Pod", "web-1", spec=spec, status=status))
    evidence = await ask(api, ObjectQuery(object_kind="Pod"))
    assert "2/2" in evidence.excerpt


async def test_events_come_newest_first_with_what_they_are_about() -> None:
    api = KubernetesApi()
    about = {"involvedObject": {"kind": "Pod", "name": "web-1", "namespace": "shop"}, "type": "Warning"}
    api.put(made("Event", "a", **about, reason="Old", message="once", lastTimestamp=ago(minutes=30)))
    api.put(
        made(
            "Event",
            "b",
            **about,
            reason="BackOff",
            message="again\n  and again",
            count=9,
            lastTimestamp=ago(minutes=3),
        )
    )
    api.put(
        made("Event", "c", **about, reason="New", note="text", eventTime=ago(minutes=1), lastTimestamp=None)
    )
    evidence = await ask(api, ObjectQuery(object_kind="Event"))
    assert [line.split()[2] for line in evidence.excerpt.splitlines()[1:]] == ["New", "BackOff", "Old"]
    assert "pod/web-1   (x9) again and again" in evidence.excerpt
    assert evidence.outsider_writable
    assert evidence.manual == "kubectl get events -A --sort-by=.lastTimestamp"


def conditions(**types: str) -> dict[str, Any]:
    return {
        "conditions": [{"type": key, "status": value, "reason": f"{key}Why"} for key, value in types.items()]
    }


@pytest.mark.parametrize(
    ("kind", "document", "said", "well"),
    [
        (
            "Deployment",
            {"spec": {"replicas": 2, "template": pod_template()}, "status": {"readyReplicas": 2}},
            "2/2",
            True,
        ),
        ("Deployment", {"spec": {"replicas": 0}, "status": {}}, "0/0", True),
        (
            "Deployment",
            {"spec": {"replicas": 1}, "status": {"readyReplicas": 1, **conditions(Progressing="False")}},
            "ProgressingWhy",
            False,
        ),
        ("StatefulSet", {"spec": {"replicas": 3}, "status": {"readyReplicas": 1}}, "1/3", False),
        ("DaemonSet", {"status": {"desiredNumberScheduled": 3, "numberReady": 3}}, "3/3", True),
        (
            "Job",
            {"spec": {"completions": 1}, "status": conditions(Failed="True")},
            "Failed: FailedWhy",
            False,
        ),
        ("CronJob", {"spec": {"schedule": "0 3 * * *", "suspend": True}}, "0 3 * * *", False),
        ("Node", {"status": conditions(Ready="True", DiskPressure="False")}, "Ready", True),
        ("Node", {"status": conditions(Ready="True", DiskPressure="True")}, "Ready,DiskPressure", False),
        ("Node", {"status": conditions(Ready="Unknown")}, "NotReady (ReadyWhy)", False),
        (
            "Node",
            {"spec": {"unschedulable": True}, "status": conditions(Ready="True")},
            "SchedulingDisabled",
            False,
        ),
        (
            "Service",
            {"spec": {"ports": [{"port": 80, "targetPort": "http"}], "selector": {"app": "web"}}},
            "80→http/TCP   app=web",
            True,
        ),
        ("Endpoints", {"subsets": [{"notReadyAddresses": [{"ip": "10.0.0.7"}]}]}, "0       1", False),
        (
            "EndpointSlice",
            {"endpoints": [{"conditions": {"ready": False}}, {"conditions": {}}]},
            "1       1",
            True,
        ),
        (
            "PersistentVolumeClaim",
            {"spec": {"accessModes": ["ReadWriteOnce"]}, "status": {"phase": "Pending"}},
            "Pending",
            False,
        ),
        (
            "HorizontalPodAutoscaler",
            {
                "spec": {
                    "minReplicas": 2,
                    "maxReplicas": 5,
                    "scaleTargetRef": {"kind": "Deployment", "name": "web"},
                },
                "status": {"currentReplicas": 5, **conditions(ScalingActive="True", ScalingLimited="True")},
            },
            "ScalingLimitedWhy",
            False,
        ),
        ("ResourceQuota", {"status": {"hard": {"pods": "10"}, "used": {"pods": "10"}}}, "pods 10/10", False),
        ("ResourceQuota", {"status": {"hard": {"pods": "10"}, "used": {"pods": "9"}}}, "pods 9/10", True),
        ("Secret", {"type": "Opaque", "data": {"b": "", "a": ""}}, "Opaque   2      a, b", True),
        (
            "Application",
            {"status": {"sync": {"status": "OutOfSync"}, "health": {"status": "Degraded"}}},
            "OutOfSync   Degraded",
            False,
        ),
        (
            "Ingress",
            {
                "spec": {
                    "rules": [
                        {
                            "host": "a.b",
                            "http": {
                                "paths": [
                                    {
                                        "path": "/x",
                                        "backend": {"service": {"name": "web", "port": {"number": 80}}},
                                    }
                                ]
                            },
                        }
                    ]
                }
            },
            "a.b/x→web:80",
            True,
        ),
        ("Kustomization", {"status": conditions(Ready="False")}, "Ready=False: ReadyWhy", False),
        ("Certificate", {"status": conditions(Ready="True")}, "Ready", True),
        ("Namespace", {"status": {"phase": "Terminating"}}, "Terminating", True),
        ("LimitRange", {}, "thing", True),
    ],
)
def test_a_kind_shows_what_matters_about_it(
    kind: str, document: dict[str, Any], said: str, well: bool
) -> None:
    found = table(kind, [made(kind, "thing", **document)], NOW)
    assert said in found.text
    assert found.unwell == (0 if well else 1)


def test_a_long_list_shows_its_beginning_and_how_much_more_there_is() -> None:
    found = table("Pod", [pod(f"web-{index:03d}") for index in range(100)], NOW)
    lines = found.text.splitlines()
    assert len(lines) == 62
    assert lines[-1] == "… and 40 more"
    assert found.unwell == 100


def test_objects_of_several_namespaces_say_which() -> None:
    found = table("Secret", [made("Secret", "a"), made("Secret", "a", "bank")], NOW)
    assert [line.split()[0] for line in found.text.splitlines()] == ["NAMESPACE", "bank", "shop"]
