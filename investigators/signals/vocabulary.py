"""Log lines as words of a vocabulary: lines that differ only in values share one number."""

from __future__ import annotations

import re

from investigators.templates import WILDCARD, Texts

_PUNCTUATION = re.compile(r"([\[\](){},;=:\"])")
_DIGIT = re.compile(r"\d")
_TOKENS = 60
_LONGEST = 800
_SAME = 0.6
_HEAD = 4
"""Tokens that lines of one template must share at their beginning."""


class Vocabulary:
    """Templates grow as lines are added, so all lines that are to be compared go through one vocabulary.
    ``texts`` is shared with others that look at the same lines."""

    def __init__(self, texts: Texts | None = None) -> None:
        self._texts = texts or Texts()
        self._groups: dict[tuple[str, str, tuple[str, ...]], list[int]] = {}
        self._known: dict[tuple[str, str, str], int] = {}
        self._masked: dict[tuple[str, str, str], int] = {}
        self._tokens: list[tuple[str, ...]] = []
        self._sets: list[frozenset[str]] = []

    def number(self, service: str, level: str, text: str) -> int:
        """The template of a line; the most similar one (Jaccard of tokens) of the same service and level
        whose beginning is the same."""
        plain = (service, level, self._texts.masked(text[:_LONGEST]))
        seen = self._masked.get(plain)
        if seen is None:
            seen = self._masked[plain] = self._number(service, level, _tokens(plain[2]))
        return seen

    def _number(self, service: str, level: str, tokens: tuple[str, ...]) -> int:
        exact = (service, level, " ".join(tokens))
        found = self._known.get(exact)
        if found is not None:
            return found
        group = self._groups.setdefault((service, level, tokens[:_HEAD]), [])
        words = frozenset(tokens)
        best, score = None, _SAME
        for number in group:
            other = self._sets[number]
            likeness = len(words & other) / max(1, len(words | other))
            if likeness >= score:
                best, score = number, likeness
        if best is None:
            best = len(self._tokens)
            self._tokens.append(tokens)
            self._sets.append(words)
            group.append(best)
        self._known[exact] = best
        return best

    def text(self, number: int) -> str:
        """The template of a number, as its first line showed it."""
        return re.sub(r" (?=[\])},;:=])|(?<=[\[({=]) ", "", " ".join(self._tokens[number]))


def _tokens(text: str) -> tuple[str, ...]:
    spaced = _PUNCTUATION.sub(r" \1 ", text)
    found: list[str] = []
    for word in spaced.split()[:_TOKENS]:
        token = WILDCARD if _DIGIT.search(word) else word
        if token != WILDCARD or not found or found[-1] != WILDCARD:
            found.append(token)
    return tuple(found)
