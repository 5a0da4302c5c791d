"""The way into one cluster: a kubernetes_asyncio client that is made at the first request.

The library is imported here and only then: with its models it costs some 60 MB, which nobody pays who has no
cluster.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import aiohttp

from adapters.evidence.kubernetes.refused import Refused, config_problem
from bot.domain.clock import Clock
from config.schema import KubernetesSource

if TYPE_CHECKING:
    from kubernetes_asyncio.client import ApiClient, Configuration

_PARALLEL = 8
_RENEW_AFTER = timedelta(seconds=10)
"""A refused credential is read anew at most this often: an exec plugin may be behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """An HTTP answer as it came. ``cut`` when there was more than was wanted; ``retry_after`` the seconds the
    server wants us to wait, where it said so."""

    status: int
    content_type: str
    body: bytes
    cut: bool
    retry_after: float | None


class Connection:
    """GET requests to one API server. A request that takes longer than ``timeout`` fails alone."""

    def __init__(self, config: KubernetesSource, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._timeout = config.timeout.total_seconds()
        self._slots = asyncio.Semaphore(_PARALLEL)
        self._lock = asyncio.Lock()
        self._api: ApiClient | None = None
        self._made_at: datetime | None = None

    async def get(
        self, path: str, params: Sequence[tuple[str, str]], *, accept: str, max_bytes: int, seconds: float
    ) -> Raw:
        """The answer, whatever its status. Raises Refused when there is none."""
        wanted = partial(self._fetch, path, params, accept, max_bytes)
        try:
            # Waiting for others of ours, for the library and for a login counts against the question only.
            async with asyncio.timeout(seconds), self._slots:
                api = await self._client()
                raw = await wanted(api)
                if raw.status == 401 and await self._renewed(api):
                    raw = await wanted(await self._client())
                return raw
        except TimeoutError:
            raise Refused(f"no answer within {min(self._timeout, seconds):.3g} s") from None
        except aiohttp.ClientError as error:
            raise Refused(f"cannot reach the API server: {_network_reason(error)}") from None
        except OSError as error:
            raise Refused(f"cannot reach the API server: {error.strerror or type(error).__name__}") from None

    async def close(self) -> None:
        async with self._lock:
            api, self._api = self._api, None
        if api is not None:
            await api.close()

    async def _fetch(
        self, path: str, params: Sequence[tuple[str, str]], accept: str, max_bytes: int, api: ApiClient
    ) -> Raw:
        async with asyncio.timeout(self._timeout):
            return await self._exchange(path, params, accept, max_bytes, api)

    async def _exchange(
        self, path: str, params: Sequence[tuple[str, str]], accept: str, max_bytes: int, api: ApiClient
    ) -> Raw:
        response: aiohttp.ClientResponse = await api.call_api(
            path,
            "GET",
            query_params=list(params),
            header_params={"Accept": accept},
            auth_settings=["BearerToken"],
            _preload_content=False,
            _request_timeout=self._timeout,
        )
        async with response:
            if response.history:
                # The library follows redirects; an API server sends none, a login page in front of it does.
                raise Refused("answered with a redirect, probably to a login page; the address is wrong")
            chunks = bytearray()
            async for chunk in response.content.iter_chunked(65_536):
                chunks += chunk
                if len(chunks) > max_bytes:
                    return self._raw(response, bytes(chunks[:max_bytes]), cut=True)
            return self._raw(response, bytes(chunks), cut=False)

    @staticmethod
    def _raw(response: aiohttp.ClientResponse, body: bytes, *, cut: bool) -> Raw:
        wish = response.headers.get("Retry-After", "")
        return Raw(
            status=response.status,
            content_type=response.content_type,
            body=body,
            cut=cut,
            retry_after=float(wish) if wish.isdecimal() else None,
        )

    async def _client(self) -> ApiClient:
        async with self._lock:
            if self._api is None:
                self._api = await _connected(self._config)
                self._made_at = self._clock.now()
            return self._api

    async def _renewed(self, refused: ApiClient) -> bool:
        """Whether there is a new client instead of the refused one. A kubeconfig or its plugin may hold a
        fresh credential; a token of ours is what it is."""
        async with self._lock:
            if self._api is not refused:
                return True
            if self._config.kubeconfig is None or self._made_at is None:
                return False
            if self._clock.now() - self._made_at < _RENEW_AFTER:
                return False
            self._api = None
        await refused.close()
        return True


async def _connected(config: KubernetesSource) -> ApiClient:
    # Most of a second the first time, in which the event loop has other things to do.
    try:
        await asyncio.to_thread(importlib.import_module, "kubernetes_asyncio.config")
    except ModuleNotFoundError:
        raise Refused(
            "its client is not installed; install it with: pip install 'assent[kubernetes]'"
        ) from None
    from kubernetes_asyncio.client import ApiClient, Configuration

    settings = Configuration(host="" if config.url is None else str(config.url).rstrip("/"))
    try:
        await _configure(config, settings)
        client = ApiClient(settings)
    except (TimeoutError, Refused):
        raise
    except Exception as error:  # noqa: BLE001 - login plugins, YAML, base64, TLS: the errors share no base
        what = "the pod" if config.kubeconfig is None else config.kubeconfig.name
        raise Refused(config_problem(error, "the CA file" if config.url is not None else what)) from None
    client.user_agent = "assent"
    return client


async def _configure(config: KubernetesSource, settings: Configuration) -> None:
    from kubernetes_asyncio.config import load_incluster_config, load_kube_config

    # It logs what it raises, and that may quote a whole entry with the credentials in it.
    logging.getLogger("kubernetes_asyncio.config.kube_config").disabled = True
    if config.in_cluster:
        load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
    elif config.kubeconfig is not None:
        if not config.kubeconfig.is_file():
            raise Refused(f"{config.kubeconfig} is not there")
        # persist_config would write refreshed tokens into the person's file.
        await load_kube_config(
            config_file=str(config.kubeconfig),
            context=config.context,
            client_configuration=settings,
            persist_config=False,
        )
    else:
        if config.token is not None:
            settings.api_key["BearerToken"] = f"Bearer {config.token.get_secret_value()}"
        if config.ca_file is not None:
            settings.ssl_ca_cert = str(config.ca_file)


def _network_reason(error: aiohttp.ClientError) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "its certificate is not signed by a CA we trust"
    if isinstance(error, aiohttp.ClientConnectorError):
        # asyncio's own text repeats the address; a failed look-up has no number the system knows.
        number = error.os_error.errno
        return os.strerror(number) if number and number > 0 else error.strerror or "connection failed"
    # Others may print headers or URLs; their names say enough.
    return type(error).__name__
