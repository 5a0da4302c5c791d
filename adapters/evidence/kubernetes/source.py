"""KubernetesCluster: the EvidenceSource port over one API server."""

from __future__ import annotations

import asyncio
import re
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import structlog

from adapters.evidence.build import Record, answered, nothing
from adapters.evidence.kubernetes.api import Api, Budget, Resource
from adapters.evidence.kubernetes.commands import Commands
from adapters.evidence.kubernetes.connection import Connection
from adapters.evidence.kubernetes.gather import Gathered, Wanted, gather
from adapters.evidence.kubernetes.history import built_in, read_history
from adapters.evidence.kubernetes.kinds import Kinds
from adapters.evidence.kubernetes.logs import read_pod_log
from adapters.evidence.kubernetes.refused import Asked, Refused
from adapters.evidence.kubernetes.rows import table
from adapters.evidence.kubernetes.topology import KINDS, graph
from adapters.evidence.trust import object_by_outsiders
from bot.domain.clock import Clock
from bot.domain.errors import Unavailable
from bot.domain.evidence import Evidence, EvidenceStatus, Window
from config.schema import KubernetesSource
from investigators.queries import ChangeQuery, GraphQuery, ObjectQuery, PodLogQuery, Query

_SEGMENT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.:_-]{0,252})")
"""What may stand in a path: names come from alerts, which anybody may have written."""
_KIND = re.compile(r"[A-Z][A-Za-z0-9]{0,62}")
_LINES_SHOWN = 60
_CHANGES_SHOWN = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """What every answer to one query has in common."""

    query: Query
    text: str
    window: Window
    subject: str
    manual: str | None


