"""All that one cluster can tell of what was changed in it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from adapters.evidence.kubernetes.api import METADATA, Api, Budget, Resource
from adapters.evidence.kubernetes.gather import Gathered, Wanted, gather
from adapters.evidence.kubernetes.gitops import (
    argo_services,
    argo_syncs,
    flux_kustomizations,
    flux_services,
    helm_releases,
    helm_services,
)
from adapters.evidence.kubernetes.kinds import Kinds
from adapters.evidence.kubernetes.look import namespace
from adapters.evidence.kubernetes.refused import Refused
from adapters.evidence.kubernetes.rollouts import (
    edited,
    known_as,
    owned,
    rollouts,
    scaled,
    uses_config_map,
)
from bot.domain.evidence import Change

_GROUPS = (
    ("Application", "argoproj.io"),
    ("Rollout", "argoproj.io"),
    ("Kustomization", "kustomize.toolkit.fluxcd.io"),
    ("HelmRelease", "helm.toolkit.fluxcd.io"),
    ("GitRepository", "source.toolkit.fluxcd.io"),
    ("OCIRepository", "source.toolkit.fluxcd.io"),
    ("Bucket", "source.toolkit.fluxcd.io"),
)
_CONTROLLED = ("Deployment", "Rollout", "StatefulSet", "DaemonSet")


@dataclass(slots=True, kw_only=True)
class History:
    """Changes oldest first, and what could not be looked at."""

    changes: list[Change] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)


async def read_history(
    api: Api,
    kinds: Kinds,
    namespaces: Sequence[str | None],
    services: frozenset[str],
    budget: Budget,
) -> History:
    """Everything about these services, or (empty) about all. Raises Refused when nothing could be read."""
    wanted = [
        Wanted(resource=built_in(kinds, kind), managers=kind != "ReplicaSet" and kind != "ControllerRevision")
        for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ControllerRevision")
    ]
    wanted.append(Wanted(resource=built_in(kinds, "ConfigMap"), accept=METADATA, managers=True))
    gaps = []
    for kind, group in _GROUPS:
        try:
            found = await kinds.find(kind, budget, group=group)
        except Refused as error:
            gaps.append(str(error))
            continue
        wanted += [Wanted(resource=one, managers=kind == "Rollout") for one in found]
    gathered = await gather(api, wanted, namespaces, budget)
    changes = await asyncio.to_thread(_changes, gathered, services)
    return History(changes=changes, gaps=[*dict.fromkeys(gaps), *gathered.gaps])


def built_in(kinds: Kinds, kind: str) -> Resource:
    """A kind every cluster has."""
    found = kinds.known(kind)
    assert found is not None
    return found


def _changes(gathered: Gathered, services: frozenset[str]) -> list[Change]:
    objects = gathered.objects
    workloads = [one for kind in _CONTROLLED for one in objects.get(kind, ())]
    revisions = [*objects.get("ReplicaSet", ()), *objects.get("ControllerRevision", ())]
    by_namespace: dict[str, list[Any]] = {}
    for one in revisions:
        by_namespace.setdefault(namespace(one), []).append(one)
    found: list[Change] = []
    for workload in workloads:
        names = known_as(workload)
        if services and not names & services:
            continue
        history = owned(workload, by_namespace.get(namespace(workload), ()))
        made = [*rollouts(workload, history), *scaled(workload)]
        maps = [
            one
            for one in objects.get("ConfigMap", ())
            if namespace(one) == namespace(workload) and uses_config_map(workload, one["metadata"]["name"])
        ]
        for config_map in maps:
            made += edited(config_map, [workload])
        found += _for(made, names, services)
    for application in objects.get("Application", ()):
        found += _for(argo_syncs(application), argo_services(application), services)
    sources = [one for kind in ("GitRepository", "OCIRepository", "Bucket") for one in objects.get(kind, ())]
    for kustomization in objects.get("Kustomization", ()):
        found += _for(flux_kustomizations(kustomization, sources), flux_services(kustomization), services)
    for release in objects.get("HelmRelease", ()):
        found += _for(helm_releases(release), helm_services(release), services)
    return sorted(found, key=lambda change: (change.at, change.id))


def _for(changes: Iterable[Change], names: frozenset[str], services: frozenset[str]) -> list[Change]:
    """Changes of something known by these names. Asked for a service, they carry the name that was asked
    for; of several the first."""
    if not services:
        return list(changes)
    asked = sorted(names & services)
    return [one if one.service in services else replace(one, service=asked[0]) for one in changes if asked]
