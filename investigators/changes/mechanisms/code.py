"""Faults that come from code: guards, locks, loops, leaks, errors, startup."""

from __future__ import annotations

import re

from investigators.changes.diffs import Diff, Hunk, is_import
from investigators.changes.mechanisms.base import Hit, Mechanism, either, exact, gains, loses, rx

_VALUE = r"\b(?!err\b|error\b|e\b|ex\b)[A-Za-z_]\w*(?:\.\w+|\[[^\]\n]*\]|\([^()\n]*\))*"
_NIL_CHECK = rx(
    rf"{_VALUE}\s*[!=]==?\s*(?:nil|null|undefined|None|nullptr)\b|\b(?:nil|null|None)\s*[!=]==?\s*\w"
    rf"|\bis (?:not )?None\b|\?\.|\?\?|\bisPresent\(|\bofNullable\(|\bis_(?:some|none)\(|unwrap_or|getOrDefault|\borElse"
    rf"|\.get\(\s*[\"'][^\"'\n]+[\"']\s*,|hasOwnProperty|requireNonNull|,\s*ok\s*:?=|if\s*\(?\s*!\s*[a-z]\w*(?:\.\w+)*\s*\)?\s*[:{{]"
    r"|\bif not [a-z]\w*(?:\.\w+)*\s*:|\bif let Some"
)
_ERROR_CHECK = rx(
    r"\berr\w*\s*[!=]=\s*nil|\bcatch\s*[({]|\bexcept\b.*:|\brescue\b|\.catch\(|onError\w*\(|\brecover\(\)|\btry\s*[:{]"
)
_LOCK = exact(
    r"\b\w*(?:mu|mtx|[mM]utex|[lL]ock)\w*\.(?:R?Lock|R?Unlock|acquire|release|lock|unlock|tryLock)\b|\bsynchronized\b"
    r"|\bsync\.(?:RW)?Mutex\b|\bwith\s+[\w.]*[lL]ock\w*\s*(?:\(\))?\s*:|\b(?:std::)?(?:Mutex|RwLock|lock_guard|ReentrantLock)\b"
    r"|\bFOR UPDATE\b|\batomic\.\w+|\bAtomic(?:Integer|Long|Reference|Boolean)\b|\bConcurrent\w*Map\b|\bsync\.Map\b"
    r"|@Transactional\b|\btransaction\.atomic\b|\bwith_lock\b|\bSETNX\b|\bnx\s*=\s*True|\bBEGIN\b|\.transaction\(|\bBeginTx?\("
    r"|\bselect_for_update\b|\block!|\bruntime\.Lock"
)
_LOOP = re.compile(
    r"^\s*(?:async\s+)?(?:for\b|while\b|foreach\b)|\.(?:forEach|map|flatMap|each|stream\(\)\.map)\s*\(|\bfor\s+\w+.*\bin\b"
)
_REMOTE = re.compile(
    r"(?:\bawait\s+|\.)(?:[gG]et|[fF]ind|[fF]etch|[lL]oad|[qQ]uery|[sS]elect|[eE]xec(?:ute)?|[lL]ookup|[rR]ead|[cC]all|[rR]equest"
    r"|[pP]ost|[lL]ist|[sS]can|[cC]ount|[rR]efresh|[sS]end|[sS]ave|[iI]nsert|findOne|objects)\w*\s*\(|\bSELECT\b|\bfetch\("
)
_REMOTE_WORLD = re.compile(
    r"\bctx\b|\bawait\b|\bdb\b|\bclient\b|\brepo\w*|\bsession\b|\bdao\b|\bstore\b|\bapi\b|Repository|Client|Service\b|objects\."
    r"|\bSELECT\b|\bcatalog\b|requests\.|axios|httpx?\.|redis|\bconn\b|\bcursor\b|\bquery\b", re.I,
)  # fmt: skip
_BOUNDED = rx(
    r"\blru|\bevict|\bttl\b|expir|max_?(?:size|len|entries|items|imum)|\bmaxlen\b|\bcapacity\b|\bring\w*|bounded|\[-?\d+:\]|weak|\.pop\(0\)"
    r"|\.shift\(\)|popleft|popitem|truncate|\.clear\(|>\s*MAX|>=?\s*max"
)
_KEEP = re.compile(
    r"(?P<go>\b[A-Za-z_]\w*(?:\.\w+)*)\s*=\s*append\(\s*(?P=go)\b"
    r"|(?P<push>\b[A-Za-z_]\w*(?:\.\w+)*)\.(?:append|push|add|put|set|offer|addLast|insert|push_back|extend|computeIfAbsent)\("
    r"|(?P<index>\b[A-Za-z_]\w*(?:\.\w+)*)\[[^\]\n]+\]\s*=(?!=)|(?P<shovel>[@$A-Za-z_]\w*)\s*<<"
)
_SPAWN = exact(
    r"\bgo\s+(?:func\b|\w+(?:\.\w+)*\()|\bnew Thread\(|\bthreading\.Thread\(|\basyncio\.(?:create_task|ensure_future)\("
    r"|\bexecutor\.submit\(|\bnew(?:Cached|Fixed)ThreadPool|\bstd::thread\b|\bThread\.new\b|\btokio::spawn\b|\bTask\.Run\("
)
_CLOSE = exact(
    r"\.(?:close|Close|release|Release|dispose|Dispose|disconnect|destroy|shutdown|end)\(\)|\bwith\s+(?:open|closing|\w+\.(?:connect|acquire|get_conn\w*|session|Session))\b"
    r"|\busing\s*\(|\btry\s*\([^)\n]*=|\bdefer\s+cancel\(\)|\bfinally\b|\.putconn\(|\.Put\(|\bcontextmanager\b|\bensure\b"
)
_BACKTRACK = re.compile(
    r"\([^()\n]*[+*][^()\n]*\)\s*[+*]|\(\?:[^()\n]*[+*][^()\n]*\)\s*[+*{]|\.\*.*\.\*.*\.\*"
)


