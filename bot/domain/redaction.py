"""Take secrets out of text before it reaches a store, a chat, a model, a log or the ledger.

Idempotent: redacting twice changes nothing. Rules err on the side of removing. Every rule takes time
proportional to the text: a repetition is bounded, or cannot begin anew inside its own match.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

MASK = "[redacted:{kind}]"

_KEY_END = (
    r"(?:pass(?:word|wd|wort|phrase|code)s?|pwd|secrets?|credentials?"
    r"|api[_-]?keys?|access[_-]?keys?(?:[_-]?id)?|account[_-]?key|private[_-]?keys?|signing[_-]?key"
    r"|encryption[_-]?key|master[_-]?key|license[_-]?key|shared[_-]?key|auth[_-]?key|token|[_-]pass"
    r"|session[_-]?id|cookie|csrf|otp|pin[_-]?code)"
    r"(?:[_-](?:prod|production|stag(?:e|ing)|dev|test|old|new|primary|secondary|value|data|text|plain|raw"
    r"|base64|b64|hash|\d{1,3}))?"
)
"""What the name of a secret ends in. ``token_bucket``, ``secretName`` and ``max_tokens`` name no secret."""

_UNMASKED = r"(?!\[redacted:)"

_ASSIGN = r"(?:[ \t]*+(?>:=|=>|[:=])[ \t]*+|%3[aAdD])"


@dataclass(frozen=True, slots=True)
class _Rule:
    """``hints`` and, where given, ``also``: lower-case texts; one of each occurs wherever the pattern
    matches. Looking for them first makes text without secrets, which is nearly all of it, some twenty
    times cheaper. ``within_line``: no match crosses the end of a line, nor depends on what lies beyond, so
    that of a long text only the lines with such texts need be looked at."""

    hints: frozenset[str]
    also: tuple[str, ...]
    pattern: re.Pattern[str]
    replacement: str
    within_line: bool


def _rule(
    kind: str, hints: str, pattern: str, keep: str = "", *, also: str = "", within_line: bool = False
) -> _Rule:
    compiled = re.compile(pattern, re.DOTALL | re.IGNORECASE | re.ASCII)
    replacement = keep + MASK.format(kind=kind)
    return _Rule(frozenset(hints.split()), tuple(also.split()), compiled, replacement, within_line)


def _trie_pattern(words: Iterable[str]) -> str:
    """A pattern that matches any of the words and looks at each character of a text but once or twice."""
    branches: dict[str, list[str]] = {}
    for word in words:
        if not word:
            return ""
        branches.setdefault(word[0], []).append(word[1:])
    patterns = [re.escape(first) + _trie_pattern(rest) for first, rest in branches.items()]
    return patterns[0] if len(patterns) == 1 else f"(?:{'|'.join(patterns)})"


_KEY_HINTS = "pass pwd secret credential key token session cookie csrf otp pin"

_RULES: tuple[_Rule, ...] = (
    _rule(
        "private-key",
        "-----begin",
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        r"(?:(?!-----BEGIN ).)*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|(?=-----BEGIN )|\Z)",
    ),
    # Header lines: everything up to the end of the line or of the quoted string.
    _rule(
        "authorization",
        "authorization",
        r"((?:proxy-)?authorization\\?+[\"']?+[ \t]*+(?>=>|[:=])[ \t]*+\\?+[\"']?+)"
        + _UNMASKED
        + r"[^\r\n\"'\\]+",
        r"\1",
    ),
    _rule(
        "cookie",
        "cookie",
        r"((?<![\w-])(?:set-)?cookie2?:[ \t]*+)" + _UNMASKED + r"[^\r\n\"'\\]+",
        r"\1",
    ),
    # A YAML block: `password: |` and the indented lines below it.
    _rule(
        "secret",
        _KEY_HINTS,
        r"(" + _KEY_END + r"[\"']?:[ \t]*[|>][-+0-9]{0,2}[ \t]*\r?\n)(?P<in>[ \t]++)"
        r"(?!\[redacted:)[^\n]*(?:\n(?P=in)[^\n]*)*",
        r"\1\g<in>",
        also="| >",
    ),
    # Quoted values, with JSON inside JSON as well; spaces belong to the value.
    _rule(
        "secret",
        _KEY_HINTS,
        r"(" + _KEY_END + r"\\?+[\"']?+" + _ASSIGN + r"[bru]?+(?P<q>\\?[\"']))" + _UNMASKED + r"(?!(?P=q))"
        r"(?:(?!(?P=q))(?:\\[^\r\n]|[^\\\r\n]))+",
        r"\1",
        also="\" '",
        within_line=True,
    ),
    # Bare values. A separator ends the value only where something new begins behind it.
    _rule(
        "secret",
        _KEY_HINTS,
        r"("
        + _KEY_END
        + r"\\?+[\"']?+"
        + _ASSIGN
        + r"\\?+[\"']?+)"
        + _UNMASKED
        + r"(?!(?:null|none|nil|true|false)\b)"
        r"(?:[^\s\"'<>\\,;&}\])\[]|\\(?![nrt\"'])|[,;&}\])](?!\s|\Z|[\w.%-]{1,64}[\"']?[=:])){3,}",
        r"\1",
        also=": = %3a %3d",
        within_line=True,
    ),
    _rule(
        "secret",
        "--",
        r"(--?(?:[a-z0-9]{1,32}-){0,4}(?:password|passwd|passphrase|secret|token|api-key|access-key|private-key)"
        r"[ \t]++[\"']?+)" + _UNMASKED + r"(?!-)[^\s\"']{3,}",
        r"\1",
    ),
    _rule(
        "secret",
        "identified pass",
        r"(\b(?:identified[ \t]{1,8}by|password)[ \t]{1,8}')" + _UNMASKED + r"[^'\r\n]+",
        r"\1",
    ),
    _rule(
        "secret",
        "</",
        r"(<(?:[\w.-]{0,32}[_.:-])?" + _KEY_END + r">)" + _UNMASKED + r"[^<>]{1,4096}(?=</)",
        r"\1",
    ),
    _rule("secret", "sig=", r"([?&]sig=)" + _UNMASKED + r"[^&\s\"'<>]{16,}", r"\1"),
    _rule(
        "url-password",
        "@",
        r"(://[^\s:/@\[\]\"'?#]{0,128}:)" + _UNMASKED + r"[^\s/\"'<>]{1,1024}(?=@)",
        r"\1",
        also="://",
    ),
    _rule("url-password", "@", r"(://)" + _UNMASKED + r"[^\s:/@\[\]\"'?#.]{20,1024}(?=@)", r"\1", also="://"),
    _rule(
        "webhook", "hooks.slack.com", r"(hooks\.slack\.com/(?:services|workflows|triggers)/)[\w/-]{8,}", r"\1"
    ),
    _rule("webhook", "/api/webhooks/", r"(/api/webhooks/\d{5,25}/)[\w-]{8,}", r"\1"),
    _rule("jwt", "eyj", r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*){0,3}"),
    _rule("token", "eyjr", r"(?<![\w-])eyJrIjoi[\w-]{20,}={0,2}"),
    # A word of prose behind "bearer" or "basic" has no digit and no capital inside; a credential has.
    _rule(
        "token",
        "bearer basic",
        r"(\b(?:bearer|basic)[ \t]{1,8}+)"
        + _UNMASKED
        + r"(?-i:(?=[\w.~+/-]{0,64}?(?:\d|[a-z][A-Z]|[A-Z]{2}|=)))[\w.~+/-]{6,}={0,2}",
        r"\1",
    ),
    _rule("token", "bearer", r"(\bbearer[ \t]{1,8}+)" + _UNMASKED + r"[\w.~+/-]{24,}={0,2}", r"\1"),
    _rule("cloud-key", "akia asia", r"(?-i:\b(?:AKIA|ASIA)[0-9A-Z]{16}\b)"),
    _rule("cloud-key", "aiza", r"(?-i:\bAIza[\w-]{35})"),
    _rule("cloud-key", "ya29.", r"(?<![\w.-])ya29\.[\w-]{16,}"),
    _rule(
        "token",
        "ghp_ gho_ ghu_ ghs_ ghr_ github_pat_ glpat- glsa_ npm_ pypi- dop_v1_ hvs. hvb. syt_ xapp- xox sk- "
        "sk_ rk_ sg. age-secret-key-",
        r"(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|glsa_\w{20,}"
        r"|npm_[A-Za-z0-9]{30,}|pypi-AgE[\w-]{20,}|dop_v1_[a-f0-9]{32,}|hv[sb]\.[\w-]{20,}|syt_\w{16,}"
        r"|xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}|sk-[\w-]{16,}|[rs]k_(?:live|test)_[A-Za-z0-9]{16,}"
        r"|SG\.[\w-]{16,32}\.[\w-]{16,64}|AGE-SECRET-KEY-1[A-Z0-9]{20,})",
    ),
    _rule("token", ":aa", r"(?<!\d)\d{8,10}:AA[\w-]{32,40}"),
    _rule(
        "email",
        "@",
        r"[\w.%+-]{1,64}@(?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,24}\b",
    ),
)

_LONG = 4_096
_HINTS = tuple(sorted(frozenset().union(*(rule.hints for rule in _RULES))))
_ANY_HINT = re.compile(_trie_pattern(_HINTS))
_NAME_HINTS = tuple(_KEY_HINTS.split())
_IPV4 = re.compile(r"\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b", re.ASCII)
_SECRET_NAME = re.compile(_KEY_END + r"\Z", re.IGNORECASE | re.ASCII)

_INVISIBLE = re.compile(
    "[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_LINE_ENDS = re.compile("\r\n?|[\u2028\u2029]")
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


def redact(text: str, *, ip_addresses: bool = False) -> str:
    """Return ``text`` with secrets replaced by ``[redacted:<kind>]``.

    Covers private keys, JWT, bearer and basic credentials, cookies, cloud, forge and chat keys, passwords
    in URLs, webhook addresses, ``key=value`` secrets as environment, query string, JSON, YAML, XML, SQL and
    command-line options write them, and e-mail addresses; IPv4 addresses only when asked.
    """
    lowered = text.lower()
    if _ANY_HINT.search(lowered) is not None:
        hinted = [hint for hint in _HINTS if hint in lowered]
        for rule in _RULES:
            if not rule.hints.isdisjoint(hinted) and (
                not rule.also or any(hint in lowered for hint in rule.also)
            ):
                lines = rule.within_line and len(text) > _LONG
                text = _by_line(rule, text) if lines else rule.pattern.sub(rule.replacement, text)
    if ip_addresses:
        text = _IPV4.sub(MASK.format(kind="ip"), text)
    return text


def _by_line(rule: _Rule, text: str) -> str:
    lines = text.split("\n")
    for number, lowered in enumerate(text.lower().split("\n")):
        for hint in rule.hints:
            if hint in lowered:
                lines[number] = rule.pattern.sub(rule.replacement, lines[number])
                break
    return "\n".join(lines)


def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds a secret, whatever the value looks like."""
    lowered = name.lower()
    if len(name) > 256 or not [hint for hint in _NAME_HINTS if hint in lowered]:
        return False
    return _SECRET_NAME.search(name) is not None


