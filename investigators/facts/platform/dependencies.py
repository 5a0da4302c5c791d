"""Something that others need and that refuses them, is gone, fails or is slow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from bot.domain.evidence import Evidence, Fact, TraceSpan
from investigators.facts.charge import service
from investigators.facts.platform.charging import Complaint, complaints
from investigators.facts.platform.names import CACHES, ENDPOINT, Callee
from investigators.facts.platform.scene import Scene, cite, clip, listed

_GONE = ("connection_refused", "connection_lost", "connect_timeout", "unavailable")
_KINDS = (
    "dependency_down",
    "connection_refused",
    "dependency_slow",
    "upstream_degraded",
    "cache_down",
    "external_outage",
    "rate_limited",
)
_UP = ("up", "pg_up", "mysql_up", "redis_up", "mongodb_up", "memcached_up", "rabbitmq_up", "elasticsearch_up")


def check(scene: Scene) -> list[Fact]:
    facts: list[Fact] = []
    told = scene.symptoms.of(*_GONE, "read_timeout")
    for complaint in complaints(scene, told):
        if complaint.callee is not None and complaint.callers:
            facts += _about(scene, complaint, complaint.callee)
    facts += _limited(scene)
    facts += _up(scene)
    facts += _spans(scene)
    return [*facts, *scene.silent_logs(_KINDS, "dependency.logs", facts)]


def _about(scene: Scene, one: Complaint, callee: Callee) -> Iterator[Fact]:
    subject, who, cited = scene.subject(callee), listed(one.callers), cite(one.symptoms)
    kinds = {symptom.kind for symptom in one.symptoms}
    ready = scene.ready(callee)
    down = ready is not None and not ready and callee.service is not None
    many = len(one.callers) > 1
    state = f"; none of the pods of {callee.name} is ready" if down else ""
    silent = scene.world.silenced(callee.name)
    if silent is not None:
        down, state = True, f"{state}; the monitoring system cannot reach {callee.name} either"
        cited = (*cited, silent)
    said = f"{who}: {clip(one.last.line.text)}{state}"
    if callee.kind == "external":
        yield from _outside(scene, one, callee, said, cited)
        return
    refused = [each for each in one.symptoms if each.kind == "connection_refused"]
    base = 0.6 + 0.1 * many + 0.2 * down
    if refused:
        detail = f"{callee.name} refuses the connections of {listed(scene.callers(refused))}{state}"
        yield subject.found("connection_refused", min(0.9, base), cite(refused), "dependency.refused", detail)
    if kinds & set(_GONE) or silent is not None:
        gone = bool(refused) or down or bool(kinds & {"connect_timeout", "connection_lost"})
        if gone:
            confidence = min(0.92, base + 0.05 * bool(refused))
            yield subject.found("dependency_down", confidence, cited, "dependency.down", said)
            technology = scene.names.technology(callee.name) or one.last.technology
            if technology in CACHES:
                detail = f"the cache {callee.name} does not answer {said}"
                yield subject.found("cache_down", confidence, cited, "dependency.cache", detail)
        yield subject.found("upstream_degraded", 0.6 + 0.15 * many, cited, "dependency.degraded", said)
    if "read_timeout" in kinds:
        slow = [each for each in one.symptoms if each.kind == "read_timeout"]
        detail = f"{callee.name} does not answer {listed(scene.callers(slow))} in time"
        confidence = 0.6 + 0.15 * (len(scene.callers(slow)) > 1)
        yield subject.found("dependency_slow", confidence, cite(slow), "dependency.slow", detail)


def _outside(
    scene: Scene, one: Complaint, callee: Callee, said: str, cited: tuple[Evidence, ...]
) -> Iterator[Fact]:
    """A host outside that fails while others outside do not: its own trouble, not the way out."""
    told = scene.symptoms.of(*_GONE, "read_timeout")
    hosts = {each.callee.name for each in told if each.callee is not None and each.callee.kind == "external"}
    alone = hosts == {callee.name}
    enough = len(one.symptoms) > 1 or len(one.callers) > 1
    confidence = (0.75 + 0.1 * (len(one.callers) > 1) if alone else 0.5) - 0.2 * (not enough)
    detail = f"{callee.name} fails for {said}"
    yield scene.subject(callee).found("external_outage", confidence, cited, "dependency.external", detail)


def _limited(scene: Scene) -> Iterator[Fact]:
    for one in complaints(scene, scene.symptoms.of("rate_limited")):
        who = listed(one.callers)
        if one.callee is not None:
            detail = f"{one.callee.name} refuses calls of {who} as too many: {clip(one.last.line.text)}"
            subject = scene.subject(one.callee)
            yield subject.found("rate_limited", 0.8, cite(one.symptoms), "dependency.limited", detail)
            continue
        for caller in one.callers:
            detail = f"{caller} is over a rate limit: {clip(one.last.line.text)}"
            yield service(caller).found(
                "rate_limited", 0.65, cite(one.symptoms), "dependency.limited", detail
            )


def _up(scene: Scene) -> Iterator[Fact]:
    """What the monitoring system, or an exporter beside a datastore, cannot reach."""
    for metric in _UP:
        for track in scene.tracks.get(metric, ()):
            last = track.series.samples[-1] if track.series.samples else None
            if last is None or last.value != 0 or not track.object or track.object_kind == "node":
                continue
            zeros = [one for one in track.series.samples if one.value == 0 and scene.current(one.at)]
            earlier = [one for one in track.series.samples if not scene.current(one.at)]
            if not zeros or (earlier and all(one.value == 0 for one in earlier)):
                continue
            subject = scene.subject_named(track.object)
            kind = "target_down" if metric == "up" else "dependency_down"
            detail = f"{metric} of {track.object} is 0"
            yield subject.found(kind, 0.85, (track.evidence,), "dependency.up", detail)
            if metric in ("redis_up", "memcached_up"):
                yield subject.found("cache_down", 0.88, (track.evidence,), "dependency.up", detail)


def _spans(scene: Scene) -> Iterator[Fact]:
    """Client spans by whom they call: mostly failing, or slower than in a healthy time, where the callee
    itself wrote no span that would tell more."""
    now = _calls(scene, scene.world.spans)
    if not now:
        return
    before = _calls(scene, scene.world.healthy_spans)
    cited = scene.world.looked("trace.spans")
    by_callee: dict[str, list[tuple[str, list[TraceSpan]]]] = {}
    for (caller, callee), spans in now.items():
        by_callee.setdefault(callee, []).append((caller, spans))
    for callee, edges in by_callee.items():
        every = [span for _, spans in edges for span in spans]
        failed = [span for span in every if span.error]
        old = [span for caller, _ in edges for span in before.get((caller, callee), ())]
        used = sum(span.error for span in old) / len(old) if old else 0.0
        share = len(failed) / len(_since_failing(every)) if failed else 0.0
        subject = scene.subject(scene.names.resolve(callee) or Callee(name=callee, kind="service"))
        callers = listed(caller for caller, spans in edges if any(span.error for span in spans))
        if len(failed) >= 3 and share >= 0.2 and share >= 3 * used:
            silent = not any((span.trace_id, span.span_id) in scene.children for span in failed)
            detail = f"{share:.0%} of the calls to {callee} by {callers} fail since the first that did"
            if silent:
                detail += ", and it saw none of them"
                if share >= 0.5:
                    confidence = 0.75 + 0.1 * (len(edges) > 1)
                    yield subject.found("dependency_down", confidence, cited, "dependency.spans", detail)
            confidence = 0.6 + 0.15 * (len(edges) > 1)
            yield subject.found("upstream_degraded", confidence, cited, "dependency.spans", detail)
        unseen = [span for span in every if (span.trace_id, span.span_id) not in scene.children]
        if len(unseen) >= 5 and len(old) >= 5:
            was, is_now = _middle(old), _middle(unseen)
            if is_now > max(3 * was, was + 50):
                detail = f"calls to {callee} take {is_now:.0f} ms, {was:.0f} ms in a healthy time"
                yield subject.found("dependency_slow", 0.75, cited, "dependency.spans", detail)


def _since_failing(spans: Sequence[TraceSpan]) -> list[TraceSpan]:
    """Calls that went well before anything failed say nothing of how bad it is now."""
    began = min(span.start for span in spans if span.error)
    return [span for span in spans if span.start >= began]


def _middle(spans: Sequence[TraceSpan]) -> float:
    return median(span.duration_ms for span in spans)


def _calls(scene: Scene, spans: Sequence[TraceSpan]) -> dict[tuple[str, str], list[TraceSpan]]:
    found: dict[tuple[str, str], list[TraceSpan]] = {}
    children = {(one.trace_id, one.parent_id): one for one in spans if one.parent_id}
    for span in spans:
        if span.kind != "client":
            continue
        child = children.get((span.trace_id, span.span_id))
        callee = child.service if child is not None and child.service != span.service else ""
        peer = span.peer or span.attributes.get("peer.service") or span.attributes.get("server.address", "")
        if not callee and peer:
            match = ENDPOINT.match(peer)
            resolved = scene.names.resolve(match["host"]) if match else None
            callee = resolved.name if resolved is not None else peer
        if callee and callee != span.service:
            found.setdefault((span.service, callee), []).append(span)
    return found
