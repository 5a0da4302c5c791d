"""Several lists at once: over the namespaces that may be looked into, and over kinds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from adapters.evidence.kubernetes.api import JSON, Api, Budget, Resource
from adapters.evidence.kubernetes.refused import Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A kind to list, and how: ``accept`` for metadata only, ``managers`` with who wrote which field."""

    resource: Resource
    accept: str = JSON
    managers: bool = False


@dataclass(slots=True, kw_only=True)
class Gathered:
    """Objects by kind; ``gaps`` says in words what is missing; ``refusals`` are the lists that failed."""

    objects: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    gaps: list[str] = field(default_factory=list)
    refusals: list[Refused] = field(default_factory=list)
    answered: int = 0


async def gather(
    api: Api,
    wanted: Sequence[Wanted],
    namespaces: Sequence[str | None],
    budget: Budget,
    *,
    name: str | None = None,
) -> Gathered:
    """Every list that answers. Raises Refused, the first of them, when none does."""
    result = Gathered(objects={one.resource.kind: [] for one in wanted})

    async def read(one: Wanted, namespace: str | None) -> None:
        try:
            listed = await api.list(
                one.resource, namespace, budget, name=name, accept=one.accept, managers=one.managers
            )
        except Refused as error:
            result.refusals.append(error)
            result.gaps.append(_named(error, one.resource, namespace))
            return
        result.answered += 1
        result.objects[one.resource.kind] += listed.items
        if listed.cut is not None:
            result.gaps.append(listed.cut)

    async with asyncio.TaskGroup() as tasks:
        for one in wanted:
            for namespace in namespaces if one.resource.namespaced else (None,):
                tasks.create_task(read(one, namespace))
    if result.refusals and not result.answered:
        raise result.refusals[0]
    for items in result.objects.values():
        # Lists come in as they answer; the same world must give the same evidence.
        items.sort(key=lambda item: (item["metadata"].get("namespace", ""), item["metadata"].get("name", "")))
    result.gaps.sort()
    return result


def _named(error: Refused, resource: Resource, namespace: str | None) -> str:
    """A refusal that says itself what it is about, or with that said."""
    text = str(error)
    if error.status == 403:
        return text
    where = "" if namespace is None else f" in {namespace}"
    return f"{resource.plural}{where}: {text}"
