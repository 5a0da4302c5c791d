"""Where a test or the demo may put something of its own between the parts."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from adapters.storage import SqlStore
from approvals.ports import Executor
from bot.domain.clock import Clock, SystemClock
from bot.domain.ids import RandomToken
from bot.ports import Chat
from config.schema import Config


def _same_store(store: SqlStore) -> SqlStore:
    return store


def _same_executor(executor: Executor) -> Executor:
    return executor


def _raise_nothing(error: Exception) -> None:
    """Errors at boundaries are logged where they are caught; a test puts something that raises here."""


OpenChats = Callable[[Config, Clock], AbstractAsyncContextManager[Mapping[str, Chat]]]
"""Opens the chats of a configuration, by platform."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seams:
    """What :func:`bot.app.build.build` takes instead of its own choice. The defaults change nothing."""

    clock: Clock = field(default_factory=SystemClock)
    token: RandomToken = secrets.token_hex
    open_chats: OpenChats | None = None
    wrap_store: Callable[[SqlStore], SqlStore] = _same_store
    wrap_executor: Callable[[Executor], Executor] = _same_executor
    on_error: Callable[[Exception], None] = _raise_nothing
