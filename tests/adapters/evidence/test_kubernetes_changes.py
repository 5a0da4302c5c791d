"""Rollouts, scalings, edited ConfigMaps, and what Argo CD and Flux applied."""

from __future__ import annotations

from typing import Any

import pytest

from bot.domain.evidence import Change, EvidenceStatus
from investigators.queries import ChangeQuery
from tests.adapters.evidence.kubernetes_world import ago, ask, made, owned_by, pod_template, stamp
from tests.fakes.evidence import NOW
from tests.servers.kubernetes_api import KubernetesApi

ALL = ChangeQuery()


def deployment(api: KubernetesApi, name: str = "web", **metadata: Any) -> dict[str, Any]:
    spec = {"replicas": 3, "template": pod_template("shop/web:1")}
    return api.put(made("Deployment", name, api_version="apps/v1", metadata=metadata, spec=spec))


def revision(
    api: KubernetesApi,
    owner: dict[str, Any],
    number: int,
    template: dict[str, Any],
    created: str,
    **annotations: str,
) -> None:
    notes = {"deployment.kubernetes.io/revision": str(number), **annotations}
    metadata = {"annotations": notes, "ownerReferences": owned_by(owner), "creationTimestamp": created}
    name = f"{owner['metadata']['name']}-{created[11:19].replace(':', '')}{number}"
    api.put(made("ReplicaSet", name, api_version="apps/v1", metadata=metadata, spec={"template": template}))


async def changes(api: KubernetesApi, query: ChangeQuery = ALL, **config: Any) -> list[Change]:
    evidence = await ask(api, query, **config)
    assert evidence.status is EvidenceStatus.OK, evidence.reason
    return list(evidence.changes)


async def test_a_new_image_is_a_deploy_with_the_versions_and_the_changed_lines() -> None:
    api = KubernetesApi()
    web = deployment(api)
    old = pod_template("shop/web:1", container={"env": [{"name": "MODE", "value": "calm"}]})
    new = pod_template(
        "shop/web:2", container={"env": [{"name": "MODE", "value": "wild"}], "ports": [{"containerPort": 80}]}
    )
    revision(api, web, 6, old, ago(days=3))
    revision(api, web, 7, new, ago(minutes=20), **{"kubernetes.io/change-cause": "release 2"})
    (change,) = await changes(api)
    assert change == Change(
        id="deployment/shop/web@7",
        kind="deploy",
        at=change.at,
        service="web",
        title="deployment/shop/web revision 7: shop/web:1 → shop/web:2 (release 2)",
        files=("deployment/shop/web",),
        diff=(
            "-containers.web.env.MODE: calm\n+containers.web.env.MODE: wild\n"
            "-containers.web.image: shop/web:1\n+containers.web.image: shop/web:2\n"
            "+containers.web.ports.80.containerPort: 80"
        ),
        version="shop/web:2",
        before="shop/web:1",
        after="shop/web:2",
    )
    assert stamp(change.at) == ago(minutes=20)


async def test_a_changed_variable_alone_is_a_change_of_configuration() -> None:
    api = KubernetesApi()
    web = deployment(api)
    for number, host in ((1, "db"), (2, "bd")):
        env = {"env": [{"name": "DB_HOST", "value": host}]}
        revision(api, web, number, pod_template(container=env), ago(minutes=40 - number))
    created, change = await changes(api)
    assert (created.kind, created.title) == ("deploy", "deployment/shop/web created")
    assert (change.kind, change.before, change.after) == ("config", "", "")
    assert change.diff == "-containers.web.env.DB_HOST: db\n+containers.web.env.DB_HOST: bd"


async def test_a_restart_is_told_apart_from_a_release() -> None:
    api = KubernetesApi()
    web = deployment(api)
    restarted = pod_template()
    restarted["metadata"]["annotations"] = {"kubectl.kubernetes.io/restartedAt": ago(minutes=5)}
    restarted["metadata"]["labels"]["pod-template-hash"] = "5d78c98692"
    revision(api, web, 4, pod_template(), ago(minutes=40))
    revision(api, web, 5, restarted, ago(minutes=5))
    assert [one.title for one in await changes(api)] == [
        "deployment/shop/web revision 4; the one before is not kept",
        "deployment/shop/web revision 5: restarted",
    ]


