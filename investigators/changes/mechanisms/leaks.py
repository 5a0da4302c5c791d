"""What is kept or opened and never given back."""

from __future__ import annotations

import re

from investigators.changes.diffs import Diff, Hunk
from investigators.changes.mechanisms.base import (
    Hit,
    Mechanism,
    exact,
    fits,
    gains,
    loses,
    rx,
)

_BOUNDED = rx(
    r"\blru|\bevict|\bttl\b|expir|max_?(?:size|len|entries|items|imum)|\bmaxlen\b"
    r"|\bcapacity\b|\bring\w*|bounded|\[-?\d+:\]|weak|\.pop\(0\)"
    r"|\.shift\(\)|popleft|popitem|truncate|\.clear\(|>\s*MAX|>=?\s*max"
)


_KEEP = re.compile(
    r"(?P<go>\b[A-Za-z_]\w*(?:\.\w+)*)\s*=\s*append\(\s*(?P=go)\b"
    r"|(?P<push>\b[A-Za-z_]\w*(?:\.\w+)*)\.(?:append|push|add|put|set|offer|addLast|insert"
    r"|push_back|extend|computeIfAbsent)\("
    r"|(?P<index>\b[A-Za-z_]\w*(?:\.\w+)*)\[[^\]\n]+\]\s*=(?!=)|(?P<shovel>[@$A-Za-z_]\w*)\s*<<"
)


_KEEP_PARTS = (
    "append(", ".push(", ".add(", ".put(", ".set(", ".offer(", ".addLast(", ".insert(", ".push_back(",
    ".extend(", ".computeIfAbsent(", "]", "<<",
)  # fmt: skip
"""Every line that matches the pattern holds one of these."""


_SPAWN = exact(
    r"\bgo\s+(?:func\b|\w+(?:\.\w+)*\()|\bnew Thread\(|\bthreading\.Thread\("
    r"|\basyncio\.(?:create_task|ensure_future)\("
    r"|\bexecutor\.submit\(|\bnew(?:Cached|Fixed)ThreadPool|\bstd::thread\b"
    r"|\bThread\.new\b|\btokio::spawn\b|\bTask\.Run\("
)


_CLOSE = exact(
    r"\.(?:close|Close|release|Release|dispose|Dispose|disconnect|destroy|shutdown"
    r"|end)\(\)|\bwith\s+(?:open|closing|\w+\.(?:connect|acquire|get_conn\w*|session"
    r"|Session))\b"
    r"|\busing\s*\(|\btry\s*\([^)\n]*=|\bdefer\s+cancel\(\)|\bfinally\b|\.putconn\("
    r"|\.Put\(|\bcontextmanager\b|\bensure\b"
)


def _kept_forever(diff: Diff) -> Hit | None:
    """Something is added to what outlives a request, and nothing bounds it."""
    hit = _added_to_lasting(diff)
    return hit if hit is not None and not _BOUNDED.search(diff.added_text) else None


def _added_to_lasting(diff: Diff) -> Hit | None:
    for hunk in diff.hunks:
        come = "\n".join(hunk.added)
        if not any(part in come for part in _KEEP_PARTS):
            continue
        lasting = _lasting(hunk)
        for line in hunk.added:
            for match in _KEEP.finditer(line):
                name = next(group for group in match.groupdict().values() if group)
                head = name.split(".")[0]
                if name in lasting or head in lasting:
                    return Hit(strength=1.0, what=f"adds to `{name}`")
                if head in ("self", "this") or re.match(r"[A-Z][A-Z_]{3,}\Z|[@$]\w+|_[a-z]\w*", name):
                    return Hit(strength=0.85, what=f"adds to `{name}`")
                if re.search(
                    r"cache|history|seen|registry|sessions|listeners|buffer|backlog|journal", name, re.I
                ):
                    return Hit(strength=0.75, what=f"adds to `{name}`")
    return None


