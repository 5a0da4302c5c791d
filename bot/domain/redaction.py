"""Take secrets out of text before it reaches a store, a chat, a model, a log or the ledger.

Idempotent: redacting twice changes nothing. Patterns err on the side of removing.
"""

from __future__ import annotations

import re

MASK = "[redacted:{kind}]"

_PATTERNS: tuple[tuple[str, str, str], ...] = (
    (
        "private-key",
        r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)",
        "",
    ),
    ("jwt", r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*", ""),
    ("authorization", r"(?i)\b((?:proxy-)?authorization\s*[:=]\s*)(?!\[redacted)[^\r\n,;\"']+", r"\1"),
    ("token", r"(?i)\b((?:bearer|basic)\s+)(?!\[redacted)[A-Za-z0-9._~+/-]{8,}=*", r"\1"),
    ("cloud-key", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b", ""),
    ("cloud-key", r"\bAIza[0-9A-Za-z_-]{35}", ""),
    ("token", r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,})", ""),
    ("token", r"\b(?:xox[abprse]-[A-Za-z0-9-]{10,}|sk-[A-Za-z0-9_-]{16,}|syt_[A-Za-z0-9_]{16,})", ""),
    ("url-password", r"(?i)\b([a-z][a-z0-9+.-]*://[^\s:/@]{0,64}:)(?!\[redacted)[^\s/@]{1,256}(?=@)", r"\1"),
    (
        "secret",
        r"(?i)((?:\b|_)(?:password|passwd|pwd|passphrase|secret|api[_-]?key|apikey|access[_-]?key|"
        r"(?:access|auth|refresh|id|session)[_-]?token|token|client[_-]?secret|private[_-]?key|credentials?)"
        r"[\"']?\s*[:=]\s*[\"']?)(?!\[redacted)(?!(?:null|none|true|false)\b)[^\s\"',;&}\]]{3,}",
        r"\1",
    ),
    ("email", r"\b[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,24}\b", ""),
)

_COMPILED = tuple(
    (re.compile(pattern, re.DOTALL), keep + MASK.format(kind=kind)) for kind, pattern, keep in _PATTERNS
)
_IPV4 = re.compile(r"\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b")

_INVISIBLE = re.compile(
    "[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


def redact(text: str, *, ip_addresses: bool = False) -> str:
    """Return ``text`` with secrets replaced by ``[redacted:<kind>]``.

    Covers private keys, JWT, bearer and basic credentials, cloud and forge keys, passwords in URLs,
    ``key=value`` secrets and e-mail addresses; IPv4 addresses only when asked.
    """
    for pattern, replacement in _COMPILED:
        text = pattern.sub(replacement, text)
    if ip_addresses:
        text = _IPV4.sub(MASK.format(kind="ip"), text)
    return text


def strip_invisible(text: str) -> str:
    """Remove ANSI sequences, control, zero-width, bidirectional and tag characters; keep tab and newline."""
    return _INVISIBLE.sub("", _ANSI.sub("", text))


def clean(text: str, *, limit: int) -> str:
    """Redact, strip and shorten to ``limit`` characters, keeping head and tail."""
    text = strip_invisible(redact(text))
    if len(text) <= limit:
        return text
    head = limit * 2 // 3
    tail = limit - head - 40
    if tail < 1:
        return text[:limit]
    return f"{text[:head]}\n… {len(text) - head - tail} characters left out …\n{text[-tail:]}"
