"""Changes that set the very thing a structural fault is about: a limit, an image, a policy, replicas.

The diff of a manifest explains no symptom by its words; it explains the object that a rule found broken. A
change of that object's service shortly before, which names what the finding names, is to blame.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import timedelta

from bot.domain.diagnosis import Hypothesis, Suspect
from bot.domain.evidence import Change
from bot.domain.redaction import clean
from investigators.facts.platform.rejected import rejections
from investigators.world.world import World

_BEFORE = timedelta(hours=2)
_SLACK = timedelta(minutes=1)
_SURE = 0.6
"""Hypotheses weaker than this have no change linked to them."""
_SCORE = 0.75
_FIRST = 3
"""A program may refuse what was changed without being in the incident at all: it must be among its causes."""
_WHY_LIMIT = 600
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*[A-Za-z0-9]|[0-9]")
_SPECIFIC = re.compile(r"[0-9._/-]")
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([KMGT]i)B?\b")
"""``48Gi`` as a manifest writes it, ``48.0 GiB`` as we do."""
_REPLICAS = frozenset(
    {"replica_shortage", "replicas_unavailable", "autoscaler_limit", "service_no_endpoints"}
)


def linked(world: World, hypotheses: Sequence[Hypothesis]) -> tuple[Suspect, ...]:
    """Changes linked to the strongest hypothesis that has any, the latest first; those whose own new word the
    program refuses need no more than that."""
    refused = tuple(
        _made(world, one.change, f"it brought {one.word}, which {one.service} refuses")
        for one in world.derived(rejections)
        if any(one.service == hypothesis.object for hypothesis in hypotheses[:_FIRST])
    )
    if refused:
        return refused
    for hypothesis in hypotheses:
        if hypothesis.score < _SURE:
            break
        found = [
            suspect
            for change in reversed(world.changes)
            if world.onset - _BEFORE <= change.at <= world.onset + _SLACK
            and (suspect := _suspect(world, change, hypothesis)) is not None
        ]
        if found:
            return tuple(found)
    return ()


def _suspect(world: World, change: Change, hypothesis: Hypothesis) -> Suspect | None:
    if hypothesis.object not in (change.service, *_words(change.files), *_words((change.title,))):
        return None
    if change.kind == "scale" and hypothesis.fault in _REPLICAS:
        shared = {f"{change.before} → {change.after}"}
    else:
        named = _specific(hypothesis, (hypothesis.statement,))
        shared = named & _specific(hypothesis, _set_by(change))
    if not shared:
        return None
    about = f"{hypothesis.fault} at {hypothesis.object}"
    return _made(world, change, f"it set {', '.join(sorted(shared)[:3])}, which {about} is about")


def _made(world: World, change: Change, why: str) -> Suspect:
    return Suspect(
        change_id=change.id,
        kind=change.kind,
        score=_SCORE,
        why=clean(why, limit=_WHY_LIMIT),
        evidence_ids=tuple(item.id for item in world.looked("change.list") if change in item.changes),
        title=change.title,
        service=change.service,
        at=change.at,
    )


def _set_by(change: Change) -> Iterable[str]:
    """What the change brought or took away, and the names of what it touched."""
    yield from (line for line in change.diff.splitlines() if line[:1] in "+-")
    yield from (change.version, change.before, change.after)
    yield from (file.rpartition("/")[2].rpartition(".")[0] for file in change.files)


def _specific(hypothesis: Hypothesis, texts: Iterable[str]) -> set[str]:
    """Words that name one thing: values with a unit, versions, names in parts; not the object itself."""
    found: set[str] = set()
    for word in _words(texts):
        for part in (word, word.rpartition(":")[2]):
            if len(part) >= 3 and _SPECIFIC.search(part) and part != hypothesis.object:
                found.add(part)
    return found


def _words(texts: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for text in texts:
        found |= {f"{float(number):g}{unit}" for number, unit in _QUANTITY.findall(text)}
        found |= set(_WORD.findall(text))
    return found
