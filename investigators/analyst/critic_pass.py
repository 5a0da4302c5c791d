"""A second look by somebody who did not see how the first came about, and who tries to refute it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from investigators.analyst.agent import Dialogue
from investigators.analyst.answer import Malformed, json_object
from investigators.analyst.budget import Budget
from investigators.analyst.citations import Claim, Exhibits
from investigators.analyst.envelope import of_words, safe_text
from investigators.analyst.ports import Model, ModelFailure, Opening, Tier
from investigators.analyst.prompts import critic_prompt
from investigators.analyst.verdict import Opinion, SecondLook

_CHARACTERS = 40_000
_MOST = 6
_TEXT = 300
_QUOTE = 800


def critic_schema() -> Mapping[str, Any]:
    text = {"type": "string"}
    quoted = {
        "type": "object",
        "properties": {"evidence_id": text, "quote": text},
        "required": ["evidence_id", "quote"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {
            "verdict": {"type": "string", "enum": ["agrees", "refutes", "unsure"]},
            "refuting": {"type": "array", "items": quoted},
            "reason": text,
        },
        "required": ["verdict", "refuting", "reason"],
        "additionalProperties": False,
    }


async def second_look(model: Model, budget: Budget, opinion: Opinion, shown: Exhibits) -> Opinion:
    """The opinion with what the critic came to. A critic that fails is one that did not agree."""
    seen = Exhibits(limit=shown.limit)
    text = _question(opinion, shown, seen)
    opening = Opening(tier=Tier.DEEP, system=critic_prompt(), answer_schema=critic_schema())
    try:
        said = await Dialogue(model.open(opening, budget, budget.left), budget).ask(text)
        made = json_object(said)
    except ModelFailure as failure:
        return replace(
            opinion,
            look=SecondLook.FAILED,
            doubt=f"no second look at it was to be had: {failure.reason}",
            kind=failure.kind.value,
        )
    except Malformed:
        return replace(
            opinion, look=SecondLook.FAILED, doubt="the second look at it gave no answer that can be read"
        )
    return _judged(opinion, made, seen)


def _judged(opinion: Opinion, made: Mapping[str, Any], seen: Exhibits) -> Opinion:
    verdict = made.get("verdict")
    given = made.get("refuting")
    claims = [
        Claim(evidence_id=_text(one, "evidence_id"), quote=_text(one, "quote", _QUOTE))
        for one in (given if isinstance(given, list) else [])[:_MOST]
        if isinstance(one, dict)
    ]
    against = seen.check(claims).verified
    if verdict == "refutes" and against:
        first = against[0]
        doubt = f"a second look speaks against it, quoting {first.evidence.source}: {first.quote[:_TEXT]}"
        return replace(opinion, look=SecondLook.REFUTES, doubt=doubt)
    if verdict == "agrees":
        return replace(opinion, look=SecondLook.AGREES)
    doubt = "a second look was not sure of it"
    if verdict == "refutes":
        doubt = "a second look spoke against it, but with words that are not in the evidence"
    return replace(opinion, look=SecondLook.UNSURE, doubt=doubt)


def _question(opinion: Opinion, shown: Exhibits, seen: Exhibits) -> str:
    """The claims and the evidence, those quoted first; nothing of how the answer came about."""
    cause = opinion.answer.cause
    assert cause is not None, "only a diagnosis is looked at twice"
    claims = [
        {"evidence_id": one.evidence.id, "quote": one.quote, "finding": one.finding}
        for one in opinion.verified
    ]
    diagnosis = {
        "object": cause.object,
        "object_kind": cause.object_kind,
        "fault": cause.fault,
        "statement": cause.statement,
        "claims": claims,
    }
    parts = ["The diagnosis:", of_words("analyst", "diagnosis", diagnosis), "The evidence:"]
    order = dict.fromkeys([*(one.evidence.id for one in opinion.verified), *shown.evidence])
    left = _CHARACTERS
    for known in order:
        if left <= 0:
            break
        parts.append(seen.show(shown.evidence[known]))
        left -= len(parts[-1])
    return "\n".join(parts)


def _text(made: Mapping[str, Any], name: str, limit: int = _TEXT) -> str:
    value = made.get(name)
    return safe_text(value, limit) if isinstance(value, str) else ""
