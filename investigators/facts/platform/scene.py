"""All that the platform rules read from a world, put together once for each of their passes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from bot.domain.evidence import Evidence, Fact, TraceSpan
from investigators.facts.charge import Subject, service
from investigators.facts.platform.layout import Layout, PodView
from investigators.facts.platform.listeners import Listeners
from investigators.facts.platform.names import Callee, Names
from investigators.facts.platform.symptoms import RECENT, Symptom, Symptoms, read_symptoms
from investigators.pack import complete, why_nothing
from investigators.world.cluster import KubeEvent
from investigators.world.world import Track, World

if TYPE_CHECKING:
    from investigators.facts.platform.levels import Levels


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """``caller`` calls ``callee``; ``why`` says what shows it, ``evidence`` where."""

    caller: str
    callee: Callee
    port: int | None
    why: str
    evidence: tuple[Evidence, ...]
    failing: bool = False


class Scene:
    """Derived views of one world, each computed when it is first asked for."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.cluster = world.cluster
        self.levels: dict[tuple[int, bool], Levels | None] = {}

    @cached_property
    def layout(self) -> Layout:
        return Layout.of(self.cluster)

    @cached_property
    def names(self) -> Names:
        spoken = {line.service for line in self.world.lines if line.service}
        traced = {span.service for span in self.world.spans}
        listeners = Listeners(self.world)
        return Names.of(self.cluster, self.layout, self.world.graph, sorted(spoken | traced), listeners)

    @cached_property
    def symptoms(self) -> Symptoms:
        return read_symptoms(self.world, self.names)

    @cached_property
    def tracks(self) -> Mapping[str, tuple[Track, ...]]:
        """Series by metric name."""
        found: dict[str, list[Track]] = {}
        for track in self.world.tracks:
            found.setdefault(track.series.name, []).append(track)
        return {name: tuple(items) for name, items in found.items()}

    @cached_property
    def healthy_tracks(self) -> Mapping[tuple[str, str, str], Track]:
        """Series of a healthy time by metric name, object and pod."""
        return {(one.series.name, one.object, one.pod): one for one in self.world.healthy_tracks}

    @cached_property
    def children(self) -> Mapping[tuple[str, str], TraceSpan]:
        """The first child of each span, by (trace, parent)."""
        found: dict[tuple[str, str], TraceSpan] = {}
        for span in self.world.spans:
            if span.parent_id:
                found.setdefault((span.trace_id, span.parent_id), span)
        return found

    @cached_property
    def uses(self) -> tuple[Use, ...]:
        """Every edge in use: failing log lines, configuration, the graph; the surest first."""
        found: dict[tuple[str, str], Use] = {}
        kinds = ("connect_timeout", "read_timeout", "connection_refused", "unavailable")
        for one in self.symptoms.of(*kinds):
            if one.callee is not None and one.callee.known and one.caller:
                found.setdefault(
                    (one.caller, one.callee.name),
                    Use(
                        caller=one.caller, callee=one.callee, port=one.port, failing=True,
                        why=f"its log: {clip(one.line.text)}", evidence=(one.line.evidence,),
                    ),
                )  # fmt: skip
        for workload in self.layout.workloads:
            for callee, port, variable in self.names.endpoints(workload):
                why = f"{variable or 'an argument'} of its template names it"
                found.setdefault(
                    (workload.name, callee.name),
                    Use(
                        caller=workload.name, callee=callee, port=port, why=why,
                        evidence=(workload.thing.evidence,),
                    ),
                )  # fmt: skip
        for edge in self.world.graph.edges:
            if edge.kind in ("calls", "uses") and (edge.source, edge.target) not in found:
                callee = self.names.resolve(edge.target) or Callee(name=edge.target, kind="service")
                cited = tuple(e for e in self.evidence_of_graph if e.id == edge.evidence_id)
                found[edge.source, edge.target] = Use(
                    caller=edge.source,
                    callee=callee,
                    port=None,
                    why=f"an edge seen in {edge.origin}",
                    evidence=cited,
                )
        return tuple(found.values())

    @cached_property
    def evidence_of_graph(self) -> tuple[Evidence, ...]:
        return self.world.looked("topology.graph", "trace.spans")

    @cached_property
    def events(self) -> tuple[KubeEvent, ...]:
        """Events of the incident's time."""
        return tuple(one for one in self.cluster.events if self.current(one.last))

    def current(self, moment: datetime | None, before: timedelta = RECENT) -> bool:
        """Whether something belongs to the incident's time; without a time it may."""
        return moment is None or moment >= self.world.onset - before

    def callers(self, symptoms: Iterable[Symptom]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(one.caller for one in symptoms if one.caller))

    def ready(self, callee: Callee) -> tuple[PodView, ...] | None:
        """The callee's ready pods; None where pods are not known."""
        if not self.cluster.knows("Pod"):
            return None
        pods = self.layout.pods_of(callee.name, callee.namespace or None)
        if not pods and callee.service is not None:
            pods = self.layout.backends.get((callee.service.namespace, callee.service.name), ())
        return tuple(pod for pod in pods if pod.ready)

    def silent(
        self, faults: Sequence[str], needs: Sequence[str], rule: str, detail: str, skip: Iterable[Fact] = ()
    ) -> list[Fact]:
        """For every subject without such a finding: absent when the kinds of objects were read whole, else
        unknown with the sources' reasons."""
        taken = {(fact.kind, fact.subject) for fact in skip}
        if not any(self.cluster.asked.get(kind) for kind in needs):
            # Where nobody runs Kubernetes its objects are no gap.
            return []
        known = all(self.cluster.knows(kind) for kind in needs)
        looked = self.cluster.looked(*needs)
        facts: list[Fact] = []
        for name in self.services:
            for fault in faults:
                if (fault, name) in taken:
                    continue
                if known:
                    facts.append(service(name).absent(fault, 0.85, looked, rule, detail))
                else:
                    lacking = [kind for kind in needs if not self.cluster.knows(kind)]
                    reason = why_nothing(looked, f"no complete list of {', '.join(lacking)} is at hand")
                    facts.append(service(name).unknown(fault, looked, rule, reason))
        return facts

    def silent_logs(self, faults: Sequence[str], rule: str, skip: Iterable[Fact] = ()) -> list[Fact]:
        """The same from the subject's own log: absent when it was read whole and says nothing of the kind."""
        taken = {(fact.kind, fact.subject) for fact in skip}
        answers = self.world.looked("log.lines", "kubernetes.log")
        if not answers:
            return []
        facts: list[Fact] = []
        for name in self.services:
            own = tuple({line.evidence.id: line.evidence for line in self.world.lines_of(name)}.values())
            for fault in faults:
                if (fault, name) in taken:
                    continue
                if own and all(complete(item) for item in own):
                    detail = "its log was read whole and says nothing of the kind"
                    facts.append(service(name).absent(fault, 0.5, own, rule, detail))
                else:
                    reason = why_nothing(own or answers, "no log of it was read")
                    facts.append(service(name).unknown(fault, own or answers, rule, reason))
        return facts

    @cached_property
    def services(self) -> tuple[str, ...]:
        """The subjects that are services, datastores or queues."""
        nodes = {one.name for one in self.cluster.of("Node")}
        return tuple(
            name
            for name in self.world.subjects
            if name not in nodes and self.world.graph.kinds.get(name) not in ("node", "pod", "external")
        )

    def subject(self, callee: Callee) -> Subject:
        return Subject(name=callee.name, kind=callee.kind)

    def subject_named(self, name: str) -> Subject:
        return Subject(name=name, kind=self.names.kind_of(name))


def clip(text: str, most: int = 160) -> str:
    """A line's beginning, on one line."""
    flat = " ".join(text.split())
    return flat if len(flat) <= most else flat[: most - 1] + "…"


def cite(symptoms: Iterable[Symptom]) -> tuple[Evidence, ...]:
    """The answers that the lines came in, each once."""
    return tuple({one.line.evidence.id: one.line.evidence for one in symptoms}.values())


def listed(names: Iterable[str], most: int = 3) -> str:
    """``a, b, c and 2 more``."""
    every = list(dict.fromkeys(names))
    rest = len(every) - most
    return ", ".join(every[:most]) + (f" and {rest} more" if rest > 0 else "")
