"""A world seen by workload: its pods, containers, revisions, events and log lines in one place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bot.domain.evidence import Evidence
from investigators.facts.workloads.boxes import EMPTY, Box, Json, boxes_of, leaving, mapping, objects, whole
from investigators.world.cluster import WORKLOADS, Cluster, KubeEvent, Thing
from investigators.world.world import Line, World, service_of_pod

LEAD = timedelta(hours=1)
"""How long before the first alert trouble still counts as this incident's: alerts wait, and events are kept
for an hour."""
_REVISIONS = ("ReplicaSet", "ControllerRevision")
CHRONIC = timedelta(hours=24)
USUAL = 0.4
"""The most that a complaint counts that a program also made when all was well."""
_MOST = 100
_APP_LABELS = ("app.kubernetes.io/name", "app", "k8s-app", "service")
_REVISION = "deployment.kubernetes.io/revision"
_HASH = re.compile(r"-[a-f0-9]{6,10}\Z")
_JOB_HASH = re.compile(r"-\d{8,10}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A workload: ``service`` is what facts about it are charged to. ``spec`` and ``template`` are those of
    its present pod template, or of its pod; ``revisions`` its ReplicaSets or ControllerRevisions, newest
    first. ``seen`` False: an alert names it, but its objects could not be read."""

    service: str
    name: str
    namespace: str
    top: Thing | None = None
    template: Json = field(default_factory=dict)
    pods: tuple[Thing, ...] = ()
    boxes: tuple[Box, ...] = ()
    revisions: tuple[Thing, ...] = ()
    events: tuple[KubeEvent, ...] = ()
    seen: bool = True

    @property
    def spec(self) -> Json:
        return mapping(self.template.get("spec"))

    @property
    def containers(self) -> list[Json]:
        return objects(self.spec.get("containers"))

    @property
    def controller(self) -> Thing | None:
        """What creates its pods: the present ReplicaSet of a Deployment, else the workload itself."""
        first = next(iter(self.revisions), None)
        return first if first is not None and first.kind == "ReplicaSet" else self.top

    @property
    def all_containers(self) -> list[Json]:
        return [*objects(self.spec.get("initContainers")), *self.containers]

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        first = self.top or next(iter(self.pods), None)
        return () if first is None else (first.evidence,)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """Log lines, each in lower case, and all of them as one text."""

    lines: tuple[Line, ...]
    lower: tuple[str, ...]
    whole: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """``mine`` are the workloads that the incident is about."""

    world: World
    units: tuple[Unit, ...]
    mine: tuple[Unit, ...]
    pod_events: Mapping[str, tuple[KubeEvent, ...]] = field(default_factory=dict)
    _read: dict[tuple[str, str, bool], _Read] = field(default_factory=dict)
    """Each workload's lines, kept from the first time they were asked for."""

    @property
    def cluster(self) -> Cluster:
        return self.world.cluster

    def recent(self, at: datetime | None) -> bool:
        """Whether something of that time may belong to the incident; an unknown time may."""
        return at is None or at >= self.world.onset - LEAD

    def events_of(self, pod: Thing) -> tuple[KubeEvent, ...]:
        return self.pod_events.get(f"{pod.namespace}/{pod.name}", ())

    def lines(self, unit: Unit, *, old: bool = False) -> tuple[Line, ...]:
        """Its log lines that may belong to the incident (``old``: those before it too), of all its pods."""
        return self._reading(unit, old).lines

    def grep(
        self, unit: Unit, needles: Sequence[str], pattern: re.Pattern[str], *, old: bool = False
    ) -> list[Line]:
        """Lines that match. ``needles`` are lower-case texts of which every match holds one: looking for
        them first, in all lines at once, is what keeps this cheap."""
        read = self._reading(unit, old)
        here = [needle for needle in needles if needle in read.whole]
        if not here:
            return []
        return [
            line
            for line, text in zip(read.lines, read.lower, strict=True)
            if any(needle in text for needle in here) and pattern.search(line.text)
        ]

    def lines_with(self, unit: Unit, text: str) -> list[Line]:
        """Lines that hold a text in any case, the last hundred of them: a word that is in more is no clue."""
        read, needle = self._reading(unit, False), text.lower()
        if needle not in read.whole:
            return []
        return [line for line, low in zip(read.lines, read.lower, strict=True) if needle in low][-_MOST:]

    def usual(self, unit: Unit, pattern: re.Pattern[str]) -> bool:
        """Whether it also said so when all was well, or well before the alert: then it is no news."""
        earlier = (line for line in self.lines(unit, old=True) if not self.recent(line.at))
        calm = (line for line in self.world.healthy_lines if line.service == unit.name)
        return any(pattern.search(line.text) for line in (*earlier, *calm))

    def _reading(self, unit: Unit, old: bool) -> _Read:
        key = (unit.namespace, unit.name, old)
        if key not in self._read:
            # Lines that name a service and no namespace are those of the one that the incident is about.
            own = self.world.lines_of(unit.name) if unit.service == unit.name else ()
            seen = {id(line) for line in own}
            pods = (line for pod in unit.pods for line in self.world.lines_of_pod(pod.name))
            every = (*own, *(line for line in pods if id(line) not in seen))
            lines = tuple(line for line in every if old or self.recent(line.at))
            lower = tuple(line.text.lower() for line in lines)
            self._read[key] = _Read(lines=lines, lower=lower, whole="\n".join(lower))
        return self._read[key]


