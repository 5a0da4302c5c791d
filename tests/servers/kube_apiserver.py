"""A real kube-apiserver with its etcd, where ``KUBEBUILDER_ASSETS`` names a directory that holds both.

No registry offers them as a package: ``setup-envtest use -p path`` prints such a directory. There is no
kubelet and no controller behind it, so it stores what it is given and nothing happens.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from adapters.evidence.kubernetes.kinds import built_in
from bot.domain.clock import Clock, SystemClock
from config.schema import KubernetesSource
from tests.servers.ports import free_port

ASSETS = "KUBEBUILDER_ASSETS"
ADMIN, READER = "the-token-of-the-admin", "the-token-of-the-reader"
_ROLES = Path(__file__).parents[2] / "deploy" / "kubernetes-reader.yaml"
_START = 60.0


def assets_missing() -> str | None:
    """Why there is no real API server here; None when there is one."""
    directory = os.environ.get(ASSETS)
    if not directory:
        return f"{ASSETS} names no directory with etcd and kube-apiserver (setup-envtest use -p path)"
    absent = [name for name in ("etcd", "kube-apiserver") if not (Path(directory) / name).is_file()]
    return f"{directory} holds no {' and no '.join(absent)}" if absent else None


class KubeApiServer:
    """Starts both in a folder of their own and ends them again. As the contract wants a server."""

    def __init__(self) -> None:
        self.clock: Clock = SystemClock()
        self._port = free_port()
        self._directory = tempfile.TemporaryDirectory()
        self._processes: list[asyncio.subprocess.Process] = []
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def put(self, document: Mapping[str, Any]) -> dict[str, Any]:
        resource = next(
            one
            for one in built_in().values()
            if (one.api_version, one.kind) == (document["apiVersion"], document["kind"])
        )
        path = resource.path(document["metadata"].get("namespace"))
        stored = await self._request("POST", path, document)
        if "status" in document:
            whole = {**stored, "status": document["status"]}
            stored = await self._request("PUT", f"{path}/{document['metadata']['name']}/status", whole)
        return stored

    def config(self, **options: Any) -> KubernetesSource:
        return self._config(ADMIN, **options)

    def powerless(self) -> KubernetesSource:
        return self._config(READER)

    def _config(self, token: str, **options: Any) -> KubernetesSource:
        url = f"https://127.0.0.1:{self._port}"
        return KubernetesSource.model_validate(
            {"url": url, "token": token, "ca_file": self._certificate, **options}
        )

    @property
    def _certificate(self) -> Path:
        return Path(self._directory.name) / "apiserver.crt"

    async def _start(self) -> None:
        home, store = Path(self._directory.name), f"http://127.0.0.1:{free_port()}"
        peer = f"http://127.0.0.1:{free_port()}"
        await self._run(
            "etcd",
            f"--data-dir={home / 'etcd'}",
            f"--listen-client-urls={store}",
            f"--advertise-client-urls={store}",
            f"--listen-peer-urls={peer}",
            "--unsafe-no-fsync",
        )
        tokens = f'{ADMIN},admin,admin,"system:masters"\n{READER},reader,reader\n'
        (home / "tokens.csv").write_text(tokens)
        (home / "sa.key").write_bytes(_private_key())
        await self._run(
            "kube-apiserver",
            f"--etcd-servers={store}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self._port}",
            f"--cert-dir={home}",
            f"--token-auth-file={home / 'tokens.csv'}",
            f"--service-account-key-file={home / 'sa.key'}",
            f"--service-account-signing-key-file={home / 'sa.key'}",
            "--service-account-issuer=https://localhost",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--authorization-mode=RBAC",
            "--disable-admission-plugins=ServiceAccount",
        )
        async with asyncio.timeout(_START):
            while not await self._ready():
                await asyncio.sleep(0.2)
        await self._grant()

    async def _run(self, name: str, *arguments: str) -> None:
        program = Path(os.environ[ASSETS]) / name
        with (Path(self._directory.name) / f"{name}.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(program, *arguments, stdout=log, stderr=log)
        self._processes.append(process)

    async def _ready(self) -> bool:
        if any(process.returncode is not None for process in self._processes):
            logs = sorted(Path(self._directory.name).glob("*.log"))
            raise AssertionError("\n".join(f"{log.name}: …{log.read_text()[-1500:]}" for log in logs))
        if not self._certificate.is_file():
            return False
        if self._session is None:
            trust = ssl.create_default_context(cafile=str(self._certificate))
            self._session = aiohttp.ClientSession(
                f"https://127.0.0.1:{self._port}",
                connector=aiohttp.TCPConnector(ssl=trust),
                headers={"Authorization": f"Bearer {ADMIN}"},
            )
        try:
            async with self._session.get("/readyz") as response:
                return response.status == 200
        except aiohttp.ClientConnectionError:
            return False

    async def _grant(self) -> None:
        """The shipped role, without the one for Secrets, to the reader."""
        roles = [one for one in yaml.safe_load_all(_ROLES.read_text()) if one["kind"] == "ClusterRole"]
        await self.put(next(one for one in roles if one["metadata"]["name"] == "assent-reader"))
        group = "rbac.authorization.k8s.io"
        await self.put(
            {
                "apiVersion": f"{group}/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": "assent-reader"},
                "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "assent-reader"},
                "subjects": [{"apiGroup": group, "kind": "User", "name": "reader"}],
            }
        )

    async def _request(self, method: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        assert self._session is not None
        async with self._session.request(method, path, json=dict(body)) as response:
            answer = await response.json()
            assert response.status in (200, 201), answer
            return dict(answer)

    async def _stop(self) -> None:
        if self._session is not None:
            await self._session.close()
        for process in reversed(self._processes):
            if process.returncode is None:
                process.terminate()
                await process.wait()
        self._directory.cleanup()


def _private_key() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
