"""What the checks across sections found."""

from __future__ import annotations

from collections.abc import Sequence

from config.document import Document
from config.errors import Place, Problem
from config.explain import nearest
from config.resolve import Resolver


class Report:
    """Collects what the checks find; a value that came from elsewhere is named by where it came from."""

    def __init__(self, document: Document, resolver: Resolver) -> None:
        self._document = document
        self._resolver = resolver
        self.problems: list[Problem] = []
        self.warnings: list[str] = []

    def problem(self, place: Place, reason: str, remedy: str) -> None:
        place = self._resolver.renamed.get(place, place)
        if place not in self._resolver.unusable:
            self.problems.append(self._document.problem(place, reason, remedy))

    def warn(self, place: Place, reason: str, remedy: str) -> None:
        place = self._resolver.renamed.get(place, place)
        if place not in self._resolver.unusable:
            self.warnings.append(str(self._document.problem(place, reason, remedy)))

    def shown(self, place: Place, value: object) -> str:
        return self._resolver.given.get(place) or f"'{value}'"

    def is_given(self, place: Place) -> bool:
        """Whether the value came from a variable or a file, and so may be a secret put in the wrong place."""
        return place in self._resolver.given

    def hint(self, value: str, known: Sequence[str]) -> str:
        """The known name that was probably meant, or all of them."""
        return nearest(value, list(known)) or f"use one of: {', '.join(known)}"
