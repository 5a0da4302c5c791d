from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from adapters.alerts import parsers
from adapters.http import BoundListener, open_listener
from bot.telemetry import Metrics
from config.schema import Limits, Listen, Source
from tests.fakes.alert_sink import InMemoryAlertSink


class MovableClock:
    """Starts when the signature vectors were made."""

    def __init__(self) -> None:
        self.at = datetime.fromtimestamp(1795223900, UTC)

    def now(self) -> datetime:
        return self.at

    def advance(self, by: timedelta) -> None:
        self.at += by


@dataclass
class Service:
    """A running listener, seen from outside and with the fakes behind it."""

    listener: BoundListener
    client: aiohttp.ClientSession
    sink: InMemoryAlertSink
    clock: MovableClock
    metrics: Metrics
    ready: dict[str, str | None] = field(default_factory=dict)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.listener.port}{path}"

    async def post(
        self, path: str, body: bytes, headers: Mapping[str, str] | None = None, method: str = "POST"
    ) -> tuple[int, Any]:
        async with self.client.request(
            method, self.url(path), data=io.BytesIO(body), headers=headers
        ) as answer:
            return answer.status, await answer.json()


Serve = Callable[..., AbstractAsyncContextManager[Service]]

BEARER = {"Authorization": "Bearer s3cr3t"}


def source(name: str = "am", kind: str = "alertmanager", **auth: Any) -> Source:
    return Source.model_validate({"name": name, "kind": kind, "auth": auth or {"bearer": "s3cr3t"}})


@pytest.fixture
def serve() -> Serve:
    @asynccontextmanager
    async def serving(
        *sources: Source, limits: Limits | None = None, **options: Any
    ) -> AsyncIterator[Service]:
        limits = limits or Limits()
        sink, clock, metrics = InMemoryAlertSink(), MovableClock(), Metrics(version="1.2.3")
        ready: dict[str, str | None] = {"store": None, "chat": None}

        async def readiness() -> Mapping[str, str | None]:
            return ready

        async with (
            open_listener(
                Listen(host="127.0.0.1", port=0),
                sources=sources or (source(),),
                limits=limits,
                parsers=parsers(limits),
                sink=options.pop("sink", sink),
                metrics=metrics,
                readiness=options.pop("readiness", readiness),
                clock=clock,
                **({"linger_seconds": 0.1} | options),
            ) as listener,
            aiohttp.ClientSession() as client,
        ):
            yield Service(listener, client, sink, clock, metrics, ready)

    return serving
