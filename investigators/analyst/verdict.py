"""The rules' diagnosis and a model's answer become one diagnosis. How sure it is, rules decide.

What a model says leads only where its words were found in the evidence and more speaks for it than text
that an outsider can write. In every other case the rules' diagnosis is posted, with what the model said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from bot.domain.diagnosis import (
    Band,
    Citation,
    Diagnosis,
    DiagnosisVerdict,
    Gap,
    Hypothesis,
    ModelNote,
    ModelState,
    Origin,
)
from bot.domain.ids import EvidenceId
from investigators.actions import STEPS
from investigators.analyst.answer import Alternative, Answer, Cause, Excluded, Status
from investigators.analyst.citations import Checked, Exhibits, Verified, distinct
from investigators.analyst.envelope import safe_text
from investigators.analyst.offers import Scope, Standing, offer
from investigators.analyst.ports import OfferedAction
from investigators.analyst.sureness import RANK, band_of_quotes, capped, one_above, same_cause, trusted
from investigators.facts.known import FAULTS
from investigators.words import sentence, title_of

_CITATIONS = 12
_HYPOTHESES = 20
_RULED_OUT = 12
_MISSING = 4
_SAID = 700
_SCORES = {Band.HIGH: 0.85, Band.MEDIUM: 0.6, Band.LOW: 0.35}


class SecondLook(StrEnum):
    """What the critic came to. ``refutes`` only with words that were found in the evidence."""

    NOT_ASKED = "not_asked"
    AGREES = "agrees"
    UNSURE = "unsure"
    REFUTES = "refutes"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """A model's answer with what could be checked of it. ``excluded`` and ``alternatives`` are those whose
    quotes stand; ``doubt`` says in one sentence what the critic left open, ``kind`` how it failed."""

    answer: Answer
    claims: Checked
    excluded: tuple[tuple[Excluded, Verified], ...] = ()
    alternatives: tuple[tuple[Alternative, Verified], ...] = ()
    look: SecondLook = SecondLook.NOT_ASKED
    doubt: str = ""
    kind: str = ""

    @property
    def verified(self) -> tuple[Verified, ...]:
        return distinct(self.claims.verified)


def opinion_of(answer: Answer, exhibits: Exhibits) -> Opinion:
    """Check every quote of an answer; what is ruled out without one is dropped."""
    excluded = [(one, exhibits.check([one.claim]).verified) for one in answer.excluded]
    others = [(one, exhibits.check([one.claim]).verified) for one in answer.alternatives]
    return Opinion(
        answer=answer,
        claims=exhibits.check(answer.claims),
        excluded=tuple((one, found[0]) for one, found in excluded if found),
        alternatives=tuple((one, found[0]) for one, found in others if found),
    )


def conclude(
    rules: Diagnosis, opinion: Opinion, offered: Sequence[OfferedAction], note: ModelNote, scope: Scope
) -> Diagnosis:
    """The diagnosis to post. ``note`` is filled in with what became of the answer."""
    answer = opinion.answer
    cause = answer.cause
    if answer.status is not Status.DIAGNOSED or cause is None:
        return _nothing_new(rules, answer, note)
    if not opinion.claims.sound:
        return doubted(rules, answer, note, _unsound(opinion.claims))
    if opinion.look is SecondLook.REFUTES:
        return doubted(rules, answer, note, opinion.doubt)
    top = top_of(rules)
    if top is not None and same_cause(cause, top):
        return _agreed(rules, opinion, cause, offered, note, scope)
    band = capped(_band(opinion, most=Band.HIGH), Band.HIGH if top is None else Band.MEDIUM)
    if rules.root_cause is not None:
        why = _too_weak(rules, opinion, band)
        if why is not None:
            return _kept_beside(doubted(rules, answer, note, why), cause, opinion, band)
    return _led(rules, opinion, cause, band, offered, note, scope)


def doubted(rules: Diagnosis, answer: Answer, note: ModelNote, why: str) -> Diagnosis:
    """The rules' diagnosis, with the model's words beside it and nothing offered for them."""
    return replace(rules, model=replace(note, state=ModelState.UNVERIFIED, reason=why, said=_said(answer)))


def top_of(rules: Diagnosis) -> Hypothesis | None:
    """The cause that the rules name, if they name one."""
    if rules.root_cause is None:
        return None
    return next((one for one in rules.hypotheses if not one.refuted_by), None)


def _nothing_new(rules: Diagnosis, answer: Answer, note: ModelNote) -> Diagnosis:
    gaps = tuple(
        Gap(what=what, reason="the model would need it to be sure") for what in answer.missing[:_MISSING]
    )
    reason = "it found no cause either" if rules.root_cause is None else "it found no other cause"
    return replace(
        rules,
        gaps=(*rules.gaps, *gaps),
        model=replace(note, state=ModelState.AGREED, reason=reason, said=_said(answer)),
    )


def would_rise(rules: Diagnosis, opinion: Opinion) -> bool:
    """Whether the rules' own diagnosis would become surer by this answer, if a second look agrees."""
    cause, top = opinion.answer.cause, top_of(rules)
    if cause is None or top is None or not same_cause(cause, top):
        return False
    return _risen(rules, replace(opinion, look=SecondLook.AGREES)) is not rules.band


