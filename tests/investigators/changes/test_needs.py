"""What is looked for before a pattern is in everything that the pattern matches."""

from __future__ import annotations

import re
from collections.abc import Iterator
from inspect import getclosurevars
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from investigators.changes.mechanisms import ALL
from investigators.changes.mechanisms.leaks import _KEEP, _KEEP_PARTS


def with_needs(detect: Any) -> Iterator[tuple[re.Pattern[str], tuple[str, ...]]]:
    """The patterns of a mechanism that are spared by a look for parts, with these parts."""
    known = getclosurevars(detect).nonlocals
    if known.get("parts"):
        yield known["pattern"], known["parts"]
    for way in known.get("ways", (known["way"],) if "way" in known else ()):
        yield from with_needs(way)


SPARED = [(pattern, parts) for one in ALL for pattern, parts in with_needs(one.detect)]


def test_some_patterns_are_spared() -> None:
    assert len(SPARED) >= 7


@pytest.mark.parametrize(("pattern", "parts"), SPARED, ids=lambda value: str(value)[:40])
@settings(max_examples=150, suppress_health_check=list(HealthCheck), deadline=None, derandomize=True)
@given(data=st.data())
def test_a_match_holds_a_part(pattern: re.Pattern[str], parts: tuple[str, ...], data: st.DataObject) -> None:
    text = data.draw(st.from_regex(pattern))
    assert not text.isascii() or any(part in text.lower() for part in parts)


@settings(max_examples=200, suppress_health_check=list(HealthCheck), deadline=None, derandomize=True)
@given(text=st.from_regex(_KEEP))
def test_what_adds_to_something_holds_a_part(text: str) -> None:
    assert any(part in text for part in _KEEP_PARTS)
