"""The provider is asked whether it knows the models, which costs nothing."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.model.anthropic.probe import by_name
from config.model import ModelSection
from investigators.analyst.ports import FailureKind, ModelFailure
from tests.servers.messages_api import KEY, MessagesApi


def section(url: str, **changes: Any) -> ModelSection:
    return ModelSection.model_validate({"api_key": KEY, "base_url": url, **changes})


async def test_a_provider_that_tells_of_its_models_is_asked_for_them_and_for_no_answer() -> None:
    async with MessagesApi() as api:
        said = await by_name(section(api.url))
        assert said == "knows claude-haiku-5-5 and claude-opus-5-5; the question cost nothing"
        assert (api.probes, api.requests) == (2, [])


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"api_key": "another"}, FailureKind.KEY, "model.api_key"),
        ({"deep": "claude-nobody"}, FailureKind.UNKNOWN_MODEL, "claude-nobody"),
    ],
)
async def test_what_is_wrong_is_said_at_once(changes: dict[str, Any], kind: FailureKind, words: str) -> None:
    async with MessagesApi() as api:
        with pytest.raises(ModelFailure) as caught:
            await by_name(section(api.url, **changes))
    assert caught.value.kind is kind
    assert words in caught.value.reason


async def test_nobody_at_home_is_said() -> None:
    async with MessagesApi() as api:
        gone = api.url
    with pytest.raises(ModelFailure) as caught:
        await by_name(section(gone))
    assert caught.value.kind is FailureKind.UNREACHABLE
