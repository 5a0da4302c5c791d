"""How each kind of symptom is recognised: the words of log lines, spans and alerts, and what series do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


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
        text=r"nil pointer|null ?pointer|NoneType' object|of (?:undefined|null)\b|(?:undefined"
        r"|null) is not an? (?:object|function)"
        r"|SIGSEGV|segmentation fault|NullReferenceException|invalid memory address|unwrap\(\)` on a `None"
        r"|Cannot read propert|undefined method .* for nil|Option::unwrap",
    ),
    "data_race": Sign(
        text=r"concurrent (?:map|update|access|modif|write)|non-?concurrent|thread.?safe"
        r"|data race|race detected"
        r"|ConcurrentModificationException"
        r"|changed size during iteration"
        r"|double free|corrupted (?:heap|state)|lost update|duplicate (?:charge|order|booking|processing)"
        r"|processed twice|oversold|negative (?:stock|balance|inventory)",
        up=r"duplicate|race|oversold",
    ),
    "deadlock": Sign(
        text=r"deadlock|lock wait timeout|could not obtain lock|waiting for (?:the )?lock"
        r"|all goroutines are asleep"
        r"|blocked for more than|thread(?:s)? blocked|lock contention|BLOCKED on",
        up=r"lock_wait|blocked|lock_contention|threads_waiting",
    ),
    "deadline_exceeded": Sign(
        text=r"deadline ?exceeded|timed? ?out\b|ETIMEDOUT|SocketTimeout|ReadTimeout"
        r"|context cancell?ed|gateway timeout"
        r"|exceeded deadline|timeout (?:budget )?exceeded|TimeoutError|\b504\b",
        up=r"timeout|deadline|cancel",
    ),
    "query_fanout": Sign(
        text=r"n\+1|calls_in_request|queries (?:in|per) (?:one|a|the|each)? ?request|repeated quer"
        r"|identical (?:quer|select)"
        r"|too many quer",
        up=r"quer(?:y|ies)_(?:count_)?per_|queries?_(?:per_sec|qps|rate|count)|calls_per_request"
        r"|db_calls|_qps$|selects?_per",
    ),
    "slow_query": Sign(
        text=r"slow quer|full (?:table|collection) scan|seq(?:uential)? scan|rows?[_ .]examined"
        r"|query took|using filesort"
        r"|statement timeout|temporary table|missing index|COLLSCAN",
        up=r"rows_(?:examined|scanned|read)|query_(?:latency|duration|time)|slow_quer|db_cpu"
        r"|seq_scan|db_.*latency",
    ),
    "result_too_large": Sign(
        text=r"(?:response|payload|message|body|entity|request) (?:is )?(?:too large|larger than"
        r"|exceeds)|\b413\b"
        r"|max(?:imum)? (?:message|payload|body) size|RESOURCE_EXHAUSTED.*larger|MessageSizeTooLarge",
        up=r"(?:response|payload|message|body)_(?:size|bytes)",
    ),
    "memory": Sign(
        text=r"OOM|out of memory|OutOfMemory|memory limit|heap (?:growing|space|out of memory)"
        r"|cannot allocate memory|MemoryError"
        r"|GC (?:pause|overhead)|exit code 137|allocation failed|evicted.*memory",
        up=r"memory|rss|heap|oom|gc_pause|working_set|_mem(?:_|$)",
    ),
    "cpu": Sign(
        text=r"throttl(?:ed|ing).*cpu|cpu.*(?:throttl|satur|100 ?%)|catastrophic backtracking"
        r"|event loop (?:lag|blocked)|busy loop"
        r"|watchdog.*(?:stall|stuck)|thread starvation",
        up=r"(?<!db_)cpu|throttl|event_loop|eventloop|load1|run_queue",
    ),
    "startup_crash": Sign(
        text=r"CrashLoopBackOff|failed to start|startup (?:failed|probe failed)|panic(?: on startup"
        r"|: init)|back-off restarting"
        r"|cannot start|failed to initiali[sz]e|exited with code [1-9]"
        r"|failed to load (?:config|module)|boot(?:strap)? failed"
        r"|Application run failed|BeanCreation|panic loading",
        up=r"restart|crash",
        down=r"ready_replicas|replicas_(?:ready|available)|up$",
    ),
    "dependency_conflict": Sign(
        text=r"duplicate registration|incompatible .*version|version (?:conflict|mismatch)"
        r"|NoSuchMethod|NoClassDefFound"
        r"|ClassNotFound|LinkageError|ImportError|ModuleNotFound"
        r"|ImportModule|unable to import|cannot open shared object|command not found"
        r"|executable file not found|Cannot find module"
        r"|cannot import name|undefined symbol"
        r"|no longer (?:exists|supported)|is not a function|has no attribute"
        r"|unexpected keyword argument|unimplemented"
        r"|peer dependency|symbol not found|GLIBC|deprecat\w+ .*removed|Unsupported class file"
        r"|incompatible runtime"
        r"|takes \d+ positional|AbstractMethodError|undefined method|TypeError",
    ),
    "log_volume": Sign(
        text=r"log(?:ging)? (?:volume|flood|rate)|too many log|dropping log|processing record"
        r"|log rotat|log (?:ingest|quota)",
        up=r"log_(?:write|bytes|lines|volume|ingest|throughput)|lines?_per|_lps|ingest(?:ion"
        r"|ed)?_bytes|spans?_(?:per|exported)",
    ),
    "disk_full": Sign(
        text=r"no space left|disk (?:is )?full|ENOSPC|read-only file ?system|disk (?:usage|pressure"
        r"|quota)|quota exceeded.*disk",
        up=r"disk_(?:used|usage)|filesystem_used|volume_used|wal_size|inodes_used",
        down=r"disk_free|filesystem_(?:avail|free)",
    ),
    "deserialisation": Sign(
        text=r"deseriali[sz]|unmarshal|unexpected (?:field|token|end of)"
        r"|missing (?:required )?(?:field|property|key|column|param)"
        r"|unknown field|required field|KeyError|no such field|parse error|failed to (?:parse"
        r"|decode)|decod(?:e|ing) (?:error|failed)"
        r"|schema (?:mismatch|validation|registry|violation)|invalid (?:json|payload|format"
        r"|type|enum)|JSONDecode|cannot (?:decode|parse)"
        r"|proto(?:buf)?: (?:wrong|invalid)|UnicodeDecode|invalid (?:utf|byte)"
        r"|unrecognized (?:field|property)|mapping exception"
        r"|validation(?: error)?s? (?:failed|for|in)|cannot be cast|type mismatch"
        r"|is not assignable|\b422\b|400 bad request",
        up=r"deseriali|decode_err|parse_err|schema_err|validation_err|invalid_|dead_?letter|dlq",
    ),
    "not_registered": Sign(
        text=r"not (?:been )?registered|not found|no (?:handler|route|provider|bean|factory"
        r"|consumer|plugin|implementation)"
        r"|unknown (?:service|method|command|handler|type|job|task|agent|codec|driver|queue"
        r"|topic)|lookup failed|\b404\b"
        r"|No qualifying bean|unimplemented|no such (?:service|method|job|task|key)|unresolved"
        r"|never (?:ran|seeded|called)",
        up=r"not_found|404|lookup_fail|unroutable|unregistered",
    ),
    "schema_missing": Sign(
        text=r"(?:relation|table|column|view|function|index|type|collection"
        r"|sequence)\b[^;\n]{0,80}(?:does not|doesn't) exist"
        r"|no such (?:table|column)|unknown column|undefined (?:table|column)"
        r"|invalid object name|ORA-00942|pending migration"
        r"|not migrated|UndefinedTable|UndefinedColumn",
        up=r"missing_(?:table|column)|migration",
    ),
    "constraint": Sign(
        text=r"duplicate key|unique (?:constraint|violation)|violates (?:not-null|foreign key|check"
        r"|unique)|cannot be null"
        r"|IntegrityError|constraint (?:failed|violation)|value too long|out of range for (?:type|column)"
        r"|numeric(?:al)? overflow|data too long",
        up=r"constraint|integrity",
    ),
    "auth_rejected": Sign(
        text=r"token (?:is |has )?(?:expired|invalid|not (?:yet )?valid)|invalid (?:token|signature"
        r"|credentials|audience|issuer|api key|algorithm)"
        r"|unauthori[sz]ed|\b401\b|signature (?:mismatch|verification)|jwt|json ?web ?token"
        r"|authentication failed|password authentication|bad credentials"
        r"|session (?:expired|invalid)|login failed|csrf|SignatureDoesNotMatch",
        up=r"401|unauthori|token_(?:validation|reject)|auth(?:n|entication)?_(?:fail|err)|login_fail|session",
    ),
    "permission": Sign(
        text=r"permission denied|access ?denied|forbidden|\b403\b|not authori[sz]ed to"
        r"|is not allowed|insufficient (?:privilege|scope)"
        r"|RBAC|cannot (?:get|list|watch|create) resource|EACCES|blocked by CORS|CORS policy"
        r"|row-level security",
        up=r"403|forbidden|denied",
    ),
    "pool_exhausted": Sign(
        text=r"pool (?:is )?(?:exhausted|timeout|full|empty)|too many (?:connections|clients)"
        r"|QueuePool|no (?:available|free|idle) connection"
        r"|connection(?:s)? (?:is not available|limit|slots)"
        r"|waiting for (?:a )?(?:free )?connection|unable to acquire|acquire timeout"
        r"|HikariPool|max_connections|RejectedExecution|thread pool|worker pool|semaphore",
        up=r"pool_(?:wait|in_?use|pending|active|util|used|acquire)|connections?_(?:active|in_use"
        r"|waiting|open)|pending_conn|acquire",
        down=r"pool_(?:idle|available|free)|connections?_(?:idle|available)",
    ),
    "fd_leak": Sign(
        text=r"too many open files|EMFILE|ENFILE|file descriptor|cannot assign requested address"
        r"|ephemeral port|EADDRNOTAVAIL",
        up=r"open_fds|file_desc|fds|time_wait|close_wait|sockets?",
    ),
    "thread_leak": Sign(
        text=r"goroutine (?:leak|count)|unable to create (?:new )?(?:native )?thread"
        r"|can't start new thread|thread (?:leak|limit)"
        r"|Resource temporarily unavailable|pids? limit",
        up=r"goroutine|threads?(?:_|$)|tasks?_(?:pending|active)|pids",
    ),
    "retry_storm": Sign(
        text=r"retry (?:storm|budget|attempt)|retrying|max retries|too many retries"
        r"|attempt \d+ (?:of|/)|reconnect(?:ing)? storm"
        r"|thundering herd|circuit (?:breaker )?open",
        up=r"retr(?:y|ies)|attempts|amplification|reconnect",
    ),
    "rate_limited": Sign(
        text=r"rate.?limit|\b429\b|too many requests|throttled|quota (?:exceeded|exhausted)"
        r"|request limit|ThrottlingException|slow ?down",
        up=r"429|throttled_requests|rate_limit|rejected|limited",
    ),
    "name_resolution": Sign(
        text=r"no such host|ENOTFOUND|getaddrinfo|name (?:or service not known|resolution)|NXDOMAIN"
        r"|SERVFAIL|unknown ?host|could not resolve"
        r"|EAI_AGAIN|server misbehaving|name resolver|lookup \S+ on ",
        up=r"dns|servfail|nxdomain|resolv",
    ),
    "connection_refused": Sign(
        text=r"connection refused|ECONNREFUSED|no (?:healthy )?(?:upstream|endpoints)"
        r"|connect(?:ion)? (?:failed|error|reset)|ECONNRESET"
        r"|EHOSTUNREACH|no route to host|broken pipe|dial tcp|network is unreachable"
        r"|could not connect|\b503\b|bad gateway|\b502\b"
        r"|endpoint unavailable",
        up=r"connect(?:ion)?_(?:err|fail|refused)|unavailable|503|502",
        down=r"endpoints?_(?:ready|available)",
    ),
    "probe_failing": Sign(
        text=r"(?:liveness|readiness|startup|health) ?(?:probe|check)s?\b.*(?:fail|error|unhealthy"
        r"|404|timeout|refused)|probe failed"
        r"|marked unhealthy|failing health",
        up=r"probe_fail|health_?check_fail|unhealthy",
        down=r"healthy_(?:hosts|targets|endpoints)|ready_replicas",
    ),
    "tls": Sign(
        text=r"x509|certificate|tls|ssl(?:v3)?[ :]|handshake (?:fail|error)|SSLHandshake"
        r"|unknown authority|self.signed|CERT_"
        r"|hostname mismatch|no (?:common|shared) cipher|protocol version",
        up=r"tls|handshake|cert",
    ),
    "cache": Sign(
        text=r"cache (?:miss|stampede|evict|expired|is cold|key)|stale (?:data|cache|value|read)"
        r"|cache.*(?:empty|flush)",
        up=r"cache_(?:miss|evict)|miss_(?:rate|ratio)|stale",
        down=r"cache_hit|hit_(?:rate|ratio)",
    ),
    "bounds": Sign(
        text=r"index out of (?:range|bounds)|slice bounds|IndexError|ArrayIndexOutOfBounds"
        r"|list index|RangeError|buffer overflow"
        r"|division by zero|divide by zero|ZeroDivision|integer overflow|NaN\b|out of range"
        r"|StopIteration|off.by.one",
        up=r"panic",
    ),
    "wrong_result": Sign(
        text=r"mismatch|inconsisten|incorrect|wrong (?:amount|total|price|currency|value|result)"
        r"|checksum|reconciliation|unbalanced"
        r"|double.?count|negative (?:amount|total|price|value)|rounding|differs from"
        r"|unexpected (?:value|total|amount|result)",
        up=r"mismatch|inconsisten|reconcil|discrepan|wrong|incorrect",
    ),
    "queue_backlog": Sign(
        text=r"(?:queue|backlog|lag|consumer)\b.*(?:rising|growing|full|behind|increas|stuck"
        r"|stalled)|oldest ?message|consumer lag"
        r"|rebalanc|max\.poll|not acking|redeliver|queue (?:is )?full|buffer (?:full|near)",
        up=r"queue|lag|backlog|oldest_message|buffer_used|pending|depth",
        down=r"consum(?:ed|er)_rate|processed_per",
        generic=True,
    ),
    "missing_setting": Sign(
        text=r"(?:env(?:ironment)?(?: variable)?|config(?:uration)?|setting|secret|property|key"
        r"|flag)\b[^.;]{0,50}(?:not set|is required|missing|undefined|empty|not found|invalid)"
        r"|missing (?:env|config|setting|secret|required (?:env|config|setting))"
        r"|could not resolve placeholder|KeyError: '[A-Z_]+'"
        r"|unknown (?:flag|option|field in config|config)|unrecognized (?:argument|option"
        r"|configuration)|invalid (?:configuration|value for|port|dsn|url)",
    ),
    "encoding": Sign(
        text=r"(?:invalid|malformed|bad) (?:utf|encoding|charset|base64|byte|timezone|date"
        r"|content.?type)|UnicodeDecode|UnicodeEncode|mojibake|charset"
        r"|time zone|timezone|parsing time|unsupported media type|\b415\b|incorrect header check|gzip",
        up=r"encod|charset",
    ),
    "method_rejected": Sign(
        text=r"\b405\b|method not allowed|\b404\b|no route|route not found|unknown route|gone\b"
        r"|\b410\b|redirect loop|too many redirects|\b301\b|\b308\b",
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