def redact_field(name: str, value: str) -> str:
    """Redact the value of a named field; the name alone may say that the whole value is a secret."""
    if value and is_secret_name(name):
        return value if value.startswith("[redacted:") else MASK.format(kind="secret")
    return redact(value)


def may_hold_secret(*fields: Mapping[str, str]) -> bool:
    """False when :func:`redact_field` would change none of the fields: one look instead of one at each."""
    everything = "\0".join([text for mapping in fields for pair in mapping.items() for text in pair])
    return _ANY_HINT.search(everything.lower()) is not None


_HIDDEN = frozenset({"Cf", "Co", "Cs"})
"""Formatting, private use, halves of pairs: categories of characters that show nothing or anything."""
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)
"""Without a shape, but of other categories: variation selectors and fillers carry hidden text."""


def strip_invisible(text: str) -> str:
    """Remove ANSI sequences, control, zero-width, bidirectional and tag characters; keep tab and newline.

    Every other kind of line end becomes a newline: a lone carriage return overwrites what a terminal shows.
    """
    if text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return _LINE_ENDS.sub("\n", _INVISIBLE.sub("", _ANSI.sub("", text)))


def visible(text: str) -> str:
    """Also without whatever else shows nothing or anything: formatting characters, private use, variation
    selectors, fillers."""
    text = strip_invisible(text)
    if text.isascii():
        return text
    text = _BLANK.sub("", text)
    return "".join(letter for letter in text if unicodedata.category(letter) not in _HIDDEN)


def clean(text: str, *, limit: int) -> str:
    """Strip, redact and shorten to ``limit`` characters, keeping head and tail.

    Stripping comes first: an invisible character inside a secret would hide it from the rules and then
    vanish.
    """
    text = redact(strip_invisible(text))
    if len(text) <= limit:
        return text
    head = limit * 2 // 3
    tail = limit - head - 40
    if tail < 1:
        return text[:limit]
    return f"{text[:head]}\n… {len(text) - head - tail} characters left out …\n{text[-tail:]}"