def _query_in_loop(diff: Diff) -> Hit | None:
    for hunk in diff.hunks:
        inside = 0
        for line, fresh in zip(hunk.after, hunk.fresh, strict=True):
            if _LOOP.search(line):
                inside = 6
                if not (
                    fresh and _REMOTE.search(line) and re.search(r"\.(?:map|forEach|each|flatMap)\s*\(", line)
                ):
                    continue
            if inside and fresh and _REMOTE.search(line) and _REMOTE_WORLD.search(line):
                if any(_plain(line) == _plain(old) for old in hunk.removed):
                    continue
                return Hit(strength=1.0, what=line.strip()[:80])
            inside = max(0, inside - 1)
    return None


def _kept_forever(diff: Diff) -> Hit | None:
    """Something is added to what outlives a request, and nothing bounds it."""
    if _BOUNDED.search(diff.added_text):
        return None
    for hunk in diff.hunks:
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
        r"^(?:export\s+)?(?:(?:var|let|const|static|final|private|public|protected|val|lazy_static!?)\s+)+(?:[\w<>\[\], ]+\s)?(\w+)\s*(?:=|\[|map|:|;|\*)"
        r"|^(\w+)\s*(?::\s*[\w\[\], .]+)?=\s*(?:\[\]|\{\}|dict\(|list\(|set\(|defaultdict|new |\[\s*$)"
        r"|^\s+(?:private\s+|public\s+|protected\s+)?static\s+(?:final\s+)?[\w<>, \[\]]+\s+(\w+)\s*="
    )
    found = set()
    for line in hunk.after:
        if match := declared.match(line):
            found.add(next(group for group in match.groups() if group))
    return frozenset(found)


def _compares_differently(diff: Diff) -> Hit | None:
    """A line that differs from the one before only in a comparison, a sign or a step of one."""
    blur = re.compile(r"[<>]=?|[+\-]\s*1\b|[=!]==?")
    for old in diff.removed:
        for new in diff.added:
            if (
                old != new
                and blur.search(old + new)
                and _plain(blur.sub("#", old)) == _plain(blur.sub("#", new))
            ):
                return Hit(strength=0.9, what=f"{old.strip()[:50]} → {new.strip()[:50]}")
            if old != new and _plain(re.sub(r"[+\-]\s*1\b", "", old)) == _plain(
                re.sub(r"[+\-]\s*1\b", "", new)
            ):
                return Hit(strength=0.9, what=f"{old.strip()[:50]} → {new.strip()[:50]}")
    return None


def _regex(diff: Diff) -> Hit | None:
    for line in diff.added:
        if re.search(r"regex|re\.|Pattern|RegExp|=~|match|/.*/[gimsuy]*", line) and _BACKTRACK.search(line):
            return Hit(strength=1.0, what=line.strip()[:60])
    return None


