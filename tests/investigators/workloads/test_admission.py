"""Pods that are never created, from what controllers were told and from the objects that refuse them."""

from __future__ import annotations

from typing import Any

import pytest

from bot.domain.evidence import FactVerdict
from investigators.facts.workloads.admission import FAULTS, check
from tests.investigators.kube import (
    OLD_RS,
    at,
    container,
    deployment,
    event,
    found,
    healthy,
    line,
    quota,
    replica_set,
    template,
    thing,
    verdict,
    workload,
    world_of,
)

EMPTY_RS = {"has": 0}
FOUND, ABSENT, UNKNOWN = FactVerdict.FOUND, FactVerdict.ABSENT, FactVerdict.UNKNOWN
FORBIDDEN = 'Error creating: pods "cart-7d9f8c6b5d-abcde" is forbidden: '

REFUSALS = [
    (
        "quota_exceeded",
        FORBIDDEN + "exceeded quota: compute-quota, requested: requests.cpu=500m, used: requests.cpu=1900m, "
        "limited: requests.cpu=2",
        "compute-quota",
    ),
    (
        "quota_exceeded",
        FORBIDDEN + "exceeded quota: object-counts, requested: pods=1, used: pods=10, limited: pods=10",
        "pods=1",
    ),
    (
        "quota_exceeded",
        FORBIDDEN + "failed quota: mem-cpu: must specify limits.cpu for: app; limits.memory for: app",
        "must specify limits.cpu",
    ),
    (
        "quota_exceeded",  # up to 1.24 the containers were not named
        FORBIDDEN + "failed quota: mem-cpu: must specify limits.cpu,limits.memory",
        "must specify limits.cpu,limits.memory",
    ),
    (
        "limit_range_violated",
        FORBIDDEN + "maximum memory usage per Container is 1Gi, but limit is 2Gi",
        "maximum memory usage per Container is 1Gi, but limit is 2Gi",
    ),
    (
        "limit_range_violated",
        FORBIDDEN
        + "[minimum cpu usage per Container is 100m, but request is 50m, maximum cpu usage per Pod is "
        "2, but limit is 4]",
        "minimum cpu usage",
    ),
    (
        "limit_range_violated",
        FORBIDDEN + "cpu max limit to request ratio per Container is 2, but provided ratio is 4.000000",
        "ratio",
    ),
    (
        "webhook_denied",
        'Error creating: admission webhook "validation.gatekeeper.sh" denied the request: '
        "[require-owner] you "
        'must provide labels: {"owner"}',
        "require-owner",
    ),
    (
        "webhook_denied",
        FORBIDDEN
        + "ValidatingAdmissionPolicy 'no-latest' with binding 'no-latest-all' denied request: images "
        "must not be latest",
        "no-latest",
    ),
    (
        "webhook_unreachable",
        'Error creating: Internal error occurred: failed calling webhook "sidecar.istio.io": failed to call '
        'webhook: Post "https://istiod.istio-system.svc:443/inject?timeout=10s": dial tcp 10.96.1.7:443: '
        "connect: connection refused",
        "istiod",
    ),
    (
        "webhook_unreachable",  # up to 1.21
        'Error creating: Internal error occurred: failed calling webhook "x.example": Post '
        '"https://x.y.svc:443/mutate?timeout=30s": x509: certificate has expired',
        "expired",
    ),
    (
        "pod_security_denied",
        FORBIDDEN
        + 'violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "app" '
        "must set securityContext.allowPrivilegeEscalation=false), runAsNonRoot != true",
        "restricted:latest",
    ),
    (
        "pod_security_denied",  # PodSecurityPolicy, gone since 1.25
        FORBIDDEN + "unable to validate against any pod security policy: [spec.containers[0].securityContext."
        "privileged: Invalid value: true: Privileged containers are not allowed]",
        "Privileged",
    ),
    (
        "rbac_denied",
        'Error creating: pods is forbidden: User "system:serviceaccount:kube-system:replicaset-controller" '
        'cannot create resource "pods" in API group "" in the namespace "shop"',
        "may not create pods in namespace shop",
    ),
    (
        "service_account_missing",
        FORBIDDEN + 'error looking up service account shop/cart-sa: serviceaccount "cart-sa" not found',
        "shop/cart-sa",
    ),
]


def refused(message: str, **more: Any) -> Any:
    top = deployment()
    rs = replica_set(of=top, has=0)
    return world_of(top, rs, event(rs, "FailedCreate", message, count=7, first=14), **more)


@pytest.mark.parametrize(("kind", "message", "said"), REFUSALS)
def test_a_controllers_refused_create_is_named_by_what_refused_it(kind: str, message: str, said: str) -> None:
    world = refused(message)
    fact = found(check, kind, world)
    assert said in fact.detail
    assert fact.confidence >= 0.85
    assert found(check, "admission_denied", world).confidence < fact.confidence
    assert "admission_denied" in FAULTS[kind].explains


