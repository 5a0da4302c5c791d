"""Small pieces of text that several messages share."""

from __future__ import annotations

from datetime import datetime, timedelta

from bot.domain.alert import Severity
from bot.domain.diagnosis import Cost
from bot.domain.incident import IncidentState
from bot.domain.message import Span, Tone

STATE_WORDS: dict[IncidentState, str] = {
    IncidentState.OPEN: "open",
    IncidentState.INVESTIGATING: "👀 investigating",
    IncidentState.DIAGNOSED: "diagnosed",
    IncidentState.AWAITING_APPROVAL: "✋ waiting for approval",
    IncidentState.EXECUTING: "⚙️ executing",
    IncidentState.VERIFYING: "🔎 verifying",
    IncidentState.RESOLVED: "✔ resolved",
    IncidentState.INCONCLUSIVE: "inconclusive: manual triage",
    IncidentState.REJECTED: "proposal rejected",
    IncidentState.EXPIRED: "proposal expired",
    IncidentState.FAILED: "action failed",
    IncidentState.OUTCOME_UNKNOWN: "⚠️ outcome unknown",
    IncidentState.CLOSED: "closed",
}

SHORT = 300
"""Characters of one finding, reason or title in chat."""

CALIBRATION = "calibration: nothing is offered"

_ENDED = {IncidentState.RESOLVED, IncidentState.CLOSED}
_BAD = {IncidentState.FAILED, IncidentState.OUTCOME_UNKNOWN}


def tone(severity: Severity, state: IncidentState) -> Tone:
    if state in _ENDED:
        return Tone.GOOD
    if state in _BAD or severity is Severity.CRITICAL:
        return Tone.CRITICAL
    return Tone.INFO if severity is Severity.INFO else Tone.WARNING


def clock_time(moment: datetime) -> str:
    return moment.strftime("%H:%M:%S UTC")


def date_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def duration(length: timedelta) -> str:
    """``1h 05m``, ``4m 30s``, ``12s``: two units at most."""
    seconds = max(0, int(length.total_seconds()))
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    if hours >= 48:
        return f"{hours // 24}d {hours % 24}h"
    if hours:
        return f"{hours}h {minutes:02d}m"
    if minutes:
        return f"{minutes}m {seconds:02d}s" if seconds else f"{minutes}m"
    return f"{seconds}s"


def price(cost: Cost) -> str:
    """What stands behind the seconds it took; nothing where it cost nothing."""
    if cost.usd is None:
        return " · price not known"
    return f" · {cost.usd:.2f} USD" if cost.usd else ""


def short(text: str) -> str:
    """Text cut to what one line of a chat can hold."""
    return text if len(text) <= SHORT else f"{text[: SHORT - 1].rstrip()}…"


def sentence(text: str) -> str:
    """With a capital letter and a full stop."""
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith((".", "!", "?", "…")) else ".")


def span(text: str) -> Span:
    return Span(text=text)


def strong(text: str) -> Span:
    return Span(text=text, strong=True)


def code(text: str) -> Span:
    return Span(text=text, code=True)


def inert(text: str) -> Span:
    """As code, with values in it that somebody outside may have chosen: a person, a label, a model."""
    return Span(text=text, code=True, untrusted=True)


def outside(text: str) -> Span:
    """Text that somebody outside chose."""
    return Span(text=text, untrusted=True)
