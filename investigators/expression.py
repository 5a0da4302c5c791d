"""What an alert's own expression says: the quantity, and the threshold it is compared with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from bot.domain.alert import Alert

_LIMIT = 4_000
_COMPARISON = re.compile(r"(>=|<=|==|!=|>|<)\s*(?:bool\s+)?")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_SET_OPERATOR = re.compile(r"(?:and|or|unless)\b")
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """``quantity operator limit``, as in ``up == 0``."""

    quantity: str
    operator: str
    limit: float

    def crossed(self, value: float) -> bool:
        match self.operator:
            case ">":
                return value > self.limit
            case ">=":
                return value >= self.limit
            case "<":
                return value < self.limit
            case "<=":
                return value <= self.limit
            case "==":
                return value == self.limit
            case _:
                return value != self.limit

    @property
    def plain_metric(self) -> str | None:
        """The metric's name when the quantity is nothing but a selector."""
        name = self.quantity.partition("{")[0].strip()
        rest = self.quantity[len(name) :].strip()
        whole = not rest or (rest.startswith("{") and rest.endswith("}") and rest.count("{") == 1)
        return name if whole and _METRIC.fullmatch(name) else None


def alert_expression(alert: Alert) -> str | None:
    """The PromQL behind the alert, from ``g0.expr`` of its generator link (Prometheus, VictoriaMetrics)."""
    link = alert.links.get("generator", "")
    try:
        values = parse_qs(urlsplit(link).query, max_num_fields=50).get("g0.expr", [])
    except ValueError:
        return None
    text = values[0].strip() if values else ""
    return text if 0 < len(text) <= _LIMIT else None


def split_threshold(promql: str) -> Threshold | None:
    """Split ``quantity > 5``; None when the expression is anything more complicated.

    Set operators bind weaker than comparisons, so an expression with one at the top has no single
    threshold. Nothing is split inside brackets or strings.
    """
    found: tuple[int, int, str] | None = None
    for position in _top_level(promql):
        rest = promql[position:]
        word_before = position > 0 and (promql[position - 1].isalnum() or promql[position - 1] in "_:")
        if not word_before and _SET_OPERATOR.match(rest):
            return None
        if match := _COMPARISON.match(rest):
            if found is not None and position < found[1]:
                continue  # the second character of ">="
            if found is not None:
                return None
            found = (position, position + match.end(), match.group(1))
    if found is None:
        return None
    quantity, limit = promql[: found[0]].strip(), promql[found[1] :].strip()
    if not quantity or _NUMBER.fullmatch(limit) is None:
        return None
    return Threshold(quantity=quantity, operator=found[2], limit=float(limit))


def _top_level(promql: str) -> list[int]:
    """Positions outside every bracket and string literal."""
    positions = []
    depth = 0
    quote = ""
    escaped = False
    for position, character in enumerate(promql):
        if quote:
            if escaped:
                escaped = False
            elif character == "\\" and quote != "`":
                escaped = True
            elif character == quote:
                quote = ""
            continue
        if character in "\"'`":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif depth == 0:
            positions.append(position)
    return positions
