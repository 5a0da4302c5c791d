"""The hash chain: ``entry_hash = SHA-256(prev_hash ‖ canonical(entry))``, RFC 8785 canonical JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import rfc8785

from bot.domain.audit import AuditEvent, event_body
from bot.domain.clock import to_rfc3339

GENESIS_HASH = bytes(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Number of entries and the hash of the last (32 bytes)."""

    size: int = 0
    hash: bytes = GENESIS_HASH


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One link. ``body`` is the canonical JSON of {at, data, incident_id, seq, tag}; ``seq`` starts at 1."""

    seq: int
    prev_hash: bytes
    entry_hash: bytes
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A signed statement of the chain's size and head; ``envelope`` is DSSE JSON."""

    size: int
    head_hash: bytes
    at: datetime
    envelope: bytes


def append(head: Head, events: Sequence[AuditEvent], at: datetime) -> tuple[Head, list[Entry]]:
    """Return the new head and the entries to store, in order."""
    entries: list[Entry] = []
    size, previous = head.size, head.hash
    for event in events:
        size += 1
        body = rfc8785.dumps(
            {
                "at": to_rfc3339(at),
                "data": event_body(event),
                "incident_id": event.incident_id,
                "seq": size,
                "tag": event.TAG,
            }
        )
        entry_hash = hashlib.sha256(previous + body).digest()
        entries.append(Entry(seq=size, prev_hash=previous, entry_hash=entry_hash, body=body))
        previous = entry_hash
    return Head(size=size, hash=previous), entries