async def test_a_rollback_counts_from_when_the_template_was_written_not_from_when_the_revision_was_made() -> (
    None
):
    api = KubernetesApi()
    written = {"manager": "kubectl-rollout", "operation": "Update", "time": ago(minutes=10)}
    written["fieldsV1"] = {"f:spec": {"f:template": {}}}  # type: ignore[assignment]
    status = {"manager": "kube-controller-manager", "time": ago(minutes=1), "subresource": "status"}
    web = deployment(api, managedFields=[written, status])
    revision(api, web, 3, pod_template("shop/web:2"), ago(minutes=60))
    revision(api, web, 4, pod_template("shop/web:1"), ago(days=9))
    _, change = await changes(api)
    assert (change.kind, change.author, stamp(change.at)) == ("rollback", "kubectl-rollout", ago(minutes=10))
    assert (change.before, change.after) == ("shop/web:2", "shop/web:1")


async def test_sets_are_read_from_their_controller_revisions() -> None:
    api = KubernetesApi()
    for kind in ("StatefulSet", "DaemonSet"):
        name = kind.lower()
        owner = api.put(made(kind, name, api_version="apps/v1", spec={"template": pod_template()}))
        for number in (1, 2):
            metadata = {"ownerReferences": owned_by(owner), "creationTimestamp": ago(minutes=30 - number)}
            patch = {"spec": {"template": {"$patch": "replace", **pod_template(f"shop/db:{number}")}}}
            api.put(
                made(
                    "ControllerRevision", f"{name}-{number}", api_version="apps/v1", metadata=metadata,
                    revision=number, data=patch,
                )
            )  # fmt: skip
    found = await changes(api)
    assert {one.id for one in found} == {
        f"{kind}/shop/{kind}@{number}" for kind in ("statefulset", "daemonset") for number in (1, 2)
    }
    assert [one.diff for one in found if one.id.endswith("@2")] == [
        "-containers.web.image: shop/db:1\n+containers.web.image: shop/db:2"
    ] * 2


async def test_an_argo_rollout_is_read_like_a_deployment() -> None:
    api = KubernetesApi()
    api.serve("argoproj.io", "v1alpha1", "Rollout", "rollouts")
    owner = api.put(made("Rollout", "web", api_version="argoproj.io/v1alpha1", spec={"replicas": 1}))
    for number in (1, 2):
        notes = {"rollout.argoproj.io/revision": str(number)}
        created = {"creationTimestamp": ago(minutes=30 - number)}
        metadata = {"annotations": notes, "ownerReferences": owned_by(owner), **created}
        spec = {"template": pod_template(f"shop/web:{number}")}
        api.put(made("ReplicaSet", f"web-{number}", api_version="apps/v1", metadata=metadata, spec=spec))
    assert [(one.id, one.before, one.after) for one in await changes(api)] == [
        ("rollout/shop/web@1", "", "shop/web:1"),
        ("rollout/shop/web@2", "shop/web:1", "shop/web:2"),
    ]


async def test_a_group_that_does_not_answer_makes_what_was_changed_unknown_and_not_nothing() -> None:
    api = KubernetesApi()
    api.stale("kustomize.toolkit.fluxcd.io")
    evidence = await ask(api, ALL)
    assert evidence.status is EvidenceStatus.FAILED
    assert "cannot tell whether it knows Kustomization" in (evidence.reason or "")


async def test_a_scaling_is_a_change_with_who_did_it() -> None:
    api = KubernetesApi()
    scaled = {"manager": "kubectl", "subresource": "scale", "time": ago(minutes=7)}
    deployment(api, managedFields=[scaled])
    (change,) = await changes(api)
    assert (change.kind, change.author, change.after) == ("scale", "kubectl", "3")
    assert change.title == "deployment/shop/web scaled to 3 by kubectl"


async def test_an_edited_config_map_is_a_change_of_each_workload_that_uses_it() -> None:
    api = KubernetesApi()
    wrote = {
        "manager": "kubectl-edit",
        "time": ago(minutes=12),
        "fieldsV1": {"f:data": {".": {}, "f:timeout": {}}},
    }
    api.put(made("ConfigMap", "settings", metadata={"managedFields": [wrote]}, data={"timeout": "5"}))
    api.put(made("ConfigMap", "unused", metadata={"managedFields": [wrote]}, data={"timeout": "5"}))
    uses: list[dict[str, Any]] = [
        {"volumes": [{"name": "v", "configMap": {"name": "settings"}}]},
        {"volumes": [{"name": "v", "projected": {"sources": [{"configMap": {"name": "settings"}}]}}]},
        {"container": {"envFrom": [{"configMapRef": {"name": "settings"}}]}},
        {
            "container": {
                "env": [{"name": "T", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "t"}}}]
            }
        },
        {},
    ]
    for index, spec in enumerate(uses):
        template = pod_template(**spec)
        api.put(made("Deployment", f"web-{index}", api_version="apps/v1", spec={"template": template}))
    found = await changes(api)
    assert [one.service for one in found] == ["web-0", "web-1", "web-2", "web-3"]
    assert {(one.kind, one.author, one.files) for one in found} == {
        ("config", "kubectl-edit", ("configmap/shop/settings",))
    }
    assert found[0].title == "configmap/shop/settings written by kubectl-edit (keys timeout)"