@pytest.mark.parametrize(("kind", "message", "_said"), REFUSALS)
def test_a_condition_says_the_same_when_the_events_are_gone(kind: str, message: str, _said: str) -> None:
    failure = {
        "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
        "lastTransitionTime": at(90), "message": message.removeprefix("Error creating: "),
    }  # fmt: skip
    top = deployment()
    world = world_of(top, replica_set(of=top, has=0, conditions=[failure]))
    assert found(check, kind, world).confidence >= 0.9


def test_a_statefulset_a_daemonset_and_a_job_are_refused_in_their_own_words() -> None:
    said = "exceeded quota: q, requested: cpu=1, used: cpu=4, limited: cpu=4"
    db = workload("StatefulSet", "db", spec={"replicas": 1})
    agent = workload("DaemonSet", "agent", status={"desiredNumberScheduled": 3, "currentNumberScheduled": 1})
    job = workload("Job", "import")
    world = world_of(
        db, agent, job,
        event(db, "FailedCreate", f'create Pod db-0 in StatefulSet db failed error: pods "db-0" is '
                                  f'forbidden: {said}'),
        event(agent, "FailedCreate", f'Error creating: pods "agent-x" is forbidden: {said}'),
        event(job, "FailedCreate", f'Error creating: pods "import-x" is forbidden: {said}'),
    )  # fmt: skip
    for name in ("db", "agent", "import"):
        found(check, "quota_exceeded", world, name)


def test_a_refusal_counts_when_the_replica_sets_were_not_read() -> None:
    top = deployment(status={})
    told = event(("ReplicaSet", "cart-7d9f8c6b5d"), "FailedCreate", REFUSALS[0][1])
    world = world_of(top, told, failed={"ReplicaSet": "timeout after 10 s"})
    assert found(check, "quota_exceeded", world).confidence >= 0.85


def test_a_job_without_any_pod_lacks_one() -> None:
    full = quota(hard={"pods": "4"}, used={"pods": "4"})
    assert found(check, "quota_exceeded", world_of(workload("Job", "import"), full), "import")
    done = workload("Job", "import", status={"succeeded": 1})
    assert verdict(check, "quota_exceeded", world_of(done, full, subjects=("import",)), "import") is ABSENT


def test_a_quota_is_charged_to_the_namespace_too() -> None:
    fact = found(check, "quota_exceeded", refused(REFUSALS[0][1]), "shop")
    assert fact.subject_kind == "namespace"


def test_a_service_and_a_namespace_of_one_name_are_charged_apart() -> None:
    top = workload("StatefulSet", "shop", spec={"replicas": 1})
    facts = check(world_of(top, event(top, "FailedCreate", REFUSALS[0][1]), subjects=("shop",)))
    kinds = {fact.subject_kind for fact in facts if fact.kind == "quota_exceeded"}
    assert kinds == {"service", "namespace"}


def test_a_refusal_that_is_over_counts_for_little() -> None:
    top = deployment()
    rs = replica_set(of=top)
    world = world_of(top, rs, healthy(owner=rs), event(rs, "FailedCreate", REFUSALS[0][1], last=50))
    assert found(check, "quota_exceeded", world).confidence <= 0.4
    stale = world_of(top, rs, healthy(owner=rs), event(rs, "FailedCreate", REFUSALS[0][1], last=200))
    assert verdict(check, "quota_exceeded", stale) is ABSENT


def test_a_refusal_of_an_older_revision_counts_for_little() -> None:
    top = deployment()
    old = replica_set(name=OLD_RS, of=top, revision=1, replicas=0)
    world = world_of(top, old, replica_set(of=top, has=0), event(old, "FailedCreate", REFUSALS[0][1]))
    assert found(check, "quota_exceeded", world).confidence <= 0.4


def test_an_unknown_refusal_leaves_the_specific_kinds_open() -> None:
    world = refused(FORBIDDEN + "no PriorityClass with name high was found")
    assert verdict(check, "admission_denied", world) is FOUND
    assert verdict(check, "quota_exceeded", world) is UNKNOWN
    assert verdict(check, "webhook_denied", world) is UNKNOWN


