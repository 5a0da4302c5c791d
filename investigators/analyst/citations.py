"""Whether what a model quotes stands in what it was shown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bot.domain.evidence import Evidence, EvidenceStatus
from bot.domain.ids import EvidenceId
from bot.domain.redaction import visible
from investigators.analyst.envelope import of_evidence, text_shown

LEAST_QUOTE = 12
"""Characters below which a quote stands everywhere, unless it is a line by itself."""
_SPACE = re.compile(r"\s+")
_ESCAPES = {r"\n": "\n", r"\t": "\t", r"\"": '"', r"\\": "\\", r"\/": "/"}
_ESCAPE = re.compile(r'\\[nt"\\/]')


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a model says and the words of the evidence that it names for it."""

    evidence_id: str
    quote: str
    finding: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A claim whose words were found in this evidence. That they mean what the claim says is not checked."""

    evidence: Evidence
    quote: str
    finding: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """``unverified`` pairs each claim that does not stand with why."""

    verified: tuple[Verified, ...] = ()
    unverified: tuple[tuple[Claim, str], ...] = ()

    @property
    def sound(self) -> bool:
        """Something stands, and nothing falls."""
        return bool(self.verified) and not self.unverified


@dataclass(slots=True)
class Exhibits:
    """The evidence that a model was shown, with the words it was shown of each."""

    limit: int
    evidence: dict[EvidenceId, Evidence] = field(default_factory=dict)
    _texts: dict[EvidenceId, str] = field(default_factory=dict)

    def show(self, evidence: Evidence, limit: int | None = None) -> str:
        """The envelope to send; from now on it can be cited."""
        most = self.limit if limit is None else min(limit, self.limit)
        self.evidence[evidence.id] = evidence
        if evidence.status is EvidenceStatus.OK:
            self._texts[evidence.id] = text_shown(evidence, most)
        return of_evidence(evidence, most)

    def check(self, claims: Iterable[Claim]) -> Checked:
        verified: list[Verified] = []
        unverified: list[tuple[Claim, str]] = []
        for claim in claims:
            problem = self._problem(claim)
            if problem is not None:
                unverified.append((claim, problem))
                continue
            evidence = self.evidence[EvidenceId(claim.evidence_id)]
            verified.append(Verified(evidence=evidence, quote=claim.quote, finding=claim.finding))
        return Checked(verified=tuple(verified), unverified=tuple(unverified))

    def _problem(self, claim: Claim) -> str | None:
        known = EvidenceId(claim.evidence_id)
        if known not in self.evidence:
            return "no evidence with this id was shown"
        text = self._texts.get(known)
        if not text:
            return "this evidence holds no words to quote"
        wanted = [normal(quote) for quote in (claim.quote, unescaped(claim.quote))]
        lines = {normal(line) for line in text.splitlines()}
        if all(len(quote) < LEAST_QUOTE and quote not in lines for quote in wanted) or not wanted[0]:
            return f"the quote is shorter than {LEAST_QUOTE} characters"
        question = normal(self.evidence[known].query)
        if all(_core(quote) in question for quote in wanted):
            return "it repeats the question instead of quoting the answer"
        whole = normal(text)
        return (
            None if any(quote and quote in whole for quote in wanted) else "its text does not hold this quote"
        )


def _core(quote: str) -> str:
    """Without the marks around it: a metric's name with a brace is still its name."""
    return quote.strip(" {}()[]\"'=,:;")


def normal(text: str) -> str:
    """With one space where there is any white space; letters as they are."""
    return _SPACE.sub(" ", visible(text)).strip()


def unescaped(text: str) -> str:
    """A model that reads JSON may quote it as JSON writes it."""
    return _ESCAPE.sub(lambda match: _ESCAPES[match[0]], text)


def distinct(verified: Sequence[Verified]) -> tuple[Verified, ...]:
    """Without what says the same again of the same evidence."""
    return tuple({(one.evidence.id, normal(one.quote)): one for one in verified}.values())
