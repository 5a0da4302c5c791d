"""The model that reads evidence and answers with a diagnosis, and what that may cost."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from config.types import Duration, Positive, Section, Text, Token, Url

Effort = Literal["low", "medium", "high", "xhigh", "max"]


def _usd(value: object) -> object:
    if isinstance(value, Decimal):
        return value
    try:
        # As it is written, not as the nearest binary fraction.
        amount = None if isinstance(value, bool) else Decimal(str(value))
    except InvalidOperation:
        amount = None
    if amount is None or not amount.is_finite() or amount < 0:
        raise ValueError("not an amount in USD; write for example 0.50")
    if amount > 1_000_000:
        raise ValueError("more than a million USD; write at most 1000000")
    return amount


Usd = Annotated[Decimal, BeforeValidator(_usd)]


class ModelPrice(Section):
    """What a model costs, in USD per million tokens. Comes before the shipped list of prices."""

    model: Text = Field(description="Id of the model.")
    input: Usd = Field(description="Read from the request.")
    output: Usd = Field(description="Written by the model.")
    cache_read: Usd | None = Field(default=None, description="Read from the cache; as `input` without it.")
    cache_write: Usd | None = Field(default=None, description="Written to the cache; as `input` without it.")


class ModelCapabilities(Section):
    """What the provider can do beyond plain messages. Without `base_url` everything is on; with one,
    everything is off until it is set, because a server that does not know a field may refuse the request."""

    structured_outputs: bool | None = Field(
        default=None,
        description="Keeps answers to a JSON schema; without it the schema is told in the prompt.",
    )
    cache: bool | None = Field(default=None, description="Takes `cache_control`.")
    effort: bool | None = Field(default=None, description="Takes `output_config.effort`.")
    thinking: bool | None = Field(
        default=None, description="Takes adaptive `thinking`; only ever asked of the deep model."
    )


class ModelBudget(Section):
    """Limits of one investigation, and of a day of UTC. What a call can cost at most is taken before it is
    made and the rest given back; a call that does not fit is not made, and the rules' diagnosis stands."""

    investigation_usd: Usd = Field(
        default=Decimal("0.50"), description="USD of one investigation; 0 asks no model that costs anything."
    )
    day_usd: Usd = Field(default=Decimal("10"), description="USD of a day, all investigations.")
    turns: Positive = Field(default=12, description="Calls of the model in one investigation.")
    tool_calls: Positive = Field(default=25, description="Calls of tools in one investigation.")
    tokens: Positive = Field(default=400_000, description="Tokens of one investigation, read and written.")
    wall: Duration = Field(default=timedelta(seconds=240), description="Time of one investigation.")


class ModelSection(Section):
    """Who reads the evidence after the rules have. Without this section the rules diagnose alone. A model
    holds no credential but its own, is offered tools that only read, and approves nothing."""

    provider: Literal["anthropic", "claude-cli"] = Field(
        default="anthropic",
        description="The Messages API, also of Ollama, llama.cpp, LM Studio or LiteLLM; or the `claude` "
        "command of somebody who has signed in with it.",
    )
    api_key: Token | None = Field(default=None, description="The provider's key.")
    base_url: Url | None = Field(
        default=None, description="Another server of the Messages API; `/v1/messages` is added."
    )
    command: Text = Field(default="claude", description="The program of `claude-cli`: a name or a path.")
    fast: Text = Field(default="claude-haiku-5-5", description="Id of the model for what is known.")
    deep: Text = Field(
        default="claude-opus-5-5", description="Id of the model for what is critical or unknown."
    )
    fast_effort: Effort | None = Field(default=None, description="How hard the fast model tries.")
    deep_effort: Effort | None = Field(default="high", description="How hard the deep model tries.")
    max_output_tokens: Annotated[Positive, Field(le=21_000)] = Field(
        default=8_000, description="Tokens of one answer, thinking included."
    )
    capabilities: ModelCapabilities = Field(
        default=ModelCapabilities(), description="What the provider can do."
    )
    prices: tuple[ModelPrice, ...] = Field(default=(), description="Prices that are not on the shipped list.")
    budget: ModelBudget = Field(default=ModelBudget(), description="What it may cost.")