TIGHT = template(
    container(resources={"requests": {"cpu": "500m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}})
)


def short(*others: Any, tpl: Any = TIGHT, **more: Any) -> Any:
    top = deployment(tpl, replicas=3)
    return world_of(top, replica_set(tpl, of=top, replicas=3, has=1), *others, **more)


@pytest.mark.parametrize(
    ("hard", "used", "expected"),
    [
        ({"requests.cpu": "2"}, {"requests.cpu": "1900m"}, FOUND),
        ({"cpu": "2"}, {"cpu": "1900m"}, FOUND),
        ({"pods": "4"}, {"pods": "4"}, FOUND),
        ({"limits.memory": "1Gi"}, {"limits.memory": "768Mi"}, FOUND),
        ({"requests.cpu": "2"}, {"requests.cpu": "1500m"}, ABSENT),
        ({"requests.nvidia.com/gpu": "0"}, {"requests.nvidia.com/gpu": "0"}, ABSENT),
        ({"services": "1"}, {"services": "1"}, ABSENT),
    ],
)
def test_quota_is_reckoned_from_the_objects_when_pods_are_missing(
    hard: dict[str, str], used: dict[str, str], expected: FactVerdict
) -> None:
    assert verdict(check, "quota_exceeded", short(quota(hard=hard, used=used))) is expected


def test_a_full_quota_refuses_nobody_who_has_all_pods() -> None:
    top = deployment(TIGHT)
    rs = replica_set(TIGHT, of=top)
    world = world_of(top, rs, healthy(TIGHT, owner=rs), quota(hard={"pods": "1"}, used={"pods": "1"}))
    assert verdict(check, "quota_exceeded", world) is ABSENT


def test_the_numbers_of_a_quota_are_given() -> None:
    world = short(quota(hard={"requests.cpu": "2"}, used={"requests.cpu": "1900m"}))
    fact = found(check, "quota_exceeded", world)
    assert fact.values == pytest.approx({"used": 1.9, "hard": 2, "requested": 0.5})
    assert "1900m of 2" in fact.detail


def test_a_limit_range_gives_the_requests_that_a_quota_counts() -> None:
    limits = thing(
        "LimitRange", "defaults", spec={"limits": [{"type": "Container", "default": {"cpu": "2"}}]}
    )
    full = quota(hard={"limits.cpu": "4"}, used={"limits.cpu": "3"})
    assert verdict(check, "quota_exceeded", short(full, limits, tpl=template())) is FOUND
    assert verdict(check, "quota_exceeded", short(full, tpl=template())) is ABSENT


def test_a_quota_with_a_scope_is_not_guessed_at() -> None:
    scoped = quota(hard={"pods": "0"}, used={"pods": "0"}, scopes=["BestEffort"])
    assert verdict(check, "quota_exceeded", short(scoped)) is ABSENT


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"type": "Container", "max": {"memory": "256Mi"}}, FOUND),
        ({"type": "Container", "min": {"cpu": "1"}}, FOUND),
        ({"type": "Pod", "max": {"memory": "256Mi"}}, FOUND),
        ({"type": "Container", "maxLimitRequestRatio": {"memory": "1"}}, FOUND),
        ({"type": "Container", "max": {"memory": "1Gi"}, "min": {"cpu": "100m"}}, ABSENT),
        ({"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}}, ABSENT),
    ],
)
def test_a_limit_range_is_checked_against_the_template(rule: dict[str, Any], expected: FactVerdict) -> None:
    limits = thing("LimitRange", "limits", spec={"limits": [rule]})
    assert verdict(check, "limit_range_violated", short(limits)) is expected


def test_a_missing_service_account_is_found_without_an_event() -> None:
    tpl = template(serviceAccountName="cart-sa")
    other = thing("ServiceAccount", "default")
    assert verdict(check, "service_account_missing", short(other, tpl=tpl)) is FOUND
    there = thing("ServiceAccount", "cart-sa")
    assert verdict(check, "service_account_missing", short(other, there, tpl=tpl)) is ABSENT
    gap = {"ServiceAccount": "403 Forbidden"}
    assert verdict(check, "service_account_missing", short(tpl=tpl, failed=gap)) is UNKNOWN


RBAC_LINE = (
    'configmaps is forbidden: User "system:serviceaccount:shop:default" cannot list resource '
    '"configmaps" in API '
    'group "" in the namespace "shop"'
)


def test_a_program_that_is_refused_by_the_api_server_says_so() -> None:
    top = deployment()
    rs = replica_set(of=top)
    world = world_of(top, rs, healthy(owner=rs), lines=[line(RBAC_LINE)])
    fact = found(check, "rbac_denied", world)
    assert "system:serviceaccount:shop:default may not list configmaps" in fact.detail
    assert "no binding names it" in fact.detail
    calm = world_of(top, rs, healthy(owner=rs), lines=[line("GET /cart 200")])
    assert verdict(check, "rbac_denied", calm) is ABSENT
    assert verdict(check, "rbac_denied", world_of(top, rs, healthy(owner=rs), logs="failed")) is UNKNOWN
    assert verdict(check, "rbac_denied", world_of(top, rs, healthy(owner=rs))) is UNKNOWN


@pytest.mark.parametrize("kind", sorted(FAULTS))
def test_events_that_could_not_be_read_leave_every_kind_unknown(kind: str) -> None:
    top = deployment()
    world = world_of(top, replica_set(of=top), failed={"Event": "timeout after 10 s"}, lines=[line("ok")])
    assert verdict(check, kind, world) is UNKNOWN


@pytest.mark.parametrize("kind", sorted(FAULTS))
def test_a_healthy_workload_has_none(kind: str) -> None:
    top = deployment()
    rs = replica_set(of=top)
    assert verdict(check, kind, world_of(top, rs, healthy(owner=rs), lines=[line("ok")])) is ABSENT


def test_a_cut_list_of_quotas_proves_nothing() -> None:
    assert verdict(check, "quota_exceeded", short(cut=("ResourceQuota",))) is UNKNOWN
