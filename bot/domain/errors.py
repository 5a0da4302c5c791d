"""Errors, by what the caller can do about them.

::

    AssentError
    ├── UserError           the person can mend it: bad configuration, bad input, bad command
    │   ├── ConfigError     a configuration file, with every problem found
    │   └── InputError      a request body, an argument, a chat command
    ├── Unavailable         try again later: an outside system did not answer
    ├── StaleWrite          read again and retry: somebody else changed the row first
    ├── InvalidTransition   a bug or a race: the state machine does not know this step
    └── IntegrityError      stop: stored data does not prove what it claims
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta


class AssentError(Exception):
    """Base of every error Assent raises on purpose. Its text never holds a secret."""


class UserError(AssentError):
    """Something a person gave us is wrong; the text says what, where and how to mend it."""


class ConfigError(UserError):
    """A configuration that cannot be used. ``problems`` holds every problem, one line each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class InputError(UserError):
    """A request, an argument or a command that cannot be understood."""


class Unavailable(AssentError):
    """An outside system did not do what we asked. ``retry_after`` is its own wish, if it told us."""

    def __init__(self, system: str, reason: str, *, retry_after: timedelta | None = None) -> None:
        self.system = system
        self.reason = reason
        self.retry_after = retry_after
        super().__init__(f"{system}: {reason}")


class StaleWrite(AssentError):
    """A compare-and-swap lost. Nothing was written."""


class InvalidTransition(AssentError):
    """The state machine has no such step."""


class IntegrityError(AssentError):
    """Stored bytes do not match their digest, signature or chain. Nothing may be executed."""
