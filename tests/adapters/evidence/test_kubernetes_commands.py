"""The commands we tell a person to run are commands that kubectl runs."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
from pathlib import Path

import pytest

from investigators.queries import ChangeQuery, GraphQuery, ObjectQuery, PodLogQuery, Query
from tests.adapters.evidence.kubernetes_world import WINDOW, cluster, made, pod
from tests.fakes.evidence import NOW
from tests.servers.kubernetes_api import KubernetesApi

ROLES = Path(__file__).parents[3] / "deploy" / "kubernetes-reader.yaml"
QUERIES: list[tuple[Query, dict[str, list[str]], str]] = [
    (ObjectQuery(object_kind="Pod", namespace="shop"), {}, "web-1"),
    (ObjectQuery(object_kind="Pod", namespace="shop", name="web-1"), {}, "web-1"),
    (ObjectQuery(object_kind="Pod", name="web-1"), {}, "web-1"),
    (ObjectQuery(object_kind="Deployment"), {"namespaces": ["shop"]}, "web"),
    (ObjectQuery(object_kind="Node", name="n1"), {}, "n1"),
    (ObjectQuery(object_kind="Event", namespace="shop"), {}, "restarted"),
    (ObjectQuery(object_kind="Secret", namespace="shop"), {}, "keys"),
    (ObjectQuery(object_kind="Kustomization"), {}, "shop"),
    (PodLogQuery(namespace="shop", pod="web-1", container="web"), {}, "hello"),
    (PodLogQuery(namespace="shop", pod="web-1", previous=True), {}, "goodbye"),
    (ChangeQuery(), {}, "web-5d78c98692"),
    (GraphQuery(), {}, "web-1"),
]


def world() -> KubernetesApi:
    api = KubernetesApi()
    api.serve("kustomize.toolkit.fluxcd.io", "v1", "Kustomization", "kustomizations")
    api.fill([pod(), made("Deployment", "web", api_version="apps/v1"), made("Secret", "keys")])
    api.put(made("ReplicaSet", "web-5d78c98692", api_version="apps/v1"))
    api.put(made("Node", "n1", None))
    api.put(made("Event", "restarted", involvedObject={"kind": "Pod", "name": "web-1"}))
    api.put(made("Kustomization", "shop", api_version="kustomize.toolkit.fluxcd.io/v1"))
    api.log("shop", "web-1", "web", [(NOW, "hello")])
    api.log("shop", "web-1", "web", [(NOW, "goodbye")], previous=True)
    return api


async def kubectl(url: str, home: Path, *words: str, fails: str | None = None) -> str:
    """What the real kubectl prints; it must succeed and have nothing to complain of, or fail with this."""
    program = shutil.which("kubectl")
    if program is None:
        pytest.skip("kubectl is not installed")
    process = await asyncio.create_subprocess_exec(
        program,
        f"--server={url}",
        f"--cache-dir={home}",
        *words,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "KUBECONFIG": "/dev/null"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert (process.returncode, err.decode()) == (0 if fails is None else 1, fails or "")
    return out.decode()


@pytest.mark.real
@pytest.mark.parametrize(("query", "config", "shown"), QUERIES)
async def test_the_command_of_an_answer_shows_the_same(
    query: Query, config: dict[str, list[str]], shown: str, tmp_path: Path
) -> None:
    async with cluster(world(), **config) as source:
        command = source.command(query, WINDOW)
        assert command is not None
        assert (await source.ask(query, WINDOW, "subject")).manual == command
        words = shlex.split(command)
        assert words[0] == "kubectl"
        assert shown in await kubectl(str(source._config.url), tmp_path, *words[1:])


@pytest.mark.real
async def test_kubectl_understands_the_shipped_roles(tmp_path: Path) -> None:
    api = KubernetesApi()
    async with api.serving() as url:
        made = await kubectl(
            url, tmp_path, "create", "--dry-run=client", "--validate=false", "-o", "name", "-f", str(ROLES)
        )
    assert made.split() == [
        "serviceaccount/assent",
        "clusterrole.rbac.authorization.k8s.io/assent-reader",
        "clusterrolebinding.rbac.authorization.k8s.io/assent-reader",
        "clusterrole.rbac.authorization.k8s.io/assent-secret-names",
    ]


@pytest.mark.real
async def test_kubectl_takes_the_stand_in_for_an_api_server(tmp_path: Path) -> None:
    """Pages, selectors and errors, as a client reads them that was not written by us."""
    api = world()
    api.fill(made("ConfigMap", f"c-{index:04d}", "many") for index in range(1_001))
    api.put(made("ConfigMap", "chosen", "many", metadata={"labels": {"app": "web"}}))
    # kubectl looks whether it is the namespace that is missing.
    api.put(made("Namespace", "shop", None))
    api.deny("list", "secrets")
    async with api.serving() as url:
        listed = await kubectl(url, tmp_path, "get", "configmaps", "-n", "many", "-o", "name")
        assert len(listed.split()) == 1_002
        assert len([query for _, path, query in api.requests if path.endswith("/configmaps")]) == 3
        chosen = await kubectl(
            url, tmp_path, "get", "configmaps", "-n", "many", "-l", "app=web", "-o", "name"
        )
        assert chosen.split() == ["configmap/chosen"]
        gone = 'Error from server (NotFound): pods "gone" not found\n'
        await kubectl(url, tmp_path, "get", "pod", "gone", "-n", "shop", fails=gone)
        denied = (
            'Error from server (Forbidden): secrets is forbidden: User "system:serviceaccount:assent:assent" '
            'cannot list resource "secrets" in API group "" in the namespace "shop"\n'
        )
        await kubectl(url, tmp_path, "get", "secrets", "-n", "shop", fails=denied)
