"""target_down: the monitoring system cannot scrape the thing the alert is about."""

from __future__ import annotations

from bot.domain.evidence import Evidence, Fact
from investigators.entities import Entity
from investigators.pack import Pack, absent, answered, complete, found, series_of, unknown, why_nothing
from investigators.plan import Scope, Span

KIND = "target_down"


def check(pack: Pack, entity: Entity) -> list[Fact]:
    """One fact per way of knowing: the target list with its error, and the ``up`` series."""
    if not entity.selectors:
        return [unknown(KIND, entity.subject, (), KIND, "the alert's labels name no scrape target")]
    facts = [fact for item in pack.targets(entity.subject) if (fact := _from_targets(entity, item))]
    since = _down_since(pack, entity)
    facts += [
        fact
        for item in pack.instants(entity.subject, "up", Scope.OWN)
        if (fact := _from_up(entity, item, since))
    ]
    if facts:
        return facts
    looked = (*pack.targets(entity.subject), *pack.instants(entity.subject, "up", Scope.OWN))
    return [unknown(KIND, entity.subject, looked, KIND, why_nothing(looked, "no metric source was asked"))]


def _from_targets(entity: Entity, evidence: Evidence) -> Fact | None:
    if not answered(evidence):
        return None
    down = [record for record in evidence.records if record.get("health") == "down"]
    up = [record for record in evidence.records if record.get("health") == "up"]
    rule = f"{KIND}.targets"
    if down:
        error = str(down[0].get("last_error") or "no reason given")
        detail = f"{_count(len(down), len(evidence.records))} cannot be scraped: {error}"
        confidence = 0.95 if not up else 0.85
        return found(KIND, entity.subject, confidence, (evidence,), rule, detail, down=len(down))
    if up and len(up) == len(evidence.records) and complete(evidence):
        return absent(
            KIND, entity.subject, 0.9, (evidence,), rule, f"{_count(len(up), len(up))} can be scraped"
        )
    return unknown(KIND, entity.subject, (evidence,), rule, "the target has not been scraped yet")


def _from_up(entity: Entity, evidence: Evidence, since: float | None) -> Fact | None:
    values = [one.samples[-1].value for _, one in series_of((evidence,))]
    if not values:
        return None
    down = sum(value == 0 for value in values)
    rule = f"{KIND}.up"
    if down:
        onset = {} if since is None else {"onset": since}
        detail = f"up is 0 for {_count(down, len(values))}"
        confidence = 0.95 if down == len(values) else 0.85
        return found(KIND, entity.subject, confidence, (evidence,), rule, detail, down=down, **onset)
    if complete(evidence):
        return absent(
            KIND, entity.subject, 0.9, (evidence,), rule, f"up is 1 for {_count(len(values), len(values))}"
        )
    return unknown(KIND, entity.subject, (evidence,), rule, f"incomplete answer: {evidence.reason}")


def _down_since(pack: Pack, entity: Entity) -> float | None:
    """Epoch seconds of the first of the zeros that ``up`` ends with."""
    onsets = []
    for _, one in series_of(pack.ranges(entity.subject, "up", Span.LONG)):
        first = None
        for sample in reversed(one.samples):
            if sample.value != 0:
                break
            first = sample.at
        if first is not None:
            onsets.append(first.timestamp())
    return min(onsets, default=None)


def _count(part: int, whole: int) -> str:
    return f"{part} of {whole} targets" if whole > 1 else "the target"
