"""The same gesture arrives in several spellings; nothing else may count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.model import ReviewVerdict
from bot.commands.emoji import Glyphs, normalise

GLYPHS = Glyphs(["✅"], ["❌"])


@pytest.mark.parametrize("key", ["✅", "✅\ufe0f", "✅\ufe0e"])
def test_every_spelling_of_the_approving_emoji_approves(key: str) -> None:
    assert GLYPHS.verdict(key) is ReviewVerdict.APPROVE


@pytest.mark.parametrize("key", ["❌", "❌\ufe0f"])
def test_every_spelling_of_the_rejecting_emoji_rejects(key: str) -> None:
    assert GLYPHS.verdict(key) is ReviewVerdict.REJECT


@pytest.mark.parametrize("key", ["✔", "✔️", "☑️", "👍", "👍🏽", "✅✅", "x", "", "✅ ok", "🇨🇭"])
def test_emoji_that_only_look_similar_count_for_nothing(key: str) -> None:
    assert GLYPHS.verdict(key) is None


def test_a_configured_thumb_counts_in_every_skin_tone() -> None:
    glyphs = Glyphs(["👍"], ["👎"])
    assert glyphs.verdict("👍🏿") is ReviewVerdict.APPROVE
    assert glyphs.verdict("👎🏻") is ReviewVerdict.REJECT


@given(st.text(max_size=20))
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)
