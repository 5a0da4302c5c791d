"""Log lines that complain about something else, read in one pass: who complains, about whom, of what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from investigators.facts.platform.names import LOCAL, Callee, Names, technology_of_port
from investigators.facts.platform.patterns import DATASTORE_KINDS, PATTERNS, Pattern, places
from investigators.world.world import Line, World

RECENT = timedelta(minutes=30)
"""An alert fires some time after its cause; what is older than this before the onset is no part of it."""
_MOST, _ALIKE = 120, 20
"""As many lines of one kind and service are looked at closely, and of those that differ only by numbers:
a flood says the same thing over and over."""
_SETTLED = timedelta(minutes=10)
_NO_DIGITS = str.maketrans("", "", "0123456789")
_CODES = ("429", "401", "502", "503", "504", "111", "110", "1040", "lag", "behind")
_UNSEEN = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Symptom:
    """``caller`` is the service whose log it is (empty where that is the callee itself); ``host`` and
    ``port`` as the line names them; ``callee`` None where nothing tells what is meant."""

    kind: str
    caller: str
    host: str
    port: int | None
    name: str
    technology: str
    callee: Callee | None
    line: Line


@dataclass(frozen=True, slots=True, kw_only=True)
class Symptoms:
    every: tuple[Symptom, ...]
    by_kind: Mapping[str, tuple[Symptom, ...]]

    def of(self, *kinds: str) -> list[Symptom]:
        return [one for kind in kinds for one in self.by_kind.get(kind, ())]


def read_symptoms(world: World, names: Names) -> Symptoms:
    """The symptoms of the incident's time that were not there just the same before it."""
    earliest = world.onset - RECENT
    matched = list(
        _matched((line for line in world.lines if line.at is None or line.at >= earliest), PATTERNS)
    )
    usual = _usual(world, matched, names)
    seen: Counter[tuple[str, ...]] = Counter()
    every: list[Symptom] = []
    for pattern, line in matched:
        key = (pattern.kind, line.service)
        if seen[key] >= _MOST:
            continue
        alike = (*key, line.text.translate(_NO_DIGITS))
        seen[alike] += 1
        if seen[alike] <= _ALIKE:
            seen[key] += 1
            symptom = _symptom(pattern, line, names)
            if _about(symptom) not in usual.get(key, frozenset()):
                every.append(symptom)
    by_kind: dict[str, list[Symptom]] = {}
    for one in every:
        by_kind.setdefault(one.kind, []).append(one)
    return Symptoms(every=tuple(every), by_kind={kind: tuple(items) for kind, items in by_kind.items()})


def _matched(lines: Iterable[Line], patterns: Sequence[Pattern]) -> Iterable[tuple[Pattern, Line]]:
    needles = [(needle, pattern) for pattern in patterns for needle in pattern.needles]
    seen: dict[str, Pattern | None] = {}
    for line in lines:
        low = line.text.lower()
        if not complains(low):
            continue
        # A flood repeats itself but for numbers; only status codes among them change what a line says.
        template = low.translate(_NO_DIGITS)
        before = seen.get(template, _UNSEEN)
        if before is None and not any(code in low for code in _CODES):
            continue
        text = _plain(line)
        if isinstance(before, Pattern) and before.regex.search(text):
            yield before, line
            continue
        seen[template] = None
        for needle, pattern in needles:
            if needle in low and pattern.regex.search(text):
                seen[template] = pattern
                yield pattern, line
                break


def complains(low: str) -> bool:
    """Whether a lower-case text holds one of the stems that complaints have. Most lines have none, and
    asking for these costs far less than asking for every needle."""
    return (
        "err" in low
        or "fail" in low
        or "timeout" in low
        or "timed" in low
        or "exce" in low
        or "refus" in low
        or "denied" in low
        or "fatal" in low
        or "deadl" in low
        or "not " in low
        or "no " in low
        or "able" in low
        or "connection" in low
        or "lookup" in low
        or "getaddr" in low
        or "tls" in low
        or "auth" in low
        or "token" in low
        or "gave" in low
        or "gone" in low
        or "read" in low
        or "invalid" in low
        or "expired" in low
        or "unknown" in low
        or "lag" in low
        or "loading" in low
        or "lock" in low
        or "429" in low
        or "401" in low
        or "502" in low
        or "503" in low
        or "504" in low
    )


