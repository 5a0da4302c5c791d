from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.ledger import (
    Anchor,
    Checkpoint,
    Entry,
    Head,
    LedgerReport,
    LedgerVerifier,
    append,
    format_anchor_line,
    parse_anchor_line,
)
from approvals.statement import parse_checkpoint, sign_checkpoint
from bot.domain.audit import AuditEvent, IncidentMoved, SwitchTurned
from bot.domain.errors import IntegrityError
from tests.approvals.world import START, Keyring

KEYS = Keyring()


def events(count: int) -> list[AuditEvent]:
    return [
        SwitchTurned(paused=bool(number % 2), actor="ana", reason=f'say "seq":{number}, twice')
        if number % 3
        else IncidentMoved(incident_id=f"inc_{number}", before="open", after="closed", reason="")
        for number in range(count)
    ]


def chain(count: int) -> tuple[Head, list[Entry]]:
    return append(Head(), events(count), START)


def relinked(entries: Sequence[Entry]) -> list[Entry]:
    """The chain as somebody would rebuild it who may write every row but has no key."""
    previous, rebuilt = bytes(32), []
    for number, entry in enumerate(entries, start=1):
        old, new = b'"seq":%d,"tag"' % entry.seq, b'"seq":%d,"tag"' % number
        head, _, tail = entry.body.rpartition(old)
        body = head + new + tail
        entry_hash = hashlib.sha256(previous + body).digest()
        rebuilt.append(Entry(seq=number, prev_hash=previous, entry_hash=entry_hash, body=body))
        previous = entry_hash
    return rebuilt


def verify(
    entries: Sequence[Entry],
    checkpoints: Sequence[Checkpoint] = (),
    anchors: Sequence[Anchor] = (),
    batch: int = 3,
) -> LedgerReport:
    verifier = LedgerVerifier(partial(parse_checkpoint, KEYS.trusted))
    for start in range(0, len(entries), batch):
        verifier.feed(entries[start : start + batch])
    return verifier.finish(checkpoints, anchors)


def checkpoint(entries: Sequence[Entry], size: int) -> Checkpoint:
    head = Head(size=size, hash=entries[size - 1].entry_hash if size else bytes(32))
    return sign_checkpoint(KEYS.signer, head, START + timedelta(seconds=size))


def anchor(entries: Sequence[Entry], size: int) -> Anchor:
    return parse_anchor_line(format_anchor_line(checkpoint(entries, size)))


@given(st.integers(0, 12), st.integers(1, 5))
def test_an_untouched_chain_is_intact_however_it_is_read(count: int, batch: int) -> None:
    head, entries = chain(count)
    marks = [checkpoint(entries, size) for size in range(count + 1)]
    report = verify(entries, marks, [anchor(entries, count)], batch)
    assert report == LedgerReport(ok=True, entries=count, head=head)


def test_appending_in_parts_gives_the_same_chain() -> None:
    whole_head, whole = chain(6)
    head, first = append(Head(), events(6)[:2], START)
    head, second = append(head, events(6)[2:], START)
    assert (head, first + second) == (whole_head, whole)


FLIPS = st.sampled_from(["body", "entry_hash", "prev_hash"])


@given(st.integers(1, 10), st.data())
def test_any_edited_byte_is_found_and_its_entry_named(count: int, data: st.DataObject) -> None:
    _, entries = chain(count)
    index = data.draw(st.integers(0, count - 1))
    part = data.draw(FLIPS)
    old = getattr(entries[index], part)
    at = data.draw(st.integers(0, len(old) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != old[at]))
    entries[index] = replace(entries[index], **{part: old[:at] + bytes([byte]) + old[at + 1 :]})
    report = verify(entries)
    assert (report.ok, report.first_bad) == (False, index + 1)
    assert report.problem
    assert str(index + 1) in report.problem or index == 0
    assert report.entries == index


@given(st.integers(2, 10), st.data())
def test_an_edited_entry_with_a_fresh_hash_is_found_and_named(count: int, data: st.DataObject) -> None:
    _, entries = chain(count)
    index = data.draw(st.integers(0, count - 2))
    entry = entries[index]
    body = entry.body.replace(b'"at":"2026', b'"at":"2025')
    entries[index] = replace(entry, body=body, entry_hash=hashlib.sha256(entry.prev_hash + body).digest())
    report = verify(entries)
    assert (report.ok, report.first_bad) == (False, index + 1)


@given(st.integers(2, 10), st.data())
def test_a_deleted_entry_is_found_and_named(count: int, data: st.DataObject) -> None:
    _, entries = chain(count)
    index = data.draw(st.integers(0, count - 2))
    del entries[index]
    report = verify(entries)
    assert (report.ok, report.first_bad) == (False, index + 1)
    assert report.problem == f"entry {index + 1} is missing"


@given(st.integers(2, 10), st.data())
def test_an_inserted_entry_is_found_and_named(count: int, data: st.DataObject) -> None:
    _, entries = chain(count)
    index = data.draw(st.integers(0, count - 2))
    before = Head(size=index, hash=entries[index].prev_hash)
    _, forged = append(before, [SwitchTurned(paused=False, actor="eve", reason="")], START)
    moved = [replace(entry, seq=entry.seq + 1) for entry in entries[index:]]
    report = verify([*entries[:index], *forged, *moved])
    assert (report.ok, report.first_bad) == (False, index + 1)


@given(st.integers(2, 10), st.data())
def test_reordered_entries_are_found_and_the_first_is_named(count: int, data: st.DataObject) -> None:
    _, entries = chain(count)
    first, second = sorted(
        data.draw(st.lists(st.integers(0, count - 1), min_size=2, max_size=2, unique=True))
    )
    one, other = entries[first], entries[second]
    entries[first], entries[second] = replace(other, seq=one.seq), replace(one, seq=other.seq)
    report = verify(entries)
    assert (report.ok, report.first_bad) == (False, first + 1)