def _risen(rules: Diagnosis, opinion: Opinion) -> Band:
    """At most one above the rules', by the model's own witnesses and only where a second look agrees."""
    found = capped(band_of_quotes(opinion.verified), one_above(rules.band))
    agreed = opinion.look is SecondLook.AGREES
    return found if agreed and RANK[found] > RANK[rules.band] else rules.band


def _agreed(
    rules: Diagnosis,
    opinion: Opinion,
    cause: Cause,
    offered: Sequence[OfferedAction],
    note: ModelNote,
    scope: Scope,
) -> Diagnosis:
    """The rules' diagnosis stays as it is, or becomes one surer."""
    band = _risen(rules, opinion)
    suggestion = rules.suggestion
    dropped: tuple[str, ...] = ()
    if suggestion is None:
        suggestion, dropped = offer(
            opinion.answer.actions, offered, _standing(cause, rules.verdict, band, opinion, scope)
        )
    verdict = rules.verdict
    if verdict is DiagnosisVerdict.ACTION_SUGGESTED and band is not rules.band:
        verdict = DiagnosisVerdict.ACTION_NEEDED
    return replace(
        rules,
        band=band,
        verdict=verdict,
        citations=_cited(opinion.verified, rules.citations),
        hypotheses=(*rules.hypotheses, *_alternatives(opinion))[:_HYPOTHESES],
        suggestion=suggestion,
        steps=(*rules.steps, *dropped),
        model=replace(note, state=ModelState.AGREED, reason=opinion.doubt),
    )


def _led(
    rules: Diagnosis,
    opinion: Opinion,
    cause: Cause,
    band: Band,
    offered: Sequence[OfferedAction],
    note: ModelNote,
    scope: Scope,
) -> Diagnosis:
    verdict = DiagnosisVerdict.ACTION_SUGGESTED if band is Band.LOW else DiagnosisVerdict.ACTION_NEEDED
    standing = _standing(cause, verdict, band, opinion, scope)
    suggestion, dropped = offer(opinion.answer.actions, offered, standing)
    fault = cause.fault
    steps = STEPS.get(fault) or (FAULTS[fault].steps if fault in FAULTS else ())
    summary = " ".join(
        part
        for part in (
            f"{cause.object}: {title_of(fault)}.",
            sentence(cause.statement, cause.object) if cause.statement else "",
            opinion.answer.summary if opinion.answer.summary != cause.statement else "",
        )
        if part
    )
    first = _hypothesis(cause, band, opinion.verified)
    return replace(
        rules,
        verdict=verdict,
        summary=summary,
        root_cause=f"{cause.object}: {title_of(fault)}",
        band=band,
        origin=Origin.MODEL,
        citations=_cited(opinion.verified, rules.citations),
        hypotheses=(first, *_alternatives(opinion), *_losers(rules, opinion))[:_HYPOTHESES],
        ruled_out=tuple(dict.fromkeys((*_excluded(opinion), *rules.ruled_out)))[:_RULED_OUT],
        steps=tuple(dict.fromkeys((*steps, *dropped))),
        suggestion=suggestion,
        model=replace(note, state=ModelState.VERIFIED, reason=opinion.doubt),
    )


def _band(opinion: Opinion, *, most: Band) -> Band:
    band = capped(band_of_quotes(opinion.verified), most)
    return band if opinion.look is SecondLook.AGREES else capped(band, Band.MEDIUM)


