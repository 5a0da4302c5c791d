"""What services do differently: the order of log lines and calls inside each kind of span.

In healthy traces, after one event (a log template, a call, the beginning) nearly always comes the same next
one. Where that changes, code took another path: a line that is missing, a new error, a call that is not made.
A caller of something that behaves differently behaves differently too, so what happens inside a span is
explained by changes of the same strength below it, in another service. What is *better* than before (an
error that went away) is no fault.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import log

from bot.domain.evidence import TraceSpan
from investigators.signals.vocabulary import Vocabulary
from investigators.world.world import Line

Event = tuple[str, str, str]
"""("line", level, number of the template), ("call", service, operation), a beginning or an end."""
Context = tuple[str, str]
"""Service and operation of the span in which events happen."""
Step = tuple[Context, Event, Event]

_BEGIN: Event = ("begin", "", "")
_END: Event = ("end", "", "")
_LEAST = 3
_NOTABLE = 2.5
"""Nats of log-likelihood by which a step must be rarer or commoner than before."""
_ALWAYS = 0.95
_NEVER = 0.02
_UNSURE = 0.3
"""Weight of a step that was neither rule nor exception before: it depends on what is asked."""
_HARMLESS = 0.6
_EXPLAINED = 0.6
_UNSEEN_MOST = 5.0
_BAD_NAME = re.compile(r"error|exception|fail", re.IGNORECASE)
_BAD_LEVELS = frozenset({"error", "fatal", "critical", "severe"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One step that changed at a service; ``before`` and ``now``: shares of the spans that could take it."""

    service: str
    operation: str
    after: str
    step: str
    new: bool
    error: bool
    before: float
    now: float
    strength: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How differently a service behaves, in nats, with the strongest changes first."""

    service: str
    amount: float
    changes: tuple[Change, ...]


@dataclass(slots=True)
class _Tally:
    contexts: Counter[Context] = field(default_factory=Counter)
    reached: Counter[tuple[Context, Event]] = field(default_factory=Counter)
    taken: Counter[Step] = field(default_factory=Counter)


def behaviours(
    healthy: tuple[Sequence[TraceSpan], Sequence[Line]],
    incident: tuple[Sequence[TraceSpan], Sequence[Line]],
) -> tuple[Behaviour, ...]:
    """Services that behave differently, the most different first; needs log lines that carry span ids, or
    spans with children."""
    vocabulary = Vocabulary()
    before_spans, before = _sequences(*healthy, vocabulary)
    now_spans, now = _sequences(*incident, vocabulary)
    usual = _tally(before_spans, before, escalated=_escalated(before_spans, before))
    current = _tally(now_spans, now, escalated=frozenset())
    changed = _changed(usual, current)
    unexplained = _unexplained(now_spans, now, changed)
    contexts: dict[Context, list[tuple[float, Step]]] = {}
    for step, share in unexplained.items():
        contexts.setdefault(step[0], []).append((abs(changed[step]) * share, step))
    amounts: dict[str, list[float]] = {}
    found: dict[str, list[Change]] = {}
    for (service, _), steps in contexts.items():
        steps.sort(key=lambda one: (-one[0], one[1]))
        amounts.setdefault(service, []).append(steps[0][0] + 0.2 * sum(one[0] for one in steps[1:4]))
        found.setdefault(service, []).extend(
            _change(step, strength, usual, current, vocabulary)
            for strength, step in steps[:4]
            if strength > 0
        )
    result = []
    for service, parts in amounts.items():
        parts.sort(reverse=True)
        amount = parts[0] + 0.2 * sum(parts[1:4])
        if amount > 0:
            changes = tuple(sorted(found[service], key=lambda one: -one.strength)[:6])
            result.append(Behaviour(service=service, amount=amount, changes=changes))
    return tuple(sorted(result, key=lambda one: (-one.amount, one.service)))


def _sequences(
    spans: Sequence[TraceSpan], lines: Sequence[Line], vocabulary: Vocabulary
) -> tuple[Mapping[str, TraceSpan], Mapping[str, tuple[Event, ...]]]:
    by_id = {_id(span): span for span in spans}
    events: dict[str, list[tuple[float, Event]]] = {}
    owners: dict[str, str | None] = {}
    for span in spans:
        # An id that several traces use does not say whose a line is.
        owners[span.span_id] = _id(span) if owners.get(span.span_id, _id(span)) == _id(span) else None
        if _above(span) in by_id:
            call = ("call", span.service, span.operation)
            events.setdefault(_above(span), []).append((span.start.timestamp(), call))
    for line in lines:
        owner = owners.get(line.span_id)
        if owner is not None and line.at is not None:
            number = vocabulary.number(line.service, line.level, line.text)
            event = ("line", line.level, str(number))
            events.setdefault(owner, []).append((line.at.timestamp(), event))
    sequences = {}
    for span_id in by_id:
        inside = sorted(events.get(span_id, ()), key=lambda one: one[0])
        sequences[span_id] = (_BEGIN, *(event for _, event in inside), _END)
    return by_id, sequences


def _id(span: TraceSpan) -> str:
    return f"{span.trace_id}/{span.span_id}"


def _above(span: TraceSpan) -> str:
    return f"{span.trace_id}/{span.parent_id or ''}"


def _is_bad(event: Event) -> bool:
    kind, first, second = event
    return (kind == "line" and first in _BAD_LEVELS) or (
        kind == "call" and _BAD_NAME.search(second) is not None
    )


def _escalated(spans: Mapping[str, TraceSpan], sequences: Mapping[str, tuple[Event, ...]]) -> frozenset[str]:
    """Spans after which their caller goes on with an error: no example of how it should be."""
    found = set()
    for span_id, span in spans.items():
        around = sequences.get(_above(span))
        me = ("call", span.service, span.operation)
        if around and any(a == me and _is_bad(b) for a, b in pairwise(around)):
            found.add(span_id)
    return frozenset(found)


def _tally(
    spans: Mapping[str, TraceSpan], sequences: Mapping[str, tuple[Event, ...]], *, escalated: frozenset[str]
) -> _Tally:
    tally = _Tally()
    for span_id, span in spans.items():
        if span_id in escalated:
            continue
        context = (span.service, span.operation)
        sequence = sequences[span_id]
        tally.contexts[context] += 1
        for event in set(sequence[:-1]):
            tally.reached[context, event] += 1
        for a, b in set(pairwise(sequence)):
            tally.taken[context, a, b] += 1
    return tally


def _changed(usual: _Tally, current: _Tally) -> Mapping[Step, float]:
    """Steps with the nats by which they became commoner (positive) or rarer."""
    strengths: dict[Step, float] = {}
    for step in {*current.taken, *(step for step in usual.taken if step[:2] in current.reached)}:
        context, after, event = step
        reached = usual.reached[context, after]
        if reached >= _LEAST:
            strength = _likelihood(
                current.taken[step], current.reached[context, after], usual.taken[step], reached
            )
            strengths[step] = strength * _weight(step, usual.taken[step] / reached)
        elif usual.contexts[context] < _LEAST and _is_bad(event) and event[0] == "line":
            strengths[step] = min(_UNSEEN_MOST, float(current.taken[step]))
    healed = _healed(strengths)
    return {
        step: strength
        for step, strength in strengths.items()
        if abs(strength) >= _NOTABLE
        and step[:2] not in healed
        and not (strength < 0 and _is_bad(step[2]))
        and not _is_bad(step[1])
    }


def _weight(step: Step, before: float) -> float:
    _, after, event = step
    weight = 1.0 if before >= _ALWAYS or before <= _NEVER else _UNSURE
    new_line = before <= _NEVER and event[0] == "line" and after != _BEGIN
    if new_line and event[1] not in (*_BAD_LEVELS, "warn", "warning"):
        weight *= _HARMLESS
    return weight


def _healed(strengths: Mapping[Step, float]) -> frozenset[tuple[Context, Event]]:
    """Where mostly errors became rarer, the change is for the better."""
    lost: dict[tuple[Context, Event], list[tuple[Event, float]]] = {}
    for (context, after, event), strength in strengths.items():
        if strength < 0:
            lost.setdefault((context, after), []).append((event, strength))
    return frozenset(
        key
        for key, events in lost.items()
        if sum(s for event, s in events if _is_bad(event)) < 0.8 * sum(s for _, s in events)
    )


def _unexplained(
    spans: Mapping[str, TraceSpan], sequences: Mapping[str, tuple[Event, ...]], changed: Mapping[Step, float]
) -> Mapping[Step, float]:
    """For each change, the share of the spans with it that have no change of its strength below them."""
    rarer: dict[tuple[Context, Event], list[Event]] = {}
    for (context, after, event), strength in changed.items():
        if strength < 0:
            rarer.setdefault((context, after), []).append(event)
    shown: dict[str, set[Step]] = {}
    for span_id, span in spans.items():
        context = (span.service, span.operation)
        steps = set()
        for a, b in pairwise(sequences[span_id]):
            if changed.get((context, a, b), 0.0) > 0:
                steps.add((context, a, b))
            steps |= {(context, a, missing) for missing in rarer.get((context, a), ()) if missing != b}
        if steps:
            shown[span_id] = steps
    strongest = _strongest_below(spans, shown, changed)
    seen: Counter[Step] = Counter()
    explained: Counter[Step] = Counter()
    for span_id, steps in shown.items():
        own = spans[span_id].service
        below = max((s for service, s in strongest.get(span_id, {}).items() if service != own), default=0.0)
        for step in steps:
            seen[step] += 1
            explained[step] += below >= _EXPLAINED * abs(changed[step])
    return {step: 1 - explained[step] / count for step, count in seen.items()}


def _strongest_below(
    spans: Mapping[str, TraceSpan], shown: Mapping[str, set[Step]], changed: Mapping[Step, float]
) -> Mapping[str, Mapping[str, float]]:
    """For each span, the strongest change in each service below it."""
    below: dict[str, dict[str, float]] = {}
    for span_id, steps in shown.items():
        service = spans[span_id].service
        strength = max(abs(changed[step]) for step in steps)
        above = _above(spans[span_id])
        visited = {span_id}
        while above in spans and above not in visited:
            visited.add(above)
            known = below.setdefault(above, {})
            if known.get(service, 0.0) >= strength:
                break
            known[service] = strength
            above = _above(spans[above])
    return below


def _likelihood(now_taken: int, now: int, before_taken: int, before: int) -> float:
    """Log-likelihood ratio of two shares being different, signed by the direction; in nats."""
    together = (now_taken + before_taken) / (now + before)

    def fit(taken: int, count: int, share: float) -> float:
        value = taken * log(share) if taken else 0.0
        return value + ((count - taken) * log(1 - share) if count - taken else 0.0)

    gain = fit(now_taken, now, now_taken / now) + fit(before_taken, before, before_taken / before)
    gain -= fit(now_taken, now, together) + fit(before_taken, before, together)
    return max(0.0, gain) if now_taken / now >= before_taken / before else -max(0.0, gain)


def _change(step: Step, strength: float, usual: _Tally, current: _Tally, vocabulary: Vocabulary) -> Change:
    context, after, event = step
    reached = usual.reached[context, after]
    now = current.taken[step] / max(1, current.reached[context, after])
    before = usual.taken[step] / reached if reached else 0.0
    return Change(
        service=context[0],
        operation=context[1],
        after=_words(after, vocabulary),
        step=_words(event, vocabulary),
        new=now > before,
        error=_is_bad(event),
        before=before,
        now=now,
        strength=strength,
    )


def _words(event: Event, vocabulary: Vocabulary) -> str:
    kind, first, second = event
    match kind:
        case "line":
            return f"“{vocabulary.text(int(second))[:160]}”"
        case "call":
            return f"a call of {first} {second}"
        case _:
            return f"the {kind}"
