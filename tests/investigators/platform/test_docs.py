"""The documentation lists every kind."""

from __future__ import annotations

from pathlib import Path

from investigators.facts.platform.catalogue import FAULTS


def test_every_kind_is_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "faults-services.md").read_text(encoding="utf-8")
    assert [kind for kind in FAULTS if f"`{kind}`" not in text] == []
