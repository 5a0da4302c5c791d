"""The closed union of commands. ``incident`` is a short id, or None where the thread implies it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Help:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Show:
    incident: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    incident: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """``words`` are what an incident that is over must hold, all of them; none: the newest."""

    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    incident: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Approve:
    """``digest`` is the 8 hex digits from the card; naming them makes the approval unmistakable."""

    incident: str | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    incident: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A question about an incident. It reads and never decides anything, whatever it says."""

    text: str
    incident: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Propose:
    """``params`` are as they were written, each name once."""

    action: str
    params: tuple[tuple[str, str], ...] = ()
    incident: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Investigate:
    """``text`` is a fingerprint the bot knows, or free words that become a hand-made alert."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    incident: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Whoami:
    pass


Command = (
    Help
    | Status
    | Show
    | Why
    | Summary
    | Past
    | Ask
    | Propose
    | Approve
    | Reject
    | Investigate
    | Rerun
    | Pause
    | Resume
    | Whoami
)
