"""Faults that come from code: guards, locks, loops, errors, start-up."""

from __future__ import annotations

import re

from investigators.changes.diffs import Diff, is_import
from investigators.changes.mechanisms.base import (
    Hit,
    Mechanism,
    either,
    exact,
    fits,
    gains,
    loses,
    rx,
)

_VALUE = r"\b(?!err\b|error\b|e\b|ex\b)[A-Za-z_]\w*(?:\.\w+|\[[^\]\n]*\]|\([^()\n]*\))*"


_NIL_CHECK = rx(
    rf"{_VALUE}\s*[!=]==?\s*(?:nil|null|undefined|None|nullptr)\b|\b(?:nil|null|None)\s*[!=]==?\s*\w"
    rf"|\bis (?:not )?None\b|\?\.|\?\?|\bisPresent\(|\bofNullable\(|\bis_(?:some|none)\("
    rf"|unwrap_or|getOrDefault|\borElse"
    rf"|\.get\(\s*[\"'][^\"'\n]+[\"']\s*,|hasOwnProperty|requireNonNull|,\s*ok\s*:?=|if\s*\(?\s*!\s*[a-z]\w*(?:\.\w+)*\s*\)?\s*[:{{]"
    r"|\bif not [a-z]\w*(?:\.\w+)*\s*:|\bif let Some"
)


_ERROR_CHECK = rx(
    r"\berr\w*\s*[!=]=\s*nil|\bcatch\s*[({]|\bexcept\b.*:|\brescue\b|\.catch\("
    r"|onError\w*\(|\brecover\(\)|\btry\s*[:{]"
)


_LOCK = exact(
    r"\b\w*(?:mu|mtx|[mM]utex|[lL]ock)\w*\.(?:R?Lock|R?Unlock|acquire|release|lock|unlock"
    r"|tryLock)\b|\bsynchronized\b"
    r"|\bsync\.(?:RW)?Mutex\b|\bwith\s+[\w.]*[lL]ock\w*\s*(?:\(\))?\s*:"
    r"|\b(?:std::)?(?:Mutex|RwLock|lock_guard|ReentrantLock)\b"
    r"|\bFOR UPDATE\b|\batomic\.\w+|\bAtomic(?:Integer|Long|Reference|Boolean)\b"
    r"|\bConcurrent\w+\b|\bsync\.Map\b"
    r"|@Transactional\b|\btransaction\.atomic\b|\bwith_lock\b|\bSETNX\b|\bnx\s*=\s*True"
    r"|\bBEGIN\b|\.transaction\(|\bBeginTx?\("
    r"|\bselect_for_update\b|\block!|\bruntime\.Lock"
)


_LOOP = re.compile(
    r"^\s*(?:async\s+)?(?:for\b|while\b|foreach\b)|\.(?:forEach|map|flatMap|each"
    r"|stream\(\)\.map)\s*\(|\bfor\s+\w+.*\bin\b"
)


_REMOTE = re.compile(
    r"(?:\bawait\s+|\.)(?:[gG]et|[fF]ind|[fF]etch|[lL]oad|[qQ]uery|[sS]elect"
    r"|[eE]xec(?:ute)?|[lL]ookup|[rR]ead|[cC]all|[rR]equest"
    r"|[pP]ost|[lL]ist|[sS]can|[cC]ount|[rR]efresh|[sS]end|[sS]ave|[iI]nsert|findOne"
    r"|objects)\w*\s*\(|\bSELECT\b|\bfetch\("
)


_REMOTE_WORLD = re.compile(
    r"\bctx\b|\bawait\b|\bdb\b|\bclient\b|\brepo\w*|\bsession\b|\bdao\b|\bstore\b|\bapi\b"
r"|Repository|Client|Service\b|objects\."
    r"|\bSELECT\b|\bcatalog\b|requests\.|axios|httpx?\.|redis|\bconn\b|\bcursor\b|\bquery\b", re.I,
)  # fmt: skip


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


def _compares_differently(diff: Diff) -> Hit | None:
    """A line that differs from the one before only in a comparison, a sign or a step of one."""
    for blur, mark in ((r"[<>]=?|[+\-]\s*1\b|[=!]==?", "#"), (r"[+\-]\s*1\b", "")):
        now: dict[str, str] = {}
        for new in diff.added:
            now.setdefault(_plain(re.sub(blur, mark, new)), new)
        for old in diff.removed:
            found = now.get(_plain(re.sub(blur, mark, old)))
            if found is not None and found != old:
                what = f"{old.strip()[:50]} → {found.strip()[:50]}"
                return Hit(strength=0.9, what=what, alone=True)
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
    phrases = tuple(text for text in phrases if len(text.split()) >= 3)
    return Hit(strength=0.75, what=phrases[0][:60], names=phrases, unnamed=0.0) if phrases else None


