"""Whether the evidence names what a change is about."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from investigators.changes.mechanisms import Hit
from investigators.changes.signals import Signals
from investigators.changes.symptoms import Symptom

_WORDS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+|[^\W_]+")


class Naming:
    """The texts of one world, searched for many names. That errors name the services says nothing."""

    def __init__(self, seen: Signals, shown: Sequence[Symptom]) -> None:
        self._services = frozenset(map(_bare, seen.services))
        self._loud = _text(signal.text for signal in seen.texts if signal.weight >= 0.7)
        self._texts = {(one.kind, one.service): _text(one.texts) for one in shown}
        self._patterns: dict[str, tuple[str, re.Pattern[str]] | None] = {}

    def factor(self, hit: Hit, symptom: Symptom) -> float:
        """1 where the symptom itself names what the change is about; less where only other errors do."""
        names = [name for name in hit.names if _bare(name) not in self._services]
        if not hit.names or self._is_named(names, self._texts[symptom.kind, symptom.service]):
            return 1.0
        return max(hit.unnamed, 0.7) if hit.unnamed and self._is_named(names, self._loud) else hit.unnamed

    def _is_named(self, names: Sequence[str], texts: str) -> bool:
        """However the words of a name are joined; only a long one may be the beginning of a longer word."""
        for name in names:
            if name not in self._patterns:
                self._patterns[name] = _pattern(name)
            known = self._patterns[name]
            if known is not None and known[0] in texts and known[1].search(texts):
                return True
        return False


def _pattern(name: str) -> tuple[str, re.Pattern[str]] | None:
    """Its first word, to look for before anything else, and the whole."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words or len(name) < 2:
        return None
    end = r"(?![a-z0-9])" if len(name) < 7 else ""
    joined = r"[\W_]{0,2}".join(map(re.escape, words))
    return words[0], re.compile(rf"(?<![a-z0-9_]){joined}{end}")


def _bare(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


def _text(parts: Iterable[str]) -> str:
    return "\n".join(parts).lower()
