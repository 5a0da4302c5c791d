"""metrics/*.csv as series: timestamp,metric,value and one column per label."""

from __future__ import annotations

import csv
import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import pairwise

from adapters.evidence.build import clean_labels
from adapters.evidence.snapshot.files import Folder, Malformed, epoch, moment
from bot.domain.evidence import Sample, Series
from investigators.ports import Matcher, MatchOp

_FIXED = ("timestamp", "metric", "value")


@dataclass(slots=True)
class Track:
    """One series as it is stored: ``times`` in epoch seconds, ascending, and as many ``values``."""

    name: str
    labels: dict[str, str]
    times: list[float]
    values: list[float]

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
    for track in tracks:
        _in_order(track)
    tracks.sort(key=lambda track: (track.name, sorted(track.labels.items())))
    return Tracks(tracks, dropped)


def _read(folder: Folder, name: str, found: dict[tuple[str, frozenset[tuple[str, str]]], Track]) -> int:
    reader = csv.reader(StringIO(folder.text(name), newline=""))
    header = next(reader, None)
    if header is None:
        return 0
    missing = [column for column in _FIXED if column not in header]
    if missing:
        raise Malformed(f"{folder.where(name, 1)}: no column {missing[0]}")
    at, metric, value = (header.index(column) for column in _FIXED)
    labels = [index for index in range(len(header)) if index not in (at, metric, value)]
    width = len(header)
    times: dict[str, float] = {}
    tracks: dict[tuple[str, ...], Track] = {}
    dropped = 0
    row: list[str] = []
    try:
        for row in reader:
            if len(row) != width:
                if not row:
                    continue
                raise Malformed(
                    f"{folder.where(name, reader.line_num)}: {len(row)} fields where the header has {width}"
                )
            text = row[at]
            time = times.get(text)
            if time is None:
                time = times[text] = epoch(text)
            number = float(row[value]) if row[value] else math.nan
            row[at] = row[value] = ""
            key = tuple(row)
            track = tracks.get(key)
            if track is None:
                pairs = {header[index]: row[index] for index in labels if row[index]}
                if not row[metric]:
                    raise ValueError("no metric name")
                track = _track(row[metric], pairs, found)
                tracks[key] = track
            if not math.isfinite(number):
                dropped += 1
                continue
            track.times.append(time)
            track.values.append(number)
    except ValueError as error:
        raise Malformed(f"{folder.where(name, reader.line_num)}: {error}") from None
    except csv.Error as error:
        raise Malformed(f"{folder.where(name, reader.line_num)}: {error}") from None
    return dropped


def _track(
    metric: str, pairs: dict[str, str], found: dict[tuple[str, frozenset[tuple[str, str]]], Track]
) -> Track:
    labels = clean_labels(pairs)
    key = (metric, frozenset(labels.items()))
    track = found.get(key)
    if track is None:
        track = found[key] = Track(name=metric, labels=labels, times=[], values=[])
    return track


def _in_order(track: Track) -> None:
    """Ascending times, one sample each: of two samples of one moment the later line counts."""
    times = track.times
    if all(a < b for a, b in pairwise(times)):
        return
    merged = dict(zip(times, track.values, strict=True))
    track.times = sorted(merged)
    track.values = [merged[time] for time in track.times]


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
            times, values = [times[i] for i in last.values()], [values[i] for i in last.values()]
        if samples + len(times) > max_samples:
            samples = max_samples
            continue
        samples += len(times)
        kept.append(Series(name=track.name, labels=track.labels, samples=as_samples(times, values)))
    return Surveyed(tuple(kept), total)


def as_samples(times: Sequence[float], values: Sequence[float]) -> tuple[Sample, ...]:
    return tuple([Sample(at=moment(t), value=v) for t, v in zip(times, values, strict=True)])
