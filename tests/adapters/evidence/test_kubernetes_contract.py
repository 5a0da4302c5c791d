"""The Kubernetes source against the stand-in, and against a real API server where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from bot.domain.clock import Clock
from config.schema import KubernetesSource
from tests.contracts.kubernetes_contract import check_kubernetes, fill
from tests.fakes.evidence import FixedClock
from tests.servers.kube_apiserver import KubeApiServer, assets_missing
from tests.servers.kubernetes_api import KubernetesApi

TOKEN = "a-token-of-the-stand-in"


class StandIn:
    """The stand-in as the contract wants it; who has no rights comes from another address."""

    def __init__(self, url: str, powerless_url: str, apis: tuple[KubernetesApi, ...]) -> None:
        self.clock: Clock = FixedClock()
        self._url = url
        self._powerless_url = powerless_url
        self._apis = apis

    async def put(self, document: Mapping[str, Any]) -> dict[str, Any]:
        stored = [api.put(document) for api in self._apis]
        return stored[0]

    def config(self, **options: Any) -> KubernetesSource:
        return KubernetesSource.model_validate({"url": self._url, "token": TOKEN, **options})

    def powerless(self) -> KubernetesSource:
        return KubernetesSource.model_validate({"url": self._powerless_url, "token": TOKEN})


async def test_the_stand_in_keeps_the_contract() -> None:
    api, powerless = KubernetesApi(token=TOKEN), KubernetesApi(token=TOKEN)
    powerless.deny("list", "secrets")
    async with api.serving() as url, powerless.serving() as powerless_url:
        server = StandIn(url, powerless_url, (api, powerless))
        await fill(server)
        await check_kubernetes(server)
    assert {method for method, _, _ in [*api.requests, *powerless.requests]} == {"GET"}


@pytest.mark.real
async def test_a_real_api_server_keeps_the_contract() -> None:
    reason = assets_missing()
    if reason is not None:
        pytest.skip(reason)
    async with KubeApiServer() as server:
        await fill(server)
        await check_kubernetes(server)
