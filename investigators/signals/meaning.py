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
    (Meaning.THROTTLING, frozenset({"throttled", "throttling", "throttle"})),
    (Meaning.RESTARTS, frozenset({"restart", "restarts", "restarted"})),
    (Meaning.LATENCY, frozenset({"latency", "duration", "elapsed", "delay", "rtt", "slow", "slower"})),
    (
        Meaning.ERRORS,
        frozenset(
            {
                "error", "errors", "err", "errs", "fail", "fails", "failed", "failure", "failures",
                "exception", "exceptions", "fault", "faults", "timeout", "timeouts", "rejected",
                "rejections", "aborted", "refused", "unavailable", "retransmits", "retransmission",
                "retries", "panics",
            }
        ),
    ),
    (Meaning.SUCCESS, frozenset({"availability", "success", "successful", "successrate", "apdex", "up"})),
    (Meaning.QUEUE, frozenset({"queue", "queued", "backlog", "lag", "pending", "waiting", "depth"})),
    (
        Meaning.CONNECTIONS,
        frozenset({"connections", "connection", "conn", "conns", "pool", "sockets", "sessions"}),
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
            {"request", "requests", "rps", "qps", "calls", "throughput", "ops", "workload", "hits"}
        ),
    ),
)  # fmt: skip
_QUANTILE = re.compile(r"p(?:50|75|90|95|99|999)\Z")
_NOT_TIME = frozenset({"count", "total", "bucket", "rate"})
_FAILING = frozenset({"drop", "drops", "dropped", "discarded", "lost", "loss"})


@lru_cache(maxsize=4096)
def words_of(name: str) -> tuple[str, ...]:
    """``PodServerLatencyP90(s)`` → pod server latency p90 s."""
    text = re.sub(r"([pP])(50|75|90|95|99|999)(?!\d)", r" P\2 ", name)
    found: list[str] = []
    for chunk in re.split(r"[^A-Za-z0-9]+", text):
        if re.fullmatch(r"P\d+", chunk):
            found.append(chunk.lower())
        else:
            found += [word.lower() for word in _WORD.findall(chunk)]
    return tuple(found)


@lru_cache(maxsize=4096)
def meaning_of(name: str) -> Meaning:
    """What a metric of this name measures."""
    words = words_of(name)
    have = set(words)
    if "response" in have and "time" in have:
        return Meaning.LATENCY
    for meaning, vocabulary in _BY_WORDS:
        if have & vocabulary:
            return meaning
    if have & _FAILING:
        return Meaning.ERRORS
    if any(_QUANTILE.match(word) for word in words) and not have & _NOT_TIME:
        return Meaning.LATENCY
    return Meaning.OTHER


WORSE_UP = frozenset(
    {
        Meaning.LATENCY, Meaning.ERRORS, Meaning.THROTTLING, Meaning.RESTARTS, Meaning.QUEUE, Meaning.THREADS,
    }
)  # fmt: skip


def is_counter(name: str) -> bool:
    """Whether it only ever grows, by Prometheus' naming."""
    return name.endswith(("_total", "_count", "_sum"))
