"""Costs are those of the providers' lists; what has no price has no cost, not none."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from adapters.model.prices import Prices
from config.model import ModelPrice
from investigators.analyst.ports import Usage
from tests.contracts.store_nouns import StillClock

CLOCK = StillClock(datetime(2026, 11, 25, 12, tzinfo=UTC))
MILLION = 1_000_000


def prices(*own: ModelPrice) -> Prices:
    return Prices(own, CLOCK)


@pytest.mark.parametrize(
    ("model", "usage", "usd"),
    [
        ("claude-haiku-5-5", Usage(input=100_000), "0.01"),
        ("claude-haiku-5-5", Usage(input=MILLION), "0.5"),
        ("claude-haiku-5-5", Usage(output=1_000), "0.0005"),
        ("claude-haiku-5-5", Usage(cache_read=100_000), "0.001"),
        ("claude-sonnet-5-5", Usage(input=MILLION), "2"),
        ("claude-sonnet-5-5", Usage(cache_write=MILLION), "2.5"),
        ("claude-opus-5-5", Usage(output=MILLION), "20"),
        ("claude-opus-5-5", Usage(input=1_000, cache_read=MILLION, cache_write=1_000), "0.209"),
    ],
)
def test_the_shipped_prices_count_the_cache_apart(model: str, usage: Usage, usd: str) -> None:
    assert prices().cost(model, usage) == Decimal(usd)


def test_an_unknown_model_has_no_price_and_one_of_the_configuration_has_that() -> None:
    house = ModelPrice.model_validate(
        {"model": "house", "input": "1", "output": 2, "cache_read": 0.1, "cache_write": 1.25}
    )
    assert prices().cost("house", Usage(input=1)) is None
    assert prices().at_most("house", 300, 10, cached=True).usd is None
    usage = Usage(input=MILLION, output=MILLION, cache_read=MILLION, cache_write=MILLION)
    assert prices(house).cost("house", usage) == Decimal("4.35")
    plain = ModelPrice.model_validate({"model": "house", "input": 1, "output": 2})
    assert prices(plain).cost("house", usage) == Decimal("5")


def test_the_configuration_comes_before_the_list_and_nothing_can_be_free() -> None:
    free = ModelPrice.model_validate({"model": "claude-haiku-5-5", "input": 0, "output": 0})
    assert prices(free).cost("claude-haiku-5-5", Usage(input=MILLION)) == 0


def test_a_cost_is_rounded_up() -> None:
    odd = ModelPrice.model_validate({"model": "odd", "input": "0.0000001", "output": 0})
    assert prices(odd).cost("odd", Usage(input=1)) == Decimal("0.000000001")


@pytest.mark.parametrize("model", ["claude-haiku-5-5", "claude-opus-5-5"])
@pytest.mark.parametrize("read", [0, 30_000, 99_999])
def test_a_projection_is_no_less_than_any_way_the_tokens_may_be_counted(model: str, read: int) -> None:
    most = prices().at_most(model, 300_000, 8_000, cached=True).usd
    assert most is not None
    for usage in (
        Usage(input=100_000, output=8_000),
        Usage(cache_write=100_000, output=8_000),
        Usage(input=100_000 - read, cache_read=read, output=8_000),
        Usage(cache_write=100_000 - read, cache_read=read, output=100),
    ):
        cost = prices().cost(model, usage)
        assert cost is not None
        assert cost <= most
