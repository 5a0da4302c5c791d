"""The end of a log file, whatever state the file is in."""

from __future__ import annotations

import gzip
import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.evidence.host.logs import MAX_LINES, Unreadable, read_tail
from adapters.evidence.host.logtimes import line_time
from bot.domain.evidence import Window

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
WINDOW = Window(start=NOW - timedelta(hours=1), end=NOW)
CET = timezone(timedelta(hours=1))


def stamp(minutes_ago: float) -> str:
    return (NOW - timedelta(minutes=minutes_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("2026-01-02T03:04:05Z x", "2026-01-02T03:04:05"),
        ("2026-01-02T03:04:05.678+02:00 x", "2026-01-02T01:04:05.678"),
        ("2026-01-02T03:04:05+0200 x", "2026-01-02T01:04:05"),
        ("2026-01-02 03:04:05,123 INFO x", "2026-01-02T02:04:05.123"),
        ("2026-01-02 03:04:05 UTC [7] LOG: x", "2026-01-02T03:04:05"),
        ("[2026-01-02 03:04:05] x", "2026-01-02T02:04:05"),
        ("Feb 28 03:04:05 host x[1]: y", "2026-02-28T02:04:05"),
        ("<34>Feb  8 03:04:05 host x: y", "2026-02-08T02:04:05"),
        ("Dec 31 23:00:00 host x: y", "2025-12-31T22:00:00"),
        ("Feb 29 03:04:05 host x: y", "2024-02-29T02:04:05"),
        ("1772366400 x", "2026-03-01T12:00:00"),
        ("1772366400.250 x", "2026-03-01T12:00:00.250"),
        ("1772366400250 x", "2026-03-01T12:00:00.250"),
        ('10.0.0.1 - - [02/Jan/2026:03:04:05 +0200] "GET /"', "2026-01-02T01:04:05"),
        ('{"level":"info","ts":"2026-01-02T03:04:05Z"}', "2026-01-02T03:04:05"),
        ('{"ts":1772366400.25,"msg":"x"}', "2026-03-01T12:00:00.250"),
        ("level=info ts=2026-01-02T03:04:05Z msg=x", "2026-01-02T03:04:05"),
    ],
)
def test_the_usual_times_are_read(line: str, expected: str) -> None:
    assert line_time(line, NOW, CET) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "no time",
        "2026-13-45T99:99:99Z x",
        "Foo 12 03:04:05 x",
        "12345 x",
        "  File 2026",
        "Feb 30 03:04:05 x",
        "99/Zzz/2026",
        "x [02/Zzz/2026:03:04:05 +0200]",
    ],
)
def test_what_is_no_time_is_none(line: str) -> None:
    assert line_time(line, NOW, CET) is None


@given(st.text(max_size=200))
def test_no_line_breaks_the_reader(text: str) -> None:
    moment = line_time(text, NOW, CET)
    assert moment is None or moment.tzinfo is UTC


def test_only_lines_of_the_window_are_given_with_their_stack_traces(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        f"{stamp(120)} INFO old\n  old trace\n{stamp(30)} ERROR new\n  new trace\n\n{stamp(-5)} INFO future\n"
    )
    tail = read_tail(log, 10_000, WINDOW, NOW)
    assert [line.text.strip().rpartition(" ")[2] for line in tail.lines] == ["new", "trace"]
    assert [line.at is None for line in tail.lines] == [False, True]
    assert tail.cut is None
    assert not tail.untimed


def test_a_log_without_times_is_given_whole_and_said_to_be_so(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("a\nb\n")
    tail = read_tail(log, 10_000, WINDOW, NOW)
    assert [line.text for line in tail.lines] == ["a", "b"]
    assert tail.untimed


def test_at_most_the_asked_bytes_are_read_and_half_a_line_is_dropped(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"{stamp(10)} line {n:05}\n" for n in range(10_000)))
    tail = read_tail(log, 4096, WINDOW, NOW)
    assert len(tail.lines) < 150
    assert tail.lines[-1].text.endswith("line 09999")
    assert all(line.at is not None for line in tail.lines)
    assert "only the last 4096 bytes" in (tail.cut or "")


def test_a_tail_that_reaches_back_before_the_window_is_whole(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"{stamp(200)} old {n}\n" for n in range(1000)) + f"{stamp(5)} new\n")
    assert read_tail(log, 4096, WINDOW, NOW).cut is None


def test_after_a_rotation_the_older_file_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "log.1").write_text(f"{stamp(40)} before\n{stamp(30)} rotation")
    (tmp_path / "log").write_text(f"{stamp(20)} after\n")
    texts = [line.text.rpartition(" ")[2] for line in read_tail(tmp_path / "log", 10_000, WINDOW, NOW).lines]
    assert texts == ["before", "rotation", "after"]


def test_too_many_lines_are_cut_from_the_front(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"{stamp(10)} {n}\n" for n in range(MAX_LINES + 5)))
    tail = read_tail(log, 10**7, WINDOW, NOW)
    assert len(tail.lines) == MAX_LINES
    assert tail.lines[-1].text.endswith(str(MAX_LINES + 4))
    assert tail.cut is not None


def test_bytes_that_are_no_utf8_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(f"{stamp(1)} caf".encode() + b"\xe9\xff\n")
    assert "caf\ufffd" in read_tail(tmp_path / "log", 10_000, WINDOW, NOW).lines[0].text


def _gz(path: Path) -> None:
    path.write_bytes(gzip.compress(b"text" * 1000) + b"\0" * 900)


def _no_permission(path: Path) -> None:
    path.write_text("x")
    path.chmod(0)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "is not there"),
        (_gz, "is not text"),
        (lambda path: path.mkdir(), "is not a regular file"),
        (lambda path: os.mkfifo(path), "is not a regular file"),
        (lambda path: path.symlink_to(path), "symbolic link"),
    ],
    ids=["missing", "binary", "directory", "fifo", "loop"],
)
def test_what_cannot_be_read_says_why(tmp_path: Path, make, reason: str) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path / "log")
    with pytest.raises(Unreadable, match=reason):
        read_tail(tmp_path / "log", 10_000, WINDOW, NOW)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_log_we_may_not_read_says_so(tmp_path: Path) -> None:
    _no_permission(tmp_path / "log")
    with pytest.raises(Unreadable, match="Permission denied"):
        read_tail(tmp_path / "log", 10_000, WINDOW, NOW)


def test_secrets_and_terminal_tricks_are_taken_out(tmp_path: Path) -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIIcanary\nMIIcanary\n-----END PRIVATE KEY-----"
    (tmp_path / "log").write_text(
        f"{stamp(3)} password=canary99\n{stamp(2)} key {key}\n{stamp(1)} \x1b[31mred\u202e\x07\n"
    )
    tail = read_tail(tmp_path / "log", 10_000, WINDOW, NOW)
    text = "\n".join(line.text for line in tail.lines)
    assert "canary" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert tail.lines[-1].text.endswith(" red")