def scene_of(world: World) -> Scene:
    """Every workload with at least one object, in a stable order; the same one for every rule."""
    return world.derived(_scene_of)


def _scene_of(world: World) -> Scene:
    cluster = world.cluster
    groups: dict[tuple[str, str], _Group] = {}
    for kind in (*WORKLOADS, "ControllerRevision"):
        for thing in cluster.of(kind):
            group = groups.setdefault((thing.namespace, cluster.workload_name(thing)), _Group())
            group.things.append(thing)
    names: dict[str, tuple[str, str]] = {}
    for pod in cluster.of("Pod"):
        key = (pod.namespace, cluster.workload_name(pod))
        names[f"{pod.namespace}/{pod.name}"] = key
        groups.setdefault(key, _Group()).pods.append(pod)
    pod_events: dict[str, list[KubeEvent]] = {}
    for event in cluster.events:
        kind, namespace, name = event.about
        if kind == "Pod":
            pod_events.setdefault(f"{namespace}/{name}", []).append(event)
        about = _about(cluster, names, event)
        if about is not None and (about in groups or kind in ("Pod", *WORKLOADS)):
            groups.setdefault(about, _Group()).events.append(event)
    places = {str(alert.labels["namespace"]) for alert in world.alerts if alert.labels.get("namespace")}
    homes: dict[str, set[str]] = {}
    for namespace, name in groups:
        homes.setdefault(name, set()).add(namespace)
    units = []
    for (namespace, name), group in groups.items():
        # The same name in another namespace is another service, whatever the alert calls its own.
        foreign = len(homes[name]) > 1 and bool(places & homes[name]) and namespace not in places
        service = f"{namespace}/{name}" if foreign else name
        units.append(_unit(service, name, namespace, group))
    mine = _concerned(cluster, units, world.subjects)
    if not cluster.knows("Pod") and cluster.asked:
        named = {unit.service for unit in mine}
        mine += tuple(
            Unit(service=name, name=name, namespace="", seen=False)
            for name in world.subjects
            if name not in named
        )
    return Scene(
        world=world,
        units=tuple(units),
        mine=mine,
        pod_events={name: tuple(items) for name, items in pod_events.items()},
    )


@dataclass(slots=True, kw_only=True)
class _Group:
    things: list[Thing] = field(default_factory=list)
    pods: list[Thing] = field(default_factory=list)
    events: list[KubeEvent] = field(default_factory=list)


def _about(cluster: Cluster, pods: Mapping[str, tuple[str, str]], event: KubeEvent) -> tuple[str, str] | None:
    kind, namespace, name = event.about
    if kind == "Pod":
        return pods.get(f"{namespace}/{name}") or (namespace, service_of_pod(name))
    thing = cluster.get(kind, namespace, name)
    if thing is not None and kind in WORKLOADS:
        return namespace, cluster.workload_name(thing)
    if kind == "ReplicaSet":
        return namespace, _HASH.sub("", name)
    if kind == "Job":
        return namespace, _JOB_HASH.sub("", name)
    return (namespace, name) if kind in WORKLOADS else None


