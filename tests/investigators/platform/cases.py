"""A table of cases: a world, a kind of fault, and what must be concluded."""

from __future__ import annotations

from dataclasses import dataclass

from bot.domain.evidence import FactVerdict
from investigators.world.world import World
from tests.investigators.platform.build import found, verdicts

YES, NO, UNKNOWN = "found", "not found", "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """``want`` YES: found at exactly ``subject``; NO: found nowhere; UNKNOWN: unknown at it; ABSENT by
    ``absent``: NO, and said to be absent at the subject."""

    name: str
    world: World
    kind: str
    want: str = YES
    subject: str = "cart"
    subject_kind: str = "service"
    least: float = 0.6
    says: tuple[str, ...] = ()
    absent: bool = False


def judge(case: Case) -> None:
    hits = found(case.world, case.kind)
    if case.want == YES:
        assert (case.subject_kind, case.subject) in hits, {key: fact.detail for key, fact in hits.items()}
        fact = hits[case.subject_kind, case.subject]
        assert fact.confidence >= case.least
        assert fact.evidence_ids
        for text in case.says:
            assert text in fact.detail, fact.detail
    elif case.want == NO:
        assert not hits, {key: fact.detail for key, fact in hits.items()}
        if case.absent:
            assert verdicts(case.world, case.kind, case.subject) == {FactVerdict.ABSENT}
    else:
        assert verdicts(case.world, case.kind, case.subject) == {FactVerdict.UNKNOWN}


def case(name: str, world: World, kind: str, *subject: str, **more: object) -> Case:
    names = {"subject": subject[0]} if subject else {}
    if len(subject) > 1:
        names["subject_kind"] = subject[1]
    return Case(name=name, world=world, kind=kind, **names, **more)  # type: ignore[arg-type]


def no(name: str, world: World, kind: str, subject: str = "cart", *, absent: bool = False) -> Case:
    return Case(name=name, world=world, kind=kind, want=NO, subject=subject, absent=absent)


def unknown(name: str, world: World, kind: str, subject: str = "cart") -> Case:
    return Case(name=name, world=world, kind=kind, want=UNKNOWN, subject=subject)
