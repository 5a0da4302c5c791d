"""Whom a complaint is charged to: what many complain of is to blame, not each of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from investigators.facts.charge import Subject
from investigators.facts.platform.names import Callee
from investigators.facts.platform.scene import Scene
from investigators.facts.platform.symptoms import Symptom


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """What was said about one callee (None where nobody names it), and by whom."""

    callee: Callee | None
    callers: tuple[str, ...]
    symptoms: tuple[Symptom, ...]

    @property
    def last(self) -> Symptom:
        return self.symptoms[-1]

    @property
    def itself(self) -> bool:
        """Whether the callee's own log says it."""
        return any(one.line.service and not one.caller for one in self.symptoms)


def complaints(scene: Scene, symptoms: Iterable[Symptom]) -> list[Complaint]:
    """By callee; complaints about nobody in particular by caller."""
    grouped: dict[tuple[str, str], list[Symptom]] = {}
    for one in symptoms:
        key = (one.callee.name, "") if one.callee is not None else ("", one.caller)
        grouped.setdefault(key, []).append(one)
    return [
        Complaint(callee=found[0].callee, callers=scene.callers(found), symptoms=tuple(found))
        for found in grouped.values()
    ]


def callee_or_caller(scene: Scene, one: Complaint) -> Subject | None:
    """The callee; the one caller where no callee is known; None where several complain of nobody."""
    if one.callee is not None:
        return scene.subject(one.callee)
    return scene.subject_named(one.callers[0]) if one.callers else None


def other_users(scene: Scene, one: Complaint) -> frozenset[str]:
    """Known users of the callee that do not complain."""
    if one.callee is None:
        return frozenset()
    users: Mapping[str, None] = dict.fromkeys(
        use.caller for use in scene.uses if use.callee.name == one.callee.name
    )
    return frozenset(users) - set(one.callers)
