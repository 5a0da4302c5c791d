"""How faults show: kinds of symptoms by the words of log lines, spans and alerts, and by what series do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from bot.domain.ids import EvidenceId
from investigators.changes.signals import Moved, Signal, Signals
from investigators.world.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """How one kind of symptom is recognised: words, series that go up, series that go down."""

    text: str = ""
    up: str = ""
    down: str = ""
    generic: bool = False
    """Seen in many faults, so that it says little about which."""


SIGNS: Mapping[str, Sign] = {
    "nil_dereference": Sign(
        text=r"nil pointer|null ?pointer|NoneType' object|of (?:undefined|null)\b|(?:undefined|null) is not an? (?:object|function)"
        r"|SIGSEGV|segmentation fault|NullReferenceException|invalid memory address|unwrap\(\)` on a `None"
        r"|Cannot read propert|undefined method .* for nil|Option::unwrap",
    ),
    "data_race": Sign(
        text=r"concurrent map|data race|race detected|ConcurrentModificationException|changed size during iteration"
        r"|double free|corrupted (?:heap|state)|lost update|duplicate (?:charge|order|booking|processing)"
        r"|processed twice|oversold|negative (?:stock|balance|inventory)",
        up=r"duplicate|race|oversold",
    ),
    "deadlock": Sign(
        text=r"deadlock|lock wait timeout|could not obtain lock|waiting for (?:the )?lock|all goroutines are asleep"
        r"|blocked for more than|thread(?:s)? blocked|lock contention|BLOCKED on",
        up=r"lock_wait|blocked|lock_contention|threads_waiting",
    ),
    "deadline_exceeded": Sign(
        text=r"deadline ?exceeded|timed? ?out\b|ETIMEDOUT|SocketTimeout|ReadTimeout|context cancell?ed|gateway timeout"
        r"|exceeded deadline|timeout (?:budget )?exceeded|TimeoutError|\b504\b",
        up=r"timeout|deadline|cancel",
    ),
    "query_fanout": Sign(
        text=r"n\+1|calls_in_request|queries (?:in|per) (?:one|a|the|each)? ?request|repeated quer|identical (?:quer|select)"
        r"|too many quer",
        up=r"quer(?:y|ies)_(?:count_)?per_|queries?_(?:per_sec|qps|rate|count)|calls_per_request|db_calls|_qps$|selects?_per",
    ),
    "slow_query": Sign(
        text=r"slow quer|full (?:table|collection) scan|seq(?:uential)? scan|rows?[_ .]examined|query took|using filesort"
        r"|statement timeout|temporary table|missing index|COLLSCAN",
        up=r"rows_(?:examined|scanned|read)|query_(?:latency|duration|time)|slow_quer|db_cpu|seq_scan|db_.*latency",
    ),
    "result_too_large": Sign(
        text=r"(?:response|payload|message|body|entity|request) (?:is )?(?:too large|larger than|exceeds)|\b413\b"
        r"|max(?:imum)? (?:message|payload|body) size|RESOURCE_EXHAUSTED.*larger|MessageSizeTooLarge",
        up=r"(?:response|payload|message|body)_(?:size|bytes)",
    ),
    "memory": Sign(
        text=r"OOM|out of memory|OutOfMemory|memory limit|heap (?:growing|space|out of memory)|cannot allocate memory|MemoryError"
        r"|GC (?:pause|overhead)|exit code 137|allocation failed|evicted.*memory",
        up=r"memory|rss|heap|oom|gc_pause|working_set|_mem(?:_|$)",
    ),
    "cpu": Sign(
        text=r"throttl(?:ed|ing).*cpu|cpu.*(?:throttl|satur|100 ?%)|catastrophic backtracking|event loop (?:lag|blocked)|busy loop"
        r"|watchdog.*(?:stall|stuck)|thread starvation",
        up=r"(?<!db_)cpu|throttl|event_loop|eventloop|load1|run_queue",
    ),
    "startup_crash": Sign(
        text=r"CrashLoopBackOff|failed to start|startup (?:failed|probe failed)|panic(?: on startup|: init)|back-off restarting"
        r"|cannot start|failed to initiali[sz]e|exited with code [1-9]|failed to load (?:config|module)|boot(?:strap)? failed"
        r"|Application run failed|BeanCreation|panic loading",
        up=r"restart|crash",
        down=r"ready_replicas|replicas_(?:ready|available)|up$",
    ),
    "dependency_conflict": Sign(
        text=r"duplicate registration|incompatible .*version|version (?:conflict|mismatch)|NoSuchMethod|NoClassDefFound"
        r"|ClassNotFound|LinkageError|ImportError|ModuleNotFound|Cannot find module|cannot import name|undefined symbol"
        r"|no longer (?:exists|supported)|is not a function|has no attribute|unexpected keyword argument|unimplemented"
        r"|peer dependency|symbol not found|GLIBC|deprecat\w+ .*removed|Unsupported class file|incompatible runtime"
        r"|takes \d+ positional|AbstractMethodError|undefined method|TypeError",
    ),
    "log_volume": Sign(
        text=r"log(?:ging)? (?:volume|flood|rate)|too many log|dropping log|processing record|log rotat|log (?:ingest|quota)",
        up=r"log_(?:write|bytes|lines|volume|ingest|throughput)|lines?_per|_lps|ingest(?:ion|ed)?_bytes|spans?_(?:per|exported)",
    ),
    "disk_full": Sign(
        text=r"no space left|disk (?:is )?full|ENOSPC|read-only file ?system|disk (?:usage|pressure|quota)|quota exceeded.*disk",
        up=r"disk_(?:used|usage)|filesystem_used|volume_used|wal_size|inodes_used",
        down=r"disk_free|filesystem_(?:avail|free)",
    ),
    "deserialisation": Sign(
        text=r"deseriali[sz]|unmarshal|unexpected (?:field|token|end of)|missing (?:required )?(?:field|property|key|column|param)"
        r"|unknown field|required field|KeyError|no such field|parse error|failed to (?:parse|decode)|decod(?:e|ing) (?:error|failed)"
        r"|schema (?:mismatch|validation|registry|violation)|invalid (?:json|payload|format|type|enum)|JSONDecode|cannot (?:decode|parse)"
        r"|proto(?:buf)?: (?:wrong|invalid)|UnicodeDecode|invalid (?:utf|byte)|unrecognized (?:field|property)|mapping exception"
        r"|validation(?: error)?s? (?:failed|for|in)|cannot be cast|type mismatch|is not assignable|\b422\b|400 bad request",
        up=r"deseriali|decode_err|parse_err|schema_err|validation_err|invalid_|dead_?letter|dlq",
    ),
    "not_registered": Sign(
        text=r"not (?:been )?registered|not found|no (?:handler|route|provider|bean|factory|consumer|plugin|implementation)"
        r"|unknown (?:service|method|command|handler|type|job|task|agent|codec|driver|queue|topic)|lookup failed|\b404\b"
        r"|No qualifying bean|unimplemented|no such (?:service|method|job|task|key)|unresolved|never (?:ran|seeded|called)",
        up=r"not_found|404|lookup_fail|unroutable|unregistered",
    ),
    "schema_missing": Sign(
        text=r"(?:relation|table|column|view|function|index|type|collection|sequence)\b[^.;]{0,60}(?:does not|doesn't) exist"
        r"|no such (?:table|column)|unknown column|undefined (?:table|column)|invalid object name|ORA-00942|pending migration"
        r"|not migrated|UndefinedTable|UndefinedColumn",
        up=r"missing_(?:table|column)|migration",
    ),
    "constraint": Sign(
        text=r"duplicate key|unique (?:constraint|violation)|violates (?:not-null|foreign key|check|unique)|cannot be null"
        r"|IntegrityError|constraint (?:failed|violation)|value too long|out of range for type|numeric(?:al)? overflow|data too long",
        up=r"constraint|integrity",
    ),
    "auth_rejected": Sign(
        text=r"token (?:is |has )?(?:expired|invalid|not (?:yet )?valid)|invalid (?:token|signature|credentials|audience|issuer|api key)"
        r"|unauthori[sz]ed|\b401\b|signature (?:mismatch|verification)|jwt|authentication failed|password authentication|bad credentials"
        r"|session (?:expired|invalid)|login failed|csrf|SignatureDoesNotMatch",
        up=r"401|unauthori|token_(?:validation|reject)|auth(?:n|entication)?_(?:fail|err)|login_fail|session",
    ),
    "permission": Sign(
        text=r"permission denied|access ?denied|forbidden|\b403\b|not authori[sz]ed to|is not allowed|insufficient (?:privilege|scope)"
        r"|RBAC|cannot (?:get|list|watch|create) resource|EACCES|blocked by CORS|CORS policy|row-level security",
        up=r"403|forbidden|denied",
    ),
    "pool_exhausted": Sign(
        text=r"pool (?:is )?(?:exhausted|timeout|full|empty)|too many (?:connections|clients)|QueuePool|no (?:available|free|idle) connection"
        r"|connection(?:s)? (?:is not available|limit|slots)|waiting for (?:a )?(?:free )?connection|unable to acquire|acquire timeout"
        r"|HikariPool|max_connections|RejectedExecution|thread pool|worker pool|semaphore",
        up=r"pool_(?:wait|in_?use|pending|active|util|used|acquire)|connections?_(?:active|in_use|waiting|open)|pending_conn|acquire",
        down=r"pool_(?:idle|available|free)|connections?_(?:idle|available)",
    ),
    "fd_leak": Sign(
        text=r"too many open files|EMFILE|ENFILE|file descriptor|cannot assign requested address|ephemeral port|EADDRNOTAVAIL",
        up=r"open_fds|file_desc|fds|time_wait|close_wait|sockets?",
    ),
    "thread_leak": Sign(
        text=r"goroutine (?:leak|count)|unable to create (?:new )?(?:native )?thread|can't start new thread|thread (?:leak|limit)"
        r"|Resource temporarily unavailable|pids? limit",
        up=r"goroutine|threads?(?:_|$)|tasks?_(?:pending|active)|pids",
    ),
    "retry_storm": Sign(
        text=r"retry (?:storm|budget|attempt)|retrying|max retries|too many retries|attempt \d+ (?:of|/)|reconnect(?:ing)? storm"
        r"|thundering herd|circuit (?:breaker )?open",
        up=r"retr(?:y|ies)|attempts|amplification|reconnect",
    ),
    "rate_limited": Sign(
        text=r"rate.?limit|\b429\b|too many requests|throttled|quota (?:exceeded|exhausted)|request limit|ThrottlingException|slow ?down",
        up=r"429|throttled_requests|rate_limit|rejected|limited",
    ),
    "name_resolution": Sign(
        text=r"no such host|ENOTFOUND|getaddrinfo|name (?:or service not known|resolution)|NXDOMAIN|SERVFAIL|unknown ?host|could not resolve"
        r"|EAI_AGAIN|server misbehaving|name resolver|lookup \S+ on ",
        up=r"dns|servfail|nxdomain|resolv",
    ),
    "connection_refused": Sign(
        text=r"connection refused|ECONNREFUSED|no (?:healthy )?(?:upstream|endpoints)|connect(?:ion)? (?:failed|error|reset)|ECONNRESET"
        r"|EHOSTUNREACH|no route to host|broken pipe|dial tcp|network is unreachable|could not connect|\b503\b|bad gateway|\b502\b"
        r"|endpoint unavailable",
        up=r"connect(?:ion)?_(?:err|fail|refused)|unavailable|503|502",
        down=r"endpoints?_(?:ready|available)",
    ),
    "probe_failing": Sign(
        text=r"(?:liveness|readiness|startup|health) ?(?:probe|check)s?\b.*(?:fail|error|unhealthy|404|timeout|refused)|probe failed"
        r"|marked unhealthy|failing health",
        up=r"probe_fail|health_?check_fail|unhealthy",
        down=r"healthy_(?:hosts|targets|endpoints)|ready_replicas",
    ),
    "tls": Sign(
        text=r"x509|certificate|tls|ssl(?:v3)?[ :]|handshake (?:fail|error)|SSLHandshake|unknown authority|self.signed|CERT_"
        r"|hostname mismatch|no (?:common|shared) cipher|protocol version",
        up=r"tls|handshake|cert",
    ),
    "cache": Sign(
        text=r"cache (?:miss|stampede|evict|expired|is cold|key)|stale (?:data|cache|value|read)|cache.*(?:empty|flush)",
        up=r"cache_(?:miss|evict)|miss_(?:rate|ratio)|stale",
        down=r"cache_hit|hit_(?:rate|ratio)",
    ),
    "bounds": Sign(
        text=r"index out of (?:range|bounds)|slice bounds|IndexError|ArrayIndexOutOfBounds|list index|RangeError|buffer overflow"
        r"|division by zero|divide by zero|ZeroDivision|integer overflow|NaN\b|out of range|StopIteration|off.by.one",
        up=r"panic",
    ),
    "wrong_result": Sign(
        text=r"mismatch|inconsisten|incorrect|wrong (?:amount|total|price|currency|value|result)|checksum|reconciliation|unbalanced"
        r"|double.?count|negative (?:amount|total|price|value)|rounding|differs from|unexpected (?:value|total|amount|result)",
        up=r"mismatch|inconsisten|reconcil|discrepan|wrong|incorrect",
    ),
    "queue_backlog": Sign(
        text=r"(?:queue|backlog|lag|consumer)\b.*(?:rising|growing|full|behind|increas|stuck|stalled)|oldest ?message|consumer lag"
        r"|rebalanc|max\.poll|not acking|redeliver|queue (?:is )?full|buffer (?:full|near)",
        up=r"queue|lag|backlog|oldest_message|buffer_used|pending|depth",
        down=r"consum(?:ed|er)_rate|processed_per",
        generic=True,
    ),
    "missing_setting": Sign(
        text=r"(?:env(?:ironment)?(?: variable)?|config(?:uration)?|setting|secret|property|key|flag)\b[^.;]{0,50}(?:not set|is required|missing|undefined|empty|not found|invalid)"
        r"|missing (?:env|config|setting|secret|required (?:env|config|setting))|could not resolve placeholder|KeyError: '[A-Z_]+'"
        r"|unknown (?:flag|option|field in config|config)|unrecognized (?:argument|option|configuration)|invalid (?:configuration|value for|port|dsn|url)",
    ),
    "encoding": Sign(
        text=r"(?:invalid|malformed|bad) (?:utf|encoding|charset|base64|byte|timezone|date|content.?type)|UnicodeDecode|UnicodeEncode|mojibake|charset"
        r"|time zone|timezone|parsing time|unsupported media type|\b415\b|incorrect header check|gzip",
        up=r"encod|charset",
    ),
    "method_rejected": Sign(
        text=r"\b405\b|method not allowed|\b404\b|no route|route not found|unknown route|gone\b|\b410\b|redirect loop|too many redirects|\b301\b|\b308\b",
        up=r"404|405|redirect",
    ),
    "latency": Sign(
        text=r"slow (?:request|response|call|trace)|slow:|latency|took too long|p9[59]",
        up=r"latency|duration|response_time|p9[59]|p50|_ms$|_seconds$",
        generic=True,
    ),
    "errors": Sign(
        text=r"\b5\d\d\b|internal server error|error (?:rate|ratio)|request failed|panic",
        up=r"5xx|error|fail|panic|exception",
        down=r"success|availability",
        generic=True,
    ),
    "load": Sign(
        text=r"traffic (?:surge|spike|burst)|request surge|overload",
        up=r"requests?_(?:per_sec|rate|total)|_rps$|rps$|qps$|request_rate|traffic|requests$",
        generic=True,
    ),
}

_VICTIM = re.compile(
    r"\b(?:upstream|downstream|dependency|from|to|call(?:ing)?|endpoint)\b.*(?:fail|unavailable|error|5\d\d|timeout|slow|refused|reset|exceeded)"
    r"|fallback|retry banner|propagat", re.I,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Symptom:
    """One kind of symptom at one service. ``weight`` between 0 and 1; ``first`` its earliest sign; ``text`` the
    weightiest of ``texts``."""

    kind: str
    service: str
    first: datetime
    weight: float
    text: str
    evidence_ids: tuple[EvidenceId, ...]
    texts: tuple[str, ...] = ()
    moved: Moved | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compiled:
    text: re.Pattern[str] | None
    up: re.Pattern[str] | None
    down: re.Pattern[str] | None


def find(signals: Signals, world: World) -> tuple[Symptom, ...]:
    """Every symptom at every service, the weightiest first."""
    found: dict[tuple[str, str], list[Symptom]] = {}
    for kind, sign in SIGNS.items():
        rule = _compiled(sign)
        for symptom in (*_told(kind, sign, rule, signals), *_measured(kind, sign, rule, signals, world)):
            found.setdefault((kind, symptom.service), []).append(symptom)
    for fan in signals.fan_outs:
        found.setdefault(("query_fanout", fan.service), []).append(
            Symptom(
                kind="query_fanout",
                service=fan.service,
                first=fan.first,
                weight=0.9,
                text=f"{fan.operation} {fan.after} times in one trace",
                evidence_ids=tuple(item.id for item in world.looked("trace.spans") if item.spans)[:1],
            )
        )
    merged = [_merge(items) for items in found.values()]
    return tuple(sorted(merged, key=lambda one: (-one.weight, one.first, one.kind, one.service)))


def _told(kind: str, sign: Sign, rule: _Compiled, signals: Signals) -> Iterable[Symptom]:
    if rule.text is None:
        return
    for signal in signals.texts:
        if signal.weight < 0.3 or not rule.text.search(signal.text):
            continue
        victim = _is_victim(signal, signals.services)
        yield Symptom(
            kind=kind,
            service=signal.service,
            first=signal.first,
            weight=signal.weight * (0.6 if victim else 1.0) * (0.6 if sign.generic else 1.0),
            text=signal.text,
            evidence_ids=(signal.evidence_id,) if signal.evidence_id else (),
        )


def _measured(kind: str, sign: Sign, rule: _Compiled, signals: Signals, world: World) -> Iterable[Symptom]:
    for moved in signals.moved:
        pattern = rule.up if moved.up else rule.down
        if pattern is None or not pattern.search(moved.name):
            continue
        subject = moved.service in world.subjects
        yield Symptom(
            kind=kind,
            service=moved.service,
            first=moved.first,
            weight=(0.8 if subject else 0.7) * (0.7 if sign.generic else 1.0),
            text=f"{moved.name} {moved.before:.3g} → {moved.after:.3g}",
            evidence_ids=(moved.evidence_id,),
            moved=moved,
        )


def _merge(items: list[Symptom]) -> Symptom:
    """The weightiest, with the earliest sign of all and a little more weight for each independent kind."""
    best = max(items, key=lambda one: (one.weight, -one.first.timestamp()))
    ids = tuple(
        dict.fromkeys(one for item in sorted(items, key=lambda s: -s.weight) for one in item.evidence_ids)
    )
    kinds = len({item.moved is None for item in items})
    weight = min(1.0, best.weight + 0.1 * (kinds - 1))
    moved = next((item.moved for item in items if item.moved is not None), None)
    return Symptom(
        kind=best.kind,
        service=best.service,
        first=min(item.first for item in items),
        weight=weight,
        text=best.text,
        evidence_ids=ids[:4],
        texts=tuple(dict.fromkeys(item.text for item in items)),
        moved=moved,
    )


def _is_victim(signal: Signal, services: frozenset[str]) -> bool:
    """Whether a service complains about another one."""
    others = [name for name in services if name != signal.service and len(name) > 3 and name in signal.text]
    return bool(_VICTIM.search(signal.text)) and (
        bool(others) or "upstream" in signal.text.lower() or "fallback" in signal.text
    )


def _compiled(sign: Sign) -> _Compiled:
    def one(pattern: str) -> re.Pattern[str] | None:
        return re.compile(pattern, re.I) if pattern else None

    return _Compiled(text=one(sign.text), up=one(sign.up), down=one(sign.down))
