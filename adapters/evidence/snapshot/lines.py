"""logs/*.jsonl and kubernetes/logs: lines with a time, a text and the labels they are asked by."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from adapters.evidence.snapshot.files import Folder, Malformed, clean_texts, epoch, moment, text_of
from bot.domain.evidence import LogLine

_KNOWN = ("service", "pod", "namespace", "node", "level", "container")
_KUBECTL = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)) ?")
_OWN = re.compile(r"\[?(\d{4}[-/]\d\d[-/]\d\d[ T]\d\d:\d\d:\d\d)(?:[.,](\d{1,6})\d*)?")
_POD_SUFFIX = re.compile(r"-(?:[a-f0-9]{6,10}-[a-z0-9]{5}|[0-9]{1,3}|[bcdfghjklmnpqrstvwxz2456789]{5})\Z")
_PREVIOUS = ".previous"


@dataclass(slots=True)
class Entry:
    """A line as it was written. ``order`` is its time, or for a line without one that of the line before it;
    None where no line before it has one."""

    order: float | None
    at: float | None
    text: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PodLog:
    namespace: str
    pod: str
    container: str
    previous: bool
    file: str


def read_records(folder: Folder) -> list[Entry]:
    """Every record of logs/*.jsonl. Raises Malformed."""
    found = []
    sets: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = {}
    for name in folder.names("logs", ".jsonl"):
        for number, record in folder.json_lines(name):
            try:
                at = epoch(record["ts"])
                text = record["message"]
            except KeyError as error:
                raise Malformed(f"{folder.where(name, number)}: no {error.args[0]}") from None
            except ValueError as error:
                raise Malformed(f"{folder.where(name, number)}: {error}") from None
            more = record.get("labels")
            pairs = {str(k): text_of(more, k) for k in more} if isinstance(more, dict) else {}
            for key in _KNOWN:
                if record.get(key) is not None:
                    pairs[key] = text_of(record, key)
            labels = sets.setdefault(tuple(pairs.items()), pairs)
            found.append(Entry(at, at, text if isinstance(text, str) else text_of(record, "message"), labels))
    return found


def pod_logs(folder: Folder) -> list[PodLog]:
    """The files of kubernetes/logs/NAMESPACE/POD[/CONTAINER][.previous].log."""
    found = []
    for name in folder.names("kubernetes/logs", ".log", deep=True):
        parts = name.removesuffix(".log").split("/")[2:]
        previous = parts[-1].endswith(_PREVIOUS)
        parts[-1] = parts[-1].removesuffix(_PREVIOUS)
        if len(parts) in (2, 3):
            container = parts[2] if len(parts) == 3 else ""
            found.append(
                PodLog(namespace=parts[0], pod=parts[1], container=container, previous=previous, file=name)
            )
    return found


def read_pod_log(folder: Folder, log: PodLog, service: str = "") -> list[Entry]:
    """The lines of one container's log. ``service`` becomes a label, where it is known."""
    labels = {"namespace": log.namespace, "pod": log.pod}
    if log.container:
        labels["container"] = log.container
    if service:
        labels["service"] = service
    found = []
    order = None
    for line in folder.data(log.file).decode(errors="replace").split("\n"):
        line = line.rstrip("\r")
        if not line:
            continue
        at, text = _timed(line)
        order = at if at is not None else order
        found.append(Entry(order, at, text, labels))
    return found


def _timed(line: str) -> tuple[float | None, str]:
    """The time at the beginning of a line, and the line: without it where ``kubectl --timestamps`` put it."""
    if not line[:1].isdigit() and not line.startswith("["):
        return None, line
    try:
        match = _KUBECTL.match(line)
        if match is not None:
            return epoch(match[1]), line[match.end() :] or line
        match = _OWN.match(line)
        if match is not None:
            whole = datetime.fromisoformat(match[1].replace("/", "-")).replace(tzinfo=UTC).timestamp()
            return whole + float(f"0.{match[2] or 0}"), line
    except ValueError:
        return None, line
    return None, line


def service_of_pod(pod: str) -> str:
    """The workload's name by the shape of a pod's name."""
    return _POD_SUFFIX.sub("", pod)


def as_lines(entries: list[Entry], limit: int) -> tuple[LogLine, ...]:
    """Redacted, in the order given, each cut at ``limit`` characters."""
    texts = [text[:limit] for text in clean_texts([entry.text for entry in entries])]
    sets: dict[int, Mapping[str, str]] = {}
    for entry in entries:
        if id(entry.labels) not in sets:
            cleaned = clean_texts([f"{key}={value}" for key, value in entry.labels.items()])
            sets[id(entry.labels)] = dict(pair.split("=", 1) for pair in cleaned if "=" in pair)
    return tuple(
        LogLine(at=None if entry.at is None else moment(entry.at), text=text, labels=sets[id(entry.labels)])
        for entry, text in zip(entries, texts, strict=True)
    )
