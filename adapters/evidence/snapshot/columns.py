"""Lines of comma-separated samples as columns."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from itertools import repeat

import orjson

from adapters.evidence.snapshot.files import epoch

_BLOCK = 1 << 19
"""Bytes that are made to lines in one call: the event loop waits as long."""
_RUN = 8
"""Lines of one series that follow one another, for which it is worth to remember how they begin."""


@dataclass(slots=True)
class Column:
    """One series as it is written; ``line`` is one of its lines, for its labels. ``numbers`` are values, or
    several of them with commas between."""

    line: str
    moments: list[str] = field(default_factory=list)
    numbers: list[str] = field(default_factory=list)

    def values(self) -> list[float]:
        """Where none is written, no number. Raises ValueError."""
        text = ",".join(self.numbers)
        try:
            # Many times faster than float, which also knows infinity, spaces, signs and much else.
            found = orjson.loads(f"[{text}]")
        except orjson.JSONDecodeError:
            found = []
        if (
            len(found) == len(self.moments)
            and {*map(type, found)} <= {float, int}
            and ",-0," not in f",{text},"
        ):
            return [*map(float, found)]
        return [float(number or "nan") for number in text.split(",")]


class Epochs:
    """Times as they are written to epoch seconds. Most series are of the very same moments."""

    def __init__(self) -> None:
        self._single: dict[str, float] = {}
        self._before: list[str] = []
        self._times = array("d")

    def of(self, moments: list[str]) -> array[float]:
        """Raises ValueError."""
        if moments != self._before:
            known = self._single
            for text in moments:
                if text not in known:
                    known[text] = epoch(text)
            self._before, self._times = moments, array("d", [*map(known.__getitem__, moments)])
        return self._times


@dataclass(slots=True)
class _Usual:
    """The moments of a metric's last run of lines, and how the lines began, up to the value."""

    moments: list[str]
    begins: list[str]


def columns_of(data: bytes) -> list[Column]:
    """Of lines without quotes that begin, after the first, with time, metric and value. Raises ValueError
    for a line of fewer than four fields."""
    columns = _Columns()
    rest: list[str] = []
    place = data.find(b"\n") + 1 or len(data)
    while place < len(data):
        end = data.rfind(b"\n", place, place + _BLOCK) if place + _BLOCK < len(data) else len(data)
        if end < 0:
            end = data.find(b"\n", place)
            end = end if end >= 0 else len(data)
        lines = data[place:end].decode().split("\n")
        place = end + 1
        rest = columns.add(rest + lines if rest else lines, more=place < len(data))
    return list(columns.found.values())


class _Columns:
    def __init__(self) -> None:
        self.found: dict[tuple[str, str], Column] = {}
        self._usual: dict[str, _Usual] = {}

    def add(self, lines: list[str], *, more: bool) -> list[str]:
        """Returns what it leaves: the last lines, where those that follow may go on with their series."""
        place, count = 0, len(lines)
        while place < count:
            line = lines[place]
            if not line or line == "\r":
                place += 1
                continue
            _, metric, _, labels = line.split(",", 3)
            usual = self._usual.get(metric)
            if usual is not None and (numbers := _alike(lines, place, usual, labels)):
                moments, values = usual.moments, [numbers]
            else:
                moments, values = _run(lines, place, metric, labels)
                if more and 0 < place == count - len(moments):
                    return lines[place:]
                if len(moments) >= _RUN:
                    begins = [f"{moment},{metric}," for moment in moments]
                    self._usual[metric] = _Usual(moments, begins)
            column = self.found.get((metric, labels))
            if column is None:
                column = self.found[metric, labels] = Column(line)
            column.moments += moments
            column.numbers += values
            place += len(moments)
        return []


def _alike(lines: list[str], place: int, usual: _Usual, labels: str) -> str:
    """The values of the lines from here, if they begin as the metric's last run did; else nothing."""
    if not lines[place].startswith(usual.begins[0]):
        return ""
    count = len(usual.begins)
    run = lines[place : place + count]
    behind = map(str.removeprefix, run, usual.begins)
    numbers = ",".join(map(str.removesuffix, behind, repeat(f",{labels}")))
    # A line that begins or ends otherwise keeps a comma of its own.
    return numbers if len(run) == count and numbers.count(",") == count - 1 else ""


def _run(lines: list[str], place: int, metric: str, labels: str) -> tuple[list[str], list[str]]:
    """The moments and values of the lines from here that are of one series."""
    moments: list[str] = []
    values: list[str] = []
    for number in range(place, len(lines)):
        line = lines[number]
        if not line or line == "\r":
            break
        moment, other, value, rest = line.split(",", 3)
        if other != metric or rest != labels:
            break
        moments.append(moment)
        values.append(value)
    return moments, values
