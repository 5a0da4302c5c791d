"""Faults that come from settings: times, sizes, retries, logs, switches."""

from __future__ import annotations

import re
from itertools import pairwise

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
from investigators.changes.values import Switched

_TIMEOUT = rx(r"time_?out|deadline|WithTimeout|max_?wait|\bwait_?for\b|patience|keep_?alive")


_PROBE = rx(r"probe|health|initialDelay|periodSeconds|failureThreshold|grace_?period|start_period")


_RETRY = rx(r"retr(?:y|ies)|attempts|back_?off|jitter|circuit|breaker|reconnect|redeliver")


_POOL = rx(
    r"pool|max_?(?:open|idle|active|total)|max_?conn\w*|connections?\b|workers?\b"
    r"|concurren|threads?\b|parallel|semaphore|in_?flight|backlog"
)


_AUTH = rx(
    r"\baud(?:ience)?\b|\bissuer\b|\biss\b|jwks?|\balg(?:orithm)?s?\b|\btoken|signing"
    r"|public_?key|private_?key|credential|passw|api_?key|\bsecret|\brole\b|\bscopes?\b"
    r"|\bauth\w*|same_?site|cookie|\bsalt\b|hmac|\bsession"
)


def _more_logs(diff: Diff) -> Hit | None:
    verbose = re.compile(r"\b(?:debug|trace|verbose|all|silly)\b", re.I)
    for one in diff.switched:
        if (
            re.search(r"level|verbos|log", one.key, re.I)
            and verbose.search(one.after)
            and not verbose.search(one.before)
        ):
            return Hit(strength=1.0, what=f"{one.key}: {one.before} → {one.after}")
        if re.search(
            r"debug|verbose|log\w*(?:body|payload|sql|queries)|show_sql", one.key, re.I
        ) and one.after.lower() in ("true", "on", "1", "yes"):
            return Hit(strength=0.95, what=f"{one.key}: {one.before} → {one.after}")
    return None


def _is_flip(one: Switched) -> bool:
    return {one.before.lower(), one.after.lower()} <= {
        "true",
        "false",
        "on",
        "off",
        "yes",
        "no",
        "enabled",
        "disabled",
        "1",
        "0",
    }


_FLIP: Detect = switches(re.compile(r".*"), 0.6, accept=_is_flip)


def _flipped(diff: Diff) -> Hit | None:
    """A switch that was turned; the evidence has to speak of what it switches."""
    hit = _FLIP(diff)
    if hit is None:
        return None
    key = hit.what.split(":")[0]
    # One word of a longer name may be anywhere; the name itself, or two of its words, may not.
    parts = [
        p
        for p in re.split(r"[._\-\s]|(?<=[a-z])(?=[A-Z])", key)
        if len(p) > 3 and p.lower() not in ("enable", "enabled", "disable", "disabled", "feature", "flag")
    ]
    pairs = tuple(f"{a}_{b}" for a, b in pairwise(parts))
    return Hit(strength=0.75, what=hit.what, names=(key, *pairs), unnamed=0.0)