def argo(api: KubernetesApi, **status: Any) -> None:
    api.serve("argoproj.io", "v1alpha1", "Application", "applications")
    api.put(made("Application", "storefront", "argocd", api_version="argoproj.io/v1alpha1", status=status))


def sync(number: int, revision: str, when: str, **more: Any) -> dict[str, Any]:
    source = {"repoURL": "https://git.example.org/shop", "path": "deploy/web", "targetRevision": "main"}
    return {"id": number, "revision": revision * 40, "deployedAt": when, "source": source, **more}


async def test_argo_syncs_are_changes_and_going_back_is_a_rollback() -> None:
    api = KubernetesApi()
    user = {"initiatedBy": {"username": "ada"}}
    argo(
        api,
        history=[
            sync(1, "a", ago(minutes=90), initiatedBy={"automated": True}),
            sync(2, "b", ago(minutes=60), **user),
            sync(3, "a", ago(minutes=30), **user),
        ],
    )
    found = await changes(api)
    assert [(one.kind, one.author) for one in found] == [
        ("deploy", "automatic sync"),
        ("deploy", "ada"),
        ("rollback", "ada"),
    ]
    assert found[1].id == "application/argocd/storefront#2"
    assert (found[1].before, found[1].after, found[1].files) == ("a" * 40, "b" * 40, ("deploy/web",))
    assert found[1].title == "Argo CD: storefront synced bbbbbbbb after aaaaaaaa"


async def test_a_failed_sync_is_a_change_though_it_stands_in_no_history() -> None:
    api = KubernetesApi()
    state = {"phase": "Failed", "startedAt": ago(minutes=5), "message": "one or more objects failed to apply"}
    argo(api, operationState={**state, "syncResult": {"revision": "c" * 40}}, history=[])
    (change,) = await changes(api)
    assert change.title == (
        "Argo CD: sync of storefront to cccccccc failed: one or more objects failed to apply"
    )


async def test_asked_for_a_service_the_application_that_manages_it_answers_for_it() -> None:
    api = KubernetesApi()
    argo(api, history=[sync(1, "a", ago(minutes=9))], resources=[{"kind": "Deployment", "name": "web"}])
    (change,) = await changes(api, ChangeQuery(services=("web", "cart")))
    assert change.service == "web"
    assert (await ask(api, ChangeQuery(services=("cart",)))).status is EvidenceStatus.EMPTY


def flux(api: KubernetesApi, **status: Any) -> None:
    api.serve("kustomize.toolkit.fluxcd.io", "v1", "Kustomization", "kustomizations")
    api.serve("source.toolkit.fluxcd.io", "v1", "GitRepository", "gitrepositories")
    spec = {"path": "./shop", "sourceRef": {"kind": "GitRepository", "name": "shop"}}
    api.put(
        made(
            "Kustomization",
            "shop",
            "flux",
            api_version="kustomize.toolkit.fluxcd.io/v1",
            spec=spec,
            status=status,
        )
    )


def fetched(api: KubernetesApi, revision: str, when: str) -> None:
    artifact = {"artifact": {"revision": revision, "lastUpdateTime": when}}
    api.put(made("GitRepository", "shop", "flux", api_version="source.toolkit.fluxcd.io/v1", status=artifact))


async def test_a_flux_history_gives_every_applied_revision() -> None:
    api = KubernetesApi()
    entries = [
        {
            "digest": f"sha256:{index}",
            "firstReconciled": ago(minutes=30 - 10 * index),
            "lastReconciled": ago(minutes=1),
            "lastReconciledStatus": status,
            "metadata": {"revision": f"main@sha1:{str(index) * 40}"},
        }
        for index, status in enumerate(("ReconciliationSucceeded", "HealthCheckFailed"))
    ]
    inventory = {"entries": [{"id": "shop_web_apps_Deployment", "v": "v1"}, {"id": "odd", "v": "v1"}]}
    flux(api, history=entries[::-1], inventory=inventory)
    found = await changes(api, ChangeQuery(services=("web",)))
    assert [(one.service, one.title) for one in found] == [
        ("web", "Flux: shop applied main@sha1:00000000"),
        ("web", "Flux: shop failed at main@sha1:11111111: HealthCheckFailed"),
    ]
    assert found[1].before == "main@sha1:" + "0" * 40
    assert stamp(found[0].at) == ago(minutes=30)


