"""What the alerts of one incident have in common: whom the likeliest cause reaches, and what it leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from investigators.facts.known import COMPARED
from investigators.hypotheses import Candidate
from investigators.world.world import World

_SURE = 0.55
_MOST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthesis:
    """``reached``: what else the alerts are about that depends on the likeliest cause. ``apart``: likely
    causes at other objects of the alerts, or at what those depend on, that it does not explain, each with
    what depends on it."""

    reached: tuple[str, ...] = ()
    apart: tuple[tuple[Candidate, tuple[str, ...]], ...] = ()


def synthesise(world: World, standing: Sequence[Candidate]) -> Synthesis:
    """``standing`` are the candidates that stand, best first. Says nothing where the alerts are about one."""
    if not standing or len(world.subjects) < 2:
        return Synthesis()
    top = standing[0].hypothesis.object
    needed = {subject: world.graph.distances(subject) for subject in world.subjects}

    def reached(name: str) -> tuple[str, ...]:
        return tuple(one for one in world.subjects if one != name and name in needed[one])

    left = [subject for subject in world.subjects if subject != top]
    apart: dict[str, Candidate] = {}
    for one in standing[1:]:
        name = one.hypothesis.object
        concerns = any(name == subject or name in needed[subject] for subject in left)
        sure = one.hypothesis.score >= _SURE and one.hypothesis.fault not in COMPARED
        if sure and concerns and name != top and not one.explained:
            apart.setdefault(name, one)
    chosen = list(apart.items())[:_MOST]
    return Synthesis(reached=reached(top), apart=tuple((one, reached(name)) for name, one in chosen))