MECHANISMS: tuple[Mechanism, ...] = (
    Mechanism(
        name="timeout_lowered",
        says="waits for a shorter time",
        detect=tunes(_TIMEOUT, down=True, strength=1.0, unless=_PROBE),
        explains=fits(
            "deadline_exceeded 1, retry_storm 0.6, connection_refused 0.4, errors 0.4, "
            "deadlock 0.3, queue_backlog 0.4, auth_rejected 0.2"
        ),
    ),
    Mechanism(
        name="timeout_raised",
        says="waits longer or without end",
        detect=either(
            tunes(_TIMEOUT, down=False, strength=0.85, least=2, unless=_PROBE),
            loses(rx(r"time_?out|deadline"), 0.85),
        ),
        explains=fits(
            "pool_exhausted 0.9, latency 0.8, thread_leak 0.9, queue_backlog 0.6, "
            "deadline_exceeded 0.5, fd_leak 0.5, memory 0.4"
        ),
    ),
    Mechanism(
        name="deadline_added",
        says="gives up where it waited before",
        detect=gains(
            exact(
                r"\bWithTimeout\(|\bWithDeadline\(|\btimeout\s*=\s*[\d.]+|\basyncio\.wait_for\("
                r"|\bsetTimeout\(|statement_timeout"
            ),
            0.7,
            needs="timeout withdeadline( wait_for(",
        ),
        explains=fits("deadline_exceeded 0.9, errors 0.4, retry_storm 0.4"),
    ),
    Mechanism(
        name="tolerance_removed",
        says="no longer tolerates differing clocks",
        detect=either(
            loses(rx(r"leeway|skew|tolerance|grace|drift"), 1.0),
            tunes(rx(r"leeway|skew|tolerance|grace|drift"), down=True, strength=1.0),
        ),
        explains=fits("auth_rejected 1, tls 0.4, permission 0.4, deserialisation 0.2"),
    ),
    Mechanism(
        name="auth_changed",
        says="checks identities differently",
        detect=either(switches(_AUTH, 0.95), tunes(_AUTH, down=None, strength=0.9), loses(_AUTH, 0.6)),
        explains=fits("auth_rejected 1, permission 0.7, errors 0.2"),
    ),
    Mechanism(
        name="pool_shrunk",
        says="has fewer connections or workers",
        detect=tunes(_POOL, down=True, strength=1.0, unless=rx(r"memory|cpu:|keepalive|time_?out|ttl")),
        explains=fits("pool_exhausted 1, latency 0.6, queue_backlog 0.8, deadline_exceeded 0.6, errors 0.3"),
    ),
    Mechanism(
        name="pool_grown",
        says="opens more connections or workers",
        detect=tunes(_POOL, down=False, strength=0.75, least=2, unless=rx(r"memory|cpu:|time_?out|idle|ttl")),
        explains=fits(
            "pool_exhausted 0.6, memory 0.6, rate_limited 0.7, cpu 0.5, deadlock 0.4, fd_leak 0.4, load 0.4"
        ),
    ),
    Mechanism(
        name="retries_changed",
        says="tries again more often or sooner",
        detect=either(
            tunes(
                _RETRY, down=False, strength=0.9, least=2, unless=rx(r"back_?off|delay|interval|sleep|jitter")
            ),
            tunes(
                rx(r"(?:back_?off|delay|interval|sleep|jitter)"),
                down=True,
                strength=0.9,
                least=2,
                unless=_PROBE,
            ),
            loses(rx(r"back_?off|jitter|circuit|breaker|exponential"), 1.0),
            gains(
                rx(r"\bretry\w*|while True:|for\s*\{|maxAttempts|@Retryable|tenacity"),
                0.7,
                unless=rx(r"back_?off|sleep|jitter|ticker|select\b|<-|\bafter\("),
            ),
        ),
        explains=fits(
            "retry_storm 1, rate_limited 0.8, load 0.8, connection_refused 0.4, cpu 0.5, "
            "errors 0.3, latency 0.3, pool_exhausted 0.4"
        ),
    ),
    Mechanism(
        name="retries_removed",
        says="no longer tries again",
        detect=either(
            loses(rx(r"retr(?:y|ies)\w*|attempts"), 0.8),
            tunes(_RETRY, down=True, strength=0.7, least=2, unless=rx(r"back_?off|delay|interval")),
        ),
        explains=fits("errors 0.6, connection_refused 0.7, deadline_exceeded 0.5, rate_limited 0.3"),
    ),
    Mechanism(
        name="more_logs",
        says="writes far more logs or traces",
        detect=either(
            _more_logs,
            loses(rx(r"sampl(?:e|ing|er)"), 0.9),
            tunes(rx(r"sampl"), down=False, strength=0.95, least=2),
        ),
        explains=fits("log_volume 1, disk_full 1, cpu 0.5, latency 0.4, queue_backlog 0.4, memory 0.3"),
    ),
    Mechanism(
        name="cleanup_removed",
        says="no longer clears away old data",
        detect=either(
            loses(
                rx(
                    r"rotat|retention|max_?(?:file)?size|max-size|backup_?count|delete_after|clean_?up"
                    r"|prune|vacuum|purge|logrotate|emptyDir|os\.Remove|unlink\("
                ),
                0.95,
            ),
            tunes(rx(r"retention|keep|max_?age|backup|rotat"), down=False, strength=0.9, least=2),
        ),
        explains=fits("disk_full 1, memory 0.4, slow_query 0.5"),
    ),
    Mechanism(
        name="rate_limit_lowered",
        says="lets fewer calls through",
        detect=tunes(
            rx(r"rate|burst|quota|\brps\b|\bqps\b|requests_per|limiter|throttl"),
            down=True,
            unless=rx(r"sampl|memory|cpu|error_rate"),
        ),
        explains=fits("rate_limited 1, errors 0.3, queue_backlog 0.3"),
    ),
    Mechanism(
        name="size_limit_lowered",
        says="takes smaller things only",
        detect=tunes(
            rx(
                r"max_?\w*(?:size|bytes|length|body|message|items)|(?:size|body|message|length)_?limit"
                r"|client_max_body_size"
            ),
            down=True,
            unless=rx(r"pool|memory:|retry"),
        ),
        explains=fits("result_too_large 1, deserialisation 0.5, constraint 0.6, errors 0.3, bounds 0.4"),
    ),
    Mechanism(
        name="switch_turned",
        says="turns a switch",
        detect=_flipped,
        explains=fits(
            "errors 0.8, latency 0.7, deserialisation 0.6, auth_rejected 0.7, permission 0.7, "
            "cache 0.7, tls 0.8, not_registered 0.6, queue_backlog 0.7, memory 0.5, load 0.6, "
            "wrong_result 0.6, retry_storm 0.7, connection_refused 0.5, startup_crash 0.6"
        ),
    ),
    Mechanism(
        name="more_memory_taken",
        says="may take more memory than before",
        detect=tunes(
            rx(r"-?Xmx|heap|old[_-]space|buffer|cache_?size|work_mem|shared_buffers|batch"),
            down=False,
            strength=0.9,
            least=1.5,
            unless=rx(r"limits:|requests:|time_?out|ttl"),
        ),
        explains=fits("memory 1, startup_crash 0.4, disk_full 0.3"),
    ),
    Mechanism(
        name="schedule_changed",
        says="runs at another time or more often",
        detect=switches(rx(r"schedule|cron|every|interval|crontab"), 0.85),
        explains=fits(
            "cpu 0.9, slow_query 0.9, load 0.8, deadlock 0.7, latency 0.7, pool_exhausted 0.5, "
            "rate_limited 0.6, "
            "queue_backlog 0.6, not_registered 0.3"
        ),
    ),
)
