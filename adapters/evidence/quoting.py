"""Label matchers as PromQL, LogQL and TraceQL write them.

All three quote with Go escapes (https://prometheus.io/docs/prometheus/latest/querying/basics/#string-literals).
Everything that came from a label goes through :func:`quote`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from investigators.ports import Matcher, MatchOp

LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SHORT = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def sendable(text: str) -> str:
    """The text with U+FFFD, which then matches nothing, for lone surrogates: they have no UTF-8."""
    return _SURROGATE.sub("\ufffd", text)


def quote(text: str) -> str:
    """A string literal that means exactly ``text``, as far as it is :func:`sendable`."""
    out = []
    for character in sendable(text):
        if character in _SHORT:
            out.append(_SHORT[character])
        elif ord(character) < 0x20 or ord(character) == 0x7F:
            out.append(f"\\x{ord(character):02x}")
        else:
            out.append(character)
    return f'"{"".join(out)}"'


def terms(matchers: Iterable[Matcher]) -> list[str]:
    """``label="value"`` of each. Raises ValueError for a label that cannot be written."""
    parts = []
    for matcher in matchers:
        if not LABEL.fullmatch(matcher.label):
            raise ValueError(f"label name {matcher.label!r} cannot be written in a query")
        parts.append(f"{matcher.label}{matcher.op.value}{quote(matcher.value)}")
    return parts


def narrows(matcher: Matcher) -> bool:
    """Whether it accepts only what has the label at all."""
    if matcher.op is MatchOp.EQUAL:
        return bool(matcher.value)
    if matcher.op is not MatchOp.REGEX:
        return False
    try:
        return re.fullmatch(matcher.value, "") is None
    except re.error:
        return True  # the server understands other patterns, and refuses wrong ones itself