async def test_without_a_history_a_flux_revision_has_the_time_at_which_it_was_fetched() -> None:
    api = KubernetesApi()
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "ReconciliationSucceeded",
        "lastTransitionTime": ago(minutes=2),
    }
    flux(api, lastAppliedRevision="main@sha1:abc", lastAttemptedRevision="main@sha1:abc", conditions=[ready])
    (change,) = await changes(api)
    assert stamp(change.at) == ago(minutes=2)
    fetched(api, "main@sha1:abc", ago(minutes=40))
    (change,) = await changes(api)
    assert stamp(change.at) == ago(minutes=40)


async def test_a_flux_revision_that_could_not_be_applied_is_told_with_the_reason() -> None:
    api = KubernetesApi()
    ready = {
        "type": "Ready",
        "status": "False",
        "reason": "BuildFailed",
        "message": "no such file",
        "lastTransitionTime": ago(minutes=2),
    }
    flux(api, lastAttemptedRevision="main@sha1:def", conditions=[ready])
    (change,) = await changes(api)
    assert change.title == "Flux: shop failed at main@sha1:def: BuildFailed: no such file"


async def test_helm_releases_tell_another_chart_from_other_values() -> None:
    api = KubernetesApi()
    api.serve("helm.toolkit.fluxcd.io", "v2", "HelmRelease", "helmreleases")
    entry = {"chartName": "web", "appVersion": "9", "status": "superseded", "name": "shop-web"}
    failed = {**entry, "status": "failed", "lastDeployed": ago(minutes=10)}
    history = [
        {**failed, "version": 3, "chartVersion": "1.1", "configDigest": "b"},
        {**entry, "version": 2, "chartVersion": "1.1", "configDigest": "a", "lastDeployed": ago(minutes=20)},
        {**entry, "version": 1, "chartVersion": "1.0", "configDigest": "a", "lastDeployed": ago(minutes=30)},
    ]  # fmt: skip
    api.put(made("HelmRelease", "web", api_version="helm.toolkit.fluxcd.io/v2", status={"history": history}))
    found = await changes(api, ChangeQuery(services=("shop-web",)))
    assert [(one.id, one.kind, one.title) for one in found] == [
        ("helmrelease/shop/web@1", "deploy", "Flux: web released web 1.0 (app 9)"),
        ("helmrelease/shop/web@2", "deploy", "Flux: web web 1.0 (app 9) → web 1.1 (app 9)"),
        ("helmrelease/shop/web@3", "config", "Flux: web web 1.1 (app 9) with other values, failed"),
    ]


async def test_only_changes_in_the_window_count_and_the_last_before_is_named() -> None:
    api = KubernetesApi()
    web = deployment(api)
    revision(api, web, 1, pod_template(), ago(days=2))
    evidence = await ask(api, ALL)
    assert evidence.status is EvidenceStatus.EMPTY
    assert evidence.reason == (
        "no change in the window; the last before: 2026-02-27 12:00 deployment/shop/web created"
    )


async def test_the_newest_changes_are_kept_when_there_are_too_many() -> None:
    api = KubernetesApi()
    web = deployment(api)
    for number in range(1, 6):
        revision(api, web, number, pod_template(f"shop/web:{number}"), ago(minutes=60 - number))
    evidence = await ask(api, ChangeQuery(limit=2))
    assert [one.id for one in evidence.changes] == ["deployment/shop/web@4", "deployment/shop/web@5"]
    assert evidence.reason == "only the last 2 of 5 changes"


async def test_a_kind_that_may_not_be_read_makes_the_answer_incomplete_and_an_empty_one_a_gap() -> None:
    api = KubernetesApi()
    api.deny("list", "configmaps")
    evidence = await ask(api, ALL)
    assert evidence.status is EvidenceStatus.FAILED
    assert "may not list configmaps" in (evidence.reason or "")
    revision(api, deployment(api), 1, pod_template(), ago(minutes=2))
    evidence = await ask(api, ALL)
    assert evidence.status is EvidenceStatus.OK
    assert "may not list configmaps" in (evidence.reason or "")


@pytest.mark.parametrize("label", ["app", "app.kubernetes.io/name", "k8s-app", "app.kubernetes.io/instance"])
async def test_a_workload_answers_to_the_names_on_its_labels(label: str) -> None:
    api = KubernetesApi()
    web = deployment(api, labels={label: "storefront"})
    revision(api, web, 1, pod_template(), ago(minutes=2))
    (change,) = await changes(api, ChangeQuery(services=("storefront",)))
    assert change.service == "storefront"
    assert change.at < NOW
