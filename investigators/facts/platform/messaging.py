"""Queues and streams: consumers that fall behind, queues that fill, one message that fails for ever."""

from __future__ import annotations

import re
from collections.abc import Iterator
from statistics import median

from bot.domain.evidence import Fact
from investigators.facts.platform.charging import complaints
from investigators.facts.platform.scene import Scene, cite, clip
from investigators.facts.platform.similar import likeness
from investigators.facts.platform.symptoms import Symptom
from investigators.world.world import Track

_LAG = re.compile(
    r"\A(?:kafka_consumergroup(?:_group)?_lag(?:_sum)?|"
    r"kafka_consumer_\w*records_lag(?:_max)?|"
    r"nats_consumer_num_pending|pulsar_subscription_back_log|"
    r"kafka_burrow_total_lag)\Z"
)
_DEPTH = re.compile(
    r"\A(?:rabbitmq_(?:detailed_)?queue_messages(?:_ready)?|"
    r"aws_sqs_approximate_number_of_messages_visible\w*|activemq_queue_queuesize|"
    r"celery_queue_length|sidekiq_queue_size|queue_depth|queue_length)\Z",
    re.I,
)
_SAME = 3
"""As often must one message fail before it is the message's fault."""
_OFFSET = re.compile(r"offset[ =:]+(\d+)", re.I)
_PARTITION = re.compile(r"partition[ =:]+([\w.-]+)", re.I)
_TOPIC = re.compile(r"topic[ =:]+\W?([\w.-]+)", re.I)
_KINDS = ("consumer_lag", "queue_backlog", "poison_message")


def check(scene: Scene) -> list[Fact]:
    facts = [*_lag(scene), *_depth(scene), *_poison(scene), *_said(scene)]
    return [*facts, *scene.silent_logs(_KINDS, "queue.logs", facts)]


def _rising(scene: Scene, track: Track) -> tuple[float, float] | None:
    """The level before and now, of a series that grew a lot and still does."""
    samples = track.series.samples
    if len(samples) < 4:
        return None
    third = max(1, len(samples) // 3)
    healthy = scene.healthy_tracks.get((track.series.name, track.object, track.pod))
    base = healthy.series.samples if healthy is not None else samples[:third]
    before = median(one.value for one in base)
    now, late = samples[-1].value, median(one.value for one in samples[-third:])
    enough = now >= 100 and now >= 5 * max(before, 1.0)
    return (before, now) if enough and now >= 0.8 * late and scene.current(samples[-1].at) else None


def _lag(scene: Scene) -> Iterator[Fact]:
    """Lag belongs to the consumer: its group is mostly named after it."""
    worst: dict[str, tuple[float, float, str, Track]] = {}
    for metric, tracks in scene.tracks.items():
        for track in tracks if _LAG.match(metric) else ():
            grown = _rising(scene, track)
            if grown is None:
                continue
            labels = track.series.labels
            group = labels.get("consumergroup") or labels.get("group") or labels.get("consumer_name") or ""
            name = _service_of(scene, group) or track.object or group
            topic = labels.get("topic") or labels.get("stream_name") or labels.get("subscription") or ""
            if name and (name not in worst or grown[1] > worst[name][0]):
                worst[name] = (grown[1], grown[0], topic, track)
    for name, (now, before, topic, track) in worst.items():
        on = f" on {topic}" if topic else ""
        detail = f"{name} is {now:.0f} messages behind{on} (before: {before:.0f}), and falls further back"
        yield scene.subject_named(name).found("consumer_lag", 0.85, (track.evidence,), "queue.lag", detail)


def _service_of(scene: Scene, group: str) -> str | None:
    known = [name for name, kind in scene.names.graph.kinds.items() if kind == "service"]
    scored = max(((likeness(group, name), name) for name in known), default=(0.0, ""))
    return scored[1] if group and scored[0] >= 0.85 else None


def _depth(scene: Scene) -> Iterator[Fact]:
    for metric, tracks in scene.tracks.items():
        for track in tracks if _DEPTH.match(metric) else ():
            grown = _rising(scene, track)
            queue = track.series.labels.get("queue") or track.series.labels.get("queue_name") or ""
            name = track.object or queue
            if grown is None or not name:
                continue
            nobody = _consumers(scene, queue) == 0
            detail = f"{grown[1]:.0f} messages wait in {queue or name} (before: {grown[0]:.0f})"
            detail += ", and nobody consumes it" if nobody else ""
            confidence = 0.9 if nobody else 0.8
            subject = scene.subject_named(name)
            yield subject.found("queue_backlog", confidence, (track.evidence,), "queue.depth", detail)


def _consumers(scene: Scene, queue: str) -> float | None:
    for metric in ("rabbitmq_queue_consumers", "rabbitmq_detailed_queue_consumers"):
        for track in scene.tracks.get(metric, ()):
            if track.series.labels.get("queue") == queue and track.series.samples:
                return track.series.samples[-1].value
    return None


def _poison(scene: Scene) -> Iterator[Fact]:
    """The same message that fails again and again; different ones that fail are another trouble."""
    told = scene.symptoms.of("poison_message")
    by_message: dict[tuple[str, str], list[Symptom]] = {}
    for one in told:
        by_message.setdefault((one.caller, _message(one)), []).append(one)
    for (caller, message), found in by_message.items():
        own = [one for one in told if one.caller == caller]
        if caller and message and len(found) >= _SAME and len(found) >= 0.5 * len(own):
            detail = f"{caller} fails at least {len(found)} times at {message}: {clip(found[-1].line.text)}"
            subject = scene.subject_named(caller)
            yield subject.found("poison_message", 0.9, cite(found), "queue.poison", detail)


def _message(one: Symptom) -> str:
    offset = _OFFSET.search(one.line.text)
    if offset is None:
        return f"message {one.name}" if one.name else ""
    places = [match[1] for each in (_TOPIC, _PARTITION) if (match := each.search(one.line.text))]
    return f"{one.name or ' '.join(places)} offset {offset[1]}".strip()


def _said(scene: Scene) -> Iterator[Fact]:
    """What the consumers' own logs say of falling behind."""
    for found in complaints(scene, scene.symptoms.of("consumer_lag")):
        for caller in found.callers:
            own = [one for one in found.symptoms if one.caller == caller]
            detail = f"{caller}: {clip(own[-1].line.text)}"
            subject = scene.subject_named(caller)
            yield subject.found("consumer_lag", 0.65, cite(own), "queue.logs", detail)
