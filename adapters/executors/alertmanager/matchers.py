"""Which alerts a silence hides."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.domain.errors import InputError

_OPS = {(True, False): "=", (False, False): "!=", (True, True): "=~", (False, True): "!~"}
"""By isEqual and isRegex; versions before 0.22 know only the latter."""
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Matcher:
    """One label matcher."""

    label: str
    op: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Matchers:
    """A set of matchers, all of which must hold, in canonical order."""

    items: tuple[Matcher, ...]

    @classmethod
    def parse(cls, text: object) -> Matchers:
        """Read ``label=value[,label=value]``. Raises InputError.

        Equality with a value only: every alert that is hidden has every pair that was approved.
        """
        if not isinstance(text, str) or not text:
            raise InputError("parameter matchers: give at least one label=value; none would hide everything")
        items = []
        for part in text.split(","):
            label, equals, value = part.partition("=")
            if not equals or not value or value[0] in "=~" or _LABEL.fullmatch(label) is None:
                raise InputError(f"parameter matchers: {part!r} is not label=value")
            items.append(Matcher(label=label, op="=", value=value))
        if len({item.label for item in items}) != len(items):
            raise InputError("parameter matchers: a label is named twice")
        return cls(items=tuple(sorted(items)))

    @classmethod
    def of_documents(cls, documents: Sequence[Mapping[str, Any]]) -> Matchers:
        """The matchers of a stored silence, which may be of any kind."""
        return cls(
            items=tuple(
                sorted(
                    Matcher(
                        label=item["name"],
                        op=_OPS[item.get("isEqual", True), item["isRegex"]],
                        value=item["value"],
                    )
                    for item in documents
                )
            )
        )

    def documents(self) -> list[dict[str, Any]]:
        """As the API takes them."""
        return [
            {
                "name": item.label,
                "value": item.value,
                "isRegex": "~" in item.op,
                "isEqual": "!" not in item.op,
            }
            for item in self.items
        ]

    def filters(self) -> list[str]:
        """As ``filter`` parameters of the alert list: ``label="value"``."""
        return [f"{item.label}{item.op}{json.dumps(item.value, ensure_ascii=False)}" for item in self.items]

    @property
    def text(self) -> str:
        return ",".join(f"{item.label}{item.op}{item.value}" for item in self.items)

    @property
    def digest(self) -> str:
        return hashlib.sha256("\n".join(self.filters()).encode()).hexdigest()

    @property
    def labels(self) -> dict[str, str]:
        """The pairs that every matched alert has."""
        return {item.label: item.value for item in self.items if item.op == "="}
