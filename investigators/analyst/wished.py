"""An action that a follow-up's answer names, under the rules for one of a diagnosis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bot.domain.diagnosis import DiagnosisVerdict, SuggestedAction
from investigators.analyst.answer import Answer, Cause, Status
from investigators.analyst.citations import Exhibits
from investigators.analyst.claims import Draft
from investigators.analyst.offers import Scope, Standing, offer
from investigators.analyst.ports import OfferedAction
from investigators.analyst.sureness import band_of_quotes
from investigators.analyst.verdict import Opinion, SecondLook

_WHY = "a model named it in an answer"
_FAULT = "as_stated"


def opinion_of(draft: Draft, exhibits: Exhibits) -> Opinion:
    """An answer that names an action as what a second look is taken at: what it says, and what it wants done
    for that."""
    wanted = draft.action
    assert wanted is not None, "only an answer that names an action is looked at twice"
    params = " ".join(f"{name}={value}" for name, value in wanted.params.items())
    cause = Cause(
        object=wanted.target,
        object_kind="",
        fault=_FAULT,
        # First what is wanted: a long answer is cut, and must not push that out of sight.
        statement=f"Wanted: {wanted.action} of {wanted.target} ({params}).\nFor it is said: {draft.answer}",
    )
    answer = Answer(
        status=Status.DIAGNOSED,
        summary=draft.answer,
        cause=cause,
        claims=draft.claims,
        excluded=(),
        missing=draft.missing,
        alternatives=(),
        actions=(wanted,),
    )
    return Opinion(answer=answer, claims=exhibits.check(draft.claims))


def offered_action(
    opinion: Opinion, offers: Sequence[OfferedAction], scope: Scope
) -> tuple[SuggestedAction | None, str]:
    """What may be suggested of it before the second look; else None, and in one sentence of ours why not. It
    is as sure as its own quotes make it, however sure the stored diagnosis is."""
    verified, cause = opinion.verified, opinion.answer.cause
    assert cause is not None
    standing = Standing(
        cause=cause,
        verdict=DiagnosisVerdict.ACTION_SUGGESTED,
        band=band_of_quotes(verified),
        evidence_ids=tuple(dict.fromkeys(one.evidence.id for one in verified)),
        words=tuple(
            f"{one.evidence.subject} {one.quote}" for one in verified if not one.evidence.outsider_writable
        ),
        scope=scope,
    )
    suggestion, dropped = offer(opinion.answer.actions, offers, standing)
    if suggestion is None:
        return None, " ".join(dropped)
    return replace(suggestion, why=_WHY), ""


def agreed_action(
    opinion: Opinion, offers: Sequence[OfferedAction], scope: Scope
) -> tuple[SuggestedAction | None, str]:
    """The same after the second look: only what that agrees to."""
    suggestion, why = offered_action(opinion, offers, scope)
    if suggestion is None or opinion.look is SecondLook.AGREES:
        return suggestion, why
    doubt = opinion.doubt or "nobody took a second look at it"
    return None, f"The model wanted {suggestion.action}, which is not offered: {doubt}."
