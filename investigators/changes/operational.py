"""Causes that need no change: what expires, fails or floods from outside."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bot.domain.ids import EvidenceId
from investigators.changes import tokens
from investigators.changes.signals import Moved, Signal, Signals
from investigators.changes.signs import SIGNS
from investigators.changes.symptoms import Symptom
from investigators.templates import Level, level_of
from investigators.world.world import World

_BROAD = frozenset(
    ("errors", "latency", "load", "queue_backlog", "connection_refused", "deadline_exceeded", "retry_storm",
     "pool_exhausted",
     "rate_limited", "probe_failing", "cache")
)  # fmt: skip
_EXPIRED = re.compile(
    r"certificate (?:has )?expired|cert(?:ificate)?[ _-]?(?:has[ _-])?expired"
    r"|x509[^\n]*expired|CERT_HAS_EXPIRED|certificate[^\n]*is expired",
    re.I,
)
_EXTERNAL = re.compile(
    r"(?<![\w.@\-])((?:[a-z0-9\-]+\.)+(?:com|net|org|io|co|cloud|dev|ai|app|eu|de|uk|us|fr"
    r"|jp|in|tech|gov|edu))(?![\w\-]|\.[a-z])",
    re.I,
)
_FAILS = re.compile(
    r"\b50[0234]\b|\b5\d\d\b|unavailable|timed? ?out|deadline|outage|refused|reset"
    r"|exceeded|degraded|overloaded|bad gateway|elevated error",
    re.I,
)
_PAGE = re.compile(
    r"status page|\b(?:partial|major|full|regional) outage\b|incident (?:declared|opened"
    r"|reported) by|provider (?:incident|outage|status)",
    re.I,
)
_TROUBLE = re.compile(
    r"outage|degrad|elevated|disrupt|impair|partial|unavailable|errors?\b|latency|investigating|incident",
    re.I,
)
_PROVIDER = re.compile(
    r"\b(?:provider|third[- ]party|vendor|partner (?:api|feed|gateway)|external (?:api"
    r"|service|provider)|carrier|acquirer|issuing bank)\b",
    re.I,
)
_REGION = re.compile(
    r"\b(?:availability[- ]zone|region|\b[a-z]{2}-[a-z]+-\d[a-d]?\b|\baz\b)[^\n]*(?:outage"
    r"|impair|unavailable|degraded|unreachable|lost|down)",
    re.I,
)
_DNS_SERVER = re.compile(
    r"coredns|kube-?dns|node-?local-?dns|(?:^|[-_])dns(?:$|[-_])|resolver|unbound|dnsmasq|named$", re.I
)
_POISON = re.compile(
    r"redeliver|poison|same (?:offset|record|message)|stuck (?:on|at) (?:offset|message"
    r"|record)|malformed (?:record|message|row|event|payload|file)|unprocessable",
    re.I,
)
_IDENTITY = re.compile(
    r"\b(\w*(?:offset|_id|record|message|msg|event|row|document|seq|file|object|line)\w*)[=:#]\s*[\"']?"
    r"([\w\-./]*\d[\w\-./]*)",
    re.I,
)
_SURGE = re.compile(
    r"traffic (?:surge|spike|burst)|surge (?:in|of)|flash sale|gone viral|(?:bot|crawler"
    r"|scraper) traffic|ddos|load spike|\bspike in (?:traffic|requests)",
    re.I,
)
_NODE = re.compile(
    r"\bnode\b(?![:._])[^\n]{0,60}(?:not ?ready|unreachable|cordon|drained|\blost\b"
    r"|\bdown\b|terminated|preempt|\bfailure)"
    r"|NodeNotReady|NodeLost|\bI/O error|EXT4-fs error|XFS.*corrupt|hardware error|machine check|\bmce:"
    r"|spot (?:instance )?(?:interruption|termination)|preempted|kernel (?:panic|BUG)"
    r"|nvme\w*.*(?:timeout|reset|error)|link (?:is )?down|kubelet stopped|hypervisor"
    r"|host (?:failure|maintenance)|disk (?:failure|failed)|uncorrectable|\bECC\b"
    r"|\bNIC\b.*(?:fail|flap|drop)|instance retired|\bebs\b.*(?:impair|stuck)",
    re.I,
)
_PRESSURE = re.compile(
    r"(?:disk|memory|pid) ?pressure|noisy neighbou?r|cpu steal|nf_conntrack"
    r"|\biops\b[^\n]*(?:limit|throttl|exhaust)"
    r"|volume[^\n]{0,40}(?:throttl|impair|degrad)|i/o (?:wait|latency)|burst (?:balance|credits?)",
    re.I,
)
_NETWORK = re.compile(
    r"packet loss|\bBGP\b|peering|fib(?:er|re) cut|transit provider|network partition"
    r"|backbone|switch (?:port|failure)|route flap",
    re.I,
)
_LAPSED = re.compile(
    r"(?:license|licence|subscription|api key|access key|credentials?|secret|domain"
    r"|service account key)\b[^\n]{0,30}(?:has )?(?:expired|lapsed|suspended|revoked)"
    r"|billing (?:account )?(?:suspended|overdue|disabled|hold)|payment overdue|account suspended",
    re.I,
)
_FAILOVER = re.compile(
    r"\bfailover|fail(?:ed|ing) over|primary (?:is )?(?:down|lost|unreachable|changed)"
    r"|promot(?:ed|ing) (?:replica|standby)|leader (?:lost|election)|replication lag"
    r"|maintenance (?:window|event)",
    re.I,
)
_CLOCK = re.compile(
    r"clock (?:drift|skew|jump|unsync)|\bntp\b|chrony|time (?:jumped|went backwards)|leap second", re.I
)
_RATE = re.compile(rf"(?!.*(?:outgoing|outbound|egress|client|upstream))(?:.*(?:{SIGNS['load'].up}))", re.I)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operational:
    """A cause that needs no change. ``weight`` between 0 and 1; ``explains`` the symptoms it accounts for,
    so that they do not speak against a change, except one that works by a mechanism in ``unless``."""

    kind: str
    weight: float
    told: str
    evidence_ids: tuple[EvidenceId, ...]
    explains: frozenset[str]
    unless: frozenset[str]


def find(signals: Signals, symptoms: Iterable[Symptom], world: World) -> tuple[Operational, ...]:
    """The likeliest first."""
    by_kind: dict[str, list[Symptom]] = defaultdict(list)
    for symptom in symptoms:
        by_kind[symptom.kind].append(symptom)
    strong = [signal for signal in signals.texts if signal.weight >= 0.3]
    found = [
        *_certificate(strong, signals),
        *_provider(strong, signals),
        *_resolver(by_kind, strong, signals),
        *_poison(strong, world),
        *_surge(strong, signals, world),
        *_spoken(strong),
    ]
    return tuple(sorted(found, key=lambda one: (-one.weight, one.kind)))


def _certificate(texts: list[Signal], signals: Signals) -> Iterable[Operational]:
    said = [signal for signal in texts if _EXPIRED.search(signal.text)]
    ran_out = [
        m
        for m in signals.moved
        if re.search(r"cert.*(?:expir|valid|not_after|remaining)", m.name, re.I) and m.low <= 0
    ]
    if said or ran_out:
        told = (
            said[0].text
            if said
            else f"{ran_out[0].name} of {ran_out[0].service} reached {ran_out[0].low:.0f}"
        )
        yield Operational(
            kind="certificate_expired",
            weight=0.92 if said else 0.8,
            told=told,
            evidence_ids=_ids(said, ran_out),
            explains=_BROAD | {"tls", "auth_rejected", "dependency_conflict", "wrong_result"},
            unless=frozenset(("setting_missing",)),
        )


def _provider(texts: list[Signal], signals: Signals) -> Iterable[Operational]:
    errors = [signal for signal in texts if signal.weight >= 0.7 and signal.source in ("log", "trace")]
    outside: dict[str, list[Signal]] = defaultdict(list)
    for signal in errors:
        if _FAILS.search(signal.text) and not re.search(SIGNS["name_resolution"].text, signal.text, re.I):
            for host in set(_EXTERNAL.findall(signal.text)):
                if not host.lower().endswith((".internal", ".local")):
                    outside[host.lower()].append(signal)
    pages = [
        signal
        for signal in texts
        if _REGION.search(signal.text) or (_PAGE.search(signal.text) and _TROUBLE.search(signal.text))
    ]
    providers = [s for s in errors if _PROVIDER.search(s.text) and _FAILS.search(s.text)]
    measured = [
        m
        for m in signals.moved
        if m.up and re.search(r"provider|third_party|vendor|external|partner", m.name, re.I)
    ]
    weight, told, ids = 0.0, "", list[EvidenceId]()
    if outside:
        host, said = max(outside.items(), key=lambda item: (sum(s.count for s in item[1]), item[0]))
        answered = any(re.search(r"\b5\d\d\b|outage|unavailable", signal.text, re.I) for signal in said)
        weight, told, ids = (
            (0.72 if answered else 0.55),
            f"{host} fails: {said[0].text}",
            list(_ids(said, ())),
        )
        # A few such errors among others may always be there.
        places = {signal.service for signal in said}
        lines = sum(signal.count for signal in errors if signal.service in places)
        if sum(signal.count for signal in said) < 0.3 * lines:
            weight *= 0.6
    elif providers:
        weight, told, ids = 0.6, providers[0].text, list(_ids(providers, ()))
    if pages:
        spoken = set(tokens.words(" ".join(page.text for page in pages)))
        suffered = set(tokens.words(" ".join(signal.text for signal in errors if signal not in pages)))
        # A page about what no error speaks of is about somebody else's trouble.
        related = bool(spoken & suffered) or any(_REGION.search(page.text) for page in pages)
        weight = min(0.92, weight + 0.2) if weight and related else max(weight, 0.7 if related else 0.3)
        told, ids = told or pages[0].text, [*ids, *_ids(pages, ())]
    if measured:
        weight = min(0.92, weight + 0.1) if weight else 0.5
    if weight:
        yield Operational(
            kind="provider_outage",
            weight=weight,
            told=told,
            evidence_ids=tuple(dict.fromkeys(ids))[:4],
            explains=_BROAD | {"method_rejected"},
            unless=frozenset(
                (
                    "address_changed",
                    "auth_changed",
                    "tls_changed",
                    "network_closed",
                    "setting_missing",
                    "retries_changed",
                    "cache_removed",
                    "cache_lifetime",
                    "query_in_loop",
                    "batch_removed",
                    "timeout_lowered",
                )
            ),
        )


def _resolver(
    by_kind: Mapping[str, list[Symptom]], texts: list[Signal], signals: Signals
) -> Iterable[Operational]:
    failing = [
        s for s in by_kind.get("name_resolution", ()) if not _DNS_SERVER.search(s.service) and s.service
    ]
    hosts = {
        host
        for s in failing
        for text in s.texts
        for host in re.findall(r"(?:[a-z0-9\-]+\.){1,}[a-z]{2,}", text.lower())
    }
    servers = [s for s in texts if _DNS_SERVER.search(s.service) and s.weight >= 0.7]
    measured = [
        m for m in signals.moved if _DNS_SERVER.search(m.service) or re.match(r"coredns_|dns_", m.name)
    ]
    if not failing and not servers:
        return
    weight = 0.4 * bool(servers or measured) + (
        0.5
        if len(failing) >= 3 and len(hosts) >= 2
        else 0.35
        if len(failing) >= 2 and len(hosts) >= 2
        else 0.15
    )
    if weight < 0.35:
        return
    told = failing[0].text if failing else servers[0].text
    yield Operational(
        kind="name_resolution_trouble",
        weight=min(0.92, weight + 0.15),
        told=f"{len({s.service for s in failing})} services cannot resolve {len(hosts)} names: {told}",
        evidence_ids=tuple(dict.fromkeys(one for s in failing for one in s.evidence_ids))[:3]
        + _ids(servers, measured)[:1],
        explains=_BROAD | {"name_resolution"},
        unless=frozenset(("resolver_changed", "network_closed")),
    )


def _poison(texts: list[Signal], world: World) -> Iterable[Operational]:
    """One and the same record fails again and again."""
    same: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    source: dict[tuple[str, str], EvidenceId] = {}
    named = {level: level_of(f"level={level}") for level in {line.level for line in world.lines}}
    for line in world.lines:
        bad = (named[line.level] if line.level else level_of(line.text)) >= Level.WARNING
        for key, value in _IDENTITY.findall(line.text[:2_000]) if bad else ():
            same[line.service, key.lower()][value] += 1
            source.setdefault((line.service, key.lower()), line.evidence.id)
    stuck = [
        (place, values.most_common(1)[0])
        for place, values in same.items()
        if sum(values.values()) >= 5 and values.most_common(1)[0][1] >= 0.8 * sum(values.values())
    ]
    said = [signal for signal in texts if _POISON.search(signal.text)]
    if not stuck and not said:
        return
    data = any(
        re.search(SIGNS[kind].text, signal.text, re.I)
        for kind in ("deserialisation", "bounds", "constraint", "encoding")
        for signal in texts
        if signal.service in {service for (service, _), _ in stuck}
    )
    weight = {(True, True): 0.85, (False, True): 0.4, (True, False): 0.6 if data else 0.35}[
        bool(stuck), bool(said)
    ]
    told = f"{stuck[0][0][1]} {stuck[0][1][0]} fails {stuck[0][1][1]} times" if stuck else said[0].text
    yield Operational(
        kind="poison_record",
        weight=weight,
        told=f"{told}; {said[0].text}" if said and stuck else told,
        evidence_ids=tuple(dict.fromkeys((*(source[place] for place, _ in stuck), *_ids(said, ()))))[:3],
        explains=_BROAD
        | {"deserialisation", "bounds", "constraint", "encoding", "wrong_result", "result_too_large"},
        unless=frozenset(
            (
                "field_renamed",
                "field_removed",
                "field_retyped",
                "default_dropped",
                "column_retyped",
                "guard_removed",
            )
        ),
    )


def _surge(texts: list[Signal], signals: Signals, world: World) -> Iterable[Operational]:
    """More requests than usual from outside: where the rise is only at a callee, it is made inside."""
    grown = [m for m in signals.moved if m.up and m.ratio >= 1.7 and _RATE.match(m.name)]
    entry = [
        m
        for m in grown
        if m.service in world.subjects
        or (world.graph.dependencies(m.service) and not world.graph.dependents(m.service))
    ]
    callers = {edge.source for m in entry for edge in world.graph.dependents(m.service)}
    steady = {t.object for t in world.tracks if _RATE.match(t.series.name)} - {m.service for m in grown}
    if callers & steady:
        entry = []
    said = [signal for signal in texts if _SURGE.search(signal.text)]
    if not entry and not said:
        return
    weight = max((0.68 if m.ratio >= 2.5 else 0.55 for m in entry), default=0.0)
    weight = min(0.9, weight + 0.2) if said and weight else weight or 0.6
    told = (
        f"{entry[0].name} of {entry[0].service} {entry[0].before:.4g} → {entry[0].after:.4g}"
        if entry
        else said[0].text
    )
    yield Operational(
        kind="traffic_surge",
        weight=weight,
        told=told,
        evidence_ids=_ids(said, entry),
        explains=_BROAD | {"cpu", "memory", "slow_query", "thread_leak", "fd_leak", "deadlock"},
        unless=frozenset(
            (
                "retries_changed",
                "cache_removed",
                "cache_lifetime",
                "cache_key",
                "query_in_loop",
                "batch_removed",
                "connection_per_call",
                "queue_changed",
                "switch_turned",
            )
        ),
    )


_SPOKEN = (
    ("node_trouble", _NODE, 0.8, frozenset(("memory", "cpu", "disk_full", "startup_crash", "slow_query"))),
    ("node_pressure", _PRESSURE, 0.62, frozenset(("startup_crash", "slow_query"))),
    ("network_trouble", _NETWORK, 0.72, frozenset(("tls", "slow_query"))),
    ("lapsed", _LAPSED, 0.75, frozenset(("auth_rejected", "permission"))),
    ("failover", _FAILOVER, 0.62, frozenset(("slow_query", "constraint", "deadlock", "permission"))),
    ("clock", _CLOCK, 0.6, frozenset(("auth_rejected", "tls"))),
)
_SPOKEN_UNLESS = frozenset(
    ("tolerance_removed", "auth_changed", "setting_missing", "network_closed", "memory_limit_lowered")
)


def _spoken(texts: list[Signal]) -> Iterable[Operational]:
    for kind, pattern, weight, also in _SPOKEN:
        said = [signal for signal in texts if pattern.search(signal.text)]
        if said:
            yield Operational(
                kind=kind,
                weight=weight * max(0.7, max(signal.weight for signal in said)),
                told=said[0].text,
                evidence_ids=_ids(said, ()),
                explains=_BROAD | also,
                unless=_SPOKEN_UNLESS,
            )


def _ids(texts: Iterable[Signal], moved: Iterable[Moved]) -> tuple[EvidenceId, ...]:
    every = (*(s.evidence_id for s in texts if s.evidence_id), *(m.evidence_id for m in moved))
    return tuple(dict.fromkeys(every))[:3]