def revision_of(thing: Thing) -> int:
    """The number a Deployment gave a ReplicaSet, or that of a ControllerRevision; 0 where there is none."""
    value = mapping(thing.at("metadata", "annotations")).get(_REVISION)
    return int(value) if isinstance(value, str) and value.isdecimal() else whole(thing.at("revision"))


def pod_spec_of(revision: Thing) -> Json:
    """The pod spec of a revision: a ControllerRevision keeps its template as a patch."""
    if revision.kind == "ControllerRevision":
        return mapping(revision.at("data", "spec", "template", "spec"))
    return mapping(revision.at("spec", "template", "spec"))


def _unit(service: str, name: str, namespace: str, group: _Group) -> Unit:
    order = {kind: number for number, kind in enumerate(WORKLOADS)}
    sets = [thing for thing in group.things if thing.kind in _REVISIONS]
    sets.sort(key=lambda one: (revision_of(one), str(one.at("metadata", "creationTimestamp"))), reverse=True)
    tops = sorted(
        (thing for thing in group.things if thing.kind not in _REVISIONS), key=lambda one: order[one.kind]
    )
    # A CronJob comes after the Jobs it made in the API's order, and is what they are named after.
    top = next((one for one in tops if one.name == name), None) or next(iter([*tops, *sets]), None)
    template: Json = {}
    if top is not None:
        template = mapping(top.at("spec", "template") or top.at("spec", "jobTemplate", "spec", "template"))
    elif group.pods:
        template = group.pods[0].data
    return Unit(
        service=service,
        name=name,
        namespace=namespace,
        top=top,
        template=template,
        pods=tuple(group.pods),
        boxes=tuple(box for pod in group.pods for box in boxes_of(pod)),
        revisions=tuple(sets),
        events=tuple(group.events),
    )


def alike(line: Line) -> re.Pattern[str]:
    """Lines with the same words, whatever their numbers: times and counts differ."""
    return re.compile(re.sub(r"\d+", r"\\d+", re.escape(line.text.strip())))


def failing(scene: Scene, box: Box) -> bool:
    """Whether a container does not do its work now, or ended badly lately."""
    if leaving(box.pod) or box.init:
        return False
    if box.pod.at("status", "phase") == "Pending" or box.waiting:
        return True
    ended_badly = box.exit_code not in (None, 0) and scene.recent(box.ended_at)
    return ended_badly or (box.running_since is not None and box.status.get("ready") is False)


def earlier(unit: Unit, container: str) -> tuple[Json, Json]:
    """The pod spec and that container of the revision before the present one; empty where there is none."""
    for revision in unit.revisions[1:2]:
        spec = pod_spec_of(revision)
        for one in (*objects(spec.get("containers")), *objects(spec.get("initContainers"))):
            if one.get("name") == container:
                return spec, one
        return spec, EMPTY
    return EMPTY, EMPTY


def _concerned(cluster: Cluster, units: Sequence[Unit], subjects: Sequence[str]) -> tuple[Unit, ...]:
    """The workloads that subjects name: by their own name or a pod's, else by app label or Service."""
    mine: dict[int, Unit] = {}
    for subject in subjects:
        named = [
            unit for unit in units if unit.service == subject or any(pod.name == subject for pod in unit.pods)
        ]
        for unit in named or [unit for unit in units if _goes_by(cluster, unit, subject)]:
            mine[id(unit)] = unit
    return tuple(mine.values())


def _goes_by(cluster: Cluster, unit: Unit, name: str) -> bool:
    labels = mapping(mapping(unit.template.get("metadata")).get("labels"))
    if unit.service != unit.name:
        return False
    if any(labels.get(key) == name for key in _APP_LABELS):
        return True
    first = unit.top or next(iter(unit.pods), None)
    return first is not None and any(one.name == name for one in cluster.services_of(first))