def _lasting(hunk: Hunk) -> frozenset[str]:
    """Names declared outside any function, in what the hunk shows."""
    declared = re.compile(
        r"^(?:export\s+)?(?:(?:var|let|const|static|final|private|public|protected|val"
        r"|lazy_static!?)\s+)+(?:[\w<>\[\], ]+\s)?(\w+)\s*(?:=|\[|map|:|;|\*)"
        r"|^(\w+)\s*(?::\s*[\w\[\], .]+)?=\s*(?:\[\]|\{\}|dict\(|list\(|set\(|defaultdict|new |\[\s*$)"
        r"|^\s+(?:private\s+|public\s+|protected\s+)?static\s+(?:final\s+)?[\w<>, \[\]]+\s+(\w+)\s*="
    )
    found = set()
    for line in hunk.after:
        if match := declared.match(line):
            found.add(next(group for group in match.groups() if group))
    return frozenset(found)


MECHANISMS: tuple[Mechanism, ...] = (
    Mechanism(
        name="unbounded_growth",
        says="keeps adding to something that nothing empties",
        detect=_kept_forever,
        explains=fits("memory 1, cpu 0.3, latency 0.3, disk_full 0.3"),
    ),
    Mechanism(
        name="eviction_removed",
        says="no longer evicts or bounds what it keeps",
        detect=loses(
            rx(
                r"evict|expire|\bttl\b|max_?size|max_?len|max_?entries|\blru\w*|weakref|weakmap"
                r"|removeListener|unsubscribe|removeEventListener"
                r"|clearInterval|maximumSize|\.clear\(\)|popitem|popleft|\.delete\(|delete\("
            ),
            0.95,
        ),
        explains=fits("memory 1, cache 0.7, disk_full 0.5, cpu 0.3, queue_backlog 0.3"),
    ),
    Mechanism(
        name="listener_added",
        says="adds listeners or timers per call",
        detect=gains(
            exact(r"\bsetInterval\(|\.addEventListener\(|\.on\([\"']|\.subscribe\(|\.addListener\("), 0.7
        ),
        explains=fits("memory 0.9, thread_leak 0.5, cpu 0.6"),
    ),
    Mechanism(
        name="close_removed",
        says="no longer gives back a connection or file",
        detect=loses(_CLOSE, 1.0),
        explains=fits(
            "pool_exhausted 1, fd_leak 1, thread_leak 0.7, memory 0.6, connection_refused 0.4, "
            "deadline_exceeded 0.4, latency 0.4, deadlock 0.5"
        ),
    ),
    Mechanism(
        name="connection_per_call",
        says="opens a new connection per call",
        detect=gains(
            exact(
                r"\bsql\.Open\(|\bnew \w*(?:Client|Connection|Pool)\(|\bcreate_engine\("
                r"|\bcreateConnection\(|\bDisableKeepAlives:\s*true"
                r"|\bpsycopg2?\.connect\(|\bredis\.(?:Redis|NewClient)\(|\bMongoClient\("
                r"|\bgrpc\.(?:Dial|NewClient)\(|keepAlive:\s*false"
            ),
            0.75,
            needs="sql.open( client( connection( pool( create_engine( disablekeepalives psycopg redis.redis( "
            "grpc.dial( keepalive",
        ),
        explains=fits("pool_exhausted 0.9, fd_leak 1, connection_refused 0.5, latency 0.5, memory 0.4"),
    ),
    Mechanism(
        name="thread_per_call",
        says="starts a thread or task that nothing ends",
        detect=gains(
            _SPAWN,
            0.85,
            unless=rx(r"Done\(\)|\.Stop\(\)|WaitGroup|semaphore|max_workers|daemon|\.join\(|errgroup"),
        ),
        explains=fits("thread_leak 1, memory 0.8, cpu 0.5, data_race 0.7, fd_leak 0.4"),
    ),
    Mechanism(
        name="end_of_thread_removed",
        says="no longer ends what it started",
        detect=loses(
            exact(
                r"\bctx\.Done\(\)|\bcancel\(\)|\bWithCancel\(|\.join\(|\.Stop\(\)|stopCh"
                r"|AbortController|\.abort\("
            ),
            0.85,
        ),
        explains=fits("thread_leak 1, memory 0.7, cpu 0.5, fd_leak 0.4"),
    ),
)
