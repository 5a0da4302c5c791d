"""Admit one SELECT over known tables and write it anew; refuse whatever is not understood whole.

What is sent is not what was asked but what was understood of it: no comment, no odd quoting and nothing
that two parsers could read in two ways reaches a host.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

import sqlglot
from sqlglot import exp
from sqlglot.errors import ErrorLevel, SqlglotError

MAX_LENGTH = 4_000
MAX_TABLES = 4
"""Tables in one statement: each one more multiplies what the host has to walk through."""
_MAX_NESTING = 80
_FUNCTIONS = frozenset({"DATETIME"})
"""Functions that sqlglot has no class for; those it has are in ``_SHAPE``."""
_CONSTRAINED: Mapping[str, str] = {"file": "path"}
"""Tables that walk the disk unless one column is given exactly."""
_BEGINS = re.compile(r"\s*(?:select|with)\b", re.IGNORECASE)
_PRINTABLE = re.compile(r"[^\x00-\x08\x0b-\x1f\x7f]*")

_QUERY = frozenset({"with_", "order", "limit", "offset"})
_BINARY = frozenset({"this", "expression"})
_SHAPE: Mapping[type[exp.Expr], frozenset[str]] = {
    exp.Select: _QUERY | {"expressions", "distinct", "from_", "joins", "where", "group", "having"},
    exp.Union: _QUERY | _BINARY | {"distinct"},
    exp.Intersect: _QUERY | _BINARY | {"distinct"},
    exp.Except: _QUERY | _BINARY | {"distinct"},
    exp.With: frozenset({"expressions"}),
    exp.CTE: frozenset({"this", "alias"}),
    exp.Subquery: frozenset({"this", "alias"}),
    exp.From: frozenset({"this"}),
    exp.Table: frozenset({"this", "alias"}),
    exp.TableAlias: frozenset({"this"}),
    exp.Join: frozenset({"this", "on", "using", "side", "kind", "method"}),
    exp.Where: frozenset({"this"}),
    exp.Group: frozenset({"expressions"}),
    exp.Having: frozenset({"this"}),
    exp.Order: frozenset({"expressions"}),
    exp.Ordered: frozenset({"this", "desc", "nulls_first"}),
    exp.Limit: frozenset({"expression"}),
    exp.Offset: frozenset({"expression"}),
    exp.Distinct: frozenset({"expressions"}),
    exp.Alias: frozenset({"this", "alias"}),
    exp.Column: frozenset({"this", "table"}),
    exp.Identifier: frozenset({"this", "quoted"}),
    exp.Star: frozenset(),
    exp.Literal: frozenset({"this", "is_string"}),
    exp.Null: frozenset(),
    exp.Paren: frozenset({"this"}),
    exp.Neg: frozenset({"this"}),
    exp.Not: frozenset({"this"}),
    exp.And: _BINARY,
    exp.Or: _BINARY,
    exp.EQ: _BINARY,
    exp.NEQ: _BINARY,
    exp.GT: _BINARY,
    exp.GTE: _BINARY,
    exp.LT: _BINARY,
    exp.LTE: _BINARY,
    exp.Is: _BINARY,
    exp.Like: _BINARY | {"negate"},
    exp.Glob: _BINARY,
    exp.Add: _BINARY,
    exp.Sub: _BINARY,
    exp.Mul: _BINARY,
    exp.Div: _BINARY | {"safe", "typed"},
    exp.Mod: _BINARY,
    exp.DPipe: _BINARY | {"safe"},
    exp.Between: frozenset({"this", "low", "high"}),
    # Not ``field``: SQLite reads ``x IN name`` as a look into the table of that name.
    exp.In: frozenset({"this", "expressions", "query"}),
    exp.Exists: frozenset({"this"}),
    exp.Case: frozenset({"this", "ifs", "default"}),
    exp.If: frozenset({"this", "true"}),
    exp.Cast: frozenset({"this", "to"}),
    exp.DataType: frozenset({"this", "nested"}),
    exp.Count: frozenset({"this", "big_int"}),
    exp.Sum: frozenset({"this"}),
    exp.Avg: frozenset({"this"}),
    exp.Min: frozenset({"this"}),
    exp.Max: frozenset({"this"}),
    exp.Abs: frozenset({"this"}),
    exp.Round: frozenset({"this", "decimals"}),
    exp.Lower: frozenset({"this"}),
    exp.Upper: frozenset({"this"}),
    exp.Length: frozenset({"this"}),
    exp.Coalesce: frozenset({"this", "expressions"}),
    exp.Substring: frozenset({"this", "start", "length"}),
    exp.Anonymous: frozenset({"this", "expressions"}),
}
"""Every kind of node that may stand in a statement, and which of its parts."""


class NotAdmitted(Exception):
    """The statement is not sent; the text says why."""


def admit(sql: str, tables: Collection[str], *, limit: int) -> str:
    """The statement as it is sent, with at most ``limit`` rows. Raises NotAdmitted."""
    statement = _parse(sql)
    _check(statement, frozenset(tables))
    _limit(statement, limit)
    written = _write(statement)
    again = _parse(written)
    _check(again, frozenset(tables))
    if _write(again) != written:
        raise NotAdmitted("reads differently when it is written anew")
    return written


def _parse(sql: str) -> exp.Expr:
    if len(sql) > MAX_LENGTH:
        raise NotAdmitted(f"longer than {MAX_LENGTH} characters")
    if _PRINTABLE.fullmatch(sql) is None:
        raise NotAdmitted("holds control characters")
    if _BEGINS.match(sql) is None:
        raise NotAdmitted("is not a SELECT")
    if sql.count("(") > _MAX_NESTING:
        raise NotAdmitted("is nested too deeply")
    try:
        tokens = sqlglot.tokenize(sql, read="sqlite")
        if any(token.comments for token in tokens) or "--" in sql or "/*" in sql:
            raise NotAdmitted("holds a comment")
        parsed = sqlglot.parse(sql, read="sqlite", error_level=ErrorLevel.RAISE)
    except (SqlglotError, RecursionError):
        # The error prints the statement, and with it whatever an asker put there.
        raise NotAdmitted("cannot be parsed as SQLite's SQL") from None
    statements = [one for one in parsed if one is not None]
    if len(statements) != 1 or len(parsed) > 2:
        raise NotAdmitted("is more than one statement")
    statement = statements[0]
    if not isinstance(statement, exp.Select | exp.Union | exp.Intersect | exp.Except):
        raise NotAdmitted("is not a SELECT")
    return statement


def _write(statement: exp.Expr) -> str:
    try:
        return statement.sql(dialect="sqlite", comments=False, unsupported_level=ErrorLevel.RAISE)
    except (SqlglotError, RecursionError):
        raise NotAdmitted("cannot be written as SQLite's SQL") from None


def _check(statement: exp.Expr, allowed: frozenset[str]) -> None:
    named = _named_parts(statement, allowed)
    count = 0
    for node in statement.walk():
        parts = _SHAPE.get(type(node))
        if parts is None:
            raise NotAdmitted(f"uses {_word(node)}, which is not allowed")
        for part, value in node.args.items():
            if part not in parts and value not in (None, False, []):
                raise NotAdmitted(f"uses {part.strip('_')} with {_word(node)}, which is not allowed")
        if isinstance(node, exp.Anonymous) and str(node.this).upper() not in _FUNCTIONS:
            raise NotAdmitted(f"calls {_shown(str(node.this))}, which is not allowed")
        if isinstance(node, exp.Limit | exp.Offset):
            _whole(node)
        if isinstance(node, exp.Table):
            count += 1
            _table(node, allowed, named)
    if count > MAX_TABLES:
        raise NotAdmitted(f"reads more than {MAX_TABLES} tables")


def _named_parts(statement: exp.Expr, allowed: frozenset[str]) -> dict[str, int]:
    """Names that WITH gives, and where each ends. Only WITH at the top counts: elsewhere its names would
    hold in one part of the statement and mean a table in another."""
    withs = list(statement.find_all(exp.With))
    if not withs:
        return {}
    if len(withs) > 1 or withs[0].parent is not statement:
        raise NotAdmitted("uses WITH inside, which is not allowed")
    named: dict[str, int] = {}
    for place, part in enumerate(withs[0].expressions):
        name = part.alias.lower()
        if name in allowed or name in named:
            raise NotAdmitted(f"gives the name {_shown(name)} twice or hides a table with it")
        if not isinstance(part.this, exp.Select | exp.Union | exp.Intersect | exp.Except):
            raise NotAdmitted("uses WITH for something that is not a SELECT")
        named[name] = place
    return named


def _table(node: exp.Table, allowed: frozenset[str], named: Mapping[str, int]) -> None:
    if not isinstance(node.this, exp.Identifier):
        raise NotAdmitted("reads from a function, which is not allowed")
    name = node.name.lower()
    if name in named:
        inside = node.find_ancestor(exp.CTE)
        # A part of WITH may read those before it. A later or its own name would be the host's table.
        if inside is not None and named[name] >= named[inside.alias.lower()]:
            raise NotAdmitted(f"reads {_shown(name)} before it has a meaning")
        return
    if name not in allowed:
        raise NotAdmitted(f"reads {_shown(name)}, which is not an allowed table")
    column = _CONSTRAINED.get(name)
    if column is not None and not _constrained(node, column):
        raise NotAdmitted(f"reads {name} without one exact {column}; add WHERE {column} = '/…'")


def _constrained(node: exp.Table, column: str) -> bool:
    """Whether the SELECT that reads the table compares the column with exact values, come what may."""
    select = node.find_ancestor(exp.Select)
    where = select.args.get("where") if select is not None else None
    if (
        select is None
        or where is None
        or node.parent is not select.args.get("from_")
        or select.args.get("joins")
    ):
        # Beside another table the column could be the other one's.
        return False
    return any(_exact(condition, column, node.alias_or_name) for condition in _conjuncts(where.this))


def _conjuncts(condition: exp.Expr) -> Iterator[exp.Expr]:
    if isinstance(condition, exp.And):
        yield from _conjuncts(condition.this)
        yield from _conjuncts(condition.expression)
    elif isinstance(condition, exp.Paren):
        yield from _conjuncts(condition.this)
    else:
        yield condition


def _exact(condition: exp.Expr, column: str, table: str) -> bool:
    if isinstance(condition, exp.EQ):
        return _is_column(condition.this, column, table) and _is_path(condition.expression)
    return (
        isinstance(condition, exp.In)
        and condition.args.get("query") is None
        and _is_column(condition.this, column, table)
        and bool(condition.expressions)
        and all(_is_path(value) for value in condition.expressions)
    )


def _is_column(node: exp.Expr, column: str, table: str) -> bool:
    # Another table's column of that name, from the SELECT around this one, would hold nothing fast.
    return (
        isinstance(node, exp.Column)
        and node.name.lower() == column
        and node.table.lower() in ("", table.lower())
    )


def _is_path(node: exp.Expr) -> bool:
    return (
        isinstance(node, exp.Literal)
        and node.is_string
        and node.this.startswith("/")
        and not any(char in node.this for char in "%*?[")
        and ".." not in node.this.split("/")
    )


def _whole(node: exp.Limit | exp.Offset) -> None:
    value = node.expression
    if not isinstance(value, exp.Literal) or value.is_string or not value.this.isdigit():
        raise NotAdmitted("has a LIMIT or OFFSET that is not a plain number")


def _limit(statement: exp.Expr, limit: int) -> None:
    given = statement.args.get("limit")
    if given is None or int(given.expression.this) > limit:
        statement.set("limit", exp.Limit(expression=exp.Literal.number(limit)))


def _word(node: exp.Expr) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(node).__name__).lower()


def _shown(name: str) -> str:
    return re.sub(r"[^\w.]", "?", name)[:64]
