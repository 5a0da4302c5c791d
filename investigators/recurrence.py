"""Whether this is what the same service was resolved of a few days ago."""

from __future__ import annotations

from bot.domain.diagnosis import Hypothesis
from bot.domain.past import PastCause, Recurrence
from investigators.hypotheses import EXPLAINS


def comes_back(recurrence: Recurrence, now: Hypothesis | None) -> bool:
    """Whether the same service was resolved within 7 days, unless each of the causes then was plainly
    another. Without a known cause, then or now, nobody can say that it was."""
    if not recurrence.resolved_within_week:
        return False
    if now is None or recurrence.last_cause is None:
        return True
    causes = (recurrence.last_cause, *recurrence.earlier_causes)
    return not all(_plainly_another(cause, now) for cause in causes)


def told(recurrence: Recurrence) -> str:
    """What there is to say of it, as part of a sentence."""
    cause = recurrence.last_cause
    then = "" if cause is None else f", last of {cause.fault} at {cause.object}"
    return f"the same service was resolved within the last 7 days{then}"


def _plainly_another(then: PastCause, now: Hypothesis) -> bool:
    if then.fault == now.fault:
        return _bare(then.object) != _bare(now.object)
    return not (_brings_about(then.fault, now.fault) or _brings_about(now.fault, then.fault))


def _bare(name: str) -> str:
    """A subject without the instance it was told apart by."""
    return name.partition(" on ")[0]


def _brings_about(cause: str, effect: str) -> bool:
    """Directly or through other faults: a leak, the shortage of memory it makes, the crash from that."""
    reached: set[str] = set()
    waiting = {cause}
    while waiting:
        fault = waiting.pop()
        reached.add(fault)
        waiting |= EXPLAINS.get(fault, frozenset()) - reached
    return effect in reached
