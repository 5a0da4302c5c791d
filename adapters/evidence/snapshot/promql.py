"""Simple PromQL: selectors, functions of a range, aggregations, arithmetic and comparisons with numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta

from adapters.evidence.snapshot.evaluate import (
    AGGREGATES,
    FUNCTIONS,
    Aggregate,
    Binary,
    Node,
    Number,
    OverTime,
    Selector,
    Unanswerable,
)
from investigators.ports import Matcher, MatchOp, MetricQuery

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>(?:0x[0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.]))
    |(?P<duration>(?:\d+(?:ms|[smhdwy]))+(?!\w))
    |(?P<word>[a-zA-Z_:][a-zA-Z0-9_:]*)
    |(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)
    |(?P<symbol>=~|!~|!=|==|<=|>=|[-+*/%^(){}\[\],=<>]))""",
    re.VERBOSE,
)
_PART = re.compile(r"(\d+)(ms|[smhdwy])")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))")
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_LEVELS: tuple[frozenset[str], ...] = (
    frozenset({"==", "!=", "<=", "<", ">=", ">"}),
    frozenset({"+", "-"}),
    frozenset({"*", "/", "%"}),
)
_DEPTH = 50
_OVER_TIME: Mapping[str, str] = {
    "rate": "rate",
    "increase": "increase",
    "delta": "delta",
    "avg_over_time": "avg_over_time",
    "max_over_time": "max_over_time",
    "min_over_time": "min_over_time",
    "last": "last_over_time",
}


def node_of(query: MetricQuery) -> Node:
    """A typed query's tree. Raises ValueError when it means nothing."""
    selector = Selector(metric=query.metric, matchers=query.matchers)
    node: Node = selector
    if query.function is not None:
        function = _OVER_TIME.get(query.function)
        if function is None:
            raise ValueError(f"function {query.function!r} is not one of {', '.join(_OVER_TIME)}")
        if query.over is None or query.over <= timedelta(0):
            raise ValueError(f"{query.function} needs a range")
        node = OverTime(function=function, selector=selector, over=query.over.total_seconds())
    if query.aggregate is not None:
        if query.aggregate not in AGGREGATES:
            raise ValueError(f"aggregate {query.aggregate!r} is not one of {', '.join(sorted(AGGREGATES))}")
        node = Aggregate(operation=query.aggregate, labels=query.by, of=node)
    return node