def _says(diff: Diff) -> Hit | None:
    """New words in quotes that an error would repeat."""
    old = set(re.findall(r"[\"'`]([^\"'`\n]{10,})[\"'`]", diff.removed_text))
    new = [text for text in re.findall(r"[\"'`]([^\"'`\n]{10,})[\"'`]", diff.added_text) if text not in old]
    phrases = tuple(
        text for text in new if len(text.split()) >= 2 and not re.match(r"\s*SELECT\b", text, re.I)
    )
    phrases = tuple(re.split(r"%[sdvwq+]+|\{[^}]*\}|\$\{[^}]*\}", text)[0].strip(" :") for text in phrases)
    phrases = tuple(text for text in phrases if len(text) >= 10 and len(text.split()) >= 2)
    return Hit(strength=0.75, what=phrases[0][:60], names=phrases, unnamed=0.0) if phrases else None


def _unregistered(diff: Diff) -> Hit | None:
    verb = (
        r"(?:[rR]egister\w*|[sS]ubscribe|include_router|add_\w*handler|addHandler|HandleFunc|Handle|[mM]ount|[sS]eed\w*"
        r"|[bB]ind\w*|[pP]rovide\w*|add_job|addRoute|[sS]chedule\w*|[iI]nstall\w*|[wW]ire\w*|[iI]nit[A-Z_]\w*|[sS]etup\w*"
        r"|[lL]oad[A-Z_]\w*|[bB]ootstrap\w*|[mM]igrate\w*|[cC]onfigure\w*|app\.use|app\.(?:get|post|put|delete)|router\.\w+"
        r"|[sS]tart[A-Z_]\w*|[cC]onnect\w*|[wW]arm\w*|[pP]reload\w*|AddScoped|AddSingleton|AddTransient|use[A-Z]\w+)"
    )
    call = exact(
        rf"(?:^|[\s.;=(]){verb}\s*\(|@(?:Bean|Component|Service|Configuration|app\.\w+|router\.\w+|task|job|Scheduled)\b"
    )
    if not diff.lost(call):
        return None
    strong = exact(
        r"[rR]egister|[sS]ubscribe|include_router|[hH]andle|[mM]ount|[sS]eed|[bB]ind|[pP]rovide|app\.|router\.|AddS|@"
    )
    gone = next(
        (
            line
            for line in diff.removed
            if call.search(line) and not is_import(line) and not _still(line, diff)
        ),
        "",
    )
    if not gone:
        return None
    return Hit(strength=0.95 if strong.search(gone) else 0.75, what=gone.strip()[:80])


def _still(line: str, diff: Diff) -> bool:
    called = re.search(r"(\w+)\s*\(", line)
    return called is not None and re.search(rf"\b{called[1]}\s*\(", diff.added_text) is not None


def _plain(line: str) -> str:
    return re.sub(r"\s+", "", line)


