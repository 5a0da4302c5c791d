"""Whether an expression can only show what was measured."""

from __future__ import annotations

import re

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`[^`]*`')
_HARMLESS = re.compile(
    r"\[[^\[\]]*\]|\boffset\s+-?[0-9a-z]+|(?<=\()\s*[0-9.]+\s*,|[<>=!]=?\s*-?[0-9.]+(?:[eE][-+]?[0-9]+)?"
)
"""Ranges, offsets, how many of ``topk``, what a comparison is with: numbers that choose and do not show."""
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
_MAKES_UP = re.compile(r"[-+*/%^#]|\b(?:bool|count_values|atan2|start|end)\b|(?<![A-Za-z0-9_:.])\.?[0-9]")


def fabricates(promql: str) -> bool:
    """Whether an answer can hold what was never measured, such as that of ``vector(95)``.

    Errs on the side of yes: a function that is not known here, arithmetic, a number by itself, a comment
    (which could hide where a text begins).
    """
    if "#" in promql:
        return True
    text = _HARMLESS.sub("", _QUOTED.sub('""', promql))
    called = {name.lower() for name in _CALLED.findall(text)}
    return not called <= _SHOWS or _MAKES_UP.search(text) is not None
