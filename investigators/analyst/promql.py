"""Whether an expression can only show what was measured, and how far back it looks for that."""

from __future__ import annotations

import re
from datetime import timedelta

from bot.domain.errors import InputError

_NO_CODE = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`[^`]*`|#[^\n]*', re.DOTALL)
"""Texts and comments, whichever begins first."""
_BACK = re.compile(r"\[([^\[\]]*)\]|\boffset\s*(?![\s)}\],={!])([^\s)\]},]*)", re.IGNORECASE)
"""A range or subquery, or an offset; a label may be called offset too."""
_DURATION = re.compile(r"[-+]?(?:[0-9]{1,12}|(?:[0-9]{1,12}(?:ms|[smhdwy]))+)")
_PART = re.compile(r"([0-9]+)(ms|[smhdwy])?")
_SECONDS = {"ms": 0.001, "": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800, "y": 31_536_000}
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`[^`]*`')
_HARMLESS = re.compile(
    r"\[[^\[\]]*\]|\boffset\s+-?[0-9a-z]+|(?<=\()\s*[0-9.]+\s*,|[<>=!]=?\s*-?[0-9.]+(?:[eE][-+]?[0-9]+)?"
)
"""Ranges, offsets, how many of ``topk``, what a comparison is with: numbers that choose and do not show."""
_SELECTOR = re.compile(r"\{[^{}]*\}")
_CALLED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\s*\(")
_SHOWS = frozenset(
    {
        *("sum", "avg", "min", "max", "count", "group", "stddev", "topk", "bottomk", "quantile"),
        *("rate", "irate", "increase", "delta", "idelta", "deriv", "changes", "resets", "sort", "sort_desc"),
        *("avg_over_time", "max_over_time", "min_over_time", "sum_over_time", "count_over_time"),
        *("last_over_time", "quantile_over_time", "stddev_over_time", "histogram_quantile"),
        *("by", "without", "on", "ignoring", "group_left", "group_right", "and", "or", "unless"),
    }
)
"""Functions and what stands before a parenthesis like one."""
_MAKES_UP = re.compile(
    r"[-+*/%^#]|\b(?:bool|count_values|atan2|start|end)\b|\b(?i:inf|nan)\b|(?<![A-Za-z0-9_:.])\.?[0-9]"
)


def refuse_beyond(promql: str, most: timedelta) -> None:
    """Raises InputError where its ranges, subqueries and offsets reach further back than ``most`` in all, or
    where they cannot be read. In all, because they add up where they are nested."""
    text = _NO_CODE.sub(" ", promql)
    if "@" in text:
        raise InputError("promql must not name a time of its own with @: choose the window instead")
    seconds = 0.0
    for match in _BACK.finditer(text):
        inside, offset = match.groups()
        for one in [offset] if inside is None else inside.split(":"):
            seconds += _seconds(one.strip())
    if seconds > most.total_seconds():
        hours = f"{most.total_seconds() / 3_600:g}"
        raise InputError(f"the ranges and offsets of promql must not reach back {hours} hours in all")


def _seconds(text: str) -> float:
    if not text:
        return 0.0
    if _DURATION.fullmatch(text) is None:
        raise InputError("a range or an offset of promql must be one duration, such as 5m or 1h30m")
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))


def fabricates(promql: str) -> bool:
    """Whether an answer can hold what was never measured, such as that of ``vector(95)``.

    Errs on the side of yes: a function that is not known here, arithmetic, a number by itself, a comment
    (which could hide where a text begins).
    """
    if "#" in promql:
        return True
    text = _QUOTED.sub('""', promql)
    if '""' in _SELECTOR.sub("", text):
        # A text by itself is an expression, whose answer is that text.
        return True
    text = _HARMLESS.sub("", text)
    called = {name.lower() for name in _CALLED.findall(text)}
    return not called <= _SHOWS or _MAKES_UP.search(text) is not None
