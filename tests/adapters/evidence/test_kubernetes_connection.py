"""The ways into a cluster, and what is told when one does not work."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest
from kubernetes_asyncio.config import incluster_config

from adapters.evidence.kubernetes import KubernetesCluster
from bot.domain.evidence import EvidenceStatus
from config.schema import KubernetesSource
from tests.adapters.evidence.kubernetes_world import PODS, WINDOW, asked, pod
from tests.fakes.evidence import FixedClock
from tests.servers.certificates import server_context
from tests.servers.kubernetes_api import KubernetesApi


def kubeconfig(path: Path, url: str, **user: Any) -> Path:
    entry = {"name": "me", "user": user}
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "here",
                "clusters": [{"name": "c", "cluster": {"server": url}}],
                "users": [entry],
                "contexts": [{"name": "here", "context": {"cluster": "c", "user": "me"}}],
            }
        )
    )
    return path


async def test_a_kubeconfig_is_read_with_its_context_and_token(tmp_path: Path) -> None:
    api = KubernetesApi(token="t0ken")
    api.put(pod())
    async with api.serving() as url:
        file = kubeconfig(tmp_path / "config", url, token="t0ken")
        section = KubernetesSource.model_validate({"kubeconfig": file, "context": "here"})
        async with KubernetesCluster(section, FixedClock()) as source:
            evidence = await asked(source, PODS)
            assert evidence.status is EvidenceStatus.OK
            assert evidence.manual == "kubectl --context here get pods -A -o wide"
            assert await source.version() == "Kubernetes v1.33.1, may list pods"
            api.deny("list", "pods")
            manual = (await asked(source, PODS)).manual or ""
            assert manual.startswith("kubectl --context here auth can-i list pods -A --as=")


async def test_a_credential_that_was_renewed_in_the_kubeconfig_is_read_anew(tmp_path: Path) -> None:
    api, clock = KubernetesApi(token="new"), FixedClock()
    api.put(pod())
    async with api.serving() as url:
        file = kubeconfig(tmp_path / "config", url, token="old")
        section = KubernetesSource.model_validate({"kubeconfig": file})
        async with KubernetesCluster(section, clock) as source:
            assert (await asked(source, PODS)).status is EvidenceStatus.FAILED
            kubeconfig(file, url, token="new")
            clock.moment += WINDOW.length
            assert (await asked(source, PODS)).status is EvidenceStatus.OK


async def test_a_login_command_is_run_and_its_failure_told(tmp_path: Path) -> None:
    api = KubernetesApi(token="t0ken")
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}
    answer |= {"status": {"token": "t0ken"}}  # type: ignore[dict-item]
    login = {"apiVersion": answer["apiVersion"], "command": "echo", "args": [json.dumps(answer)]}
    broken = {**login, "command": "sh", "args": ["-c", "echo password=hunter2 >&2; exit 3"]}
    async with api.serving() as url:
        for user, reason in ((login, None), (broken, "the login command of config ended with 3")):
            file = kubeconfig(tmp_path / "config", url, exec=user)
            section = KubernetesSource.model_validate({"kubeconfig": file})
            async with KubernetesCluster(section, FixedClock()) as source:
                evidence = await asked(source, PODS)
                assert (evidence.reason or "").startswith(reason or "no Pod")
                assert "hunter2" not in str(evidence)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{}", "config has no current-context"),
        ("- 1", "config cannot be used"),
        ("a: [", "config cannot be used"),
        (
            "{current-context: x, contexts: [], clusters: [], users: [{name: u, user: {token: hunter2}}]}",
            "config has no entry x in contexts",
        ),
        (
            "{current-context: x, contexts: [{name: x, context: {user: u}}], clusters: [], "
            "users: [{name: u, user: {client-key-data: hunter2}}]}",
            "config has no cluster",
        ),
        (
            "{current-context: x, contexts: [{name: x, context: {user: u, cluster: c}}], "
            "clusters: [{name: c, cluster: {server: 'https://x', certificate-authority: /nowhere/ca}}], "
            "users: [{name: u, user: {token: hunter2}}]}",
            "config names /nowhere/ca, which is not there",
        ),
        (
            "{current-context: x, contexts: [{name: x, context: {user: u, cluster: c}}], "
            "clusters: [{name: c, cluster: {server: 'http://x'}}], users: [{name: u, user: {client-key-data: "
            "hunter2, exec: {command: 'true', apiVersion: v1, env: [{value: a}]}}}]}",
            "config has no name",
        ),
    ],
)
async def test_what_is_wrong_with_a_kubeconfig_is_told_without_what_is_in_it(
    tmp_path: Path, text: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    (tmp_path / "config").write_text(text)
    section = KubernetesSource.model_validate({"kubeconfig": tmp_path / "config"})
    async with KubernetesCluster(section, FixedClock()) as source:
        evidence = await asked(source, PODS)
        assert (evidence.reason or "").startswith(reason)
        assert "hunter2" not in str(evidence)
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"kubeconfig": "/nowhere/config"}, "/nowhere/config is not there"),
        ({"in_cluster": True}, "this process does not run in a pod with a service account"),
        ({"url": "https://127.0.0.1:1", "ca_file": "/nowhere/ca"}, "the CA file: No such file or directory"),
    ],
)
async def test_a_way_in_that_is_not_there_is_a_gap(
    config: dict[str, Any], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    async with KubernetesCluster(KubernetesSource.model_validate(config), FixedClock()) as source:
        evidence = await asked(source, PODS)
        assert (evidence.status, evidence.reason) == (EvidenceStatus.FAILED, reason)


async def test_without_the_client_library_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes_asyncio.config", None)
    section = KubernetesSource.model_validate({"url": "http://127.0.0.1:1"})
    async with KubernetesCluster(section, FixedClock()) as source:
        evidence = await asked(source, PODS)
        assert evidence.status is EvidenceStatus.FAILED
        assert (evidence.reason or "").endswith("pip install 'assent[kubernetes]'")


async def test_a_server_is_trusted_by_the_ca_file_and_by_no_other(tmp_path: Path) -> None:
    api = KubernetesApi(token="t0ken")
    api.put(pod())
    tls, trusted = server_context(tmp_path)
    async with api.serving(tls) as url:
        options = {"url": url, "token": "t0ken"}
        for extra, reason in (
            ({"ca_file": trusted}, None),
            ({}, "cannot reach the API server: its certificate is not signed by a CA we trust"),
        ):
            section = KubernetesSource.model_validate({**options, **extra})
            async with KubernetesCluster(section, FixedClock()) as source:
                assert (await asked(source, PODS)).reason == reason
    assert len(api.requests) == 1


async def test_in_a_pod_its_service_account_is_the_way_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = KubernetesApi(token="of-the-pod")
    api.put(pod())
    tls, trusted = server_context(tmp_path)
    token = tmp_path / "token"
    token.write_text("of-the-pod")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(trusted))
    async with api.serving(tls) as url:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", url.rpartition(":")[2])
        section = KubernetesSource.model_validate({"in_cluster": True})
        async with KubernetesCluster(section, FixedClock()) as source:
            evidence = await asked(source, PODS)
            assert evidence.status is EvidenceStatus.OK
            assert evidence.manual == "kubectl get pods -A -o wide"
            token.write_text("")
            monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "gone"))
        async with KubernetesCluster(section, FixedClock()) as source:
            gone = await asked(source, PODS)
            assert gone.reason == "this process does not run in a pod with a service account"
