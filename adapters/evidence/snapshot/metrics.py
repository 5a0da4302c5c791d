"""metrics/*.csv as series: timestamp,metric,value and one column per label."""

from __future__ import annotations

import csv
import math
import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import StringIO
from itertools import compress, islice
from math import isfinite
from operator import lt

from adapters.evidence.build import clean_labels
from adapters.evidence.snapshot.columns import Epochs, columns_of
from adapters.evidence.snapshot.files import Folder, Malformed, epoch, moment
from bot.domain.evidence import Samples, Series
from investigators.ports import Matcher, MatchOp

_FIXED = ("timestamp", "metric", "value")


@dataclass(slots=True)
class Track:
    """One series as it is stored: ``times`` in epoch seconds, ascending, and as many ``values``. In arrays,
    for the garbage collector looks at every item of a list."""

    name: str
    labels: dict[str, str]
    times: array[float]
    values: array[float]

    def between(self, start: float, end: float) -> slice:
        """The samples in ``[start, end]``."""
        return slice(bisect_left(self.times, start), bisect_right(self.times, end))


class Tracks:
    """Every series of a snapshot, by metric name. ``dropped`` counts values that are no finite numbers."""

    def __init__(self, tracks: Sequence[Track], dropped: int) -> None:
        self.all = tuple(tracks)
        self.dropped = dropped
        self.first = min((track.times[0] for track in self.all), default=0.0)
        self.last = max((track.times[-1] for track in self.all), default=0.0)
        self._by_name: dict[str, list[Track]] = {}
        for track in self.all:
            self._by_name.setdefault(track.name, []).append(track)

    def select(self, metric: str, matchers: Sequence[Matcher]) -> list[Track]:
        """Those of a metric (or "", any) whose labels match. Raises ValueError for a bad pattern."""
        tests = [(matcher.label, _test(matcher)) for matcher in matchers]
        candidates: Iterable[Track] = self._by_name.get(metric, ()) if metric else self.all
        return [
            track
            for track in candidates
            if all(
                test(track.name if key == "__name__" else track.labels.get(key, "")) for key, test in tests
            )
        ]


def _test(matcher: Matcher) -> Callable[[str], bool]:
    wanted = matcher.value
    if matcher.op is MatchOp.EQUAL:
        return lambda value: value == wanted
    if matcher.op is MatchOp.NOT_EQUAL:
        return lambda value: value != wanted
    try:
        pattern = re.compile(wanted)
    except re.error as error:
        raise ValueError(f"{wanted!r} is not a regular expression: {error}") from None
    if matcher.op is MatchOp.REGEX:
        return lambda value: pattern.fullmatch(value) is not None
    return lambda value: pattern.fullmatch(value) is None


def read_tracks(folder: Folder) -> Tracks:
    """Every file of metrics/. Raises Malformed."""
    found: dict[tuple[str, frozenset[tuple[str, str]]], Track] = {}
    dropped = 0
    for name in folder.names("metrics", ".csv"):
        dropped += _read(folder, name, found)
    tracks = [track for track in found.values() if track.times]
    ascending = b""
    for track in tracks:
        # Most series are of the very same moments.
        if (moments := track.times.tobytes()) != ascending:
            _in_order(track)
            ascending = moments if moments == track.times.tobytes() else b""
    tracks.sort(key=lambda track: (track.name, sorted(track.labels.items())))
    return Tracks(tracks, dropped)


def _read(folder: Folder, name: str, found: dict[tuple[str, frozenset[tuple[str, str]]], Track]) -> int:
    data = folder.data(name)
    if not data.isascii():
        folder.decoded(name, data)
    plain = b'"' not in data
    # To give all of a large file to the reader takes four times its size, and longer than to read its lines.
    begin = data[: data.find(b"\n") + 1] if plain else data
    header = next(csv.reader(StringIO((begin or data).decode(), newline="")), None)
    if header is None:
        return 0
    missing = [column for column in _FIXED if column not in header]
    if missing:
        raise Malformed(f"{folder.where(name, 1)}: no column {missing[0]}")
    filling = _Filling(header, found)
    try:
        if plain and tuple(header[:3]) == _FIXED:
            filling.add_plain(data)
        else:
            reader = csv.reader(StringIO(data.decode(), newline=""))
            for row in islice(reader, 1, None):
                filling.line = reader.line_num
                if row:
                    filling.add(row)
    except (ValueError, csv.Error) as error:
        raise Malformed(f"{folder.where(name, filling.line)}: {error}") from None
    return filling.dropped


