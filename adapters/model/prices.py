"""What an answer costs, and what a question can cost at most."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_CEILING, Decimal

from bot.domain.clock import Clock
from config.model import ModelPrice
from investigators.analyst.ports import Usage

_MILLION = Decimal(1_000_000)
_NANO = Decimal("0.000000001")
CHARACTERS_PER_TOKEN = 3
"""Fewer than any tokenizer of today needs for prose, code or JSON."""


class Prices:
    """Of one provider: those of the configuration first, then the list that genai-prices ships. Nothing is
    fetched. ``listed`` is the provider's name there, None where only the configuration counts."""

    def __init__(self, own: Sequence[ModelPrice], clock: Clock, *, listed: str | None = "anthropic") -> None:
        self._own = {price.model: price for price in own}
        self._clock = clock
        self._listed = listed

    def cost(self, model: str, usage: Usage) -> Decimal | None:
        """In USD, rounded up to a billionth; None where no price is known, never 0 for that."""
        own = self._own.get(model)
        usd = self._shipped(model, usage) if own is None else _by_own(own, usage)
        return None if usd is None else usd.quantize(_NANO, ROUND_CEILING)

    def at_most(self, model: str, request_bytes: int, max_tokens: int, *, cached: bool) -> Projection:
        """Of one request: every byte new, and the answer as long as it may be. Where the provider keeps a
        cache, writing to it can cost more than reading."""
        tokens = -(-request_bytes // CHARACTERS_PER_TOKEN)
        plain = Usage(input=tokens, output=max_tokens)
        costs = [self.cost(model, plain)]
        if cached:
            costs.append(self.cost(model, Usage(cache_write=tokens, output=max_tokens)))
        known = [usd for usd in costs if usd is not None]
        return Projection(max(known) if known else None, plain)

    def _shipped(self, model: str, usage: Usage) -> Decimal | None:
        if self._listed is None:
            return None
        from genai_prices import Usage as Counted
        from genai_prices import calc_price

        try:
            return calc_price(
                # There the cache's tokens are part of the input, here and in the API they are not.
                Counted(
                    input_tokens=usage.input + usage.cache_read + usage.cache_write,
                    cache_read_tokens=usage.cache_read,
                    cache_write_tokens=usage.cache_write,
                    output_tokens=usage.output,
                ),
                model,
                provider_id=self._listed,
                genai_request_timestamp=self._clock.now(),
            ).total_price
        except LookupError:
            return None


class Projection:
    """What a call can cost at most: ``usd`` None where the price is not known."""

    __slots__ = ("usage", "usd")

    def __init__(self, usd: Decimal | None, usage: Usage) -> None:
        self.usd = usd
        self.usage = usage


def _by_own(price: ModelPrice, usage: Usage) -> Decimal:
    read = price.input if price.cache_read is None else price.cache_read
    write = price.input if price.cache_write is None else price.cache_write
    return (
        usage.input * price.input
        + usage.output * price.output
        + usage.cache_read * read
        + usage.cache_write * write
    ) / _MILLION
