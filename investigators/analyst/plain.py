"""The parts of a follow-up in their plainest form: an envelope, evidence in words, a talk without tools."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from bot.domain.evidence import Evidence
from bot.domain.redaction import clean
from investigators.analyst.ports import FailureKind, Model, ModelFailure, Opening, Reply, Spending, Stop
from investigators.ports import Question

_RESULT = 6_000
_MEND = "Your answer cannot be used: {wrong}. Give the whole answer once more, as one JSON object."


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversed:
    """How a conversation ended: ``text`` is its last answer, after the one turn to mend it where that was
    needed; ``evidence`` what its tools took. ``usd`` None where the price is not known."""

    text: str
    model: str
    evidence: tuple[Evidence, ...] = ()
    usd: Decimal | None = Decimal(0)
    turns: int = 1
    tool_calls: int = 0
    tokens: int = 0


def sealed(identity: str, source: str, text: str) -> str:
    """One line of JSON, which nothing in the text can end."""
    document = {"evidence_id": identity, "source": source, "untrusted_data": clean(text, limit=_RESULT)}
    return json.dumps(document, ensure_ascii=False)


def written_evidence(evidence: Evidence) -> str:
    """What was asked, in short what came, and the words themselves."""
    parts = [evidence.summary, evidence.excerpt]
    if not evidence.usable:
        parts = [f"failed: {evidence.reason or evidence.summary}"]
    return clean("\n".join(part for part in parts if part), limit=_RESULT)


class TalkWithoutTools:
    """A :class:`investigators.analyst.follow_up.Converse` that only reads what it is given: one answer, and
    one turn to mend it. ``spending`` makes the limits of one conversation; ``timeout`` bounds each turn."""

    def __init__(self, model: Model, spending: Callable[[], Spending], timeout: timedelta) -> None:
        self._model = model
        self._spending = spending
        self._timeout = timeout

    async def __call__(
        self,
        opening: Opening,
        text: str,
        check: Callable[[str, tuple[Evidence, ...]], str | None],
        question: Question,
    ) -> Conversed:
        """Raises ModelFailure."""
        talk = self._model.open(opening, self._spending(), self._timeout)
        replies = [_whole(await talk.say(text, may_use_tools=False))]
        wrong = check(replies[0].text, ())
        if wrong is not None:
            replies.append(_whole(await talk.say(_MEND.format(wrong=wrong), may_use_tools=False)))
        prices = [one.usd for one in replies]
        return Conversed(
            text=replies[-1].text,
            model=replies[-1].model,
            usd=None if None in prices else sum((one for one in prices if one is not None), Decimal(0)),
            turns=len(replies),
            tokens=sum(one.usage.total for one in replies),
        )


def _whole(reply: Reply) -> Reply:
    if reply.stop is Stop.REFUSED:
        raise ModelFailure(FailureKind.REFUSED, "the model would not answer")
    if reply.stop is Stop.CUT:
        raise ModelFailure(FailureKind.CUT, "the answer was cut off")
    return reply