def written(query: MetricQuery) -> str:
    """The query as PromQL."""
    labels = ",".join(f"{m.label}{m.op.value}{_quoted(m.value)}" for m in query.matchers)
    text = f"{query.metric}{{{labels}}}" if labels or not query.metric else query.metric
    if query.function is not None:
        seconds = query.over.total_seconds() if query.over is not None else 0
        text = f"{_OVER_TIME.get(query.function, query.function)}({text}[{seconds:g}s])"
    if query.aggregate is not None:
        by = f" by ({', '.join(query.by)})" if query.by else ""
        text = f"{query.aggregate}{by} ({text})"
    return text


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def parse(text: str) -> Node:
    """The tree of an expression. Raises Unanswerable for what is beyond the subset, or no PromQL."""
    parser = _Parser(_tokens(text))
    node = parser.expression(0)
    parser.end()
    return node


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens = []
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise Unanswerable(f"at {text[position : position + 20]!r}")
        tokens.append((match.lastgroup, match.group(match.lastgroup)))
        position = match.end()
    return tokens


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def end(self) -> None:
        if self._at < len(self._tokens):
            raise Unanswerable(f"at {self._tokens[self._at][1]!r}")

    def expression(self, level: int) -> Node:
        """Operators from the loosest level to the tightest; all are left-associative but ``^``."""
        if level == len(_LEVELS):
            return self._unary()
        node = self.expression(level + 1)
        while self._peek("symbol") in _LEVELS[level]:
            symbol = self._next()
            as_bool = level == 0 and self._peek("word") == "bool"
            if as_bool:
                self._next()
            node = Binary(operator=symbol, left=node, right=self.expression(level + 1), as_bool=as_bool)
        return node

    def _unary(self) -> Node:
        if self._peek("symbol") in ("-", "+"):
            sign = self._next()
            node = self._unary()
            return node if sign == "+" else Binary(operator="*", left=Number(value=-1.0), right=node)
        base = self._atom()
        if self._peek("symbol") != "^":
            return base
        self._next()
        return Binary(operator="^", left=base, right=self._unary())

    def _atom(self) -> Node:
        self._depth += 1
        if self._depth > _DEPTH:
            raise Unanswerable("it is nested too deeply")
        kind, text = self._tokens[self._at] if self._at < len(self._tokens) else ("end", "its end")
        node: Node
        if kind == "number":
            self._next()
            node = Number(value=float(int(text, 16)) if text.startswith("0x") else float(text))
        elif text == "(":
            self._next()
            node = self.expression(0)
            self._want(")")
        elif kind == "word" and text.lower() in ("inf", "nan"):
            node = Number(value=float(self._next()))
        elif kind == "word" and text in AGGREGATES and self._after() in ("(", "by", "without"):
            node = self._aggregate()
        elif kind == "word" and self._after() == "(":
            node = self._call()
        elif kind == "word" or text == "{":
            node = self._selector()
            if self._peek("symbol") == "[" or self._peek("word") in ("offset", "and", "or", "unless"):
                raise Unanswerable(f"at {self._next()!r}")
        else:
            raise Unanswerable(f"at {text!r}")
        self._depth -= 1
        return node

    def _aggregate(self) -> Node:
        operation = self._next()
        grouping, labels = self._grouping()
        self._want("(")
        inner = self.expression(0)
        self._want(")")
        if grouping is None:
            grouping, labels = self._grouping()
        return Aggregate(operation=operation, labels=labels, of=inner, without=grouping == "without")

    def _grouping(self) -> tuple[str | None, tuple[str, ...]]:
        if self._peek("word") not in ("by", "without"):
            return None, ()
        grouping = self._next()
        labels = []
        self._want("(")
        while self._peek("symbol") != ")":
            labels.append(self._take("word"))
            if self._peek("symbol") == ",":
                self._next()
        self._want(")")
        return grouping, tuple(labels)

    def _call(self) -> Node:
        function = self._next()
        if function not in FUNCTIONS:
            raise Unanswerable(f"the function {function}")
        self._want("(")
        selector = self._selector()
        self._want("[")
        over = sum(int(number) * _SECONDS[unit] for number, unit in _PART.findall(self._take("duration")))
        self._want("]")
        self._want(")")
        if over <= 0:
            raise Unanswerable("an empty range")
        return OverTime(function=function, selector=selector, over=over)

    def _selector(self) -> Selector:
        metric = self._take("word") if self._peek("word") is not None else ""
        matchers: list[Matcher] = []
        if self._peek("symbol") == "{":
            self._next()
            while self._peek("symbol") != "}":
                label = self._take("word")
                symbol = self._take("symbol")
                if symbol not in ("=", "!=", "=~", "!~"):
                    raise Unanswerable(f"at {symbol!r}")
                value = _unquoted(self._take("text"))
                matchers.append(Matcher(label=label, op=MatchOp(symbol), value=value))
                if self._peek("symbol") == ",":
                    self._next()
            self._want("}")
        if not metric and not matchers:
            raise Unanswerable("a selector without a name")
        return Selector(metric=metric, matchers=tuple(matchers))

    def _peek(self, kind: str) -> str | None:
        if self._at >= len(self._tokens) or self._tokens[self._at][0] != kind:
            return None
        return self._tokens[self._at][1]

    def _after(self) -> str | None:
        return self._tokens[self._at + 1][1] if self._at + 1 < len(self._tokens) else None

    def _next(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1][1]

    def _take(self, kind: str) -> str:
        if self._peek(kind) is None:
            found = self._tokens[self._at][1] if self._at < len(self._tokens) else "its end"
            raise Unanswerable(f"at {found!r}")
        return self._next()

    def _want(self, symbol: str) -> None:
        if self._take("symbol") != symbol:
            raise Unanswerable(f"at {self._tokens[self._at - 1][1]!r}")


def _unquoted(literal: str) -> str:
    if literal.startswith("`"):
        return literal[1:-1]

    def replaced(match: re.Match[str]) -> str:
        code = match[1] or match[2] or match[3]
        if code is not None:
            return chr(int(code, 16))
        return chr(int(match[4], 8)) if match[4] is not None else _ESCAPED.get(match[5], match[5])

    return _ESCAPE.sub(replaced, literal[1:-1])