MECHANISMS: tuple[Mechanism, ...] = (
    Mechanism(
        name="guard_removed",
        says="no longer checks for a missing value",
        detect=either(
            loses(_NIL_CHECK, 1.0, unless=rx(r"\bOptional\b|default|\?\?|\|\|")),
            gains(exact(r"\.unwrap\(\)|!!\.|\w!\.\w|\bas!\s|\.orElseThrow\("), 0.7),
        ),
        explains={
            "nil_dereference": 1.0,
            "bounds": 0.6,
            "deserialisation": 0.5,
            "errors": 0.4,
            "startup_crash": 0.4,
            "wrong_result": 0.3,
        },
    ),
    Mechanism(
        name="default_dropped",
        says="now insists on a key that may be missing",
        detect=loses(
            exact(
                r"\.get\(\s*[\"']|getOrDefault|\|\|\s*[\"'{\[\d]|\?\?|\bdefault\s*=|\.fetch\(|setdefault|omitempty|Optional\["
            ),
            0.85,
        ),
        explains={
            "deserialisation": 0.9,
            "nil_dereference": 0.7,
            "missing_setting": 0.7,
            "errors": 0.3,
            "startup_crash": 0.4,
        },
    ),
    Mechanism(
        name="error_ignored",
        says="no longer handles an error",
        detect=loses(_ERROR_CHECK, 0.75),
        explains={
            "nil_dereference": 0.8,
            "errors": 0.5,
            "startup_crash": 0.6,
            "deserialisation": 0.5,
            "connection_refused": 0.4,
            "wrong_result": 0.4,
            "queue_backlog": 0.6,
        },
    ),
    Mechanism(
        name="lock_removed",
        says="no longer guards shared state",
        detect=loses(_LOCK, 1.0),
        explains={
            "data_race": 1.0,
            "wrong_result": 0.7,
            "constraint": 0.7,
            "errors": 0.4,
            "nil_dereference": 0.3,
        },
    ),
    Mechanism(
        name="lock_added",
        says="takes a lock where none was taken",
        detect=gains(_LOCK, 0.75),
        explains={
            "deadlock": 1.0,
            "latency": 0.6,
            "deadline_exceeded": 0.6,
            "pool_exhausted": 0.5,
            "thread_leak": 0.4,
        },
    ),
    Mechanism(
        name="query_in_loop",
        says="asks once per element of a loop",
        detect=_query_in_loop,
        explains={
            "query_fanout": 1.0,
            "latency": 0.7,
            "pool_exhausted": 0.6,
            "slow_query": 0.5,
            "rate_limited": 0.7,
            "load": 0.5,
            "deadline_exceeded": 0.5,
            "cpu": 0.3,
        },
    ),
    Mechanism(
        name="unbounded_growth",
        says="keeps adding to something that nothing empties",
        detect=_kept_forever,
        explains={"memory": 1.0, "cpu": 0.3, "latency": 0.3, "disk_full": 0.3},
    ),
    Mechanism(
        name="eviction_removed",
        says="no longer evicts or bounds what it keeps",
        detect=loses(
            rx(
                r"evict|expire|\bttl\b|max_?size|max_?len|max_?entries|\blru\w*|weakref|weakmap|removeListener|unsubscribe|removeEventListener"
                r"|clearInterval|maximumSize|\.clear\(\)|popitem|popleft|\.delete\(|delete\("
            ),
            0.95,
        ),
        explains={"memory": 1.0, "cache": 0.7, "disk_full": 0.5, "cpu": 0.3, "queue_backlog": 0.3},
    ),
    Mechanism(
        name="listener_added",
        says="adds listeners or timers per call",
        detect=gains(
            exact(r"\bsetInterval\(|\.addEventListener\(|\.on\([\"']|\.subscribe\(|\.addListener\("), 0.7
        ),
        explains={"memory": 0.9, "thread_leak": 0.5, "cpu": 0.6},
    ),
    Mechanism(
        name="close_removed",
        says="no longer gives back a connection or file",
        detect=loses(_CLOSE, 1.0),
        explains={
            "pool_exhausted": 1.0,
            "fd_leak": 1.0,
            "thread_leak": 0.7,
            "memory": 0.6,
            "connection_refused": 0.4,
            "deadline_exceeded": 0.4,
            "latency": 0.4,
            "deadlock": 0.5,
        },
    ),
    Mechanism(
        name="connection_per_call",
        says="opens a new connection per call",
        detect=gains(
            exact(
                r"\bsql\.Open\(|\bnew \w*(?:Client|Connection|Pool)\(|\bcreate_engine\(|\bcreateConnection\(|\bDisableKeepAlives:\s*true"
                r"|\bpsycopg2?\.connect\(|\bredis\.(?:Redis|NewClient)\(|\bMongoClient\(|\bgrpc\.(?:Dial|NewClient)\(|keepAlive:\s*false"
            ),
            0.75,
        ),
        explains={
            "pool_exhausted": 0.9,
            "fd_leak": 1.0,
            "connection_refused": 0.5,
            "latency": 0.5,
            "memory": 0.4,
        },
    ),
    Mechanism(
        name="thread_per_call",
        says="starts a thread or task that nothing ends",
        detect=gains(
            _SPAWN,
            0.85,
            unless=rx(r"Done\(\)|\.Stop\(\)|WaitGroup|semaphore|max_workers|daemon|\.join\(|errgroup"),
        ),
        explains={"thread_leak": 1.0, "memory": 0.8, "cpu": 0.5, "data_race": 0.7, "fd_leak": 0.4},
    ),
    Mechanism(
        name="end_of_thread_removed",
        says="no longer ends what it started",
        detect=loses(
            exact(
                r"\bctx\.Done\(\)|\bcancel\(\)|\bWithCancel\(|\.join\(|\.Stop\(\)|stopCh|AbortController|\.abort\("
            ),
            0.85,
        ),
        explains={"thread_leak": 1.0, "memory": 0.7, "cpu": 0.5, "fd_leak": 0.4},
    ),
    Mechanism(
        name="costly_pattern",
        says="matches with a pattern that can backtrack without end",
        detect=_regex,
        explains={"cpu": 1.0, "latency": 0.9, "deadline_exceeded": 0.7, "probe_failing": 0.5},
    ),
    Mechanism(
        name="blocking_call",
        says="blocks where it should not",
        detect=gains(
            exact(
                r"\btime\.sleep\(|\bTime\.sleep|\brequests\.(?:get|post|put|request)\(|\w+Sync\(|\.Result\b|\.GetAwaiter\(\)|\.block\(\)"
                r"|\bThread\.sleep\(|\burllib\.request|\bsubprocess\.(?:run|call)\(|\bSystem\.Threading\.Thread\.Sleep|\bcopy\.deepcopy\("
            ),
            0.85,
        ),
        explains={
            "latency": 1.0,
            "cpu": 0.7,
            "deadline_exceeded": 0.8,
            "probe_failing": 0.7,
            "pool_exhausted": 0.5,
        },
    ),
    Mechanism(
        name="await_removed",
        says="no longer waits for a result",
        detect=loses(
            exact(
                r"\bawait\b|\.then\(|\.join\(\)|wg\.Wait\(\)|\basyncio\.to_thread\(|\brun_in_executor\(|\.get\(\)\s*;"
            ),
            0.8,
        ),
        explains={
            "wrong_result": 0.8,
            "nil_dereference": 0.7,
            "data_race": 0.9,
            "latency": 0.6,
            "cpu": 0.5,
            "errors": 0.4,
        },
    ),
    Mechanism(
        name="bounds",
        says="compares or counts differently at the edge",
        detect=either(
            _compares_differently,
            loses(
                rx(r"\bif\b.*(?:\blen\(|\.length\b|\.size\(\)|\.count\b|\bmin\(|\bmax\(|Math\.min|>=?\s*\d)"),
                0.8,
            ),
        ),
        explains={
            "bounds": 1.0,
            "wrong_result": 0.8,
            "nil_dereference": 0.4,
            "errors": 0.4,
            "cpu": 0.5,
            "result_too_large": 0.5,
            "memory": 0.4,
            "queue_backlog": 0.3,
        },
    ),
    Mechanism(
        name="registration_removed",
        says="no longer registers or sets up something",
        detect=_unregistered,
        explains={
            "not_registered": 1.0,
            "method_rejected": 0.9,
            "nil_dereference": 0.6,
            "startup_crash": 0.6,
            "missing_setting": 0.4,
            "queue_backlog": 0.6,
            "errors": 0.3,
            "cache": 0.3,
        },
    ),
    Mechanism(
        name="says_so",
        says="brought the very words of the error",
        detect=_says,
        explains=dict.fromkeys(
            (
                "errors",
                "deserialisation",
                "not_registered",
                "auth_rejected",
                "permission",
                "constraint",
                "missing_setting",
                "rate_limited",
                "wrong_result",
                "startup_crash",
                "bounds",
                "method_rejected",
                "result_too_large",
                "encoding",
                "queue_backlog",
                "log_volume",
            ),
            1.0,
        ),
    ),
    Mechanism(
        name="stricter",
        says="refuses what it took before",
        detect=gains(
            exact(
                r"\braise\s+\w|\bthrow\s+new\b|\breturn\s+(?:nil,\s*)?(?:Err\w+|errors\.New|fmt\.Errorf\((?!.*%w)|\w+Error\b)|\babort\(|\bpanic\(|\bassert\b|\.reject\("
                r"|\bDisallowUnknownFields\b|FAIL_ON_UNKNOWN|\bstrict\b\s*[:=]\s*[tT]rue|\bStatus(?:BadRequest|Forbidden|Unauthorized)\b"
            ),
            0.55,
        ),
        explains={
            "deserialisation": 0.9,
            "auth_rejected": 0.7,
            "constraint": 0.6,
            "startup_crash": 0.6,
            "errors": 0.5,
            "permission": 0.6,
            "missing_setting": 0.7,
            "bounds": 0.4,
            "queue_backlog": 0.4,
            "rate_limited": 0.4,
        },
    ),
)
