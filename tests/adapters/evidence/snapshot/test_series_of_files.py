"""How lines of metrics/*.csv become series, however they are ordered and whatever is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.evidence.snapshot.files import Folder, Malformed
from adapters.evidence.snapshot.metrics import Tracks, read_tracks

_HEAD = "timestamp,metric,value,pod\n"


def tracks(root: Path, *files: str) -> Tracks:
    (root / "metrics").mkdir()
    for number, text in enumerate(files):
        (root / "metrics" / f"{number}.csv").write_text(text, newline="")
    return read_tracks(Folder(root))


def told(found: Tracks) -> list[tuple[str, str, list[float], list[float]]]:
    return [(one.name, one.labels.get("pod", ""), list(one.times), list(one.values)) for one in found.all]


def test_series_whose_lines_alternate_are_read_as_those_that_stand_in_a_row(tmp_path: Path) -> None:
    for name in ("alternating", "in_a_row"):
        (tmp_path / name).mkdir()
    alternating = tracks(tmp_path / "alternating", f"{_HEAD}10,up,1,a\n10,up,2,b\n20,up,3,a\n20,up,4,b\n")
    in_a_row = tracks(tmp_path / "in_a_row", f"{_HEAD}10,up,1,a\n20,up,3,a\n10,up,2,b\n20,up,4,b\n")
    assert told(alternating) == told(in_a_row)
    assert told(in_a_row) == [("up", "a", [10, 20], [1, 3]), ("up", "b", [10, 20], [2, 4])]


def test_values_that_are_no_finite_numbers_are_dropped_and_counted(tmp_path: Path) -> None:
    found = tracks(tmp_path, f"{_HEAD}10,up,1,a\n20,up,NaN,a\n30,up,,a\n40,up,+Inf,a\n50,up,5,a\n")
    assert told(found) == [("up", "a", [10, 50], [1, 5])]
    assert found.dropped == 3


def test_line_ends_of_either_kind_make_one_series_and_the_later_line_counts(tmp_path: Path) -> None:
    found = tracks(tmp_path, f"{_HEAD}10,up,1,a\n20,up,2,a\r\n10,up,3,a\r\n20,up,4,a\n")
    assert told(found) == [("up", "a", [10, 20], [3, 4])]


def test_a_series_of_two_files_is_one(tmp_path: Path) -> None:
    found = tracks(tmp_path, f"{_HEAD}20,up,2,a\n", f"{_HEAD}10,up,1,a\n")
    assert told(found) == [("up", "a", [10, 20], [1, 2])]


def test_a_file_without_any_label_is_read(tmp_path: Path) -> None:
    assert told(tracks(tmp_path, "timestamp,metric,value\n10,up,1\n")) == [("up", "", [10], [1])]


@pytest.mark.parametrize("line", ["10,up", "10,up,x,a", "soon,up,1,a", "10,,1,a", "10,up,1,a,b"])
def test_a_malformed_line_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(Malformed, match=r"0\.csv:3"):
        tracks(tmp_path, f"{_HEAD}10,up,1,a\n{line}\n20,up,1,a\n")