def _usual(
    world: World, matched: Sequence[tuple[Pattern, Line]], names: Names
) -> Mapping[tuple[str, str], frozenset[str]]:
    """What a healthy time, or the time well before the onset, shows half as often or more: by (kind,
    service), about whom."""
    now: Counter[tuple[str, str]] = Counter((pattern.kind, line.service) for pattern, line in matched)
    if not now:
        return {}
    present = [line.at for _, line in matched if line.at is not None]
    minutes = _minutes([min(present), world.now]) if present else 1.0
    kinds = {pattern.kind for pattern, _ in matched}
    asked = [pattern for pattern in PATTERNS if pattern.kind in kinds]
    usual: dict[tuple[str, str], list[tuple[Pattern, Line]]] = {}
    if world.healthy_lines:
        healthy = _by_key(_matched(world.healthy_lines, asked))
        length = _minutes([line.at for line in world.healthy_lines if line.at is not None])
        for key, count in now.items():
            if len(healthy.get(key, ())) / length >= 0.5 * count / minutes:
                usual.setdefault(key, []).extend(healthy[key])
    end = world.onset - RECENT
    before_it = [line for line in world.lines if line.at is not None and line.at < end]
    begin = min((line.at for line in before_it if line.at is not None), default=end)
    if end - begin >= _SETTLED:
        older = _by_key(_matched(before_it, asked))
        middle = begin + (end - begin) / 2
        length = _minutes([begin, end])
        for key, count in now.items():
            lines = older.get(key, [])
            early = sum(line.at is not None and line.at < middle for _, line in lines)
            if early >= 2 and len(lines) / length >= 0.5 * count / minutes:
                usual.setdefault(key, []).extend(lines)
    return {
        key: frozenset(_about(_symptom(pattern, line, names)) for pattern, line in lines[:_ALIKE])
        for key, lines in usual.items()
    }


def _by_key(found: Iterable[tuple[Pattern, Line]]) -> dict[tuple[str, str], list[tuple[Pattern, Line]]]:
    grouped: dict[tuple[str, str], list[tuple[Pattern, Line]]] = {}
    for pattern, line in found:
        grouped.setdefault((pattern.kind, line.service), []).append((pattern, line))
    return grouped


def _about(one: Symptom) -> str:
    return one.callee.name if one.callee is not None else one.host


def _plain(line: Line) -> str:
    """The text without the escapes that it carries inside of JSON."""
    return line.text.replace('\\"', '"') if '\\"' in line.text else line.text


def _minutes(times: Sequence[datetime]) -> float:
    return max(1.0, (max(times) - min(times)).total_seconds() / 60) if times else 1.0


def _symptom(pattern: Pattern, line: Line, names: Names) -> Symptom:
    text = _plain(line)
    match = pattern.regex.search(text)
    groups = match.groupdict() if match else {}
    host, port = groups.get("host") or "", groups.get("port")
    number = int(port) if port and port.isdecimal() else None
    namespace = next((one.namespace for one in names.layout.pods_of(line.service)), "")
    callee: Callee | None = None
    if pattern.kind.startswith("dns_"):
        if not host:
            host = next((place for place, _ in places(text)), "")
        callee = names.resolve(host, namespace) if host else None
        return _made(pattern, line, line.service, host, number, groups, callee)
    own = names.technology(line.service)
    stored = pattern.kind in DATASTORE_KINDS
    if own and (own == pattern.technology or (stored and not pattern.technology)):
        # A server's own log: what it says is about itself.
        callee = Callee(name=line.service, kind=names.kind_of(line.service), namespace=namespace)
        return _made(pattern, line, "", "", None, groups, callee)
    named = [(host, number)] if host else places(text)
    for place, where in named:
        resolved = names.resolve(place, namespace)
        if resolved is None or not resolved.known:
            resolved = names.listening(place, where, line.service) or resolved
        if resolved is not None and resolved.name != line.service:
            # A name says more than the address that it was looked up to.
            clearer = not resolved.name[:1].isdigit() and callee is not None and callee.name[:1].isdigit()
            if callee is None or (resolved.known and not callee.known) or (clearer and not callee.known):
                callee, host, number = resolved, place, where
            if callee.known:
                break
    if callee is None and named:
        host, number = named[0]
    if callee is None:
        callee = names.spoken_of(line.service, text, number)
    nowhere = not host or host in LOCAL
    technology = pattern.technology or technology_of_port(number) or _spoken(text)
    if (callee is None or not callee.known) and technology and nowhere:
        callee = names.of_technology(line.service, technology)
    if callee is None and stored and nowhere:
        callee = names.datastore_of(line.service)
    if callee is not None and technology and not callee.known:
        better = names.of_technology(line.service, technology)
        callee = better if better is not None and callee.kind != "external" else callee
    return _made(pattern, line, line.service, host, number, groups, callee, technology)


def _spoken(text: str) -> str:
    """Software that the line's driver is for."""
    low = text.lower()
    for word, technology in (
        ("psycopg", "postgresql"), ("pgconn", "postgresql"), ("org.postgresql", "postgresql"),
        ("pq: ", "postgresql"), ("mysql", "mysql"), ("mongo", "mongodb"), ("redis", "redis"),
        ("jedis", "redis"), ("lettuce", "redis"),
        ("memcache", "memcached"), ("kafka", "kafka"), ("amqp", "rabbitmq"), ("rabbit", "rabbitmq"),
    ):  # fmt: skip
        if word in low:
            return technology
    return ""


def _made(
    pattern: Pattern,
    line: Line,
    caller: str,
    host: str,
    port: int | None,
    groups: Mapping[str, str | None],
    callee: Callee | None,
    technology: str = "",
) -> Symptom:
    return Symptom(
        kind=pattern.kind,
        caller=caller,
        host=host,
        port=port,
        name=groups.get("name") or "",
        technology=technology or pattern.technology,
        callee=callee,
        line=line,
    )
