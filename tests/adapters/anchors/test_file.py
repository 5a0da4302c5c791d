"""The anchor file after crashes and full disks: what was cut off is passed over, what was changed is not."""

import base64
import os
import resource
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.anchors import FileAnchors
from approvals.ledger import Anchor, format_anchor_line
from bot.domain.errors import IntegrityError, Unavailable


def anchor(size: int) -> Anchor:
    return Anchor(
        size=size,
        head_hash=bytes([size]) * 32,
        at=datetime(2026, 11, 21, tzinfo=UTC),
        envelope=base64.b64encode(b"signed" * 20),
    )


async def test_anchors_come_back_in_the_order_they_were_written(tmp_path: Path) -> None:
    anchors = FileAnchors(tmp_path / "new folder" / "anchors.txt")
    assert await anchors.read() == []
    for size in (1, 2, 3):
        await anchors.append(anchor(size))
    assert await anchors.read() == [anchor(1), anchor(2), anchor(3)]


async def test_wherever_a_crash_cuts_a_line_off_the_anchors_before_and_after_it_count(tmp_path: Path) -> None:
    line = format_anchor_line(anchor(2)).encode()
    for length in range(1, len(line) + 1):
        file = tmp_path / f"{length}.txt"
        await FileAnchors(file).append(anchor(1))
        with file.open("ab") as written:
            written.write(line[:length])
        assert await FileAnchors(file).read() == [anchor(1)]
        await FileAnchors(file).append(anchor(3))
        assert await FileAnchors(file).read() == [anchor(1), anchor(3)]


async def test_a_line_that_is_cut_off_twice_is_passed_over_too(tmp_path: Path) -> None:
    file = tmp_path / "anchors.txt"
    await FileAnchors(file).append(anchor(1))
    whole = file.stat().st_size
    with file.open("ab") as written:
        written.write(format_anchor_line(anchor(2)).encode()[:30])
    cut = file.stat().st_size
    await FileAnchors(file).append(anchor(2))
    for length in range(cut - whole, file.stat().st_size - whole):
        again = tmp_path / f"{length}.txt"
        again.write_bytes(file.read_bytes()[: whole + length])
        await FileAnchors(again).append(anchor(3))
        assert await FileAnchors(again).read() == [anchor(1), anchor(3)]


async def test_a_line_that_somebody_changed_is_an_integrity_error(tmp_path: Path) -> None:
    file = tmp_path / "anchors.txt"
    for size in (1, 2):
        await FileAnchors(file).append(anchor(size))
    file.write_text(file.read_text().replace("01" * 32, "zz" * 32))
    with pytest.raises(IntegrityError):
        await FileAnchors(file).read()


async def test_a_disk_that_takes_half_a_line_is_unavailable_and_the_next_line_counts(tmp_path: Path) -> None:
    file = tmp_path / "anchors.txt"
    await FileAnchors(file).append(anchor(1))
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 40, allowed[1]))
    try:
        with pytest.raises(Unavailable):
            await FileAnchors(file).append(anchor(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
        signal.signal(signal.SIGXFSZ, before)
    await FileAnchors(file).append(anchor(2))
    assert await FileAnchors(file).read() == [anchor(1), anchor(2)]
    assert os.stat(file).st_mode & 0o077 == 0
