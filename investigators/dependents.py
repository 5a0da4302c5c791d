"""Which of those known to depend on a faulty object show symptoms: how far the trouble has spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bot.domain.evidence import Fact, FactVerdict
from bot.domain.graph import Edge
from bot.domain.ids import EvidenceId
from investigators.facts.known import FAULTS, SYMPTOMS
from investigators.facts.platform.effects import SICK
from investigators.hypotheses import WEIGHTS
from investigators.world.world import World

DEPENDENTS_AFFECTED = "dependents_affected"
_RULE = "topology.dependents"
_STEPS = 2
_SHOWN = 6
_OBJECTS = 12
_CONFIDENCE = 0.7
_SHOWS_TROUBLE = SICK | SYMPTOMS
_COUNTED = frozenset({"service", "datastore", "queue"})


def dependents_affected(world: World, facts: Sequence[Fact]) -> tuple[Fact, ...]:
    """One fact for each object at fault of which a known dependent is in trouble as well. It only supports:
    that dependents look well may be because nobody looks at them, so nothing is ever concluded from that."""
    found = [fact for fact in facts if fact.verdict is FactVerdict.FOUND]
    signs: dict[str, list[Fact]] = {}
    for fact in found:
        if fact.kind in _SHOWS_TROUBLE:
            signs.setdefault(fact.subject, []).append(fact)
    alerting = frozenset(world.subjects)
    faulty = dict.fromkeys(
        fact.subject
        for fact in sorted(found, key=lambda fact: -fact.confidence)
        if fact.kind in WEIGHTS or (fact.kind in FAULTS and FAULTS[fact.kind].weight > 0)
    )
    made = (_spread(world, name, signs, alerting) for name in list(faulty)[:_OBJECTS])
    return tuple(fact for fact in made if fact is not None)


def _spread(
    world: World, name: str, signs: Mapping[str, Sequence[Fact]], alerting: frozenset[str]
) -> Fact | None:
    steps = world.graph.distances(name, upstream=True, most=_STEPS)
    below = set(world.graph.distances(name))
    known = sorted(
        (one for one in steps if one not in below and world.graph.kinds.get(one, "service") in _COUNTED),
        key=lambda one: (steps[one], one),
    )
    affected = [one for one in known if one in signs or one in alerting]
    if not affected:
        return None
    evidence: dict[EvidenceId, None] = {}
    told = []
    for one in affected:
        edge = _leading(world, one, steps)
        if edge.evidence_id:
            evidence[EvidenceId(edge.evidence_id)] = None
        evidence |= {i: None for fact in signs.get(one, ()) for i in fact.evidence_ids}
        kinds = sorted({fact.kind for fact in signs.get(one, ())})
        shown = ", ".join(kinds[:2]) if kinds else "its alert fires"
        via = "" if edge.target == name else f" through {edge.target}"
        told.append(f"{one} ({shown}; {edge.kind} it{via}: {edge.told(world.now)})")
    more = f" and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    return Fact(
        kind=DEPENDENTS_AFFECTED,
        verdict=FactVerdict.FOUND,
        confidence=_CONFIDENCE,
        subject=name,
        subject_kind=world.graph.kinds.get(name, "service"),
        evidence_ids=tuple(evidence),
        rule=_RULE,
        detail=f"{len(affected)} of {len(known)} known to depend on {name} show symptoms: "
        + "; ".join(told[:_SHOWN])
        + more,
        values={"affected": float(len(affected)), "known": float(len(known))},
    )


def _leading(world: World, name: str, steps: Mapping[str, int]) -> Edge:
    """The edge by which it is known to depend, the one that leads there straightest."""
    leading = [edge for edge in world.graph.dependencies(name) if edge.target in steps]
    return min(leading, key=lambda edge: (steps[edge.target], edge.target, edge.kind))
