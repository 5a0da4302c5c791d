"""The provider: one client of the SDK for as long as the service runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from adapters.model.anthropic.conversation import AnthropicConversation
from adapters.model.anthropic.translation import Capabilities, ModelSettings
from adapters.model.prices import Prices
from bot.domain.clock import Clock
from bot.telemetry import Metrics
from config.model import ModelSection
from investigators.analyst.ports import Conversation, Opening, Spending, Tier

if TYPE_CHECKING:
    import httpx2
    from anthropic import AsyncAnthropic

_HOME = "https://api.anthropic.com"
_RETRIES = 2
_MOST_BYTES = 8 * 1024 * 1024
_NO_KEY = "none"
"""A server that needs no key gets this one: without any, the SDK would look for profiles on disk."""


class AnthropicModel:
    """Made by :func:`open_anthropic`."""

    def __init__(
        self, client: AsyncAnthropic, section: ModelSection, clock: Clock, metrics: Metrics | None
    ) -> None:
        self.name = "anthropic"
        self._client = client
        self._section = section
        self._metrics = metrics
        self._can = capabilities(section)
        self._prices = Prices(section.prices, clock)

    def name_of(self, tier: Tier) -> str:
        return self._settings(tier).id

    def open(self, opening: Opening, spending: Spending, timeout: timedelta) -> Conversation:
        return AnthropicConversation(
            self._client,
            opening,
            self._settings(opening.tier),
            self._can,
            self._prices,
            self._metrics,
            spending,
            timeout,
        )

    def _settings(self, tier: Tier) -> ModelSettings:
        section, deep = self._section, tier is Tier.DEEP
        return ModelSettings(
            id=section.deep if deep else section.fast,
            effort=section.deep_effort if deep else section.fast_effort,
            thinks=deep,
            max_tokens=section.max_output_tokens,
        )


def capabilities(section: ModelSection) -> Capabilities:
    """As configured; what is not is on at home and off elsewhere."""
    given, home = section.capabilities, section.base_url is None
    return Capabilities(
        structured_outputs=home if given.structured_outputs is None else given.structured_outputs,
        cache=home if given.cache is None else given.cache,
        effort=home if given.effort is None else given.effort,
        thinking=home if given.thinking is None else given.thinking,
    )


@asynccontextmanager
async def open_anthropic(
    section: ModelSection, clock: Clock, metrics: Metrics | None = None
) -> AsyncIterator[AnthropicModel]:
    """A model until the end of the context. Asks the provider nothing."""
    async with open_client(section) as client:
        yield AnthropicModel(client, section, clock, metrics)


@asynccontextmanager
async def open_client(section: ModelSection) -> AsyncIterator[AsyncAnthropic]:
    # About a second of importing, which the event loop has better uses for.
    client = await asyncio.to_thread(_client, section)
    try:
        yield client
    finally:
        await client.close()


def _client(section: ModelSection) -> AsyncAnthropic:
    import anthropic
    import genai_prices  # noqa: F401 - loaded here, so that no turn waits for it

    for name in ("anthropic", "httpx2", "httpcore2"):
        # Below WARNING they write whole requests.
        logging.getLogger(name).setLevel(logging.WARNING)
    key = section.api_key
    return anthropic.AsyncAnthropic(
        api_key=_NO_KEY if key is None else key.get_secret_value(),
        base_url=_HOME if section.base_url is None else str(section.base_url),
        max_retries=_RETRIES,
        # What is not packed can be measured.
        default_headers={"Accept-Encoding": "identity"},
        open_telemetry=False,
        http_client=anthropic.DefaultAsyncHttpxClient(
            follow_redirects=False,
            # A proxy of the environment may stand before the provider, not before a server of one's own.
            trust_env=section.base_url is None,
            event_hooks={"response": [_measured]},
        ),
    )


async def _measured(response: httpx2.Response) -> None:
    """End a body that never does. One that is packed although nobody asked is not unpacked."""
    import httpx2

    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise httpx2.RemoteProtocolError("packed", request=response.request)
    stream = response.stream
    assert isinstance(stream, httpx2.AsyncByteStream)
    response.stream = _capped(stream, response.request)


def _capped(stream: httpx2.AsyncByteStream, request: httpx2.Request) -> httpx2.AsyncByteStream:
    import httpx2

    class Capped(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            read = 0
            async for part in stream:
                read += len(part)
                if read > _MOST_BYTES:
                    raise httpx2.RemoteProtocolError("too large", request=request)
                yield part

        async def aclose(self) -> None:
            await stream.aclose()

    return Capped()
