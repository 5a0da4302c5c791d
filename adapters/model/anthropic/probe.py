"""Whether the provider answers, knows the key and knows the models."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from adapters.model.anthropic import failures
from adapters.model.anthropic.client import open_anthropic, open_client
from adapters.model.anthropic.metrics import connection_failure
from bot.domain.clock import Clock
from config.model import ModelSection
from investigators.analyst.ports import Opening, Reservation, Tier, Usage

_TIMEOUT = timedelta(seconds=10)
_TOKENS = 16


async def probe(section: ModelSection, clock: Clock) -> str:
    """One sentence, with what the question cost. Raises ModelFailure."""
    if section.base_url is None:
        return await by_name(section)
    # Not every server of the Messages API tells of its models; what counts is that it answers.
    return await by_asking(section, clock)


async def by_name(section: ModelSection) -> str:
    import anthropic

    names = sorted({section.fast, section.deep})
    async with open_client(section) as client:
        for name in names:
            try:
                await client.with_options(max_retries=0).models.retrieve(
                    name, timeout=_TIMEOUT.total_seconds()
                )
            except anthropic.APIStatusError as error:
                raw = error.response.content
                raise failures.of_status(error.response.status_code, raw, model=name) from None
            except anthropic.APIConnectionError as error:
                raise connection_failure(error) from None
    return f"knows {' and '.join(names)}; the question cost nothing"


async def by_asking(section: ModelSection, clock: Clock) -> str:
    short = section.model_copy(update={"max_output_tokens": _TOKENS})
    usage = Usage()
    usd: Decimal | None = Decimal(0)
    answered = []
    async with open_anthropic(short, clock) as model:
        for tier in Tier:
            if model.name_of(tier) in answered:
                continue
            opening = Opening(tier=tier, system="You are tested.")
            reply = await model.open(opening, _Free(), _TIMEOUT).say("Say ok.")
            answered.append(reply.model)
            usage += reply.usage
            usd = None if usd is None or reply.usd is None else usd + reply.usd
    cost = "an unknown price" if usd is None else f"{usd.normalize():f} USD"
    return f"{' and '.join(answered)} answered; the question cost {usage.total} tokens, {cost}"


class _Free:
    """No limits: it is one small question."""

    async def reserve(self, usd: Decimal | None, tokens: int) -> Reservation:
        return self

    async def settle(self, usd: Decimal | None, usage: Usage) -> None:
        """Nothing was taken."""
