"""The end of the log of one pod's containers."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from adapters.evidence.kubernetes.api import Api, Budget, Resource
from adapters.evidence.kubernetes.look import at, each, moment
from adapters.evidence.kubernetes.refused import Asked, Refused
from bot.domain.evidence import LogLine, Window
from bot.domain.redaction import redact, strip_invisible
from investigators.queries import PodLogQuery

_MAX_BYTES = 4 * 1024 * 1024
_MAX_LINE = 4_000
_NO_LOG_YET = re.compile(
    r"is waiting to start|previous terminated container .* not found|does not have a host assigned"
)
"""What the API server says of a container that has no such log: an answer, not a failure."""
_KUBELET_FAILED = ("unable to retrieve container logs for", "failed to try resolving symlinks in path")
"""With status 200 and in place of the log."""


@dataclass(slots=True, kw_only=True)
class PodLog:
    """``lines`` oldest first, ``gaps`` why some are missing, ``none`` containers without such a log."""

    lines: list[LogLine] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    none: list[str] = field(default_factory=list)


async def read_pod_log(
    api: Api, pods: Resource, query: PodLogQuery, window: Window, now: datetime, budget: Budget
) -> PodLog:
    """Every container that is asked for. Raises Refused when there is no pod or no answer at all."""
    pod = await api.one(pods, query.namespace, query.pod, budget)
    if pod is None:
        # What a pod that is gone has logged, nobody here can tell.
        raise Refused(
            f"there is no pod {query.pod} in {query.namespace} (any more), so its log cannot be read"
        )
    names = [
        str(one.get("name"))
        for part in ("initContainers", "containers", "ephemeralContainers")
        for one in each(pod, "spec", part)
    ]
    if query.container is not None:
        if query.container not in names:
            raise Refused(f"{query.pod} has no container {query.container}, only {', '.join(names)}")
        names = [query.container]
    node = str(at(pod, "spec", "nodeName", default=""))
    result = PodLog()
    failures = []
    for name in names:
        labels = {"namespace": query.namespace, "pod": query.pod, "container": name}
        if node:
            labels["node"] = node
        try:
            await _container(api, query, window, now, budget, labels, result)
        except Refused as error:
            failures.append(error)
            result.gaps.append(f"{name}: {error}")
    if failures and len(failures) == len(names):
        raise failures[0]
    if len(names) > 1:
        result.lines.sort(key=lambda line: line.at or window.start)
    return result


async def _container(
    api: Api,
    query: PodLogQuery,
    window: Window,
    now: datetime,
    budget: Budget,
    labels: Mapping[str, str],
    result: PodLog,
) -> None:
    name = labels["container"]
    room = max(1, min(_MAX_BYTES, budget.size - 1))
    params = [
        ("container", name),
        ("timestamps", "true"),
        ("tailLines", str(query.tail)),
        ("limitBytes", str(room)),
    ]
    if query.previous:
        params.append(("previous", "true"))
    else:
        since = math.ceil((now - window.start).total_seconds())
        params.append(("sinceSeconds", str(max(1, since))))
    asked = Asked(verb="get", resource="pods/log", namespace=query.namespace)
    path = f"/api/v1/namespaces/{query.namespace}/pods/{query.pod}/log"
    try:
        raw = await api.text(path, params, asked, budget)
    except Refused as error:
        if error.status == 400 and _NO_LOG_YET.search(str(error)):
            result.none.append(_own_words(str(error)))
            return
        raise
    text = raw.body.decode("utf-8", errors="replace")
    if text.startswith(_KUBELET_FAILED):
        raise Refused(f"the kubelet answered: {redact(text.strip())[:200]}")
    if raw.content_type == "text/html":
        raise Refused("answered 200 with text/html that is no log")
    if raw.cut or len(raw.body) >= room:
        result.gaps.append(f"{name}: cut at the limit of bytes")
    lines = await asyncio.to_thread(timed_lines, text, labels)
    # A run that has ended may have done so before the window; it is asked for all the same.
    inside = (
        lines
        if query.previous
        else [one for one in lines if one.at is None or window.start <= one.at < window.end]
    )
    if len(lines) >= query.tail and not inside:
        raise Refused(f"the last {query.tail} lines are all from after the window")
    result.lines += inside


def timed_lines(text: str, labels: Mapping[str, str]) -> list[LogLine]:
    """Lines as ``timestamps=true`` gives them; a line without a time keeps its whole text."""
    times: list[datetime | None] = []
    bodies: list[str] = []
    for line in text.split("\n"):
        head, _, rest = line.partition(" ")
        found = moment(head) if head[:4].isdigit() else None
        body = line if found is None else rest
        if body or found is not None:
            times.append(found)
            bodies.append(body)
    return [
        LogLine(at=found, text=body[:_MAX_LINE], labels=labels)
        for found, body in zip(times, _redacted(bodies), strict=True)
    ]


def _redacted(bodies: list[str]) -> list[str]:
    """As many lines as there were, redacted as one text: a private key spans lines."""
    stripped = [strip_invisible(body).replace("\n", " ") for body in bodies]
    together = redact("\n".join(stripped)).split("\n")
    if len(together) == len(stripped):
        return together
    return _placed([redact(line) for line in stripped], together)


def _placed(alone: list[str], together: list[str]) -> list[str]:
    """Lines that are the same in the text redacted together keep their place; the others, which were
    swallowed there, are masked."""
    places: dict[str, list[int]] = {}
    for index, line in enumerate(together):
        places.setdefault(line, []).append(index)
    result = []
    reached = -1
    for line in alone:
        following = next((index for index in places.get(line, ()) if index > reached), None)
        if following is None:
            result.append("[redacted:secret]")
        else:
            reached = following
            result.append(line)
    return result


def _own_words(reason: str) -> str:
    return reason.partition(": ")[2] or reason
