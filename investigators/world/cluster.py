"""Kubernetes objects of every answer, indexed: by kind, by owner, by selector, with the events about each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from bot.domain.evidence import Evidence, EvidenceStatus

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob")
_APP_LABELS = ("app.kubernetes.io/name", "app", "k8s-app", "app.kubernetes.io/instance", "service", "name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """One Kubernetes object and the answer it came in. ``data`` is the object as the API prints it."""

    kind: str
    namespace: str
    name: str
    data: Mapping[str, Any]
    evidence: Evidence

    def at(self, *path: str | int, default: Any = None) -> Any:
        """The value under a path, such as ``("status", "phase")``; ``default`` where there is none."""
        here: Any = self.data
        for step in path:
            # To ask whether it is any mapping takes ten times as long.
            if isinstance(step, str) and (type(here) is dict or isinstance(here, Mapping)):
                here = here.get(step)
            elif isinstance(here, list | tuple) and isinstance(step, int) and -len(here) <= step < len(here):
                here = here[step]
            else:
                return default
            if here is None:
                return default
        return here

    def items(self, *path: str) -> list[Mapping[str, Any]]:
        """The list of objects under a path; what is no object is left out."""
        value = self.at(*path, default=[])
        if not isinstance(value, list | tuple):
            return []
        return [one for one in value if type(one) is dict or isinstance(one, Mapping)]

    @property
    def labels(self) -> Mapping[str, str]:
        return _mapping(self.at("metadata", "labels"))

    @property
    def annotations(self) -> Mapping[str, str]:
        return _mapping(self.at("metadata", "annotations"))

    @property
    def created_at(self) -> datetime | None:
        return moment(self.at("metadata", "creationTimestamp"))

    @property
    def ref(self) -> tuple[str, str, str]:
        return self.kind, self.namespace, self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeEvent:
    """An event about ``about`` = (kind, namespace, name)."""

    about: tuple[str, str, str]
    type: str
    reason: str
    message: str
    count: int
    first: datetime | None
    last: datetime | None
    thing: Thing


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """``asked`` holds every answer about a kind, failed ones too, so that absence can be told from a gap."""

    things: Mapping[tuple[str, str, str], Thing] = field(default_factory=dict)
    asked: Mapping[str, tuple[Evidence, ...]] = field(default_factory=dict)
    by_kind: Mapping[str, tuple[Thing, ...]] = field(default_factory=dict)
    events: tuple[KubeEvent, ...] = ()
    _by_about: Mapping[tuple[str, str, str], tuple[KubeEvent, ...]] = field(default_factory=dict)
    _pods_by: Mapping[tuple[str, ...], tuple[Thing, ...]] = field(default_factory=dict)

    @classmethod
    def build(cls, answers: Iterable[tuple[str, Evidence]]) -> Cluster:
        """From answers of kind ``kubernetes.objects``, each with the object kind that was asked for."""
        things: dict[tuple[str, str, str], Thing] = {}
        asked: dict[str, list[Evidence]] = {}
        for kind, evidence in answers:
            asked.setdefault(kind, []).append(evidence)
            for data in evidence.objects if evidence.usable else ():
                thing = _thing(kind, data, evidence)
                if thing is not None:
                    things[thing.ref] = thing
        by_kind: dict[str, list[Thing]] = {}
        for thing in things.values():
            by_kind.setdefault(thing.kind, []).append(thing)
        events = tuple(sorted((_event(one) for one in by_kind.get("Event", ())), key=_event_order))
        by_about: dict[tuple[str, str, str], list[KubeEvent]] = {}
        for event in events:
            by_about.setdefault(event.about, []).append(event)
        cluster = cls(
            things=things,
            asked={kind: tuple(items) for kind, items in asked.items()},
            by_kind={kind: tuple(items) for kind, items in by_kind.items()},
            events=events,
            _by_about={about: tuple(items) for about, items in by_about.items()},
        )
        return replace(cluster, _pods_by=_pods_by_owner(cluster))

    def of(self, kind: str, namespace: str | None = None) -> tuple[Thing, ...]:
        """Every object of a kind, in one namespace or in all."""
        every = self.by_kind.get(kind, ())
        return every if namespace is None else tuple(one for one in every if one.namespace == namespace)

    def get(self, kind: str, namespace: str, name: str) -> Thing | None:
        return self.things.get((kind, namespace, name))

    def knows(self, kind: str) -> bool:
        """Whether a live answer about every object of the kind is at hand: then what is not in it is not
        there."""
        answers = self.asked.get(kind, ())
        whole = (EvidenceStatus.OK, EvidenceStatus.EMPTY)
        return bool(answers) and all(
            item.status in whole and (item.reason is None or item.status is EvidenceStatus.EMPTY)
            for item in answers
        )

    def looked(self, *kinds: str) -> tuple[Evidence, ...]:
        """The answers about these kinds, to cite for what was, or was not, in them."""
        return tuple(item for kind in kinds for item in self.asked.get(kind, ()))

    def events_about(self, thing: Thing) -> tuple[KubeEvent, ...]:
        return self._by_about.get(thing.ref, ())

    def owner(self, thing: Thing) -> Thing | None:
        """The controlling owner, if it was read."""
        for reference in thing.items("metadata", "ownerReferences"):
            owner = self.get(str(reference.get("kind")), thing.namespace, str(reference.get("name")))
            if owner is not None:
                return owner
        return None

    def workload(self, thing: Thing) -> Thing:
        """The topmost owner of a pod or of anything else; the thing itself where nobody owns it."""
        for _ in range(5):
            owner = self.owner(thing)
            if owner is None:
                return thing
            thing = owner
        return thing

    def workload_name(self, thing: Thing) -> str:
        """The name of the topmost owner, also where that owner was not read."""
        top = self.workload(thing)
        for reference in top.items("metadata", "ownerReferences"):
            name = str(reference.get("name", ""))
            if reference.get("kind") == "ReplicaSet":
                return re.sub(r"-[a-f0-9]{6,10}\Z", "", name)
            if name and reference.get("kind") not in ("Node", None):
                return name
        return top.name

    def pods_of(self, owner: Thing) -> tuple[Thing, ...]:
        """The pods that a workload owns, or that a Service, a NetworkPolicy or a budget selects."""
        if owner.kind in WORKLOADS:
            named = self._pods_by.get((owner.namespace, owner.name), ())
            owned = self._pods_by.get(owner.ref, ())
            seen = {pod.name for pod in owned}
            return (*owned, *(pod for pod in named if pod.name not in seen))
        selector = owner.at("spec", "selector") or owner.at("spec", "podSelector")
        if not isinstance(selector, Mapping) or (not selector and owner.kind == "Service"):
            return ()
        return tuple(pod for pod in self.of("Pod", owner.namespace) if selector_matches(selector, pod.labels))

    def services_of(self, pod: Thing) -> tuple[Thing, ...]:
        """The Services whose selector matches the pod's labels (or a workload's template labels)."""
        labels = _mapping(pod.at("spec", "template", "metadata", "labels")) or pod.labels
        found = []
        for service in self.of("Service", pod.namespace):
            selector = service.at("spec", "selector")
            if isinstance(selector, Mapping) and selector and selector_matches(selector, labels):
                found.append(service)
        return tuple(found)

    def service_name(self, thing: Thing) -> str:
        """What people call the service a thing belongs to, as metrics, traces and alerts do: the workload's
        name for a pod or workload, else its own app label, else its own name."""
        if thing.kind in (*WORKLOADS, "Pod"):
            return self.workload_name(thing)
        if thing.kind == "Service":
            return thing.name
        return next((thing.labels[key] for key in _APP_LABELS if thing.labels.get(key)), thing.name)


def selector_matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """A Service's plain selector, or a label selector with ``matchLabels`` and ``matchExpressions``."""
    if "matchLabels" in selector or "matchExpressions" in selector:
        plain = _mapping(selector.get("matchLabels"))
        if any(labels.get(key) != value for key, value in plain.items()):
            return False
        return all(
            _expression_matches(one, labels)
            for one in selector.get("matchExpressions") or ()
            if isinstance(one, Mapping)
        )
    return all(labels.get(key) == str(value) for key, value in selector.items())