def _unregistered(diff: Diff) -> Hit | None:
    verb = (
        r"(?:[rR]egister\w*|[sS]ubscribe|include_router|add_\w*handler|addHandler|HandleFunc"
        r"|Handle|[mM]ount|[sS]eed\w*"
        r"|[bB]ind\w*|[pP]rovide\w*|add_job|addRoute|[sS]chedule\w*|[iI]nstall\w*|[wW]ire\w*"
        r"|[iI]nit[A-Z_]\w*|[sS]etup\w*"
        r"|[lL]oad[A-Z_]\w*|[bB]ootstrap\w*|[mM]igrate\w*|[cC]onfigure\w*|app\.use|app\.(?:get"
        r"|post|put|delete)|router\.\w+"
        r"|[sS]tart[A-Z_]\w*|[cC]onnect\w*|[wW]arm\w*|[pP]reload\w*|AddScoped|AddSingleton"
        r"|AddTransient|use[A-Z]\w+)"
    )
    call = exact(
        rf"(?:^|[\s.;=(]){verb}\s*\(|@(?:Bean|Component|Service|Configuration|app\.\w+|router\.\w+|task|job|Scheduled)\b"
    )
    if not diff.lost(call):
        return None
    strong = exact(
        r"[rR]egister|[sS]ubscribe|include_router|[hH]andle|[mM]ount|[sS]eed|[bB]ind"
        r"|[pP]rovide|app\.|router\.|AddS|@"
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


def _names(lines: tuple[str, ...]) -> set[str]:
    """Names of more than one word, or long ones, outside imports: what an error would repeat."""
    found = {
        name
        for line in lines
        if not is_import(line)
        for name in re.findall(r"[A-Za-z_][A-Za-z0-9_]*(?:[.\-][A-Za-z_][A-Za-z0-9_]*)*", line)
    }
    parts = {part for name in found for part in re.split(r"[.\-]", name)} | found
    compound = re.compile(
        r"[a-z0-9][A-Z]|[A-Za-z]_[A-Za-z]|[A-Za-z][.\-][A-Za-z]|\A[A-Z]{2,}[a-z]|\A[A-Z][a-z]{5,}"
    )
    return {name for name in parts if len(name) > 5 and compound.search(name)}


def _name_gone(diff: Diff) -> Hit | None:
    everywhere = diff.added_text + "\n".join(line for hunk in diff.hunks for line in hunk.context)
    gone = tuple(sorted(name for name in _names(diff.removed) if name not in everywhere))
    return Hit(strength=0.85, what=", ".join(gone)[:60], names=gone, unnamed=0.0) if gone else None


def _name_new(diff: Diff) -> Hit | None:
    before = diff.removed_text + "\n".join(line for hunk in diff.hunks for line in hunk.context)
    come = tuple(sorted(name for name in _names(diff.added) if name not in before and not name.istitle()))
    return Hit(strength=0.7, what=", ".join(come)[:60], names=come, unnamed=0.0) if come else None


def _behaves_differently(diff: Diff) -> Hit | None:
    """Statements that went and others that came, whatever they do: little, but more than nothing."""
    code = [line for line in diff.removed if not is_import(line) and re.search(r"\w", line)]
    return Hit(strength=0.25, what=code[0].strip()[:60]) if code and diff.removed_text else None


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
        explains=fits(
            "nil_dereference 1, bounds 0.6, deserialisation 0.5, errors 0.4, "
            "startup_crash 0.4, wrong_result 0.3"
        ),
    ),
    Mechanism(
        name="default_dropped",
        says="now insists on a key that may be missing",
        detect=loses(
            exact(
                r"\.get\(\s*[\"']|getOrDefault|\|\|\s*[\"'{\[\d]|\?\?|\bdefault\s*=|\.fetch\("
                r"|setdefault|omitempty|Optional\["
            ),
            0.85,
        ),
        explains=fits(
            "deserialisation 0.9, nil_dereference 0.7, missing_setting 0.7, errors 0.3, startup_crash 0.4"
        ),
    ),
    Mechanism(
        name="error_ignored",
        says="no longer handles an error",
        detect=loses(_ERROR_CHECK, 0.75),
        explains=fits(
            "nil_dereference 0.8, errors 0.5, startup_crash 0.6, deserialisation 0.5, "
            "connection_refused 0.4, wrong_result 0.4, queue_backlog 0.6"
        ),
    ),
    Mechanism(
        name="lock_removed",
        says="no longer guards shared state",
        detect=loses(_LOCK, 1.0),
        explains=fits("data_race 1, wrong_result 0.7, constraint 0.7, errors 0.4, nil_dereference 0.3"),
    ),
    Mechanism(
        name="lock_added",
        says="takes a lock where none was taken",
        detect=gains(_LOCK, 0.75),
        explains=fits("deadlock 1, latency 0.6, deadline_exceeded 0.6, pool_exhausted 0.5, thread_leak 0.4"),
    ),
    Mechanism(
        name="query_in_loop",
        says="asks once per element of a loop",
        detect=_query_in_loop,
        explains=fits(
            "query_fanout 1, latency 0.7, pool_exhausted 0.6, slow_query 0.5, "
            "rate_limited 0.7, load 0.5, deadline_exceeded 0.5, cpu 0.3"
        ),
    ),
    Mechanism(
        name="costly_pattern",
        says="matches with a pattern that can backtrack without end",
        detect=_regex,
        explains=fits("cpu 1, latency 0.9, deadline_exceeded 0.7, probe_failing 0.5"),
    ),
    Mechanism(
        name="blocking_call",
        says="blocks where it should not",
        detect=gains(
            exact(
                r"\btime\.sleep\(|\bTime\.sleep|\brequests\.(?:get|post|put|request)\(|\w+Sync\("
                r"|\.Result\b|\.GetAwaiter\(\)|\.block\(\)|\.get\(\)\)*\s*;|\)\.join\(\)"
                r"|\bThread\.sleep\(|\burllib\.request|\bsubprocess\.(?:run|call)\("
                r"|\bSystem\.Threading\.Thread\.Sleep|\bcopy\.deepcopy\("
            ),
            0.85,
        ),
        explains=fits("latency 1, cpu 0.7, deadline_exceeded 0.8, probe_failing 0.7, pool_exhausted 0.8"),
    ),
    Mechanism(
        name="await_removed",
        says="no longer waits for a result",
        detect=loses(
            exact(
                r"\bawait\b|\.then\(|\.join\(\)|wg\.Wait\(\)|\basyncio\.to_thread\("
                r"|\brun_in_executor\(|\.get\(\)\s*;"
            ),
            0.8,
        ),
        explains=fits(
            "wrong_result 0.8, nil_dereference 0.7, data_race 0.9, latency 0.6, cpu 0.5, errors 0.4"
        ),
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
        explains=fits(
            "bounds 1, wrong_result 0.8, nil_dereference 0.4, errors 0.4, cpu 0.6, result_too_large 0.5, "
            "memory 0.4, queue_backlog 0.3, query_fanout 0.6"
        ),
    ),
    Mechanism(
        name="registration_removed",
        says="no longer registers or sets up something",
        detect=_unregistered,
        explains=fits(
            "not_registered 1, method_rejected 0.9, nil_dereference 0.6, startup_crash 0.6, "
            "missing_setting 0.4, queue_backlog 0.6, errors 0.3, cache 0.3"
        ),
    ),
    Mechanism(
        name="name_gone",
        says="takes away what the errors miss",
        detect=_name_gone,
        explains=fits(
            "not_registered 1, missing_setting 0.9, dependency_conflict 0.9, schema_missing 0.8, "
            "deserialisation 0.8, name_resolution 0.6, permission 0.7, startup_crash 0.7, errors 0.6, "
            "method_rejected 0.8, nil_dereference 0.7"
        ),
    ),
    Mechanism(
        name="name_new",
        says="brings what the errors name",
        detect=_name_new,
        explains=fits(
            "not_registered 0.9, missing_setting 0.9, dependency_conflict 1, schema_missing 0.9, "
            "deserialisation 0.8, permission 0.7, startup_crash 0.9, errors 0.9, nil_dereference 0.9, "
            "bounds 0.9, constraint 0.9, wrong_result 0.7, slow_query 0.7, deadlock 0.7, cpu 0.6, memory 0.6"
        ),
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
                r"\braise\s+\w|\bthrow\s+new\b|\breturn\s+(?:nil,\s*)?(?:Err\w+|errors\.New"
                r"|fmt\.Errorf\((?!.*%w)|\w+Error\b)|\babort\(|\bpanic\(|\bassert\b|\.reject\("
                r"|\bDisallowUnknownFields\b|FAIL_ON_UNKNOWN|\bstrict\b\s*[:=]\s*[tT]rue"
            ),
            0.55,
            needs="raise throw return abort( panic( assert .reject( disallowunknownfields "
            "fail_on_unknown strict",
        ),
        explains=fits(
            "deserialisation 0.9, auth_rejected 0.7, constraint 0.6, startup_crash 0.6, "
            "errors 0.5, permission 0.6, missing_setting 0.7, bounds 0.4, queue_backlog 0.4, "
            "rate_limited 0.4"
        ),
    ),
    Mechanism(
        name="behaviour_changed",
        says="changes what the code does there",
        detect=_behaves_differently,
        explains=fits(
            "errors 0.6, wrong_result 0.7, nil_dereference 0.6, bounds 0.6, deserialisation 0.5, "
            "latency 0.5, "
            "not_registered 0.5, constraint 0.5, auth_rejected 0.5, cpu 0.4, memory 0.4, deadlock 0.4, "
            "queue_backlog 0.4, deadline_exceeded 0.3, connection_refused 0.2, cache 0.4, encoding 0.5"
        ),
    ),
)
