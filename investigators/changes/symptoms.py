"""How faults show: kinds of symptoms by the words of log lines, spans and alerts, and by what series do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from bot.domain.ids import EvidenceId
from investigators.changes.signals import Moved, Signal, Signals
from investigators.changes.signs import SIGNS, Sign
from investigators.world.world import World

_VICTIM = re.compile(
    r"\b(?:upstream|downstream|dependency|from|to|call(?:ing)?|endpoint)\b.*(?:fail"
r"|unavailable|error|5\d\d|timeout|slow|refused|reset|exceeded)"
    r"|fallback|retry banner|propagat", re.I,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Symptom:
    """One kind of symptom at one service. ``weight`` between 0 and 1; ``first`` its earliest sign; ``text``
    the weightiest of ``texts``."""

    kind: str
    service: str
    first: datetime
    weight: float
    text: str
    evidence_ids: tuple[EvidenceId, ...]
    texts: tuple[str, ...] = ()
    moved: Moved | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compiled:
    text: re.Pattern[str] | None
    up: re.Pattern[str] | None
    down: re.Pattern[str] | None


def find(signals: Signals, world: World) -> tuple[Symptom, ...]:
    """Every symptom at every service, the weightiest first."""
    found: dict[tuple[str, str], list[Symptom]] = {}
    for kind, sign in SIGNS.items():
        rule = _compiled(sign)
        for symptom in (*_told(kind, sign, rule, signals), *_measured(kind, sign, rule, signals, world)):
            found.setdefault((kind, symptom.service), []).append(symptom)
    for fan in signals.fan_outs:
        found.setdefault(("query_fanout", fan.service), []).append(
            Symptom(
                kind="query_fanout",
                service=fan.service,
                first=fan.first,
                weight=0.9,
                text=f"{fan.operation} {fan.after} times in one trace",
                evidence_ids=tuple(item.id for item in world.looked("trace.spans") if item.spans)[:1],
            )
        )
    merged = [_merge(items) for items in found.values()]
    return tuple(sorted(merged, key=lambda one: (-one.weight, one.first, one.kind, one.service)))


def _told(kind: str, sign: Sign, rule: _Compiled, signals: Signals) -> Iterable[Symptom]:
    if rule.text is None:
        return
    for signal in signals.texts:
        if signal.weight < 0.3:
            continue
        # Any new error is one, whatever its words.
        plain = kind == "errors" and signal.weight >= 1.0
        if not plain and not rule.text.search(signal.text):
            continue
        victim = _is_victim(signal, signals.services)
        yield Symptom(
            kind=kind,
            service=signal.service,
            first=signal.first,
            weight=signal.weight * (0.6 if victim else 1.0) * (0.6 if sign.generic else 1.0),
            text=signal.text,
            evidence_ids=(signal.evidence_id,) if signal.evidence_id else (),
        )


def _measured(kind: str, sign: Sign, rule: _Compiled, signals: Signals, world: World) -> Iterable[Symptom]:
    for moved in signals.moved:
        pattern = rule.up if moved.up else rule.down
        if pattern is None or not pattern.search(moved.name):
            continue
        subject = moved.service in world.subjects
        yield Symptom(
            kind=kind,
            service=moved.service,
            first=moved.first,
            weight=(0.8 if subject else 0.7) * (0.7 if sign.generic else 1.0),
            text=f"{moved.name} {moved.before:.3g} → {moved.after:.3g}",
            evidence_ids=(moved.evidence_id,),
            moved=moved,
        )


def _merge(items: list[Symptom]) -> Symptom:
    """The weightiest, with the earliest sign of all and a little more weight for each independent kind."""
    best = max(items, key=lambda one: (one.weight, -one.first.timestamp()))
    ids = tuple(
        dict.fromkeys(one for item in sorted(items, key=lambda s: -s.weight) for one in item.evidence_ids)
    )
    kinds = len({item.moved is None for item in items})
    weight = min(1.0, best.weight + 0.1 * (kinds - 1))
    moved = next((item.moved for item in items if item.moved is not None), None)
    return Symptom(
        kind=best.kind,
        service=best.service,
        first=min(item.first for item in items),
        weight=weight,
        text=best.text,
        evidence_ids=ids[:4],
        texts=tuple(dict.fromkeys(item.text for item in items)),
        moved=moved,
    )


def _is_victim(signal: Signal, services: frozenset[str]) -> bool:
    """Whether a service complains about another one."""
    others = [name for name in services if name != signal.service and len(name) > 3 and name in signal.text]
    return bool(_VICTIM.search(signal.text)) and (
        bool(others) or "upstream" in signal.text.lower() or "fallback" in signal.text
    )


def _compiled(sign: Sign) -> _Compiled:
    def one(pattern: str) -> re.Pattern[str] | None:
        return re.compile(pattern, re.I) if pattern else None

    return _Compiled(text=one(sign.text), up=one(sign.up), down=one(sign.down))
