"""latency_shift, error_rate_shift, traffic_surge: what a service's requests show; they only support."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from bot.domain.evidence import Evidence, Fact, TraceSpan
from investigators.facts.charge import service
from investigators.facts.platform.levels import Levels, levels
from investigators.facts.platform.scene import Scene
from investigators.world.world import Track

LATENCY, ERRORS, TRAFFIC = "latency_shift", "error_rate_shift", "traffic_surge"
_TIME = re.compile(r"(?:latency|duration|response_time|request_time|(?:request|requests|handling)_seconds|"
                   r"(?:request|requests|handling)_milliseconds)", re.I)  # fmt: skip
_NOT_REQUESTS = re.compile(
    r"\A(?:go_|process_|jvm_gc|scrape_|prometheus_|apiserver_|etcd_|workqueue_|node_|probe_)"
)
_REQUESTS = re.compile(
    r"(?:requests?|calls|handled)_total\Z|(?:request|requests|duration|latency)\w*_count\Z|"
    r"requests?_per_sec\w*\Z|request_rate\w*\Z|(?:\A|_)(?:rps|qps)\Z",
    re.I,
)
_BAD = re.compile(
    r"(?:\A|_)(?:errors?|failures?|failed|exceptions?|5xx)(?:\Z|_)(?!\w*(?:budget|"
    r"limit|threshold))",
    re.I,
)
_SHARE = re.compile(r"ratio|percent|pct|rate", re.I)
_Spans = dict[str, list[TraceSpan]]
_STATUS = ("code", "status", "status_code", "response_code", "http_status_code", "grpc_code", "grpc_status")


def check(scene: Scene) -> list[Fact]:
    now, before = _halves(scene)
    facts = [*_times(scene), *_counts(scene), *_spans(scene, now, before)]
    if not scene.world.looked("metric.survey", "trace.spans"):
        return facts
    taken = {(fact.kind, fact.subject) for fact in facts}
    measured = _measured(scene, now, before)
    for name in scene.services:
        for kind in (LATENCY, ERRORS, TRAFFIC):
            if (kind, name) in taken:
                continue
            cited = measured.get((kind, name), ())
            if cited and all(item.usable and item.reason is None for item in cited):
                facts.append(
                    service(name).absent(kind, 0.7, cited, "load.requests", "its requests look as before")
                )
            else:
                looked = scene.world.looked("metric.survey", "trace.spans")
                detail = "no request metrics or spans of it from before and now are at hand"
                facts.append(service(name).unknown(kind, looked, "load.requests", detail))
    return facts


def _times(scene: Scene) -> Iterator[Fact]:
    worst: dict[str, tuple[Levels, Track]] = {}
    for track, level in _mean_times(scene):
        least = (
            0.02 if "milli" not in track.series.name and "ms" not in track.series.name.split("_") else 20.0
        )
        if level.before and level.grew(2, least):
            before = worst.get(track.object)
            if before is None or level.now / level.before > before[0].now / (before[0].before or 1):
                worst[track.object] = (level, track)
    for name, (level, track) in worst.items():
        detail = f"{name} takes {level.now:.3g}, {level.before or 0:.3g} before ({track.series.name})"
        values = {"before": level.before or 0.0, "now": level.now}
        yield service(name).found(LATENCY, 0.75, (track.evidence,), "load.latency", detail, values)


def _mean_times(scene: Scene) -> Iterator[tuple[Track, Levels]]:
    """Mean request time: of histograms by their sum and count, of gauges as they are."""
    for metric, tracks in scene.tracks.items():
        if not _TIME.search(metric) or _NOT_REQUESTS.match(metric) or metric.endswith(("_bucket", "_count")):
            continue
        if not metric.endswith("_sum"):
            for track in tracks:
                level = levels(scene, track) if track.object and track.object_kind != "node" else None
                if level is not None and not metric.endswith(("_total", "_created", "_limit", "_timeout")):
                    yield track, level
            continue
        counts = {
            (one.object, one.pod, _key(one.series.labels)): one
            for one in scene.tracks.get(f"{metric[: -len('_sum')]}_count", ())
        }
        for track in tracks:
            other = counts.get((track.object, track.pod, _key(track.series.labels)))
            spent = levels(scene, track, counter=True)
            count = levels(scene, other, counter=True) if other is not None else None
            if spent is None or count is None or count.now <= 0 or not track.object:
                continue
            before = spent.before / count.before if spent.before is not None and count.before else None
            yield track, Levels(before=before, now=spent.now / count.now)


def _key(labels: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset(labels.items())


def _counts(scene: Scene) -> Iterator[Fact]:
    """Failed requests as a share of all, and all of them, by service."""
    every: dict[str, tuple[float, float, Track]] = {}
    failed: dict[str, tuple[float, float, Track]] = {}
    for metric, tracks in scene.tracks.items():
        requests = bool(_REQUESTS.search(metric)) and not _NOT_REQUESTS.match(metric)
        bad = bool(_BAD.search(metric)) and not _NOT_REQUESTS.match(metric)
        for track in tracks if requests or bad else ():
            if not track.object or track.object_kind == "node" or _direction(track) == "source":
                continue
            rate = levels(scene, track, counter=metric.endswith(("_total", "_count")))
            if rate is None:
                continue
            if requests:
                _add(every, track, rate)
            if bad or _is_error(track.series.labels):
                _add(failed, track, rate)
    for name, (before, now, track) in failed.items():
        all_before, all_now, _ = every.get(name, (0.0, 0.0, track))
        share = now / all_now if all_now else None
        usual = before / all_before if all_before else 0.0
        if share is not None and share >= 0.05 and share >= 3 * usual:
            detail = f"{share:.0%} of the requests of {name} fail, {usual:.0%} before"
        elif share is None and now > 0 and now >= 3 * before and now - before >= 0.05:
            per = "" if _SHARE.search(track.series.name) else " a second"
            detail = f"{track.series.name} of {name} is {now:.2g}{per}, {before:.2g} before"
        else:
            continue
        yield service(name).found(ERRORS, 0.8, (track.evidence,), "load.errors", detail)
    for name, (before, now, track) in every.items():
        if before > 0 and now >= 2 * before and now - before >= 1:
            detail = f"{name} gets {now:.1f} requests a second, {before:.1f} before"
            yield service(name).found(TRAFFIC, 0.8, (track.evidence,), "load.traffic", detail)


def _direction(track: Track) -> str:
    """A mesh counts each request at both ends; the caller's count is not the service's own."""
    return track.series.labels.get("reporter", "")


def _add(sums: dict[str, tuple[float, float, Track]], track: Track, rate: Levels) -> None:
    before, now, first = sums.get(track.object, (0.0, 0.0, track))
    if _SHARE.search(track.series.name):
        # Shares of different parts do not add up: the worst counts.
        sums[track.object] = max((before, now, first), (rate.before or 0.0, rate.now, track), key=_now)
        return
    sums[track.object] = (before + (rate.before or 0.0), now + rate.now, first)


def _now(entry: tuple[float, float, Track]) -> float:
    return entry[1]


def _is_error(labels: Mapping[str, str]) -> bool:
    for key in _STATUS:
        value = labels.get(key, "")
        if key.startswith("grpc"):
            if value not in ("", "OK", "0", "NotFound", "InvalidArgument", "AlreadyExists", "Canceled"):
                return True
        elif re.fullmatch(r"5\d\d|5xx", value, re.I):
            return True
    return False


def _spans(scene: Scene, now: _Spans, before: _Spans) -> Iterator[Fact]:
    for name, spans in now.items():
        old = before.get(name, [])
        if len(spans) < 5 or len(old) < 5:
            continue
        cited = scene.world.looked("trace.spans")
        was, is_now = median(one.duration_ms for one in old), median(one.duration_ms for one in spans)
        if is_now >= max(2 * was, was + 20):
            detail = f"{name} takes {is_now:.0f} ms, {was:.0f} ms before"
            yield service(name).found(
                LATENCY, 0.7, cited, "load.spans", detail, {"before": was, "now": is_now}
            )
        bad, usual = (sum(one.error for one in part) / len(part) for part in (spans, old))
        if bad >= 0.05 and bad >= 3 * usual:
            detail = f"{bad:.0%} of the spans of {name} fail, {usual:.0%} before"
            yield service(name).found(ERRORS, 0.7, cited, "load.spans", detail)
        rates = [_per_second(part) for part in (old, spans)]
        if rates[0] > 0 and rates[1] >= 2 * rates[0] and len(spans) >= 50:
            detail = f"{name} has {rates[1]:.1f} spans a second, {rates[0]:.1f} before"
            yield service(name).found(TRAFFIC, 0.6, cited, "load.spans", detail)


def _per_second(spans: Sequence[TraceSpan]) -> float:
    seconds = (max(one.start for one in spans) - min(one.start for one in spans)).total_seconds()
    return len(spans) / seconds if seconds > 1 else 0.0


def _halves(scene: Scene) -> tuple[_Spans, _Spans]:
    """Server spans by service, of the incident and of before."""
    now: dict[str, list[TraceSpan]] = {}
    before: dict[str, list[TraceSpan]] = {}
    for span in scene.world.healthy_spans:
        if span.kind in ("server", "consumer", ""):
            before.setdefault(span.service, []).append(span)
    for span in scene.world.spans:
        if span.kind in ("server", "consumer", ""):
            late = bool(scene.world.healthy_spans) or scene.current(span.start)
            (now if late else before).setdefault(span.service, []).append(span)
    return now, before


def _measured(scene: Scene, now: _Spans, before: _Spans) -> dict[tuple[str, str], tuple[Evidence, ...]]:
    """What was measured of each service, both before and now, by the kind it speaks about."""
    found: dict[tuple[str, str], dict[str, Evidence]] = {}
    for metric, tracks in scene.tracks.items():
        if _NOT_REQUESTS.match(metric):
            continue
        kinds = [LATENCY] if _TIME.search(metric) and not metric.endswith("_bucket") else []
        kinds += [TRAFFIC] if _REQUESTS.search(metric) else []
        kinds += [ERRORS] if _BAD.search(metric) else []
        for track in tracks if kinds else ():
            level = levels(scene, track, counter=metric.endswith(("_total", "_count", "_sum")))
            if level is None or level.before is None:
                continue
            coded = any(key in track.series.labels for key in _STATUS)
            for kind in (*kinds, ERRORS) if coded and TRAFFIC in kinds else kinds:
                found.setdefault((kind, track.object), {})[str(track.evidence.id)] = track.evidence
    for name in now.keys() & before.keys():
        if len(now[name]) >= 5 and len(before[name]) >= 5:
            for kind in (LATENCY, ERRORS, TRAFFIC):
                part = found.setdefault((kind, name), {})
                part.update({str(item.id): item for item in scene.world.looked("trace.spans")})
    return {key: tuple(items.values()) for key, items in found.items()}
