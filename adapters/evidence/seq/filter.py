"""Log questions as Seq's filter expressions (https://docs.datalust.co/docs/the-seq-query-language)."""

from __future__ import annotations

import re

from adapters.evidence.entries import literal
from adapters.evidence.quoting import sendable
from config.schema import SeqLabels
from investigators.ports import Matcher, MatchOp
from investigators.queries import LogQuery

_PROPERTY = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def properties_of(labels: SeqLabels) -> dict[str, str]:
    """Where each label that we know is kept, but for the level, which every event has."""
    return {
        "service": labels.service,
        "pod": labels.pod,
        "namespace": labels.namespace,
        "node": labels.node,
    }


def render(query: LogQuery, labels: SeqLabels) -> str:
    """The expression, empty for every event. Raises ValueError for a label without a property.

    A label that we do not know is a property of that name.
    """
    properties = {**properties_of(labels), "level": "@Level"}
    parts = [_term(matcher, properties) for matcher in query.matchers]
    if query.contains:
        # An exception's text is not part of the message.
        parts.append(
            "("
            + " or ".join(
                f"Contains({place}, {quote(text)}) ci"
                for text in query.contains
                for place in ("@Message", "@Exception")
            )
            + ")"
        )
    return sendable(" and ".join(parts))


def quote(text: str) -> str:
    """A string literal that means exactly ``text``: Seq doubles the quote and has no escapes."""
    return "'" + text.replace("'", "''") + "'"


def _term(matcher: Matcher, properties: dict[str, str]) -> str:
    name = properties.get(matcher.label)
    if name is None:
        if not _PROPERTY.fullmatch(matcher.label):
            raise ValueError(f"label name {matcher.label!r} cannot be written in a Seq filter")
        name = matcher.label
    # Seq drops an event from a comparison with a property it lacks, negated or not; we count it as empty.
    value = f"Coalesce({name}, '')"
    case = " ci" if matcher.label == "level" else ""
    match matcher.op:
        case MatchOp.EQUAL:
            return f"{value} = {quote(matcher.value)}{case}"
        case MatchOp.NOT_EQUAL:
            return f"{value} <> {quote(matcher.value)}{case}"
        case MatchOp.REGEX:
            return f"{value} = {_regex(matcher.value)}{case}"
        case MatchOp.NOT_REGEX:
            return f"{value} <> {_regex(matcher.value)}{case}"


def _regex(pattern: str) -> str:
    """A regular expression literal; it ends at the next slash that is not escaped."""
    escaped = re.sub(r"\\.|/", lambda m: m[0] if len(m[0]) == 2 else literal("/"), pattern, flags=re.DOTALL)
    return f"/^(?:{escaped})$/"
