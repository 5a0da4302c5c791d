"""Where a test or the demo may put something of its own between the parts."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from adapters.storage import SqlStore
from approvals.ports import Executor, Inspector
from bot.domain.clock import Clock, SystemClock
from bot.domain.ids import RandomToken
from bot.ports import Chat
from config.schema import Config
from investigators.analyst.ports import Model
from investigators.ports import Answerer, Investigator
from investigators.retrospect.story import Summariser


def _same_store(store: SqlStore) -> SqlStore:
    return store


def _raise_nothing(error: Exception) -> None:
    """Errors at boundaries are logged where they are caught; a test puts something that raises here."""


OpenChats = Callable[[Config, Clock], AbstractAsyncContextManager[Mapping[str, Chat]]]
"""Opens the chats of a configuration, by platform."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seams:
    """What :func:`bot.app.build.build` takes instead of its own choice. The defaults change nothing.

    ``acting`` replaces every configured executor, as reading and writing half by name; ``model`` the
    configured one, whose section says the limits.
    """

    clock: Clock = field(default_factory=SystemClock)
    token: RandomToken = secrets.token_hex
    open_chats: OpenChats | None = None
    investigator: Investigator | None = None
    summariser: Summariser | None = None
    model: Model | None = None
    answerer: Answerer | None = None
    acting: Mapping[str, tuple[Inspector, Executor]] | None = None
    wrap_store: Callable[[SqlStore], SqlStore] = _same_store
    on_error: Callable[[Exception], None] = _raise_nothing
