"""Prometheus's JSON as series and records; anything malformed raises Malformed with where."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import gt
from typing import Any

from adapters.evidence.build import Record, clean_labels
from adapters.evidence.http import Malformed
from adapters.evidence.select import selects
from bot.domain.evidence import Samples, Series
from bot.domain.redaction import clean
from investigators.ports import Matcher

MAX_SAMPLES = 50_000
"""Samples of one answer that are kept; whole series are dropped beyond it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """Series with finite samples, how many series were left out, and how many samples were not finite."""

    series: tuple[Series, ...]
    left_out: int
    not_finite: int


def parse_result(data: Mapping[str, Any], *, max_series: int, max_samples: int = MAX_SAMPLES) -> Parsed:
    """A matrix, vector or scalar result. Raises Malformed."""
    moments: dict[float, datetime] = {}
    kind, result = data.get("resultType"), data.get("result")
    if kind in ("scalar", "string"):
        result, kind = [{"metric": {}, "value": result}], "vector"
    if kind not in ("matrix", "vector") or not isinstance(result, list):
        raise Malformed(f"resultType {kind!r} with a result that is not a list")
    series: list[Series] = []
    not_finite = total = 0
    taken = 0
    for item in result:
        if len(series) >= max_series or total >= max_samples:
            break
        taken += 1
        points = item.get("values" if kind == "matrix" else "value") if isinstance(item, dict) else None
        labels = item.get("metric") if isinstance(item, dict) else None
        if not isinstance(points, list) or not isinstance(labels, dict):
            raise Malformed(f"series {taken} has no metric or no values")
        samples, dropped = _samples(points if kind == "matrix" else [points], moments)
        not_finite += dropped
        total += len(samples)
        if samples:
            cleaned = clean_labels({str(key): str(value) for key, value in labels.items()})
            name = cleaned.pop("__name__", "")
            series.append(Series(name=name, labels=cleaned, samples=samples))
    return Parsed(series=tuple(series), left_out=len(result) - taken, not_finite=not_finite)


def _samples(points: Sequence[Any], moments: dict[float, datetime]) -> tuple[Samples, int]:
    """``moments`` holds the times seen before: the series of one answer share most of them."""
    times: list[datetime] = []
    values: list[float] = []
    dropped = 0
    try:
        for at, value in points:
            number = float(value)
            if math.isfinite(number):
                moment = moments.get(at)
                if moment is None:
                    moment = moments[at] = datetime.fromtimestamp(float(at), UTC)
                times.append(moment)
                values.append(number)
            else:
                dropped += 1
    except (TypeError, ValueError, OverflowError, OSError):
        raise Malformed("a sample is not a [time, value] pair") from None
    if any(map(gt, times, times[1:])):
        order = sorted(range(len(times)), key=times.__getitem__)
        times, values = [times[i] for i in order], [values[i] for i in order]
    return Samples(tuple(times), tuple(values)), dropped


def parse_targets(data: Mapping[str, Any], matchers: Sequence[Matcher]) -> list[Record]:
    """Active targets that the matchers select. Raises Malformed."""
    active = data.get("activeTargets")
    if not isinstance(active, list):
        raise Malformed("no activeTargets")
    records: list[Record] = []
    for item in active:
        labels = item.get("labels") if isinstance(item, dict) else None
        if not isinstance(labels, dict):
            raise Malformed("a target without labels")
        try:
            if not selects(matchers, labels):
                continue
        except ValueError as error:
            raise Malformed(str(error)) from None
        cleaned = clean_labels(
            {"job": str(labels.get("job", "")), "instance": str(labels.get("instance", ""))}
        )
        records.append(
            {
                "job": cleaned["job"],
                "instance": cleaned["instance"],
                "health": str(item.get("health", "unknown")),
                "last_error": clean(str(item.get("lastError") or ""), limit=300),
                "last_scrape": str(item.get("lastScrape", "")),
            }
        )
    return records


def parse_rules(data: Mapping[str, Any], name: str) -> list[Record]:
    """Alerting rules called ``name``. Raises Malformed."""
    groups = data.get("groups")
    if not isinstance(groups, list):
        raise Malformed("no groups")
    records: list[Record] = []
    for group in groups:
        rules = group.get("rules") if isinstance(group, dict) else None
        if not isinstance(rules, list):
            raise Malformed("a group without rules")
        for rule in rules:
            if not isinstance(rule, dict):
                raise Malformed("a rule that is not an object")
            if rule.get("type") != "alerting" or rule.get("name") != name:
                continue
            seconds = rule.get("duration", 0)
            records.append(
                {
                    "name": name,
                    "query": clean(str(rule.get("query", "")), limit=2000),
                    "duration_s": float(seconds) if isinstance(seconds, int | float) else 0.0,
                    "state": str(rule.get("state", "unknown")),
                    "health": str(rule.get("health", "unknown")),
                    "last_error": clean(str(rule.get("lastError") or ""), limit=300),
                }
            )
    return records
