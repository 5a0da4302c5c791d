"""What real software writes when something it depends on fails: one entry for each way of saying it."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """``needles`` are lower-case texts of which one is in every such line; groups of ``regex`` may be
    ``host`` (what was called), ``port`` and ``name`` (a table, user, partition …)."""

    kind: str
    needles: tuple[str, ...]
    regex: re.Pattern[str]
    technology: str = ""


def _p(kind: str, needles: str, regex: str, technology: str = "") -> Pattern:
    return Pattern(
        kind=kind,
        needles=tuple(needles.split("|")),
        regex=re.compile(regex, re.IGNORECASE),
        technology=technology,
    )


_HOST = r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?"
_ANSWERED = (
    r"(?:status|code|HTTP|returned|responded with|response|answered|got|received)\W{0,12}"
    r"(?:(?:code|status)\W{0,3})?"
)
_Q = r"[\"'`“]?"

NAMES = (
    _p("dns_unknown_name", "no such host", rf"lookup (?P<host>{_HOST})\.?(?: on \S+)?: no such host"),
    _p("dns_server_failed", "server misbehaving",
       rf"lookup (?P<host>{_HOST})\.?(?: on \S+)?: server misbehaving"),
    _p("dns_timeout", "i/o timeout|connection refused|operation not permitted",
       rf"lookup (?P<host>{_HOST})\.?(?: on \S+)?: (?:read|dial|write)?.*?"
       r"(?:i/o timeout|connection refused|operation not permitted)"),
    _p("dns_server_failed", "temporary failure in name resolution",
       rf"(?:lookup |UnknownHostException: |host name {_Q}|resolve (?:host )?{_Q})(?P<host>{_HOST}).*"
       r"Temporary failure in name resolution"),
    _p("dns_unknown_name", "name or service not known|nodename nor servname",
       rf"(?:UnknownHostException: |host name {_Q}|resolve {_Q}|host=')(?P<host>{_HOST}).*"
       r"(?:Name or service not known|nodename nor servname)"),
    _p("dns_unknown_name", "name or service not known",
       rf"Name or service not known \((?P<host>{_HOST}):\d+\)"),
    _p("dns_unknown_name", "unknownhostexception|unable to resolve host|could not resolve host",
       rf"(?:UnknownHostException:|Unable to resolve host|Could not resolve host:?) {_Q}(?P<host>{_HOST})"),
    _p("dns_unknown_name", "enotfound", rf"(?:getaddrinfo|query\w*) ENOTFOUND (?P<host>{_HOST})"),
    _p("dns_server_failed", "eai_again", rf"(?:getaddrinfo )?EAI_AGAIN (?P<host>{_HOST})"),
    _p("dns_server_failed", "eservfail", rf"query\w* ESERVFAIL (?P<host>{_HOST})"),
    _p("dns_unknown_name", "host not found", rf"host not found in upstream {_Q}(?P<host>{_HOST})"),
    _p("dns_unknown_name", "could not be resolved",
       rf"(?P<host>{_HOST}) could not be resolved \(3: Host not found\)"),
    _p("dns_server_failed", "could not be resolved",
       rf"(?P<host>{_HOST}) could not be resolved \(2: Server failure\)"),
    _p("dns_timeout", "could not be resolved", rf"(?P<host>{_HOST}) could not be resolved \(110: "),
    _p("dns_timeout", "dns resolution failed",
       rf"DNS resolution failed for (?P<host>{_HOST}).*(?:[Tt]imeout while contacting|Could not "
       rf"contact) DNS servers"),
    _p("dns_unknown_name", "dns resolution failed", rf"DNS resolution failed for (?P<host>{_HOST})"),
    _p("dns_unknown_name", "unknown mysql server host",
       rf"Unknown MySQL server host {_Q}(?P<host>{_HOST})"),
    _p("dns_server_failed", "temporary failure in name resolution|eai_again|servfail",
       r"Temporary failure in name resolution|EAI_AGAIN|\bSERVFAIL\b"),
    _p("dns_unknown_name", "name or service not known", r"Name or service not known"),
)  # fmt: skip

DATABASES = (
    _p("db_auth_failed", "password authentication failed|no pg_hba.conf entry|peer authentication failed",
       r"(?:password|peer) authentication failed for user \"?(?P<name>[\w.-]+)|no pg_hba\.conf "
       r"entry", "postgresql"),
    _p("db_auth_failed", "role ", r"FATAL: +role \"(?P<name>[^\"]+)\" (?:does not exist|is not "
                                  r"permitted to log in)",
       "postgresql"),
    _p("db_permission", "command denied|access denied for user",
       r"(?:\w+ command denied to user .* for table|Access denied for user \S+ to database) "
       r"'(?P<name>[^']+)'", "mysql"),
    _p("db_auth_failed", "access denied for user", r"Access denied for user '(?P<name>[^']*)'@", "mysql"),
    _p("db_auth_failed", "login failed for user", r"Login failed for user '(?P<name>[^']*)'", "mssql"),
    _p("db_permission", "not authorized on",
       r"not authorized on (?P<name>\S+) to execute command", "mongodb"),
    _p("db_auth_failed", "requires authentication", r"command \w+ requires authentication", "mongodb"),
    _p("db_auth_failed", "authenticationfailed|unable to authenticate using mechanism|usernotfound|"
                         "storedkey mismatch",
       r"AuthenticationFailed|unable to authenticate using mechanism|UserNotFound|storedKey "
       r"mismatch", "mongodb"),
    _p("db_permission", "noperm", r"NOPERM .*(?:no permissions|can't access|no access)", "redis"),
    _p("db_auth_failed", "wrongpass|noauth|invalid password|without any password configured",
       r"WRONGPASS|NOAUTH Authentication required|ERR invalid password|ERR AUTH .*without any "
       r"password", "redis"),
    _p("db_auth_failed", "saslauthenticationexception|sasl authentication failed|login was refused",
       r"SaslAuthenticationException|SASL authentication failed|ACCESS_REFUSED - Login was refused"),
    _p("db_permission", "permission denied for",
       r"permission denied for (?:table|relation|schema|sequence|database|function|view|materialized view) "
       r"\"?(?P<name>[\w.]+)", "postgresql"),
    _p("db_permission", "must be owner of", r"must be owner of \w+ \"?(?P<name>[\w.]+)", "postgresql"),
    _p("db_permission", "insufficient privileges|topicauthorizationexception|not authorized to "
                        "access topics",
       r"ORA-01031|TopicAuthorizationException|Not authorized to access topics"),
    _p("db_read_only", "read-only|read only|readonly",
       r"cannot execute \w+ in a read-only transaction|default_transaction_read_only", "postgresql"),
    _p("db_read_only", "read-only", r"--(?:super-)?read-only option", "mysql"),
    _p("db_read_only", "readonly|misconf",
       r"READONLY You can't write against a read only|MISCONF Redis is configured to save RDB", "redis"),
    _p("db_read_only", "notwritableprimary|not master|not primary",
       r"NotWritablePrimary|NotMasterError|\bnot (?:master|primary)\b(?! election)", "mongodb"),
    _p("db_read_only", "readonly database", r"attempt to write a readonly database", "sqlite"),
    _p("db_read_only", "read-only / allow delete", r"index read-only / allow delete", "elasticsearch"),
    _p("migration_failed", "relation |column ",
       r"(?:relation|column) \"?(?P<name>[\w.]+)\"?(?: of relation \"?[\w.]+\"?)? does not exist",
       "postgresql"),
    _p("migration_failed", "doesn't exist", r"Table '(?P<name>[\w.]+)' doesn't exist", "mysql"),
    _p("migration_failed", "unknown column", r"Unknown column '(?P<name>[\w.]+)' in", "mysql"),
    _p("migration_failed", "no such table|no such column|has no column named",
       r"no such (?:table|column): (?P<name>[\w.]+)|table \S+ has no column named", "sqlite"),
    _p("migration_failed", "migration|dirty database|locate revision|databasechangeloglock|change log lock",
       r"FlywayException|Migrations? (?:have )?failed|migration [`\"']?(?P<name>[\w.-]+)[`\"']? failed|"
       r"Dirty database version|unapplied migration|Can't locate revision identified by|"
       r"Could not acquire change log lock|LiquibaseException|pending migrations|PendingMigrationError"),
    _p("migration_failed", "in the current database",
       r"The (?:table|column) `(?P<name>[\w.]+)` does not exist in the current database"),
    _p("too_many_connections", "too many clients|remaining connection slots",
       r"sorry, too many clients already|remaining connection slots are reserved", "postgresql"),
    _p("too_many_connections", "max number of clients", r"max number of clients reached", "redis"),
    _p("too_many_connections", "too many open connections", r"too many open connections", "mongodb"),
    _p("too_many_connections", "error 1040", r"Error 1040", "mysql"),
    _p("too_many_connections", "too many connections|no more connections",
       r"too many connections|no more connections allowed"),
    _p("db_deadlock", "deadlock detected", r"deadlock detected", "postgresql"),
    _p("db_deadlock", "deadlock found", r"Deadlock found when trying to get lock", "mysql"),
    _p("db_deadlock", "ora-00060|deadlocked", r"ORA-00060|was deadlocked on lock"),
    _p("lock_contention", "lock wait timeout", r"Lock wait timeout exceeded", "mysql"),
    _p("lock_contention", "lock timeout|still waiting for|could not obtain lock",
       r"canceling statement due to lock timeout|still waiting for \w+Lock on|could not obtain lock on",
       "postgresql"),
    _p("lock_contention", "database is locked|locktimeout|unable to acquire",
       r"database is locked|LockTimeout|Unable to acquire .{0,30}lock within"),
    _p("lock_contention", "writeconflict", r"WriteConflict", "mongodb"),
    _p("db_disk_full", "could not extend file|could not write to file|pg_wal",
       r"could not (?:extend|write|create) .*No space left on device|PANIC: .*No space left on device",
       "postgresql"),
    _p("db_disk_full", "disk is full writing|is full",
       r"Disk is full writing|The table '[^']+' is full", "mysql"),
    _p("db_disk_full", "wiredtiger", r"WiredTiger.*No space left on device", "mongodb"),
    _p("db_disk_full", "append only file", r"append only file.*No space left on device", "redis"),
    _p("db_disk_full", "flood stage", r"flood stage disk watermark", "elasticsearch"),
    _p("db_disk_full", "disk resource limit|free disk space",
       r"disk resource limit alarm set|free disk space is insufficient", "rabbitmq"),
    _p("disk_full", "no space left on device|enospc|disk quota exceeded",
       r"No space left on device|ENOSPC|Disk quota exceeded"),
    _p("replication_lag", "replication|replica|wal segment|slave|recovery|oplog",
       r"replica(?:tion|)[ _]lag|(?:requested )?WAL segment \S+ has already been removed|too stale "
       r"to catch up|"
       r"conflict with recovery|Seconds_Behind_Master: [1-9]|replica .*is .*behind|slave .*is .*behind|"
       r"lagging behind the primary"),
)  # fmt: skip

OTHERS = (
    _p("pool_exhausted", "pool",
       r"Connection is not available, request timed out after|QueuePool limit of size \d+ overflow "
       r"\d+ reached|"
       r"connection pool timeout|pool is probably full|Could not get a resource (?:from|since) the pool|"
       r"Pool empty\. Unable to fetch a connection|pool exhausted|PoolExhausted|PoolTimeout|"
       r"Timeout waiting for connection from pool|pool (?:is )?exhausted|exhausted .*connection pool|"
       r"ConnectionPoolTimeout|acquir\w+ .{0,30}connection .{0,30}pool.{0,30}(?:time|deadline)"),
    _p("pool_exhausted", "timeout exceeded when trying to connect|connectionacquiretimeout|"
                         "waitqueuetimeout|while checking out a connection",
       r"timeout exceeded when trying to connect|ConnectionAcquireTimeoutError|WaitQueueTimeout|"
       r"while checking out a connection"),
    _p("thread_pool_exhausted", "rejectedexecution|worker_connections|maxrequestworkers|max_children",
       r"RejectedExecutionException|worker_connections are not enough|reached MaxRequestWorkers|"
       r"reached pm\.max_children"),
    _p("rate_limited", "429|rate limit|too many requests|ratelimit|throttl|rate exceeded|"
                       "requestlimitexceeded|slowdown",
       r"429 Too Many Requests|\b" + _ANSWERED + r"429\b|rate "
       r"limit(?:ed)?(?: was)? (?:exceeded|reached|hit)|"
       r"Too Many Requests|ThrottlingException|Rate exceeded|RequestLimitExceeded|SlowDown|RateLimitError|"
       r"ResourceExhausted desc = .*(?:rate|quota)"),
    _p("peer_certificate_refused", "expired certificate|certificate expired|alert number 45|client "
                                   "ssl certificate verify",
       r"remote error: tls: expired certificate|alert certificate expired|alert number 45|"
       r"certificate_expired"),
    _p("clock_skew", "certificate",
       r"certificate has expired or is not yet valid: current time \S+ is before|CertificateNotYetValid|"
       r"certificate is not yet valid"),
    _p("certificate_expiry", "certificate|cert_has_expired|validity check failed",
       r"certificate has expired|CERT_HAS_EXPIRED|CertificateExpiredException|validity check failed|"
       r"certificate verify failed: certificate has expired|certificate .{0,80}\bexpired\b"),
    _p("mtls_mismatch", "tls|ssl|https client|https server|https port|wrong version number",
       r"http: server gave HTTP response to HTTPS client|client sent an HTTP request to an HTTPS server|"
       r"first record does not look like a TLS handshake|tls: certificate required|bad_certificate|"
       r"peer did not return a certificate|TLS_error:|wrong version number|"
       r"PEER_DID_NOT_RETURN_A_CERTIFICATE|"
       r"plain HTTP request was sent to HTTPS port"),
    _p("clock_skew", "skew|before issued|in the future|not yet|moved backwards|clock difference",
       r"token used before issued|issued in the future|RequestTimeTooSkewed|clock skew|[Cc]lock "
       r"moved backwards|"
       r"clock difference against peer|not before .{0,30}in the future|JWT (?:is )?not (?:yet )?valid yet|"
       r"ImmatureSignatureError|Signature not yet current|KRB_AP_ERR_SKEW"),
    _p("webhook_unavailable", "failed calling webhook", r"failed calling webhook \\?\"(?P<name>[^\"\\]+)"),
    _p("poison_message", "offset",
       r"partition (?P<name>[\w.-]+-\d+) at offset (?P<port>\d+)|"
       r"(?:error|fail|exception|cannot|could not|unable|invalid).{0,160}?offset[ =:]+\d+"),
    _p("poison_message", "redelivered|message_id|messageid|message id|delivery",
       r"(?:error|fail|exception|reject|nack|requeue|invalid).{0,160}?(?:message|delivery)[ "
       r"_]?(?:id|tag)[\"']?[ =:]+[\"']?(?P<name>[\w-]{3,})"),
    _p("consumer_lag", "lag|poll interval|already rebalanced|not part of an active group",
       r"consumer (?:group )?.{0,60}\blag(?:ging)?\b.{0,40}\d{3,}|max\.poll\.interval\.ms|"
       r"group has already rebalanced|not part of an active group"),
    _p("connection_lost", "gone away|lost connection to mysql",
       r"MySQL server has gone away|Lost connection to MySQL server", "mysql"),
    _p("connection_lost", "closed the connection|terminating connection|database system is",
       r"server closed the connection unexpectedly|terminating connection due to administrator command|"
       r"the database system is (?:starting up|shutting down|in recovery mode)", "postgresql"),
    _p("connection_lost", "loading the dataset|closed by server",
       r"LOADING Redis is loading the dataset|Connection closed by server", "redis"),
    _p("connection_lost", "nobrokersavailable|run out of available brokers",
       r"NoBrokersAvailable|run out of available brokers", "kafka"),
    _p("unavailable", "outbound",
       r"\" 50[34] [A-Z,]+ .*outbound\|(?P<port>\d+)\|[^|]*\|(?P<host>[\w.-]+)"),
    _p("connection_refused", "refus|error 111|errno 111",
       r"connection refused|ECONNREFUSED|Connection to (?P<host>[\w.-]+):(?P<port>\d+) refused|"
       r"(?:Errno|Error|error) 111|\(111\)|actively refused"),
    _p("connection_refused", "could not be established",
       r"Connection to node -?\d+ \((?P<host>[\w.-]+)/.*could not be established"),
    _p("connect_timeout", "timed out|timeout|etimedout",
       r"dial (?:tcp|udp) \S+ (?:connect: connection timed out|i/o timeout)|dial tcp .*i/o timeout|"
       r"connect timed out|"
       r"ETIMEDOUT|timed out\. \(connect timeout|timed out\) while connecting to upstream|"
       r"ConnectTimeout|connection timed out|Connection timed out: (?P<host>[\w.-]+)|reset reason: "
       r"connection timeout|"
       r"failed: Operation timed out|No route to host|EHOSTUNREACH"),
    _p("connect_timeout", "no route to host|ehostunreach|network is unreachable",
       r"No route to host|EHOSTUNREACH|Network is unreachable"),
    _p("dependency_auth_failed", "401|unauthorized|unauthenticated|invalid_client|invalid_grant|api "
                                 "key|revoked|invalidclienttokenid|signaturedoesnotmatch|expiredtoken",
       r"401 Unauthorized|\b" + _ANSWERED + r"401\b|code = "
       r"Unauthenticated|invalid_client|"
       r"invalid api key|(?:token|key|credential)s? (?:has been |was |is )?revoked|InvalidClientTokenId|"
       r"SignatureDoesNotMatch|ExpiredToken"),
    _p("read_timeout", "timed out|timeout|deadline|esockettimedout",
       r"Read timed out|context deadline exceeded|DeadlineExceeded|DEADLINE_EXCEEDED|timeout of "
       r"\d+ms exceeded|ESOCKETTIMEDOUT|"
       r"while reading response header from upstream|SocketTimeoutException|ReadTimeout|request timed out|"
       r"upstream request timeout|504 Gateway Time-?out|i/o timeout|"
       r"://[^\s,;\"']+:? timed out|(?:TimeoutError|urlopen error|socket\.timeout):? timed out"),
    _p("unavailable", "unavailable|502|503|504|bad gateway|no healthy upstream|no live upstreams|"
                      "communications "
                      "link|upstream connect error|failed to connect|econnreset|reset by peer|hang "
                      "up|broker may not|server selection",
       r"503 Service (?:Temporarily )?Unavailable|502 Bad Gateway|no healthy upstream|no live "
       r"upstreams|Communications link failure|"
       r"upstream connect error|code = Unavailable|UNAVAILABLE:|failed to connect to all addresses|"
       r"ECONNRESET|"
       r"connection reset by peer|socket hang up|Connection reset|server selection (?:error|timeout)|"
       r"No servers found yet|No suitable servers found|Broker may not be available|"
       r"\b" + _ANSWERED + r"50[234]\b"),
)  # fmt: skip

PATTERNS = (*NAMES, *DATABASES, *OTHERS)
DATASTORE_KINDS = frozenset({*(one.kind for one in DATABASES), "pool_exhausted"}) - {"disk_full"}

_PLACES = tuple(
    re.compile(text, re.IGNORECASE)
    for text in (
        r"->(?P<host>\[[0-9a-f:]+\]|[\w.-]+):(?P<port>\d{2,5})",
        r"upstream: \"?[a-z]+://(?P<host>[\w.-]+)(?::(?P<port>\d+))?",
        r"dial (?:tcp|udp) (?P<host>\[[0-9a-f:]+\]|[\w.-]+):(?P<port>\d+)",
        r"\b(?P<host>[a-z][\w.-]*)/(?:<unresolved>|\d+\.\d+\.\d+\.\d+):(?P<port>\d+)",
        r"\b[a-z][a-z0-9+.-]*://(?:[^@/\s]+@)?(?P<host>[\w.-]+)(?::(?P<port>\d+))?",
        r"host=['\"]?(?P<host>[\w.-]+)['\"]?,? ?(?:port=(?P<port>\d+))?",
        r"server at \"(?P<host>[^\"]+)\"(?: \([\d.]+\))?, port (?P<port>\d+)",
        r"ipv[46]:(?P<host>[\d.]+):(?P<port>\d+)",
        r"E(?:CONNREFUSED|TIMEDOUT|CONNRESET|HOSTUNREACH) (?P<host>[\w.-]+):(?P<port>\d+)",
        r"(?:connect|connecting|connection) (?:to|on) (?:\w+ server (?:at|on) "
        r")?['\"]?(?P<host>[a-z0-9][\w.-]*)['\"]?"
        r"(?:(?::| port )(?P<port>\d+))?",
        r"server on '(?P<host>[\w.-]+?)(?::(?P<port>\d+))?'",
        r"@'?(?P<host>[a-z][\w.-]*)'?:(?P<port>\d{2,5})",
        r"(?<![\w.:/-])(?P<host>[a-z][\w-]*(?:\.[\w-]+)*|\d+\.\d+\.\d+\.\d+):(?P<port>\d{2,5})(?!\d|:\S)",
    )
)


def places(text: str) -> list[tuple[str, int | None]]:
    """Hosts and ports that a line names as called, the surest first."""
    found: dict[tuple[str, int | None], None] = {}
    for pattern in _PLACES:
        for match in pattern.finditer(text):
            host, port = match["host"].rstrip("."), match["port"]
            if host.lower() not in ("server", "the", "a", "upstream", "node", "host", "all", "database"):
                found.setdefault((host, int(port) if port else None))
    return list(found)
