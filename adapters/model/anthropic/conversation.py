"""One conversation over the Messages API: append-only, every block of the answers sent back as it came."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from adapters.model.answers import extracted
from adapters.model.anthropic import failures
from adapters.model.anthropic.metrics import Attempts, connection_failure
from adapters.model.anthropic.translation import (
    Block,
    Capabilities,
    ModelSettings,
    frozen_request,
    heard,
    request_bytes,
    user_message,
)
from adapters.model.prices import Prices, Projection
from adapters.model.turns import Answer, Failed, Told, Turns, failed
from bot.telemetry import Metrics
from investigators.analyst.ports import FailureKind, ModelFailure, Opening, Spending, Usage

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic


class AnthropicConversation(Turns):
    """``client`` is the shared one; this conversation's attempts are watched on a copy of it."""

    def __init__(
        self,
        client: AsyncAnthropic,
        opening: Opening,
        settings: ModelSettings,
        can: Capabilities,
        prices: Prices,
        metrics: Metrics | None,
        spending: Spending,
        timeout: timedelta,
    ) -> None:
        super().__init__(settings.id, spending, timeout)
        self._attempts = Attempts(settings.id, metrics)
        self._client = client.with_middleware(self._attempts)
        self._settings = settings
        self._can = can
        self._prices = prices
        self._metrics = metrics
        self._extracts = opening.answer_schema is not None and not can.structured_outputs
        self._has_tools = bool(opening.tools)
        self._frozen = frozen_request(opening, settings, can)
        self._bytes = request_bytes(self._frozen, [])
        self._messages: list[Block] = []

    def _hear(self, told: Told) -> Projection:
        self._append(user_message(told))
        return self._prices.at_most(
            self.model, self._bytes, self._settings.max_tokens, cached=self._can.cache
        )

    def _append(self, message: Block) -> None:
        self._messages.append(message)
        self._bytes += request_bytes({}, [message])

    async def _ask(self, told: Told, deadline: float) -> Answer:
        self._attempts.begin(deadline)
        raw = await self._create(told, deadline)
        found = heard(raw)
        if found.blocks:
            self._append({"role": "assistant", "content": found.blocks})
        usd = self._prices.cost(self.model, found.usage)
        self._count(found.usage, usd)
        return Answer(
            text=extracted(found.text) if self._extracts and not found.calls else found.text,
            calls=found.calls,
            stop=found.stop,
            usage=found.usage,
            usd=usd,
        )

    async def _create(self, told: Told, deadline: float) -> bytes:
        import anthropic

        request: dict[str, Any] = dict(self._frozen)
        if self._has_tools and not told.may_use_tools:
            # Not an empty list: the tools are part of what the conversation began with.
            request["tool_choice"] = {"type": "none"}
        try:
            # As it came: the SDK's own parsing makes a message of anything, and a text of a web page.
            response = await self._client.messages.with_raw_response.create(
                messages=self._messages,  # type: ignore[arg-type]
                timeout=self._timeout.total_seconds(),
                **request,
            )
        except anthropic.APIStatusError as error:
            status = error.response.status_code
            failure = self._attempts.last or failures.of_status(status, b"", model=self.model)
            raise self._failed(failure) from None
        except anthropic.APIConnectionError as error:
            raise self._failed(connection_failure(error)) from None
        except ModelFailure as failure:
            raise self._failed(failure) from None
        except anthropic.AnthropicError:
            raise failed(FailureKind.REJECTED, "the client of the Messages API refused the request") from None
        if response.http_response.status_code != 200:
            status = response.http_response.status_code
            raise self._failed(failures.of_status(status, b"", model=self.model))
        return bytes(response.http_response.content)

    def _failed(self, failure: ModelFailure) -> Failed:
        return Failed(failure, free=not self._attempts.doubtful)

    def _late(self) -> Failed:
        seconds = self._timeout.total_seconds()
        attempts = self._attempts
        if attempts.last is not None and not attempts.running:
            # It was waiting to try again: what it waited for is the reason.
            return self._failed(attempts.last)
        return failed(FailureKind.TIMEOUT, f"the model did not answer within {seconds:g} s", free=False)

    def _count(self, usage: Usage, usd: Decimal | None) -> None:
        if self._metrics is None:
            return
        for kind in ("input", "output", "cache_read", "cache_write"):
            self._metrics.model_tokens.labels(model=self.model, kind=kind).inc(getattr(usage, kind))
        if usd is not None:
            self._metrics.model_usd.labels(model=self.model).inc(float(usd))
