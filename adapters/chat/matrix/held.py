"""Encrypted messages whose key has not come yet, kept over restarts until it does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from adapters.chat.matrix.session import write_private
from bot.domain.clock import from_rfc3339, to_rfc3339

_log = structlog.get_logger(__name__)
_MOST = 200
_LONGEST = timedelta(hours=1)


class Held:
    """The position moves on past an unreadable message; this file is where it is not lost."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._entries: dict[str, dict[str, Any]] = {}
        try:
            document = json.loads(file.read_text())
            self._entries = {entry["event"]["event_id"]: entry for entry in document}
        except FileNotFoundError:
            pass
        except (ValueError, KeyError, TypeError):
            _log.warning("matrix_held_unreadable", file=file.name)

    def __iter__(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Room and event, oldest first."""
        yield from [(entry["room"], entry["event"]) for entry in self._entries.values()]

    def add(self, room: str, event: Mapping[str, Any], now: datetime) -> None:
        """Keep an event; the oldest make room for it."""
        event_id = str(event["event_id"])
        if event_id in self._entries:
            return
        self._entries[event_id] = {"room": room, "event": dict(event), "since": to_rfc3339(now)}
        while len(self._entries) > _MOST:
            self._drop(next(iter(self._entries)), "too many")
        self._save()

    def remove(self, event_ids: set[str]) -> None:
        """Forget events that have been read and stored."""
        if event_ids & self._entries.keys():
            self._entries = {key: entry for key, entry in self._entries.items() if key not in event_ids}
            self._save()

    def forget_old(self, now: datetime) -> None:
        """Give up on messages whose key has not come for an hour."""
        old = [key for key, entry in self._entries.items() if now - from_rfc3339(entry["since"]) > _LONGEST]
        for key in old:
            self._drop(key, "no key came")
        if old:
            self._save()

    def _drop(self, event_id: str, why: str) -> None:
        entry = self._entries.pop(event_id)
        sender = entry["event"].get("sender")
        _log.warning(
            "matrix_message_never_read", event_id=event_id, room=entry["room"], sender=sender, why=why
        )

    def _save(self) -> None:
        write_private(self._file, json.dumps(list(self._entries.values())))
