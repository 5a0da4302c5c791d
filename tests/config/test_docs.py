"""docs/configuration.md is what the schema says today."""

from __future__ import annotations

from pathlib import Path

from config.reference import reference
from config.schema import Config
from config.shape import section_of
from config.types import Section

DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_reference_is_current() -> None:
    assert DOCUMENT.read_text() == reference(), "write it anew with: make docs"


def test_every_key_says_what_it_means() -> None:
    seen: set[type[Section]] = set()

    def look(section: type[Section]) -> None:
        if section in seen:
            return
        seen.add(section)
        assert section.__doc__, section.__name__
        for name, field in section.model_fields.items():
            assert field.description, f"{section.__name__}.{name}"
            assert field.description.endswith("."), f"{section.__name__}.{name}"
            inner = section_of(field.annotation)
            if inner is not None:
                look(inner)

    look(Config)
    assert len(seen) > 25
