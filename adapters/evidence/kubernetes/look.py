"""Looking into objects of the API without trusting their shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

Object = Mapping[str, Any]


def at(document: Any, *path: str | int, default: Any = None) -> Any:
    """The value under a path; ``default`` where there is none or it is null."""
    here = document
    for step in path:
        if isinstance(here, Mapping) and isinstance(step, str):
            here = here.get(step)
        elif isinstance(here, list) and isinstance(step, int) and -len(here) <= step < len(here):
            here = here[step]
        else:
            return default
    return default if here is None else here


def each(document: Any, *path: str) -> list[Object]:
    """The objects of the list under a path; what is no object is left out."""
    value = at(document, *path, default=[])
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def texts(document: Any, *path: str) -> dict[str, str]:
    """The mapping under a path as texts, such as labels."""
    value = at(document, *path)
    return {str(k): str(v) for k, v in value.items()} if isinstance(value, Mapping) else {}


def whole(document: Any, *path: str) -> int:
    """The number under a path; 0 where there is none."""
    value = at(document, *path)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def name(document: Any) -> str:
    return str(at(document, "metadata", "name", default=""))


def namespace(document: Any) -> str:
    return str(at(document, "metadata", "namespace", default=""))


def moment(value: object) -> datetime | None:
    """A time as the API writes it, as UTC; None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value)
        return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def created(document: Any) -> datetime | None:
    return moment(at(document, "metadata", "creationTimestamp"))


def condition(document: Any, kind: str) -> Object:
    """The condition of this type; an empty one where there is none."""
    found: Iterator[Object] = (
        one for one in each(document, "status", "conditions") if one.get("type") == kind
    )
    return next(found, {})


def age(since: datetime | None, now: datetime) -> str:
    """An age as kubectl prints it: 5d3h, 12m, 40s."""
    if since is None:
        return "<unknown>"
    seconds = max(0, int((now - since) / timedelta(seconds=1)))
    days, hours, minutes = seconds // 86_400, seconds // 3600, seconds // 60
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        rest = seconds % 60
        return f"{minutes}m{rest}s" if rest else f"{minutes}m"
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        rest = minutes % 60
        return f"{hours}h{rest}m" if rest else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        rest = hours % 24
        return f"{days}d{rest}h" if rest else f"{days}d"
    return f"{days}d"
