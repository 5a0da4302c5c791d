"""Words that identify something: names split at case and underscore, weighed by how rare they are."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from investigators.changes.diffs import Diff, is_import

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[_.\-/][A-Za-z0-9]+)*")
_PARTS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_MASK = re.compile(r"(?:[\w.-]{1,64}\s?[=:]\s?[\"']?)?\[redacted:[a-z-]*\]")
"""A secret and its name: two texts that hold one each have nothing in common by that."""
_COMMON_TEXT = """
the and for with from this that not was were has have into when then than are our its all any but
can err error errors failed failure fail exception return returns returned nil null none true false
func function def class struct type string int int64 float64 bool byte bytes map list array object
value values key keys new make get set add put post delete update create read write call calls
called handle handler handlers request requests response responses req res resp ctx context config
cfg service services server client clients http https grpc rpc api url path data result results item
items name names code status message messages info debug warn warning log logger logging level start
started starting stop time timeout duration second seconds millisecond milliseconds minute minutes
count total rate ratio per number size length len append range public private static final void
async await const let var self args kwargs param params default test tests main import package
module github com org net internal pkg src app lib common util utils helper fix feat chore refactor
tidy bump docs style perf build remove handled version file files line lines user users upstream
downstream available unavailable unknown missing invalid required expected got after before while
during over under above below exceeded feature flag enabled disabled cohort processed completed
observed threshold metric using use used one two out off down
"""
_COMMON = frozenset(_COMMON_TEXT.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """How much each word of a text counts."""

    weights: Mapping[str, float]

    def overlap(self, other: Words, rarity: Mapping[str, float]) -> tuple[float, tuple[str, ...]]:
        """The rarity-weighed sum of common words, and the three that count most."""
        shared = {
            word: min(weight, other.weights[word]) * rarity.get(word, 1.0)
            for word, weight in self.weights.items()
            if word in other.weights
        }
        top = sorted(shared, key=lambda word: (-shared[word], word))[:3]
        return sum(shared.values()), tuple(top)


def words(text: str, *, whole: bool = True) -> list[str]:
    """Specific words of a text, lower-case: whole names and (of three letters or more) their parts."""
    found: list[str] = []
    if "[redacted:" in text:
        text = _MASK.sub(" ", text)
    for match in _WORD.finditer(text):
        name = match[0]
        parts = [part.lower() for part in _PARTS.findall(name) if len(part) > 2 and not part.isdigit()]
        if whole and len(parts) > 1:
            found.append(re.sub(r"[_.\-/]", "", name).lower())
        found += parts
    return [stem(word) for word in found if word not in _COMMON and len(word) > 2]


def stem(word: str) -> str:
    """Without a plural's s, so that a table and one of its rows meet."""
    return word[:-1] if len(word) > 4 and word.endswith("s") and not word.endswith("ss") else word


def of_change(diff: Diff, title: str) -> Words:
    """What came or went counts fully; what merely stands on a changed line, a third; files, titles and
    surroundings less. A word that is on both sides was not changed."""
    gone, come = Counter[str](), Counter[str]()
    for line in diff.removed:
        gone.update(words(line) if not is_import(line) else words(line, whole=False))
    for line in diff.added:
        come.update(words(line) if not is_import(line) else words(line, whole=False))
    weights: dict[str, float] = {}
    for word in gone.keys() | come.keys():
        weights[word] = 1.0 if gone[word] != come[word] else 0.3
    if diff.inert:
        weights = dict.fromkeys(weights, 0.1)
    for text, weight in (
        ("\n".join(diff.files), 0.25),
        (title, 0.25),
        (diff.headings, 0.2),
        (_context(diff), 0.1),
    ):
        for word in words(text):
            weights[word] = max(weights.get(word, 0.0), weight)
    return Words(weights=weights)


def of_evidence(texts: Iterable[tuple[str, float]]) -> Words:
    """Words of weighed texts; each counts as much as the weightiest text it is in."""
    weights: dict[str, float] = {}
    for text, weight in texts:
        for word in words(text):
            weights[word] = max(weights.get(word, 0.0), weight)
    return Words(weights=weights)


def rarity(changes: Iterable[Words]) -> Mapping[str, float]:
    """Inverse document frequency over the changes, scaled so that a word in one change only counts 1."""
    every = list(changes)
    seen = Counter(word for one in every for word, weight in one.weights.items() if weight >= 0.2)
    most = math.log(1 + len(every))
    return {word: math.log(1 + len(every) / count) / most for word, count in seen.items()} if most else {}


def _context(diff: Diff) -> str:
    return "\n".join(line for hunk in diff.hunks for line in hunk.context)
