"""What a series measures, by the words of its name: no list of known metrics, so that any naming works."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache


class Meaning(StrEnum):
    """``SUCCESS`` is worse when lower; ``TRAFFIC`` and resources may be wrong either way."""

    LATENCY = "latency"
    ERRORS = "errors"
    SUCCESS = "success"
    TRAFFIC = "traffic"
    CPU = "cpu"
    THROTTLING = "throttling"
    MEMORY = "memory"
    DISK = "disk"
    NETWORK = "network"
    CONNECTIONS = "connections"
    QUEUE = "queue"
    THREADS = "threads"
    RESTARTS = "restarts"
    OTHER = "other"


_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_BY_WORDS: tuple[tuple[Meaning, frozenset[str]], ...] = (
    (Meaning.THROTTLING, frozenset({"throttled", "throttling", "throttle", "throttles"})),
    (Meaning.RESTARTS, frozenset({"restart", "restarts", "restarted"})),
    (Meaning.LATENCY, frozenset({"latency", "duration", "elapsed", "delay", "rtt", "rt", "slow", "slower"})),
    (
        Meaning.ERRORS,
        frozenset(
            {
                "error", "errors", "err", "errs", "fail", "fails", "failed", "failure", "failures",
                "exception", "exceptions", "fault", "faults", "timeout", "timeouts", "rejected",
                "rejections", "aborted", "refused", "unavailable", "retransmits", "retransmission",
                "retries", "panics", "unhealthy",
            }
        ),
    ),
    (Meaning.SUCCESS, frozenset({"availability", "success", "successful", "successrate", "apdex", "up"})),
    (
        Meaning.QUEUE,
        frozenset(
            {"queue", "queued", "backlog", "lag", "pending", "waiting", "depth", "oldest", "iterator"}
        ),
    ),
    (
        Meaning.CONNECTIONS,
        frozenset({"connections", "connection", "conn", "conns", "pool", "sockets", "sessions", "clients"}),
    ),
    (Meaning.THREADS, frozenset({"thread", "threads", "goroutines", "fds", "descriptors", "handles"})),
    (Meaning.CPU, frozenset({"cpu", "load"})),
    (Meaning.MEMORY, frozenset({"memory", "mem", "rss", "heap", "swap", "workingset"})),
    (Meaning.DISK, frozenset({"disk", "filesystem", "fs", "volume", "inodes", "iops"})),
    (
        Meaning.NETWORK,
        frozenset({"network", "receive", "received", "transmit", "transmitted", "rx", "tx", "packets"}),
    ),
    (
        Meaning.TRAFFIC,
        frozenset(
            {
                "request", "requests", "rps", "qps", "tps", "calls", "invocations", "throughput", "ops",
                "workload", "hits",
            }
        ),
    ),
)  # fmt: skip
_QUANTILE = re.compile(r"p(?:50|75|90|95|99|999)\Z")
_NOT_TIME = frozenset({"count", "total", "bucket", "rate"})
_FAILING = frozenset({"drop", "drops", "dropped", "discarded", "lost", "loss"})
_WORK = frozenset({"request", "requests", "rq", "response", "handling", "processing", "handler"})
_DURATIONS = frozenset({"time", "seconds", "milliseconds", "microseconds", "ms"})
_HEADROOM = frozenset({"free", "freeable", "available", "avail", "idle", "remaining", "limit", "limits"})
_FAILED_CODE = re.compile(r"[45](xx|[0-9]{2})\Z")
_CODED = frozenset({"http", "status", "code", "response", "responses", "request", "requests"})
"""Words beside which a number of three digits is a status code."""


@lru_cache(maxsize=4096)
def words_of(name: str) -> tuple[str, ...]:
    """``PodServerLatencyP90(s)`` → pod server latency p90 s."""
    text = re.sub(r"([pP])(50|75|90|95|99|999)(?!\d)", r" P\2 ", name)
    text = re.sub(r"(?<!\d)([1-5])[xX]{2}(?![A-Za-z])", r" \1xx ", text).replace("UnHealthy", "Unhealthy")
    found: list[str] = []
    for chunk in re.split(r"[^A-Za-z0-9]+", text):
        if re.fullmatch(r"P\d+|\dxx", chunk):
            found.append(chunk.lower())
        else:
            found += [word.lower() for word in _WORD.findall(chunk)]
    return tuple(found)


@lru_cache(maxsize=4096)
def meaning_of(name: str) -> Meaning:
    """What a metric of this name measures."""
    words = words_of(name)
    have = set(words)
    if "budget" in have:
        # What may still go wrong: neither errors nor worse when higher.
        return Meaning.OTHER
    if have & _WORK and have & _DURATIONS and not have & {"per", "timeout", "timeouts"}:
        return Meaning.LATENCY
    if any((code := _FAILED_CODE.match(word)) and (code[1] == "xx" or have & _CODED) for word in words):
        return Meaning.ERRORS
    for meaning, vocabulary in _BY_WORDS:
        if have & vocabulary:
            return meaning
    if have & _FAILING:
        return Meaning.ERRORS
    if any(_QUANTILE.match(word) for word in words) and not have & _NOT_TIME:
        return Meaning.LATENCY
    return Meaning.OTHER


def is_headroom(name: str) -> bool:
    """Whether more of it is better: what is left of a resource, or how much of it is allowed."""
    return bool(_HEADROOM.intersection(words_of(name)))


WORSE_UP = frozenset(
    {
        Meaning.LATENCY, Meaning.ERRORS, Meaning.THROTTLING, Meaning.RESTARTS, Meaning.QUEUE, Meaning.THREADS,
    }
)  # fmt: skip


def is_counter(name: str) -> bool:
    """Whether it only ever grows, by Prometheus' naming."""
    return name.endswith(("_total", "_count", "_sum"))
