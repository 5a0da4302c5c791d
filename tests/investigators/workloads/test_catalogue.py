"""All rules together: on a healthy cluster, on broken objects, on a big cluster, and against the page."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from bot.domain.evidence import Fact, FactVerdict
from investigators.facts.workloads import (
    admission,
    configuration,
    environment,
    exhaustion,
    images,
    mounts,
    placement,
    ports,
    probes,
    revisions,
    runtime,
    startup,
)
from investigators.facts.workloads.catalogue import FAULTS, WORLD_RULES
from investigators.world.world import World
from tests.investigators.kube import (
    OLD_RS,
    causes,
    container,
    deployment,
    ended,
    event,
    healthy,
    line,
    node,
    pending,
    pod,
    pvc,
    quota,
    replica_set,
    running,
    service,
    status,
    template,
    thing,
    waiting,
    workload,
    world_of,
)

FAMILIES = (admission, placement, images, configuration, startup, mounts, ports, environment, probes, runtime,
            exhaustion, revisions)  # fmt: skip
PAGE = Path(__file__).parents[3] / "docs" / "faults-kubernetes.md"


def every_fact(world: World) -> list[Fact]:
    return [fact for rule in WORLD_RULES for fact in rule.check(world)]


def needs() -> dict[str, tuple[str, ...]]:
    return {kind: needed for family in FAMILIES for kind, needed in family.NEEDS.items()}


def test_every_kind_has_one_rule_a_fault_and_a_line_on_the_page() -> None:
    kinds = [kind for family in FAMILIES for kind in family.NEEDS]
    assert len(kinds) == len(set(kinds))
    assert set(kinds) == set(FAULTS)
    page = PAGE.read_text(encoding="utf-8")
    assert [kind for kind in kinds if f"| `{kind}` |" not in page] == []


def test_general_kinds_weigh_less_than_what_explains_them() -> None:
    for kind, fault in FAULTS.items():
        for explained in fault.explains & FAULTS.keys():
            assert FAULTS[explained].weight <= fault.weight, (kind, explained)
            assert kind not in FAULTS[explained].explains, f"{kind} and {explained} explain each other"


def test_a_healthy_service_has_every_kind_ruled_out_and_none_found() -> None:
    facts = every_fact(healthy_world())
    assert causes(facts) == []
    assert {fact.kind for fact in facts if fact.verdict is FactVerdict.ABSENT} == set(FAULTS)


def test_a_cluster_that_answers_nothing_rules_out_nothing() -> None:
    failed = dict.fromkeys(("Pod", "Event", "Service", "ReplicaSet", "Secret", "Node"), "timeout after 10 s")
    facts = every_fact(world_of(failed=failed, logs="failed"))
    assert {fact.verdict for fact in facts} == {FactVerdict.UNKNOWN}
    assert all(fact.detail for fact in facts)


def test_without_a_cluster_or_without_such_a_service_nothing_is_said() -> None:
    assert every_fact(world_of(only=())) == []
    assert every_fact(world_of(healthy(), subjects=("a-database",))) == []


@pytest.mark.parametrize(
    "kind", ["Pod", "Event", "ReplicaSet", "Service", "Secret", "ConfigMap", "ResourceQuota"]
)
def test_nothing_is_ruled_out_by_a_list_that_was_cut(kind: str) -> None:
    for fact in every_fact(healthy_world(cut=(kind,))):
        if kind in needs()[fact.kind]:
            assert fact.verdict is FactVerdict.UNKNOWN, fact.kind


def test_a_failing_log_source_rules_out_nothing_that_needs_it() -> None:
    open_kinds = {
        fact.kind
        for fact in every_fact(healthy_world(logs="failed"))
        if fact.verdict is not FactVerdict.ABSENT
    }
    assert open_kinds == {kind for kind, needed in needs().items() if "log" in needed}


def test_an_app_label_or_a_service_names_the_workload_where_no_name_does() -> None:
    top = deployment(name="cart-v2")
    rs = replica_set(of=top, name="cart-v2-7d9f8c6b5d")
    dead = pod(None, status(last=ended(139)), name="cart-v2-7d9f8c6b5d-abcde", owner=rs)
    for subject in ("cart", "cart-svc"):
        svc = service("cart-svc", selector={"app": "cart"})
        facts = every_fact(world_of(top, rs, dead, svc, subjects=(subject,)))
        assert {fact.subject for fact in facts} == {"cart-v2"}
        assert "process_crash" in {fact.kind for fact in causes(facts)}


def test_several_faults_at_once_are_all_found_with_their_own_objects() -> None:
    dead = pod(None, status(state=waiting("CrashLoopBackOff"), last=ended(137, "OOMKilled"), restarts=5))
    db = pending(
        "0/1 nodes are available: 1 Insufficient memory.", name="db-0", owner=workload("StatefulSet", "db")
    )
    found = {(fact.kind, fact.subject) for fact in causes(every_fact(world_of(dead, db)))}
    assert found == {
        ("oom_killed", "cart"), ("crashloop", "cart"), ("failed_scheduling", "db"),
        ("insufficient_memory", "db"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("wrong_env_value", "failed to connect to otel:4317: no such host"),
        ("wrong_env_value", "LOG_LEVEL: invalid level 'verbos'"),
        ("file_handle_exhaustion", "accept: too many open files"),
        (
            "rbac_denied",
            'User "system:serviceaccount:shop:default" cannot list resource "pods" in API group ""',
        ),
        ("read_only_root_filesystem", "Read-only file system: '/app/x'"),
        ("volume_mount", "12:00:01 open /data/x: permission denied"),
    ],
)
def test_a_complaint_that_is_usual_is_no_news(kind: str, text: str) -> None:
    variables = [{"name": "OTEL_ADDR", "value": "otel:4317"}, {"name": "LOG_LEVEL", "value": "verbos"}]
    tpl = template(
        container(
            env=variables,
            volumeMounts=[{"name": "d", "mountPath": "/data"}],
            securityContext={"readOnlyRootFilesystem": True},
        )
    )
    dead = pod(tpl, status(state=waiting("CrashLoopBackOff"), last=ended(1), restarts=4))
    now = [line(text, ago=ago) for ago in (3, 2, 1)]
    objects = (dead, service("cart"))
    sure = {fact.kind: fact.confidence for fact in causes(every_fact(world_of(*objects, lines=now)))}
    assert sure[kind] >= 0.75
    for more in ({"calm": [line(text, ago=600)]}, {"lines": [line(text, ago=200), *now]}):
        facts = causes(every_fact(world_of(*objects, **{"lines": now, **more})))
        assert {fact.kind: fact.confidence for fact in facts}[kind] <= 0.4


def test_the_same_world_gives_the_same_facts() -> None:
    assert every_fact(sick_world()) == every_fact(sick_world())


def test_every_fact_that_is_found_cites_what_shows_it_and_says_what() -> None:
    facts = causes(every_fact(sick_world()))
    assert len({fact.kind for fact in facts}) >= 15
    for fact in facts:
        assert fact.evidence_ids
        assert fact.detail
        assert 0 < fact.confidence <= 0.97
        assert fact.subject_kind in ("service", "namespace", "node")


def paths(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*here, key)
        yield from paths(inner, (*here, key))


def broken(objects: list[Any], path: tuple[Any, ...], value: Any) -> list[Any]:
    copy = deepcopy(objects)
    place = copy
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return [one for one in copy if isinstance(one, dict) and isinstance(one.get("kind"), str)]


def test_an_object_that_is_not_as_expected_breaks_no_rule() -> None:
    """Custom controllers, old versions and partial recordings leave out or change any part of an object."""
    values = [None, "text", 7, [], {}, [None, "x", {"name": 3}]]
    objects = sick_objects()
    for number, path in enumerate(list(paths(objects))[::2]):
        every_fact(world_of(*broken(objects, path, values[number % len(values)]), lines=LINES))


LINES = [
    line("listening on :3000", ago=15),
    line("LOG_LEVEL: invalid level 'verbos'"),
    line("too many open files"),
]


def sick_objects() -> list[Any]:
    """A bit of everything that rules look at, most of it wrong."""
    get = {"httpGet": {"path": "/x", "port": 9090}, "timeoutSeconds": 1}
    app = container(
        ports=[{"containerPort": 8080, "hostPort": 80}],
        env=[
            {"name": "LOG_LEVEL", "value": "verbos"},
            {"name": "DB", "value": "postgres://db-wrong:5432/x"},
            {"name": "PW", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
        ],
        envFrom=[{"configMapRef": {"name": "cart-config"}}],
        resources={"requests": {"cpu": "500m"}, "limits": {"memory": "256Mi"}},
        readinessProbe=get,
        livenessProbe=get,
        volumeMounts=[{"name": "data", "mountPath": "/data"}],
        securityContext={"readOnlyRootFilesystem": True, "runAsUser": 1000},
        args=["--port", "3000"],
    )
    terms = [{"matchExpressions": [{"key": "zone", "operator": "Gt", "values": ["3"]}]}]
    tpl = template(
        app,
        initContainers=[container("migrate")],
        volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        nodeSelector={"disk": "ssd"},
        affinity={
            "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        },
        tolerations=[{"key": "a", "operator": "Exists"}],
        serviceAccountName="cart-sa",
        imagePullSecrets=[{"name": "regcred"}],
    )
    top = deployment(tpl, replicas=3)
    old = replica_set(template(container(image="cart:1")), name=OLD_RS, of=top, revision=1, replicas=0)
    said = 'pods "x" is forbidden: exceeded quota: q, requested: cpu=1, used: cpu=2, limited: cpu=2'
    failure = {"type": "ReplicaFailure", "status": "True", "message": said}
    new = replica_set(tpl, of=top, replicas=4, has=3, conditions=[failure])
    dead = pod(
        tpl,
        status(
            state=waiting("CrashLoopBackOff", "back-off 5m0s restarting"),
            last=ended(137, "OOMKilled"),
            restarts=5,
        ),
        owner=new,
        init=[status("migrate", ended(0, "Completed"))],
    )
    stuck = pod(
        tpl,
        status(state=waiting("ImagePullBackOff", "manifest unknown")),
        init=[status("migrate", waiting("CreateContainerConfigError", 'secret "db" not found'), ended(127))],
        owner=new,
        phase="Pending",
        name="cart-7d9f8c6b5d-bbbbb",
    )
    waits = pending(None, tpl, owner=new, name="cart-7d9f8c6b5d-ccccc")
    sick = pod(tpl, status(state=running(15), last=ended(139)), owner=new, name="cart-7d9f8c6b5d-ddddd")
    gone = pod(
        tpl, owner=new, phase="Failed", name="cart-7d9f8c6b5d-eeeee",
        status={"reason": "Evicted", "message": "The node was low on resource: memory."},
    )  # fmt: skip
    refused = (
        'Readiness probe failed: Get "http://10.1.2.3:9090/x": dial tcp 10.1.2.3:9090: connect: '
        "connection refused"
    )
    told = [
        event(sick, "Unhealthy", refused, count=20, first=14, container="app"),
        event(dead, "Killing", "Container app failed liveness probe, will be restarted", container="app"),
        event(stuck, "FailedMount", 'MountVolume.SetUp failed for volume "x" : configmap "y" not found'),
        event(waits, "FailedScheduling", "0/1 nodes are available: 1 Insufficient cpu, 1 Too many pods."),
        event(new, "FailedCreate", f"Error creating: {said}"),
        event(
            top, "ScalingReplicaSet", f"Scaled up replica set {new['metadata']['name']} to 3", kind="Normal"
        ),
    ]
    limit = {"type": "Container", "max": {"memory": "128Mi"}, "min": {"cpu": "1"}, "default": {"cpu": "1"}}
    return [
        top, old, new, dead, stuck, waits, sick, gone, *told,
        node(taints=[{"key": "gpu", "value": "a", "effect": "NoSchedule"}]), node("node-2", cordoned=True),
        service(ports=[{"port": 80, "targetPort": "http"}]), pvc(),
        quota(hard={"pods": "4"}, used={"pods": "4"}),
        thing("LimitRange", "limits", spec={"limits": [limit]}),
        thing("Secret", "db", data={"user": ""}), thing("ConfigMap", "kube-root-ca.crt", data={"ca.crt": ""}),
        thing("ServiceAccount", "default"),
        thing("PersistentVolume", "pv-1", ns=None,
              spec={"capacity": {"storage": "1Gi"}, "storageClassName": "fast"}),
        thing("StorageClass", "fast", ns=None, volumeBindingMode="WaitForFirstConsumer", provisioner="x"),
        workload("Job", "import"), workload("DaemonSet", "agent", status={"desiredNumberScheduled": 2}),
    ]  # fmt: skip


def sick_world() -> World:
    return world_of(*sick_objects(), lines=LINES)


def healthy_world(**more: Any) -> World:
    tpl = template(
        container(ports=[{"containerPort": 8080}], readinessProbe={"httpGet": {"path": "/", "port": 8080}}),
    )
    top = deployment(tpl)
    old = replica_set(tpl, name=OLD_RS, of=top, revision=1, replicas=0, age=60 * 24 * 9)
    rs = replica_set(tpl, of=top, age=60 * 24 * 3)
    up = healthy(tpl, owner=rs, age=60 * 24 * 3)
    noise = [
        event(
            up,
            "Unhealthy",
            "Readiness probe failed: HTTP probe failed with statuscode: 503",
            count=1,
            last=50,
        ),
        event(up, "Pulled", "Container image already present on machine", kind="Normal"),
    ]
    lines = [line("listening on :8080", ago=50), line("GET /cart 200")]
    return world_of(top, old, rs, up, *noise, node(), service(), lines=lines, **more)
