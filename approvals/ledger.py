"""The hash chain: ``entry_hash = SHA-256(prev_hash ‖ canonical(entry))``, RFC 8785 canonical JSON."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import rfc8785

from bot.domain.audit import AuditEvent, event_body
from bot.domain.clock import from_rfc3339, to_rfc3339
from bot.domain.errors import IntegrityError

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


ANCHOR_TAG = "assent-anchor/v1"
_HASH_BYTES = len(GENESIS_HASH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """A checkpoint as it was written down outside the store."""

    size: int
    head_hash: bytes
    at: datetime
    envelope: bytes


def format_anchor_line(checkpoint: Checkpoint | Anchor) -> str:
    """Return one line, without its end: ``assent-anchor/v1 <size> <head hex> <time> <envelope base64>``."""
    envelope = base64.b64encode(checkpoint.envelope).decode()
    at = to_rfc3339(checkpoint.at)
    return f"{ANCHOR_TAG} {checkpoint.size} {checkpoint.head_hash.hex()} {at} {envelope}"


def parse_anchor_line(line: str) -> Anchor:
    """Inverse of :func:`format_anchor_line`. Raises IntegrityError; does not verify the signature."""
    parts = line.split()
    if len(parts) != 5 or parts[0] != ANCHOR_TAG:
        raise IntegrityError(f"anchor: not a line of the form {ANCHOR_TAG} <size> <head> <time> <envelope>")
    try:
        size, head_hash, at = int(parts[1]), bytes.fromhex(parts[2]), from_rfc3339(parts[3])
        envelope = base64.b64decode(parts[4], validate=True)
    except (ValueError, binascii.Error):
        raise IntegrityError("anchor: a size, hash, time or envelope that cannot be read") from None
    if size < 0 or len(head_hash) != _HASH_BYTES:
        raise IntegrityError("anchor: the size or the length of the hash is wrong")
    return Anchor(size=size, head_hash=head_hash, at=at, envelope=envelope)


class SignedHead(Protocol):
    """What a checkpoint's envelope says once its signature is verified."""

    @property
    def size(self) -> int: ...
    @property
    def head_hash(self) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerReport:
    """``entries`` hold together from the first on, ending in ``head``. ``first_bad`` is the sequence number
    of the first entry that is changed, missing or not proven; None where the fault is not in an entry."""

    ok: bool
    entries: int
    head: Head
    first_bad: int | None = None
    problem: str | None = None


class LedgerVerifier:
    """Verifies a chain in batches, then against what was signed about it.

    ``read_checkpoint`` verifies an envelope and returns what it says, or raises IntegrityError:
    ``functools.partial(approvals.statement.parse_checkpoint, verifier)``. Keeps 32 bytes an entry.
    """

    def __init__(self, read_checkpoint: Callable[[bytes], SignedHead]) -> None:
        self._read_checkpoint = read_checkpoint
        self._size = 0
        self._previous = GENESIS_HASH
        self._heads = bytearray(GENESIS_HASH)
        self._first_bad: int | None = None
        self._problem: str | None = None

    def feed(self, entries: Iterable[Entry]) -> None:
        """Verify the next entries, as they stand in the rows, in the order of ``seq``."""
        if self._problem is not None:
            return
        size, previous, heads, sha256 = self._size, self._previous, self._heads, hashlib.sha256
        for entry in entries:
            size += 1
            body, entry_hash = entry.body, entry.entry_hash
            if (
                entry.seq != size
                or entry.prev_hash != previous
                or entry_hash != sha256(previous + body).digest()
                or not body.startswith(b',"seq":%d,"tag":"' % size, body.rfind(b',"seq":'))
            ):
                self._first_bad, self._problem = _diagnose(entry, size, bytes(heads))
                size -= 1
                break
            previous = entry_hash
            heads += entry_hash
        self._size, self._previous = size, previous

    def finish(self, checkpoints: Sequence[Checkpoint] = (), anchors: Sequence[Anchor] = ()) -> LedgerReport:
        """Compare with the signed checkpoints of the store and the anchors outside it, and report."""
        marks: list[tuple[int, bytes, str]] = []
        problems: list[tuple[int | None, str]] = []
        if self._problem is not None:
            problems.append((self._first_bad, self._problem))
        signed: list[tuple[str, Checkpoint | Anchor]] = [
            *(("checkpoint", checkpoint) for checkpoint in checkpoints),
            *(("anchor", anchor) for anchor in anchors),
        ]
        for kind, mark in signed:
            try:
                statement = self._read_checkpoint(mark.envelope)
            except IntegrityError as error:
                problems.append((None, f"the {kind} at {mark.size} entries proves nothing: {error}"))
                continue
            if (statement.size, statement.head_hash) != (mark.size, mark.head_hash):
                problems.append((None, f"the {kind} at {mark.size} entries is not what was signed"))
                continue
            marks.append((mark.size, mark.head_hash, kind))
        problems.extend(self._against(sorted(marks)))
        first_bad, problem = min(
            problems, key=lambda found: (found[0] is None, found[0] or 0), default=(None, None)
        )
        return LedgerReport(
            ok=not problems,
            entries=self._size,
            head=Head(size=self._size, hash=self._previous),
            first_bad=first_bad,
            problem=problem,
        )

    def _against(self, marks: Sequence[tuple[int, bytes, str]]) -> list[tuple[int | None, str]]:
        good = 0
        for size, head_hash, kind in marks:
            if size > self._size:
                if self._problem is not None:
                    return []
                ends = f"the ledger ends after {self._size} entries, but a signed {kind} has seen {size}"
                return [(self._size + 1, ends)]
            if self._heads[size * _HASH_BYTES : (size + 1) * _HASH_BYTES] != head_hash:
                rewritten = (
                    f"entry {size} is" if size == good + 1 else f"one of entries {good + 1} to {size} is"
                )
                return [(good + 1, f"{rewritten} not what a signed {kind} has seen")]
            good = size
        return []


def _diagnose(entry: Entry, expected: int, heads: bytes) -> tuple[int, str]:
    """Name the entry at fault, given the heads of all entries before the one that does not fit."""
    previous = heads[-_HASH_BYTES:]
    if entry.seq > expected:
        return expected, f"entry {expected} is missing"
    if entry.seq < expected:
        return expected, f"entry {entry.seq} stands where entry {expected} should be"
    fits_itself = hashlib.sha256(entry.prev_hash + entry.body).digest() == entry.entry_hash
    if entry.prev_hash != previous and fits_itself:
        # The entry is whole, so it is the neighbourhood that changed.
        if (followed := _size_of(entry.prev_hash, heads)) is not None:
            return followed + 1, f"entry {followed + 1} was put in: entry {expected} follows entry {followed}"
        if not _says(entry.body, expected):
            return expected, f"entry {expected} is another entry in its place"
        if expected > 1:
            return expected - 1, f"entry {expected - 1} is not the one that entry {expected} follows"
    if entry.prev_hash != previous:
        return expected, f"entry {expected} does not follow what is before it"
    if not fits_itself:
        return expected, f"entry {expected} was changed: its hash does not match its content"
    return expected, f"entry {expected} says it is another one"


def _says(body: bytes, seq: int) -> bool:
    return body.startswith(b',"seq":%d,"tag":"' % seq, body.rfind(b',"seq":'))


def _size_of(head_hash: bytes, heads: bytes) -> int | None:
    return next(
        (
            start // _HASH_BYTES
            for start in range(0, len(heads), _HASH_BYTES)
            if heads[start : start + _HASH_BYTES] == head_hash
        ),
        None,
    )