class KubernetesCluster:
    """Reads one cluster. Close it when done; the client behind it is made at the first question."""

    answers: frozenset[type[Query]] = frozenset({ObjectQuery, PodLogQuery, ChangeQuery, GraphQuery})

    def __init__(self, config: KubernetesSource, clock: Clock) -> None:
        self.name = config.name
        self._config = config
        self._clock = clock
        self._connection = Connection(config, clock)
        self._api = Api(self._connection)
        self._kinds = Kinds(self._api, clock)
        self._commands = Commands(config.context, config.namespaces)
        self._logger = structlog.get_logger(__name__).bind(source=config.name)

    async def __aenter__(self) -> KubernetesCluster:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._connection.close()

    def covers(self, query: Query) -> bool:
        match query:
            case ObjectQuery(namespace=str(namespace)) | PodLogQuery(namespace=namespace):
                return self._allowed(namespace)
            case ObjectQuery() | ChangeQuery() | GraphQuery():
                return True
            case _:
                return False

    def command(self, query: Query, window: Window) -> str | None:
        match query:
            case ObjectQuery():
                return self._commands.objects(query, self._kinds.known(query.object_kind))
            case PodLogQuery():
                return self._commands.log(query, window)
            case ChangeQuery():
                return self._commands.changes(query)
            case GraphQuery():
                return self._commands.graph(query)
            case _:
                return None

    async def ask(self, query: Query, window: Window, subject: str) -> Evidence:
        question = _Question(
            query=query,
            text=_words(query),
            window=window,
            subject=subject,
            manual=self.command(query, window),
        )
        budget = Budget(
            seconds=self._config.budget.total_seconds(),
            objects=self._config.max_objects,
            size=self._config.max_bytes,
        )
        try:
            match query:
                case ObjectQuery():
                    return await self._objects(query, question, budget)
                case PodLogQuery():
                    return await self._log(query, question, budget)
                case ChangeQuery():
                    return await self._changes(query, question, budget)
                case GraphQuery():
                    return await self._graph(question, budget)
                case _:
                    return self._nothing(question, f"does not answer {query.kind}", failed=True)
        except Refused as error:
            return self._nothing(
                question,
                str(error),
                failed=True,
                manual=self._commands.line(*error.manual) if error.manual else None,
            )
        except Exception as error:  # noqa: BLE001 - objects may have any shape; one must not end an investigation
            # Not the traceback: its frames hold what the server sent.
            last = traceback.extract_tb(error.__traceback__)[-1]
            self._logger.warning(
                "kubernetes_answer_not_understood",
                query=question.text,
                error=type(error).__name__,
                where=f"{Path(last.filename).name}:{last.lineno}",
            )
            return self._nothing(
                question, f"its answer cannot be understood ({type(error).__name__})", failed=True
            )

    async def version(self) -> str:
        """What the server says it is, in one sentence. Raises Unavailable with what is wrong."""
        budget = Budget(seconds=self._config.timeout.total_seconds(), objects=1, size=self._config.max_bytes)
        try:
            found = await self._api.document("/version", Asked(verb="get", resource="/version"), budget)
            pods = built_in(self._kinds, "Pod")
            for namespace in self._namespaces(None):
                await self._api.list(pods, namespace, budget)
        except Refused as error:
            raise Unavailable(self.name, str(error)) from None
        release = found.get("gitVersion") if isinstance(found, dict) else None
        return f"Kubernetes {release or 'of an unknown version'}, may list pods"

    async def _objects(self, query: ObjectQuery, question: _Question, budget: Budget) -> Evidence:
        _checked(query.namespace, query.name)
        if _KIND.fullmatch(query.object_kind) is None:
            raise Refused(f"{query.object_kind!r} is no kind")
        self._inside(query.namespace)
        resources = await self._kinds.find(query.object_kind, budget)
        if not resources:
            return self._nothing(question, f"the cluster has no kind {query.object_kind}", failed=False)
        if query.name is not None and (query.namespace is not None or not resources[0].namespaced):
            gathered = await self._single(resources, query.namespace, query.name, budget)
        else:
            namespaces = self._namespaces(query.namespace)
            gathered = await gather(
                self._api, [Wanted(resource=one) for one in resources], namespaces, budget, name=query.name
            )
        objects = [
            one
            for one in gathered.objects[query.object_kind]
            if query.object_kind != "Namespace" or self._allowed(str(one["metadata"].get("name")))
        ]
        gaps = "; ".join(gathered.gaps)
        if not objects:
            what = query.object_kind if query.name is None else f"{query.object_kind} {query.name}"
            where = "" if query.namespace is None else f" in {query.namespace}"
            reason = f"no {what}{where}" + (f"; {gaps}" if gaps else "")
            # Nothing found in a partial answer is not the same as nothing there.
            return self._nothing(question, reason, failed=bool(gaps))
        shown = await asyncio.to_thread(table, query.object_kind, objects, self._clock.now())
        unwell = f", {shown.unwell} of them not well" if shown.unwell else ""
        return self._answered(
            question,
            summary=f"{len(objects)} {resources[0].plural}{unwell}",
            excerpt=shown.text,
            objects=objects,
            reason=gaps or None,
            outsider_writable=object_by_outsiders(query.object_kind),
        )

    async def _single(
        self, resources: Sequence[Resource], namespace: str | None, name: str, budget: Budget
    ) -> Gathered:
        result = Gathered(objects={resources[0].kind: []})
        for resource in resources:
            found = await self._api.one(resource, namespace, name, budget)
            if found is not None:
                result.objects[resource.kind].append(found)
        return result

    async def _log(self, query: PodLogQuery, question: _Question, budget: Budget) -> Evidence:
        _checked(query.namespace, query.pod, query.container)
        self._inside(query.namespace)
        pods = built_in(self._kinds, "Pod")
        log = await read_pod_log(self._api, pods, query, question.window, self._clock.now(), budget)
        gaps = "; ".join(log.gaps)
        if not log.lines:
            reason = "; ".join([*log.none, *log.gaps]) or f"{query.pod} logged nothing in the window"
            return self._nothing(question, reason, failed=bool(gaps))
        which = " of the run before" if query.previous else ""
        several = len({line.labels["container"] for line in log.lines}) > 1
        shown = [
            f"{line.labels['container']}: {line.text}" if several else line.text
            for line in log.lines[-_LINES_SHOWN:]
        ]
        return self._answered(
            question,
            summary=f"{len(log.lines)} lines{which} of {query.pod}",
            excerpt="\n".join(shown),
            lines=log.lines,
            reason="; ".join([*log.gaps, *log.none]) if gaps else None,
            outsider_writable=True,
        )

    async def _changes(self, query: ChangeQuery, question: _Question, budget: Budget) -> Evidence:
        history = await read_history(
            self._api, self._kinds, self._namespaces(None), frozenset(query.services), budget
        )
        window = question.window
        inside = [one for one in history.changes if window.start <= one.at < window.end]
        gaps = list(history.gaps)
        if len(inside) > query.limit:
            gaps.append(f"only the last {query.limit} of {len(inside)} changes")
            inside = inside[-query.limit :]
        reason = "; ".join(gaps)
        if not inside:
            earlier = [one for one in history.changes if one.at < window.start]
            last = (
                f"; the last before: {earlier[-1].at:%Y-%m-%d %H:%M} {earlier[-1].title}" if earlier else ""
            )
            said = f"no change in the window{last}" + (f"; {reason}" if reason else "")
            return self._nothing(question, said, failed=bool(reason))
        lines = []
        for change in reversed(inside[-_CHANGES_SHOWN:]):
            lines.append(f"{change.at:%Y-%m-%d %H:%M:%S} {change.kind} {change.title}")
            lines += [f"    {line}" for line in change.diff.splitlines()[:20]]
        return self._answered(
            question,
            summary=f"{len(inside)} changes, the last: {inside[-1].title}",
            excerpt="\n".join(lines),
            changes=inside,
            reason=reason or None,
        )

    async def _graph(self, question: _Question, budget: Budget) -> Evidence:
        wanted = [Wanted(resource=built_in(self._kinds, kind)) for kind in KINDS]
        gaps = []
        try:
            routes = await self._kinds.find("HTTPRoute", budget, group="gateway.networking.k8s.io")
            wanted += [Wanted(resource=one) for one in routes]
        except Refused as error:
            gaps.append(f"HTTPRoute: {error}")
        gathered = await gather(self._api, wanted, self._namespaces(None), budget)
        gaps += gathered.gaps
        now = self._clock.now().timestamp()
        records: list[Record] = await asyncio.to_thread(graph, gathered.objects, now)
        reason = "; ".join(gaps)
        if not records:
            said = "no pods, services or workloads" + (f"; {reason}" if reason else "")
            return self._nothing(question, said, failed=bool(reason))
        edges = [one for one in records if one["to"] is not None]
        shown = [f"{one['from']} {one['kind']} {one['to']} ({one['origin']})" for one in edges]
        shown.sort(key=lambda line: " runs_on " in line)
        return self._answered(
            question,
            summary=f"{len(edges)} edges, {len(records) - len(edges)} services without any",
            excerpt="\n".join(shown) or "no edges",
            records=records,
            reason=reason or None,
        )

    def _allowed(self, namespace: str) -> bool:
        return not self._config.namespaces or namespace in self._config.namespaces

    def _inside(self, namespace: str | None) -> None:
        if namespace is not None and not self._allowed(namespace):
            raise Refused(f"the configuration does not let it look into namespace {namespace}")

    def _namespaces(self, namespace: str | None) -> tuple[str | None, ...]:
        return (namespace,) if namespace is not None else self._config.namespaces or (None,)

    def _answered(self, question: _Question, **parts: Any) -> Evidence:
        return answered(
            source=self.name,
            kind=question.query.kind,
            query=question.text,
            window=question.window,
            taken_at=self._clock.now(),
            subject=question.subject,
            manual=question.manual,
            **parts,
        )

    def _nothing(
        self, question: _Question, reason: str, *, failed: bool, manual: str | None = None
    ) -> Evidence:
        return nothing(
            source=self.name,
            kind=question.query.kind,
            query=question.text,
            window=question.window,
            taken_at=self._clock.now(),
            subject=question.subject,
            reason=reason,
            status=EvidenceStatus.FAILED if failed else EvidenceStatus.EMPTY,
            manual=manual or question.manual,
            # Why it failed is told in the words of the server, and an empty log in those of the pod.
            outsider_writable=failed or isinstance(question.query, PodLogQuery),
        )


def _checked(*parts: str | None) -> None:
    """A name from an alert becomes part of a path; what is none must not become another path."""
    for part in parts:
        if part is not None and _SEGMENT.fullmatch(part) is None:
            raise Refused("that is no name of a Kubernetes object")


def _words(query: Query) -> str:
    match query:
        case ObjectQuery():
            where = query.namespace or "all namespaces"
            return f"{query.object_kind}{f' {query.name}' if query.name else ''} in {where}"
        case PodLogQuery():
            which = ", previous run" if query.previous else ""
            what = query.container or "every container"
            return f"log of {query.namespace}/{query.pod} ({what}{which}, last {query.tail} lines)"
        case ChangeQuery():
            return f"changes of {', '.join(query.services) or 'every service'}"
        case GraphQuery():
            return "the service graph"
        case _:
            return query.kind
