"""Facts about things of a world: charged to the service, node, namespace or other object at fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from bot.domain.evidence import Evidence, Fact
from investigators.pack import absent, found, unknown
from investigators.world.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is known of a kind of fault.

    ``weight`` between 0 and 1 says how close to a cause it is (0: it only supports); ``explains`` are kinds
    it brings about at the same object, ``spreads`` kinds it brings about at those that depend on it;
    ``steps`` what a person does next.
    """

    title: str
    weight: float
    explains: frozenset[str] = frozenset()
    spreads: frozenset[str] = frozenset()
    steps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldRule:
    """A pure function from everything that was gathered to facts about whatever object they concern."""

    name: str
    check: Callable[[World], Sequence[Fact]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a fact is charged to."""

    name: str
    kind: str

    def found(
        self,
        fault: str,
        confidence: float,
        evidence: Sequence[Evidence],
        rule: str,
        detail: str,
        values: Mapping[str, float] | None = None,
    ) -> Fact:
        fact = found(fault, self.name, confidence, evidence, rule, detail, **(values or {}))
        return replace(fact, subject_kind=self.kind)

    def absent(
        self, fault: str, confidence: float, evidence: Sequence[Evidence], rule: str, detail: str
    ) -> Fact:
        """Raises ValueError when the evidence is not whole: a bug in a rule."""
        return replace(absent(fault, self.name, confidence, evidence, rule, detail), subject_kind=self.kind)

    def unknown(self, fault: str, evidence: Sequence[Evidence], rule: str, detail: str) -> Fact:
        return replace(unknown(fault, self.name, evidence, rule, detail), subject_kind=self.kind)


def service(name: str) -> Subject:
    return Subject(name=name, kind="service")


def node(name: str) -> Subject:
    return Subject(name=name, kind="node")


def namespace(name: str) -> Subject:
    return Subject(name=name, kind="namespace")
