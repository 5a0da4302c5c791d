"""disk_filling: a filesystem that is full or will be, with the time left at its present pace."""

from __future__ import annotations

from datetime import timedelta

from bot.domain.evidence import Evidence, Fact, Series
from investigators.entities import Entity
from investigators.pack import (
    Pack,
    absent,
    answered,
    complete,
    current,
    found,
    series_of,
    unknown,
    why_nothing,
)
from investigators.plan import HostPart, Span
from investigators.ranking import human_bytes, human_time, since_growth_began, time_until, trend

KIND = "disk_filling"
FULL = 0.05
"""Share of free space at and below which a disk counts as full."""
_SOON = timedelta(hours=24)
_REACH = 100
"""A trend is believed for a hundred times as long as it was seen: 15 s of writing fill no disk in hours."""
_AVAIL = "node_filesystem_avail_bytes"
_SIZE = "node_filesystem_size_bytes"


def check(pack: Pack, entity: Entity) -> list[Fact]:
    """One fact per mount and source; the subject is ``machine:mount``."""
    name = entity.machine_name
    if name is None:
        return []
    host = entity.host or ""
    long, recent = pack.ranges(host, _AVAIL, Span.LONG), pack.ranges(host, _AVAIL, Span.RECENT)
    sizes = {
        (item.source, one.labels.get("instance"), one.labels.get("mountpoint")): (item, one.samples[-1].value)
        for item, one in series_of(pack.ranges(host, _SIZE, Span.RECENT))
    }
    facts: dict[tuple[str, str, str], Fact] = {}
    for item, shown in series_of((*recent, *long)):
        mount = shown.labels.get("mountpoint", "?")
        size = sizes.get((item.source, shown.labels.get("instance"), mount))
        fact = _from_series(pack, f"{name}:{mount}", item, shown, size)
        key = (item.source, shown.labels.get("instance", ""), mount)
        if key not in facts or fact.confidence > facts[key].confidence:
            facts[key] = fact
    result = list(facts.values())
    for item in pack.host(entity.subject, HostPart.DISKS):
        if answered(item):
            result += [one for record in item.records if (one := _from_record(name, item, record))]
    if not result:
        looked = (*long, *recent, *pack.host(entity.subject, HostPart.DISKS))
        result = [unknown(KIND, name, looked, KIND, why_nothing(looked, "no filesystem data"))]
    return result


def _from_series(
    pack: Pack, subject: str, evidence: Evidence, one: Series, size: tuple[Evidence, float] | None
) -> Fact:
    samples = one.samples
    rule = f"{KIND}.series"
    if not current(one, pack.now):
        return unknown(KIND, subject, (evidence,), rule, f"{subject} has not been reported lately")
    free = samples[-1].value
    share = free / size[1] if size is not None and size[1] > 0 else None
    cited = (evidence,) if size is None else (evidence, size[0])
    left_words = f"{human_bytes(free)} free" + ("" if share is None else f" ({share:.1%})")
    # Falling free space is rising used space: look for where the fall began.
    line = trend(since_growth_began(samples))
    left = None
    if line is not None and line.samples >= 8 and line.slope < 0 and line.fit >= 0.7 and line.falling >= 0.6:
        left = time_until(free, 0, line.slope)
        if left is not None and left.total_seconds() > _REACH * line.seconds:
            left = None
    if left is not None and line is not None and (left <= _SOON or (share is not None and share <= FULL)):
        detail = (
            f"{subject}: {left_words}, falling by {human_bytes(-line.slope * 60)}/min, "
            f"full in about {human_time(left)}"
        )
        confidence = 0.9 if line.samples >= 30 and line.seconds >= 60 else 0.8
        return found(
            KIND, subject, confidence, cited, rule, detail,
            seconds_to_full=left.total_seconds(), slope=line.slope, onset=line.start.timestamp(),
        )  # fmt: skip
    if share is not None and share <= FULL:
        return found(KIND, subject, 0.9, cited, rule, f"{subject} is full: {left_words}", share_free=share)
    long_enough = samples[-1].at - samples[0].at >= timedelta(minutes=2) and len(samples) >= 8
    if long_enough and share is not None and all(complete(item) for item in cited):
        return absent(
            KIND, subject, 0.85, cited, rule, f"{subject}: {left_words}, not running out within a day"
        )
    return unknown(KIND, subject, cited, rule, f"{subject}: {left_words}; its size or its pace is not known")


def _from_record(machine: str, evidence: Evidence, record: object) -> Fact | None:
    rule = f"{KIND}.now"
    if not isinstance(record, dict):
        return None
    subject = f"{machine}:{record.get('mount')}"
    used, inodes = record.get("used_percent"), record.get("inodes_used_percent")
    free = record.get("free_bytes")
    if not isinstance(used, int | float) or not isinstance(free, int | float):
        return None
    if isinstance(inodes, int | float) and inodes >= 100 * (1 - FULL):
        detail = f"{subject}: {inodes:.1f} % of the inodes are used"
        return found(KIND, subject, 0.9, (evidence,), rule, detail, inodes_used=inodes)
    if used >= 100 * (1 - FULL):
        detail = f"{subject} is full: {used:.1f} % used, {human_bytes(free)} free"
        return found(KIND, subject, 0.9, (evidence,), rule, detail, share_free=1 - used / 100)
    # How fast it fills cannot be seen in one look, so this is no proof of absence.
    return unknown(KIND, subject, (evidence,), rule, f"{subject}: {used:.1f} % used, pace not known")