@given(st.integers(1, 10), st.data())
def test_a_truncated_chain_is_found_against_what_was_signed(count: int, data: st.DataObject) -> None:
    _, entries = chain(count)
    left = data.draw(st.integers(0, count - 1))
    for report in (
        verify(entries[:left], [checkpoint(entries, count)]),
        verify(entries[:left], (), [anchor(entries, count)]),
    ):
        assert (report.ok, report.first_bad) == (False, left + 1)
        assert report.problem is not None
        assert f"ends after {left} entries" in report.problem
    assert verify(entries[:left]).ok, "without anything signed a shorter chain is a chain"


@given(st.integers(1, 10), st.data())
def test_a_chain_rebuilt_without_the_key_is_found_against_what_was_signed(
    count: int, data: st.DataObject
) -> None:
    _, entries = chain(count)
    index = data.draw(st.integers(0, count - 1))
    body = entries[index].body.replace(b'"at":"2026', b'"at":"2025')
    rebuilt = relinked([*entries[:index], replace(entries[index], body=body), *entries[index + 1 :]])
    assert verify(rebuilt).ok
    marks = [checkpoint(entries, size) for size in range(1, count + 1)]
    report = verify(rebuilt, marks)
    assert (report.ok, report.first_bad) == (False, index + 1)


def test_between_two_checkpoints_the_rewritten_range_is_named() -> None:
    _, entries = chain(9)
    body = entries[6].body.replace(b'"at":"2026', b'"at":"2025')
    rebuilt = relinked([*entries[:6], replace(entries[6], body=body), *entries[7:]])
    report = verify(rebuilt, [checkpoint(entries, 4)], [anchor(entries, 9)])
    assert (report.ok, report.first_bad) == (False, 5)
    assert report.problem == "one of entries 5 to 9 is not what a signed anchor has seen"


def test_a_row_whose_number_is_not_the_one_in_its_body_is_found() -> None:
    _, entries = chain(3)
    renumbered = []
    previous = bytes(32)
    for entry, number in zip(entries[1:], (1, 2), strict=True):
        entry_hash = hashlib.sha256(previous + entry.body).digest()
        renumbered.append(Entry(seq=number, prev_hash=previous, entry_hash=entry_hash, body=entry.body))
        previous = entry_hash
    report = verify(renumbered)
    assert (report.ok, report.first_bad, report.problem) == (False, 1, "entry 1 says it is another one")


def test_a_row_that_was_only_renumbered_is_found() -> None:
    _, entries = chain(3)
    entries[2] = replace(entries[2], seq=9)
    report = verify(entries)
    assert (report.ok, report.first_bad, report.problem) == (False, 3, "entry 3 is missing")


def test_a_row_that_stands_twice_is_found() -> None:
    _, entries = chain(3)
    report = verify([*entries[:2], entries[1], entries[2]])
    assert (report.ok, report.first_bad) == (False, 3)


def test_a_checkpoint_signed_by_a_stranger_proves_nothing() -> None:
    _, entries = chain(3)
    forged = sign_checkpoint(KEYS.stranger, Head(size=3, hash=entries[2].entry_hash), START)
    report = verify(entries, [forged])
    assert (report.ok, report.first_bad) == (False, None)
    assert report.problem is not None
    assert "proves nothing" in report.problem


def test_a_checkpoint_row_that_says_more_than_was_signed_is_found() -> None:
    _, entries = chain(3)
    altered = replace(checkpoint(entries, 3), size=2, head_hash=entries[1].entry_hash)
    report = verify(entries, [altered])
    assert not report.ok
    assert report.problem == "the checkpoint at 2 entries is not what was signed"


def test_the_first_of_several_faults_is_named() -> None:
    _, entries = chain(9)
    entries[7] = replace(entries[7], body=b"{}")
    body = entries[2].body.replace(b'"at":"2026', b'"at":"2025')
    rebuilt = relinked([*entries[:2], replace(entries[2], body=body), *entries[3:7]]) + entries[7:]
    assert verify(rebuilt, [checkpoint(chain(9)[1], 3)]).first_bad == 1


def test_an_anchor_line_is_read_as_it_was_written() -> None:
    _, entries = chain(3)
    mark = checkpoint(entries, 3)
    line = format_anchor_line(mark)
    assert line.startswith(f"assent-anchor/v1 3 {mark.head_hash.hex()} 2026-11-03T09:00:03")
    assert parse_anchor_line(line + "\n") == Anchor(
        size=3, head_hash=mark.head_hash, at=mark.at, envelope=mark.envelope
    )


@pytest.mark.parametrize(
    "line",
    [
        "",
        "assent-anchor/v1 3",
        "assent-anchor/v2 3 00 2026-11-03T09:00:00Z AAAA",
        f"assent-anchor/v1 x {'0' * 64} 2026-11-03T09:00:00Z AAAA",
        f"assent-anchor/v1 -1 {'0' * 64} 2026-11-03T09:00:00Z AAAA",
        "assent-anchor/v1 3 00 2026-11-03T09:00:00Z AAAA",
        f"assent-anchor/v1 3 {'g' * 64} 2026-11-03T09:00:00Z AAAA",
        f"assent-anchor/v1 3 {'0' * 64} yesterday AAAA",
        f"assent-anchor/v1 3 {'0' * 64} 2026-11-03T09:00:00Z A*==",
    ],
)
def test_a_line_that_is_no_anchor_is_refused(line: str) -> None:
    with pytest.raises(IntegrityError, match="anchor"):
        parse_anchor_line(line)
