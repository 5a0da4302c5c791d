"""The time at the start of a log line, in the formats that are really met."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo

_ISO = re.compile(
    r"[\[(<\"]?(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}:\d{2})(?:[.,](\d{1,9}))?\s?(Z|[+-]\d{2}:?\d{2}|UTC)?"
)
_SYSLOG = re.compile(r"(?:<\d{1,3}>)?([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d{2}):(\d{2}):(\d{2})\b")
_EPOCH = re.compile(r"[\[(]?(\d{10})(?:[.,](\d{1,9})|(\d{3}))?[\])]?(?=[\s:,]|$)")
_CLF = re.compile(r"[^\[]{0,80}\[(\d{1,2})/([A-Z][a-z]{2})/(\d{4}):(\d{2}):(\d{2}):(\d{2}) ([+-]\d{4})\]")
_FIELD = re.compile(
    r"(?:\"(?:@timestamp|timestamp|time|ts|asctime)\"\s*:\s*|(?:^|\s)(?:time|ts|timestamp)=)\"?([^\",}\s][^\",}]{5,40})"
)
_MONTHS = {
    "Jan": 1,
    "Feb": 2,
    "Mar": 3,
    "Apr": 4,
    "May": 5,
    "Jun": 6,
    "Jul": 7,
    "Aug": 8,
    "Sep": 9,
    "Oct": 10,
    "Nov": 11,
    "Dec": 12,
}


def line_time(line: str, now: datetime, local: tzinfo | None = None) -> datetime | None:
    """When the line says it was written, in UTC; None when it does not say.

    Reads RFC 3339 and Python's ``2026-01-01 00:00:00,123``, syslog (RFC 3164), epoch seconds or
    milliseconds, the common log format, and a ``time``/``ts`` field of JSON or logfmt lines. A time
    without an offset is in ``local`` (None: the machine's zone); a syslog time without a year is the
    latest that is not more than a day after ``now``.
    """
    head = line[:160]
    try:
        return _leading(head, now, local) or _field(line[:600], now, local)
    except (ValueError, OverflowError):
        return None


def _leading(head: str, now: datetime, local: tzinfo | None) -> datetime | None:
    if match := _ISO.match(head):
        day, clock, fraction, offset = match.groups()
        return _utc(f"{day}T{clock}.{(fraction or '0')[:6].ljust(6, '0')}", offset, local)
    if match := _SYSLOG.match(head):
        month, day, hour, minute, second = match.groups()
        return _syslog(_MONTHS.get(month, 0), int(day), f"{hour}:{minute}:{second}", now, local)
    if match := _EPOCH.match(head):
        whole, fraction, millis = match.groups()
        return datetime.fromtimestamp(float(f"{whole}.{fraction or millis or 0}"), UTC)
    if match := _CLF.match(head):
        day, month, year, hour, minute, second, offset = match.groups()
        date = f"{year}-{_MONTHS.get(month, 0):02d}-{int(day):02d}"
        return _utc(f"{date}T{hour}:{minute}:{second}", offset, local)
    return None


def _field(head: str, now: datetime, local: tzinfo | None) -> datetime | None:
    match = _FIELD.search(head)
    return None if match is None else _leading(match.group(1), now, local)


def _utc(text: str, offset: str | None, local: tzinfo | None) -> datetime:
    """An ISO text without offset, and its offset if it has one, as UTC. Raises ValueError."""
    if offset is None:
        # A naive time converts from the machine's own zone, with its daylight saving.
        return datetime.fromisoformat(text).replace(tzinfo=local).astimezone(UTC)
    return datetime.fromisoformat(text + ("Z" if offset == "UTC" else offset)).astimezone(UTC)


def _syslog(month: int, day: int, clock: str, now: datetime, local: tzinfo | None) -> datetime | None:
    latest = now + timedelta(days=1)
    for year in range(latest.year + 1, latest.year - 5, -1):
        try:
            moment = _utc(f"{year}-{month:02d}-{day:02d}T{clock}", None, local)
        except ValueError:
            continue  # 29 February
        if moment <= latest:
            return moment
    return None
