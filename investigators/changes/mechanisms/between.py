"""Faults that come from what stands between: caches and queues."""

from __future__ import annotations

import re

from investigators.changes.diffs import Diff
from investigators.changes.mechanisms.base import (
    Detect,
    Hit,
    Mechanism,
    either,
    exact,
    fits,
    gains,
    loses,
    rx,
    switches,
    tunes,
)


def _changed_on_both_sides(pattern: re.Pattern[str], strength: float) -> Detect:
    """Lines about it are among those that went and those that came."""

    def detect(diff: Diff) -> Hit | None:
        old = next((line for line in diff.removed if pattern.search(line)), None)
        new = next((line for line in diff.added if pattern.search(line)), None)
        if old is None or new is None:
            return None
        return Hit(strength=strength, what=f"{old.strip()[:50]} → {new.strip()[:50]}")

    return detect


MECHANISMS: tuple[Mechanism, ...] = (
    Mechanism(
        name="cache_removed",
        says="no longer keeps results",
        detect=loses(rx(r"\bcache\w*\b|memoi[sz]e|lru_cache|@Cacheable|\.setex\(|redis\.(?:get|set)"), 0.9),
        explains=fits(
            "cache 1, load 0.8, latency 0.8, slow_query 0.6, query_fanout 0.7, cpu 0.6, "
            "rate_limited 0.7, pool_exhausted 0.4"
        ),
    ),
    Mechanism(
        name="cache_lifetime",
        says="keeps results for another time",
        detect=either(
            tunes(
                rx(r"\bttl|expir|cache|max-?age|stale"),
                down=True,
                strength=1.0,
                least=1.5,
                unless=rx(r"timeout|memory"),
            ),
            tunes(
                rx(r"\bttl|expir|cache|max-?age|stale"),
                down=False,
                strength=0.7,
                least=1.5,
                unless=rx(r"timeout|memory"),
            ),
        ),
        explains=fits(
            "cache 1, load 0.6, latency 0.5, slow_query 0.5, rate_limited 0.5, "
            "auth_rejected 0.6, wrong_result 0.4, cpu 0.4, memory 0.4, name_resolution 0.3"
        ),
    ),
    Mechanism(
        name="cache_key",
        says="looks under another key",
        detect=_changed_on_both_sides(
            rx(r"cache_?key|cache.*key|key.*cache|\bkey\s*(?::=|=)\s*f?[\"'`]|Vary"), 0.9
        ),
        explains=fits("cache 1, wrong_result 0.8, load 0.5, latency 0.4, permission 0.3"),
    ),
    Mechanism(
        name="queue_changed",
        says="reads its queue differently",
        detect=either(
            tunes(
                rx(r"prefetch|max[._]?poll|visibility|partition|consumer|concurren|batch|\back"),
                down=None,
                strength=0.85,
                least=1.5,
            ),
            switches(rx(r"topic|queue|group|exchange|stream|subscription|routing"), 0.9, unnamed=0.7),
            loses(exact(r"\b\w*[aA]ck(?:nowledge)?\w*\(|\.commit\w*\(|delete_?[mM]essage"), 0.95),
        ),
        explains=fits("queue_backlog 1, not_registered 0.4, data_race 0.5, memory 0.3, load 0.3"),
    ),
    Mechanism(
        name="read_elsewhere",
        says="reads from a copy that lags behind",
        detect=gains(
            rx(r"replica|follower|secondary|read_?only|eventual|consistent_read\s*=\s*False|slave"),
            0.9,
            needs="replica follower secondary readonly read_only eventual consistent_read slave",
        ),
        explains=fits(
            "wrong_result 1, cache 0.9, not_registered 0.7, constraint 0.5, permission 0.4, errors 0.3"
        ),
    ),
)
