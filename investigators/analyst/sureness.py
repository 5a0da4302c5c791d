"""How sure a model's cause is, by rules over the evidence it quoted; whether it is the rules' own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations

from bot.domain.diagnosis import Band, Hypothesis
from bot.domain.evidence import Evidence
from investigators.analyst.answer import Cause
from investigators.analyst.citations import Verified, distinct, normal
from investigators.analyst.tools import MCP_KIND
from investigators.bands import Family, family_of
from investigators.facts.known import FAULTS
from investigators.hypotheses import EXPLAINS

RANK = {Band.LOW: 0, Band.MEDIUM: 1, Band.HIGH: 2}
_BY_RANK = (Band.LOW, Band.MEDIUM, Band.HIGH)
_POD_OF = r"-(?:[a-z0-9]{4,12}-[a-z0-9]{5}|[a-z0-9]{5}|[0-9]{1,4})"
_ASKED_IN_WORDS = frozenset({MCP_KIND, "osquery.select", "log.expression"})
_SAYS_LITTLE = frozenset(
    {
        *("process", "service", "pod", "node", "target", "host", "log", "error", "errors", "fail", "failed"),
        *(
            "failure",
            "down",
            "not",
            "too",
            "many",
            "high",
            "low",
            "bad",
            "shift",
            "missing",
            "new",
            "template",
        ),
    }
)
"""Words that faults of every kind share."""


def witness(evidence: Evidence) -> str | None:
    """Who speaks when this evidence does; None for texts, tickets and the past, which witness nothing.

    Objects and events come from one API server and count as one. So does every other server: which of the
    sources it reads from, nobody knows.
    """
    if evidence.kind == MCP_KIND:
        return MCP_KIND
    family = family_of(evidence.kind)
    return None if family is None else (Family.OBJECTS if family is Family.EVENTS else family).value


def independent(evidence: Evidence) -> str | None:
    """The witness that this can be beside another. None for another server, which may read from the very
    source that speaks already, and for an answer that whoever asked could put the words into."""
    if evidence.kind in _ASKED_IN_WORDS or (
        family_of(evidence.kind) is Family.METRICS and evidence.outsider_writable
    ):
        return None
    return witness(evidence)


def trusted(verified: Sequence[Verified]) -> bool:
    """Whether any quote is of a witness that no outsider can have put the words into."""
    return any(witness(one.evidence) and not one.evidence.outsider_writable for one in verified)


def band_of_quotes(verified: Sequence[Verified]) -> Band:
    """Before critic and contradictions: low without a trusted witness, high with two independent ones."""
    if not trusted(verified):
        return Band.LOW
    speaking = [(name, one) for one in distinct(verified) if (name := independent(one.evidence)) is not None]
    pairs = combinations(speaking, 2)
    two = any(name != other and not _same_words(one, again) for (name, one), (other, again) in pairs)
    return Band.HIGH if two else Band.MEDIUM


def _same_words(one: Verified, other: Verified) -> bool:
    """Two that use the same words have them from the same place, however they are asked."""
    first, second = normal(one.quote).casefold(), normal(other.quote).casefold()
    return first in second or second in first


def capped(band: Band, most: Band) -> Band:
    return _BY_RANK[min(RANK[band], RANK[most])]


def one_above(band: Band) -> Band:
    return _BY_RANK[min(RANK[band] + 1, RANK[Band.HIGH])]


def same_cause(cause: Cause, rules: Hypothesis) -> bool:
    return same_object(cause.object, rules.object) and compatible(cause.fault, rules.fault)


def same_object(one: str, other: str) -> bool:
    """Also a pod and what it belongs to."""
    first, second = _bare(one), _bare(other)
    if first == second:
        return True
    short, long = sorted((first, second), key=len)
    return bool(short) and re.fullmatch(re.escape(short) + _POD_OF, long) is not None


def compatible(one: str, other: str) -> bool:
    """The same fault, one that brings the other about, or one that shares the word that tells it apart."""
    if one == other or other in _brings(one) or one in _brings(other):
        return True
    return bool((set(one.split("_")) & set(other.split("_"))) - _SAYS_LITTLE)


def _brings(fault: str) -> frozenset[str]:
    known = FAULTS[fault].explains if fault in FAULTS else frozenset()
    return EXPLAINS.get(fault, frozenset()) | frozenset(known)


def _bare(name: str) -> str:
    return name.rpartition("/")[2].lower()
