"""Which path a kind has: built-in kinds by heart, all others by asking the server what it serves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from adapters.evidence.kubernetes.api import JSON, Api, Budget, Resource
from adapters.evidence.kubernetes.refused import Asked, Refused
from bot.domain.clock import Clock

_AGGREGATED = f"{JSON};g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,{JSON}"
_REMEMBERED = timedelta(minutes=5)
_MISS_REMEMBERED = timedelta(seconds=30)
"""How long a kind that was not there counts as not there: somebody may be installing it."""

_BUILT_IN = """
v1 Pod pods, Service services, Endpoints endpoints, Event events, ConfigMap configmaps, Secret secrets,
  PersistentVolumeClaim persistentvolumeclaims, ServiceAccount serviceaccounts, ResourceQuota resourcequotas,
  LimitRange limitranges, ReplicationController replicationcontrollers, Node *nodes, Namespace *namespaces,
  PersistentVolume *persistentvolumes
apps/v1 Deployment deployments, ReplicaSet replicasets, StatefulSet statefulsets, DaemonSet daemonsets,
  ControllerRevision controllerrevisions
batch/v1 Job jobs, CronJob cronjobs
autoscaling/v2 HorizontalPodAutoscaler horizontalpodautoscalers
networking.k8s.io/v1 Ingress ingresses, NetworkPolicy networkpolicies, IngressClass *ingressclasses
discovery.k8s.io/v1 EndpointSlice endpointslices
policy/v1 PodDisruptionBudget poddisruptionbudgets
rbac.authorization.k8s.io/v1 Role roles, RoleBinding rolebindings, ClusterRole *clusterroles,
  ClusterRoleBinding *clusterrolebindings
storage.k8s.io/v1 StorageClass *storageclasses, VolumeAttachment *volumeattachments
scheduling.k8s.io/v1 PriorityClass *priorityclasses
coordination.k8s.io/v1 Lease leases
admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration *validatingwebhookconfigurations,
  MutatingWebhookConfiguration *mutatingwebhookconfigurations
apiregistration.k8s.io/v1 APIService *apiservices
"""
"""Group and version, then kinds with the last part of their path; ``*`` marks kinds without a namespace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Served:
    """What the server serves. ``gaps``: groups that could not be asked, with the reason."""

    resources: tuple[Resource, ...]
    gaps: Mapping[str, str] = field(default_factory=dict)
    taken_at: datetime


def built_in() -> Mapping[str, Resource]:
    """The kinds every cluster has, by kind."""
    found = {}
    for block in _BUILT_IN.replace("\n  ", " ").strip().splitlines():
        api_version, _, kinds = block.partition(" ")
        group, _, version = api_version.rpartition("/")
        for pair in kinds.split(","):
            kind, plural = pair.split()
            found[kind] = Resource(
                kind=kind,
                group=group,
                version=version,
                plural=plural.lstrip("*"),
                namespaced=not plural.startswith("*"),
            )
    return found


class Kinds:
    """Finds the resources of a kind, and remembers for minutes what the server said it serves."""

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._built_in = built_in()
        self._served: _Served | None = None
        self._lock = asyncio.Lock()

    def known(self, kind: str) -> Resource | None:
        """A built-in kind, without asking."""
        return self._built_in.get(kind)

    async def find(self, kind: str, budget: Budget, *, group: str | None = None) -> tuple[Resource, ...]:
        """Every resource of this kind (one kind name may stand in several groups); empty when the server
        has none. Raises Refused when it cannot tell."""
        if group is None and kind in self._built_in:
            return (self._built_in[kind],)
        async with self._lock:
            served = await self._ask(kind, budget)
        found = tuple(
            one for one in served.resources if one.kind == kind and (group is None or one.group == group)
        )
        relevant = served.gaps if group is None else {k: v for k, v in served.gaps.items() if k == group}
        if not found and relevant:
            broken, reason = next(iter(relevant.items()))
            raise Refused(f"cannot tell whether it knows {kind}: the group {broken} {reason}")
        return found

    async def _ask(self, kind: str, budget: Budget) -> _Served:
        now = self._clock.now()
        if self._served is not None:
            has = any(one.kind == kind for one in self._served.resources)
            if now - self._served.taken_at < (_REMEMBERED if has else _MISS_REMEMBERED):
                return self._served
        asked = Asked(verb="get", resource="/apis")
        document = await self._api.document("/apis", asked, budget, accept=_AGGREGATED)
        match document:
            case {"kind": "APIGroupDiscoveryList", "items": list(items)}:
                resources, gaps = _aggregated(items)
            case {"kind": "APIGroupList", "groups": list(groups)}:
                resources, gaps = await self._each(groups, budget)
            case _:
                raise Refused("answered something else than the list of its API groups")
        self._served = _Served(resources=tuple(resources), gaps=gaps, taken_at=now)
        return self._served

    async def _each(self, groups: Iterable[Any], budget: Budget) -> tuple[list[Resource], dict[str, str]]:
        """Servers before 1.30 may have to be asked group by group."""
        resources: list[Resource] = []
        gaps: dict[str, str] = {}

        async def ask(group: str, group_version: str) -> None:
            path = f"/apis/{group_version}"
            try:
                document = await self._api.document(path, Asked(verb="get", resource=path), budget)
            except Refused as error:
                gaps[group] = str(error)
                return
            found = document.get("resources") if isinstance(document, Mapping) else None
            version = group_version.rpartition("/")[2]
            for one in found if isinstance(found, list) else ():
                if isinstance(one, Mapping) and "list" in (one.get("verbs") or ()):
                    resources.append(_resource(group, version, one))

        async with asyncio.TaskGroup() as tasks:
            for one in groups:
                match one:
                    case {"name": str(name), "preferredVersion": {"groupVersion": str(preferred)}}:
                        tasks.create_task(ask(name, preferred))
        return resources, gaps


def _resource(group: str, version: str, one: Mapping[str, Any]) -> Resource:
    return Resource(
        kind=str(one.get("kind")),
        group=group,
        version=version,
        plural=str(one.get("name")),
        namespaced=one.get("namespaced") is True,
    )


def _aggregated(items: Iterable[Any]) -> tuple[list[Resource], dict[str, str]]:
    """The first version of a group is the preferred one; a kind that only a later one has counts too."""
    resources: list[Resource] = []
    gaps: dict[str, str] = {}
    for item in items:
        match item:
            case {"metadata": {"name": str(group)}, "versions": list(versions)}:
                pass
            case _:
                continue
        seen: set[str] = set()
        for version in versions:
            if version.get("freshness") == "Stale":
                gaps.setdefault(group, "is not available")
            for one in version.get("resources") or ():
                kind = (one.get("responseKind") or {}).get("kind")
                if kind and kind not in seen and "list" in (one.get("verbs") or ()):
                    seen.add(kind)
                    resources.append(
                        Resource(
                            kind=kind,
                            group=group,
                            version=str(version.get("version")),
                            plural=str(one.get("resource")),
                            namespaced=one.get("scope") == "Namespaced",
                        )
                    )
    return resources, gaps
