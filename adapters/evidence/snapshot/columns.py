"""Lines of comma-separated samples as columns."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from itertools import repeat

import orjson

from adapters.evidence.snapshot.files import epoch

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


def columns_of(lines: list[str]) -> list[Column]:
    """Of lines without quotes that begin, after the first, with time, metric and value. Raises ValueError
    for a line of fewer than four fields."""
    found: dict[tuple[str, str], Column] = {}
    usual: dict[str, _Usual] = {}
    place, count = 1, len(lines)
    while place < count:
        line = lines[place]
        if not line or line == "\r":
            place += 1
            continue
        _, metric, _, labels = line.split(",", 3)
        column = found.get((metric, labels))
        if column is None:
            column = found[metric, labels] = Column(line)
        known = usual.get(metric)
        if known is not None and (numbers := _alike(lines, place, known, labels)):
            column.moments += known.moments
            column.numbers.append(numbers)
            place += len(known.moments)
            continue
        moments, values = _run(lines, place, metric, labels)
        column.moments += moments
        column.numbers += values
        place += len(moments)
        if len(moments) >= _RUN:
            usual[metric] = _Usual(moments, [f"{moment},{metric}," for moment in moments])
    return list(found.values())


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
