"""How a series stood before the incident and how it stands in it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from statistics import median

from bot.domain.evidence import Sample, values_of
from investigators.facts.platform.scene import Scene
from investigators.world.world import Track

_LEAD = timedelta(minutes=15)
"""An alert fires up to this long after what it is about began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """``before`` None where nothing says how it was; rates per second for counters."""

    before: float | None
    now: float

    def grew(self, times: float, least: float) -> bool:
        """Whether it is so many times, and at least by so much, above what it was."""
        return self.before is not None and self.now >= max(times * self.before, self.before + least)


def levels(scene: Scene, track: Track, *, counter: bool = False) -> Levels | None:
    """None where the series has nothing to say about the incident's time."""
    key = (id(track), counter)
    if key not in scene.levels:
        scene.levels[key] = _levels(scene, track, counter)
    return scene.levels[key]


def _levels(scene: Scene, track: Track, counter: bool) -> Levels | None:
    times, samples = track.series.times, track.series.samples
    now = samples[bisect_left(times, scene.world.onset) :]
    if len(now) < 3:
        now = [one for one in samples if scene.current(one.at, _LEAD)][-8:]
    if len(now) < (2 if counter else 1):
        return None
    healthy = scene.healthy_tracks.get((track.series.name, track.object, track.pod))
    earlier = samples[: bisect_left(times, scene.world.onset - _LEAD)]
    if healthy is not None:
        earlier = healthy.series.samples
    level = _rate if counter else _median
    after = level(now)
    if after is None:
        return None
    return Levels(before=level(earlier) if len(earlier) >= 3 else None, now=after)


def _median(samples: Sequence[Sample]) -> float | None:
    return median(values_of(samples)) if samples else None


def _rate(samples: Sequence[Sample]) -> float | None:
    """Mean increase per second, resets allowed for."""
    if len(samples) < 2 or samples[-1].at <= samples[0].at:
        return None
    grown = sum(b - a if b >= a else b for a, b in pairwise(values_of(samples)))
    return grown / (samples[-1].at - samples[0].at).total_seconds()


def quantity(value: object) -> float | None:
    """A Kubernetes quantity: ``500m`` is 0.5, ``256Mi`` is in bytes."""
    text = str(value)
    for suffix, factor in (
        ("Ki", 2**10), ("Mi", 2**20), ("Gi", 2**30), ("Ti", 2**40), ("n", 1e-9), ("u", 1e-6), ("m", 1e-3),
        ("k", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12), ("", 1),
    ):  # fmt: skip
        if text.endswith(suffix):
            try:
                return float(text[: len(text) - len(suffix)]) * factor
            except ValueError:
                return None
    return None
