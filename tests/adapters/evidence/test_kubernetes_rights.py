"""It can only read, the shipped rights are enough for it, and nobody without a cluster pays for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.evidence.kubernetes import kubernetes_clusters
from bot.app.evidence import probe_sources
from bot.app.seams import Seams
from bot.domain.errors import Unavailable
from bot.domain.evidence import EvidenceStatus
from config.loader import loads
from config.schema import KubernetesSource
from investigators.queries import ChangeQuery, GraphQuery, ObjectQuery, PodLogQuery, Query
from tests.adapters.evidence.kubernetes_world import asked, cluster, pod
from tests.fakes.evidence import FixedClock
from tests.servers.kubernetes_api import KubernetesApi

ROOT = Path(__file__).parents[3]
SMALLEST = (ROOT / "tests" / "config" / "good" / "smallest.yaml").read_text()
INSTALLED = (
    ("argoproj.io", "v1alpha1", "Application", "applications"),
    ("argoproj.io", "v1alpha1", "Rollout", "rollouts"),
    ("kustomize.toolkit.fluxcd.io", "v1", "Kustomization", "kustomizations"),
    ("helm.toolkit.fluxcd.io", "v2", "HelmRelease", "helmreleases"),
    ("source.toolkit.fluxcd.io", "v1", "GitRepository", "gitrepositories"),
    ("source.toolkit.fluxcd.io", "v1", "OCIRepository", "ocirepositories"),
    ("source.toolkit.fluxcd.io", "v1", "Bucket", "buckets"),
    ("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes"),
)


def roles() -> dict[str, list[dict[str, Any]]]:
    documents = yaml.safe_load_all((ROOT / "deploy" / "kubernetes-reader.yaml").read_text())
    return {one["metadata"]["name"]: one["rules"] for one in documents if one["kind"] == "ClusterRole"}


def allowed() -> set[tuple[str, str]]:
    """(group, resource) of every rule, whose verbs are only those that read."""
    found = set()
    for rules in roles().values():
        for rule in rules:
            assert set(rule["verbs"]) <= {"get", "list"}
            assert "*" not in rule["resources"] + rule["apiGroups"]
            found |= {(group, one) for group in rule["apiGroups"] for one in rule["resources"]}
    return found


def test_secrets_stand_in_a_role_of_their_own() -> None:
    holders = [
        name for name, rules in roles().items() if any("secrets" in rule["resources"] for rule in rules)
    ]
    assert holders == ["assent-secret-names"]


async def test_the_shipped_role_allows_every_request_and_no_request_does_more_than_read() -> None:
    api = KubernetesApi()
    for group, version, kind, plural in INSTALLED:
        api.serve(group, version, kind, plural)
    api.put(pod())
    kinds = [one.kind for one in api._served.values()]
    queries: list[Query] = [ObjectQuery(object_kind=kind) for kind in kinds]
    queries += [PodLogQuery(namespace="shop", pod="web-1"), ChangeQuery(), GraphQuery()]
    async with cluster(api) as source:
        for query in queries:
            await asked(source, query)
    rights = allowed()
    for method, path, parameters in api.requests:
        assert method == "GET"
        assert "watch" not in parameters
        parts = [part for part in path.strip("/").split("/") if part]
        if parts == ["apis"]:
            continue
        group, rest = ("", parts[2:]) if parts[0] == "api" else (parts[1], parts[3:])
        rest = rest[2:] if rest[0] == "namespaces" and len(rest) > 1 else rest
        resource = "pods/log" if rest[-1] == "log" else rest[0]
        assert (group, resource) in rights, path


def test_without_a_cluster_the_client_is_not_even_imported() -> None:
    code = (
        "import sys, bot.app.evidence, adapters.evidence.kubernetes\n"
        "print([name for name in sys.modules if name.startswith('kubernetes_asyncio')])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


async def test_the_check_command_asks_the_cluster_and_says_what_it_is() -> None:
    api = KubernetesApi()
    async with api.serving() as url:
        config = loads(f"{SMALLEST}evidence: {{kubernetes: [{{name: prod, url: '{url}'}}]}}\n", {})
        ((name, probe),) = probe_sources(config, Seams(), None)  # type: ignore[arg-type]
        assert (name, await probe()) == ("prod", "Kubernetes v1.33.1, may list pods")
        api.deny("list", "pods")
        ((_, probe),) = probe_sources(config, Seams(), None)  # type: ignore[arg-type]
        with pytest.raises(Unavailable, match="may not list pods: RBAC denies it"):
            await probe()


async def test_several_clusters_are_opened_together_and_answer_each_for_itself() -> None:
    one, other = KubernetesApi(), KubernetesApi()
    one.put(pod())
    async with one.serving() as first, other.serving() as second:
        sections = [
            KubernetesSource.model_validate({"name": url[-5:], "url": url}) for url in (first, second)
        ]
        async with kubernetes_clusters(sections, FixedClock()) as sources:
            answers = [await asked(source, ObjectQuery(object_kind="Pod")) for source in sources]
    assert [each.status for each in answers] == [EvidenceStatus.OK, EvidenceStatus.EMPTY]
    assert [each.source for each in answers] == [section.name for section in sections]


async def test_a_denied_secret_is_a_gap_like_any_other() -> None:
    api = KubernetesApi()
    api.deny("list", "secrets")
    async with cluster(api) as source:
        evidence = await asked(source, ObjectQuery(object_kind="Secret"))
        assert evidence.status is EvidenceStatus.FAILED
        assert (evidence.manual or "").startswith("kubectl auth can-i list secrets -A --as=")