def _too_weak(rules: Diagnosis, opinion: Opinion, band: Band) -> str | None:
    """Why a cause that the rules do not share may not take the place of theirs."""
    if not trusted(opinion.verified):
        return "all that speaks for its cause is text that an outsider can write"
    if RANK[band] >= RANK[rules.band] or _rules_excluded(rules, opinion):
        return None
    return "the rules are surer of their cause, and it quotes nothing against that"


def _rules_excluded(rules: Diagnosis, opinion: Opinion) -> bool:
    """Whether the model refutes the rules' cause with words that no outsider wrote."""
    top = top_of(rules)
    if top is None:
        return False
    number = f"h{rules.hypotheses.index(top) + 1}"
    return any(
        not found.evidence.outsider_writable
        and (one.cause.strip().lower() == number or (top.object in one.cause and top.fault in one.cause))
        for one, found in opinion.excluded
    )


def _kept_beside(diagnosis: Diagnosis, cause: Cause, opinion: Opinion, band: Band) -> Diagnosis:
    other = replace(
        _hypothesis(cause, band, opinion.verified),
        lost_to="named by the model; less speaks for it than for the first",
    )
    return replace(diagnosis, hypotheses=(*diagnosis.hypotheses, other)[:_HYPOTHESES])


def _standing(
    cause: Cause, verdict: DiagnosisVerdict, band: Band, opinion: Opinion, scope: Scope
) -> Standing:
    # However sure the rules are: an action of the model's needs its own witness, and the second look at it.
    looked = opinion.look in (SecondLook.AGREES, SecondLook.UNSURE)
    alone = trusted(opinion.verified) and looked
    sure = band if alone else Band.LOW
    return Standing(
        cause=cause,
        verdict=verdict,
        band=sure,
        evidence_ids=_ids(opinion.verified),
        words=tuple(
            f"{one.evidence.subject} {one.quote}"
            for one in opinion.verified
            if not one.evidence.outsider_writable
        ),
        scope=scope,
    )


def _hypothesis(cause: Cause, band: Band, verified: Sequence[Verified]) -> Hypothesis:
    return Hypothesis(
        object=cause.object,
        object_kind=cause.object_kind,
        fault=cause.fault,
        score=_SCORES[band],
        statement=cause.statement or title_of(cause.fault),
        evidence_ids=_ids(verified),
    )


def _alternatives(opinion: Opinion) -> tuple[Hypothesis, ...]:
    """What other sides see, as far as the evidence carries it: disagreement is shown, not settled."""
    return tuple(
        replace(
            _hypothesis(one.cause, Band.LOW, (found,)),
            lost_to=f"the model's view from the side of {one.seen_from}; less speaks for it",
        )
        for one, found in opinion.alternatives
        if opinion.answer.cause is None
        or (one.cause.object, one.cause.fault) != (opinion.answer.cause.object, opinion.answer.cause.fault)
    )


def _losers(rules: Diagnosis, opinion: Opinion) -> tuple[Hypothesis, ...]:
    top = top_of(rules)
    why = (
        "the model quotes evidence against it"
        if _rules_excluded(rules, opinion)
        else "the model quotes more for another"
    )
    return tuple(replace(one, lost_to=why) if one is top else one for one in rules.hypotheses)


def _excluded(opinion: Opinion) -> list[str]:
    return [f"{one.cause}: {one.claim.finding or found.quote}" for one, found in opinion.excluded]


def _cited(verified: Sequence[Verified], others: Sequence[Citation]) -> tuple[Citation, ...]:
    mine = [
        Citation(
            evidence_id=one.evidence.id,
            source=one.evidence.source,
            finding=one.finding or "said so",
            link=one.evidence.link,
            quote=one.quote,
            outsider_writable=one.evidence.outsider_writable,
        )
        for one in verified
    ]
    return tuple([*mine, *others][: _CITATIONS + len(mine)])


def _ids(verified: Sequence[Verified]) -> tuple[EvidenceId, ...]:
    return tuple(dict.fromkeys(one.evidence.id for one in verified))


def _unsound(claims: Checked) -> str:
    if not claims.verified and not claims.unverified:
        return "it quotes no evidence for its cause"
    count = len(claims.unverified)
    return f"{count} of {count + len(claims.verified)} quotes were not found in the evidence"


def _said(answer: Answer) -> str:
    parts = [answer.cause.statement if answer.cause is not None else "", answer.summary]
    return safe_text(" ".join(dict.fromkeys(part for part in parts if part)), _SAID)
