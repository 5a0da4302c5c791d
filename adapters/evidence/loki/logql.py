"""Log questions as LogQL, with the names that this Loki has for the labels we know."""

from __future__ import annotations

from dataclasses import replace

from adapters.evidence.entries import any_of, literal
from adapters.evidence.quoting import narrows, quote, terms
from config.schema import LokiLabels
from investigators.ports import Matcher, MatchOp
from investigators.queries import LogQuery

MAX_EXPRESSION = 2_000
"""Characters."""


def names_of(labels: LokiLabels) -> dict[str, str]:
    """What each label that we know is called here."""
    return {
        "service": labels.service,
        "pod": labels.pod,
        "namespace": labels.namespace,
        "node": labels.node,
        "level": labels.level,
    }


def render(query: LogQuery, labels: LokiLabels) -> tuple[str, str | None]:
    """The LogQL, and what it cannot ask for, if anything. Raises ValueError for a label without a name.

    A label that we do not know is a stream label of that name.
    """
    names = names_of(labels)
    stream: list[Matcher] = []
    pipeline: list[Matcher] = []
    for matcher in query.matchers:
        own = replace(matcher, label=names.get(matcher.label, matcher.label))
        if matcher.label == "level":
            own = _any_case(own)
        (pipeline if matcher.label in labels.metadata else stream).append(own)
    missed = None
    if not any(narrows(matcher) for matcher in stream):
        # Loki refuses a selector that also accepts streams without any of its labels.
        stream.append(Matcher(label=names["service"], op=MatchOp.REGEX, value=".+"))
        missed = f"streams without the label {names['service']} were not looked at"
    text = f"{{{', '.join(terms(stream))}}}"
    if query.contains:
        text += f" |~ {quote(any_of(query.contains))}"
    for term in terms(pipeline):
        text += f" | {term}"
    return text, missed


def as_written(expression: str) -> str:
    """An expression somebody else wrote, if it asks for lines. Raises ValueError saying what it may be.

    A query of lines begins with its stream selector; what begins otherwise counts or calculates.
    """
    text = expression.strip()
    if len(text) > MAX_EXPRESSION:
        raise ValueError(f"the expression is longer than {MAX_EXPRESSION} characters")
    if not text.startswith("{"):
        raise ValueError('the expression must begin with a stream selector, such as {app="cart"}')
    return text


def _any_case(matcher: Matcher) -> Matcher:
    """Some write ERROR and some error."""
    match matcher.op:
        case MatchOp.EQUAL:
            return replace(matcher, op=MatchOp.REGEX, value=f"(?i){literal(matcher.value)}")
        case MatchOp.NOT_EQUAL:
            return replace(matcher, op=MatchOp.NOT_REGEX, value=f"(?i){literal(matcher.value)}")
        case MatchOp.REGEX | MatchOp.NOT_REGEX:
            return replace(matcher, value=f"(?i)(?:{matcher.value})")