class _Filling:
    """One file's rows on their way into series. Every label set is looked at once."""

    def __init__(self, header: list[str], found: dict[tuple[str, frozenset[tuple[str, str]]], Track]) -> None:
        self.dropped = 0
        self.line = 1
        self._header = header
        self._at, self._metric, self._value = (header.index(column) for column in _FIXED)
        self._labels = [index for index in range(len(header)) if header[index] not in _FIXED]
        self._found = found
        self._times: dict[str, float] = {}
        self._tracks: dict[tuple[str, ...], Track] = {}

    def add_plain(self, data: bytes) -> None:
        """Lines without quotes whose first three fields are the fixed ones. Raises ValueError."""
        try:
            columns = self._columns(data)
        except ValueError:
            # Line by line, to know where.
            self._add_lines(data.decode().split("\n"))
            return
        for track, times, values in columns:
            # The sum is finite only where every value is, and several times cheaper to look at.
            if not isfinite(sum(values)) and not all(map(isfinite, values)):
                good = [isfinite(value) for value in values]
                self.dropped += good.count(False)
                times, values = array("d", compress(times, good)), list(compress(values, good))
            track.times.extend(times)
            track.values.fromlist(values)

    def _columns(self, data: bytes) -> list[tuple[Track, array[float], list[float]]]:
        """Every series' times and values, as the lines give them. Raises ValueError for a line that is
        malformed, and where two kinds of lines are of one series."""
        epochs = Epochs()
        columns = [
            (self._track(one.line.rstrip("\r").split(",")), epochs.of(one.moments), one.values())
            for one in columns_of(data)
        ]
        if len({id(track) for track, _, _ in columns}) < len(columns):
            raise ValueError
        return columns

    def _add_lines(self, lines: list[str]) -> None:
        times = self._times
        tracks: dict[tuple[str, str], Track] = {}
        for self.line, line in enumerate(lines, 1):
            if self.line == 1 or not line or line == "\r":
                continue
            at, _, rest = line.partition(",")
            metric, comma, rest = rest.partition(",")
            value, _, labels = rest.partition(",")
            if not comma:
                raise ValueError("fewer than three fields")
            track = tracks.get((metric, labels))
            if track is None:
                track = tracks[metric, labels] = self._track(line.rstrip("\r").split(","))
            time = times.get(at)
            if time is None:
                time = times[at] = epoch(at)
            number = float(value) if value and value != "\r" else math.nan
            if isfinite(number):
                track.times.append(time)
                track.values.append(number)
            else:
                self.dropped += 1

    def add(self, row: list[str]) -> None:
        """Raises ValueError."""
        at, value = (row[self._at], row[self._value]) if len(row) == len(self._header) else ("", "")
        key = tuple(field for index, field in enumerate(row) if index not in (self._at, self._value))
        track = self._tracks.get(key) if at else None
        if track is None:
            track = self._tracks[key] = self._track(row)
        time = self._times.get(at)
        if time is None:
            time = self._times[at] = epoch(at)
        number = float(value) if value else math.nan
        if isfinite(number):
            track.times.append(time)
            track.values.append(number)
        else:
            self.dropped += 1

    def _track(self, row: list[str]) -> Track:
        if len(row) != len(self._header):
            raise ValueError(f"{len(row)} fields where the header has {len(self._header)}")
        metric = row[self._metric]
        if not metric:
            raise ValueError("no metric name")
        labels = clean_labels({self._header[index]: row[index] for index in self._labels if row[index]})
        key = (metric, frozenset(labels.items()))
        track = self._found.get(key)
        if track is None:
            track = self._found[key] = Track(name=metric, labels=labels, times=array("d"), values=array("d"))
        return track


def _in_order(track: Track) -> None:
    """Ascending times, one sample each: of two samples of one moment the later line counts."""
    times = track.times
    if all(map(lt, times, times[1:])):
        return
    merged = dict(zip(times, track.values, strict=True))
    track.times = array("d", sorted(merged))
    track.values = array("d", [merged[time] for time in track.times])


class Surveyed:
    """What a survey found: series within the caps, and how many were left out."""

    def __init__(self, series: tuple[Series, ...], total: int) -> None:
        self.series = series
        self.total = total


def survey(
    tracks: Sequence[Track], start: float, end: float, step: float, *, max_series: int, max_samples: int
) -> Surveyed:
    """The raw samples in ``[start, end]``, the last of each step where they are denser than that."""
    kept: list[Series] = []
    known = Moments()
    samples = total = 0
    for track in tracks:
        part = track.between(start, end)
        times, values = track.times[part], track.values[part]
        if not times:
            continue
        total += 1
        if len(kept) >= max_series or samples >= max_samples:
            continue
        if step > 0 and len(times) > 2 and (times[-1] - times[0]) / (len(times) - 1) < 0.9 * step:
            last = {time // step: index for index, time in enumerate(times)}
            times = array("d", [times[i] for i in last.values()])
            values = array("d", [values[i] for i in last.values()])
        if samples + len(times) > max_samples:
            samples = max_samples
            continue
        samples += len(times)
        kept.append(Series(name=track.name, labels=track.labels, samples=as_samples(times, values, known)))
    return Surveyed(tuple(kept), total)


def as_samples(times: Sequence[float], values: Sequence[float], known: Moments | None = None) -> Samples:
    """Samples at epoch seconds; ``known`` keeps moments that other series have as well."""
    return Samples((known or Moments()).of(times), tuple(values))


class Moments:
    """Epoch seconds as times. Most series of one answer are of the very same moments."""

    def __init__(self) -> None:
        self._single: dict[float, datetime] = {}
        self._columns: dict[bytes, tuple[datetime, ...]] = {}

    def of(self, times: Sequence[float]) -> tuple[datetime, ...]:
        key = array("d", times).tobytes()
        column = self._columns.get(key)
        if column is None:
            known = self._single
            for time in times:
                if time not in known:
                    known[time] = moment(time)
            column = self._columns[key] = tuple([known[time] for time in times])
        return column
