"""scope_cluster_wide or scope_one_instance: does the same signal show at the entity's peers?"""

from __future__ import annotations

from bot.domain.evidence import Evidence, Fact
from investigators.entities import Entity
from investigators.expression import split_threshold
from investigators.pack import Pack, complete, found, series_of, unknown, why_nothing
from investigators.plan import Scope

WIDE = "scope_cluster_wide"
ONE = "scope_one_instance"
_MOST = 0.5


def check(pack: Pack, entity: Entity) -> list[Fact]:
    """From ``up`` over the job, and from the alert's own expression over every instance it has."""
    facts = [
        fact
        for item in pack.instants(entity.subject, "up", Scope.PEERS)
        if (fact := _from_up(entity, item)) is not None
    ]
    for promql, item in _alert_conditions(pack, entity):
        fact = _from_expression(entity, promql, item)
        if fact is not None:
            facts.append(fact)
    if not facts:
        looked = pack.instants(entity.subject, "up", Scope.PEERS)
        facts = [unknown(ONE, entity.subject, looked, "scope", why_nothing(looked, "it has no known peers"))]
    return facts


def _alert_conditions(pack: Pack, entity: Entity) -> list[tuple[str, Evidence]]:
    """The alert's whole expression (with its threshold) beside the answer to its bare quantity."""
    bare = dict(pack.expressions(entity.subject, bare=True))
    pairs = []
    for promql, _ in pack.expressions(entity.subject, bare=False):
        threshold = split_threshold(promql)
        if threshold is not None and threshold.quantity in bare:
            pairs.append((promql, bare[threshold.quantity]))
    return pairs


def _from_up(entity: Entity, evidence: Evidence) -> Fact | None:
    down = {one.labels.get("instance", "") for _, one in series_of((evidence,)) if one.samples[-1].value == 0}
    every = {one.labels.get("instance", "") for _, one in series_of((evidence,))}
    if not down or len(every) < 2 or not complete(evidence):
        return None
    return _judge(entity, evidence, "scope.up", down, every, "down")


def _from_expression(entity: Entity, promql: str, evidence: Evidence) -> Fact | None:
    threshold = split_threshold(promql)
    if threshold is None or not complete(evidence):
        return None
    job = entity.job
    series = [
        one
        for _, one in series_of((evidence,))
        if one.labels.get("instance") and (job is None or one.labels.get("job", job) == job)
    ]
    every = {one.labels["instance"] for one in series}
    hit = {one.labels["instance"] for one in series if threshold.crossed(one.samples[-1].value)}
    if len(every) < 2 or not hit:
        return None
    return _judge(entity, evidence, "scope.expression", hit, every, "over the alert's threshold")


def _judge(
    entity: Entity, evidence: Evidence, rule: str, hit: set[str], every: set[str], what: str
) -> Fact | None:
    share = len(hit) / len(every)
    detail = f"{len(hit)} of {len(every)} instances of {entity.job or entity.subject} are {what}"
    if len(hit) == 1:
        return found(ONE, entity.subject, 0.9, (evidence,), rule, detail, share=share)
    if share > _MOST:
        return found(WIDE, entity.subject, 0.9, (evidence,), rule, detail, share=share)
    return unknown(ONE, entity.subject, (evidence,), rule, f"{detail}: neither one nor most")
