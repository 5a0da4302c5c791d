"""Label matchers applied on our side, where the other side cannot."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from investigators.ports import Matcher, MatchOp


def selects(matchers: Sequence[Matcher], labels: Mapping[str, object]) -> bool:
    """Whether every matcher accepts the labels; a missing label counts as empty, as in Prometheus.

    Raises ValueError for a pattern that is not a regular expression.
    """
    return all(_accepts(matcher, str(labels.get(matcher.label, ""))) for matcher in matchers)


def _accepts(matcher: Matcher, value: str) -> bool:
    match matcher.op:
        case MatchOp.EQUAL:
            return value == matcher.value
        case MatchOp.NOT_EQUAL:
            return value != matcher.value
        case MatchOp.REGEX:
            return _whole(matcher.value, value)
        case MatchOp.NOT_REGEX:
            return not _whole(matcher.value, value)


def _whole(pattern: str, value: str) -> bool:
    try:
        return re.fullmatch(pattern, value) is not None
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