def moment(value: object) -> datetime | None:
    """A Kubernetes time; None for anything else."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _expression_matches(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, operator = str(expression.get("key")), expression.get("operator")
    values: Sequence[Any] = expression.get("values") or ()
    match operator:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case _:
            return False


def _thing(kind: str, data: Mapping[str, Any], evidence: Evidence) -> Thing | None:
    metadata = data.get("metadata")
    if not isinstance(metadata, Mapping) or not metadata.get("name"):
        return None
    return Thing(
        kind=str(data.get("kind") or kind),
        namespace=str(metadata.get("namespace") or ""),
        name=str(metadata["name"]),
        data=data,
        evidence=evidence,
    )


def _event(thing: Thing) -> KubeEvent:
    about = _object(thing.at("involvedObject")) or _object(thing.at("regarding"))
    series = _object(thing.at("series"))
    # events.k8s.io prints the fields of the core API as deprecated ones.
    first = (
        moment(thing.at("firstTimestamp"))
        or moment(thing.at("deprecatedFirstTimestamp"))
        or moment(thing.at("eventTime"))
        or thing.created_at
    )
    last = (
        moment(thing.at("lastTimestamp"))
        or moment(thing.at("deprecatedLastTimestamp"))
        or moment(series.get("lastObservedTime"))
        or first
    )
    count = thing.at("count") or thing.at("deprecatedCount") or series.get("count") or 1
    return KubeEvent(
        about=(str(about.get("kind", "")), str(about.get("namespace") or ""), str(about.get("name", ""))),
        type=str(thing.at("type", default="Normal")),
        reason=str(thing.at("reason", default="")),
        message=str(thing.at("message") or thing.at("note") or ""),
        count=int(count) if isinstance(count, int | float) else 1,
        first=first,
        last=last,
        thing=thing,
    )


def _pods_by_owner(cluster: Cluster) -> Mapping[tuple[str, ...], tuple[Thing, ...]]:
    """Pods by each owner's kind, namespace and name, and by namespace and workload name for owners that were
    not read."""
    index: dict[tuple[str, ...], list[Thing]] = {}
    for pod in cluster.of("Pod"):
        index.setdefault((pod.namespace, cluster.workload_name(pod)), []).append(pod)
        owner = cluster.owner(pod)
        for _ in range(5):
            if owner is None:
                break
            index.setdefault(owner.ref, []).append(pod)
            owner = cluster.owner(owner)
    return {key: tuple(pods) for key, pods in index.items()}


def _event_order(event: KubeEvent) -> tuple[float, str]:
    last = event.last or event.first
    return (last.timestamp() if last else 0.0, event.thing.name)


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _mapping(value: object) -> Mapping[str, str]:
    return {str(k): str(v) for k, v in value.items()} if isinstance(value, Mapping) else {}
