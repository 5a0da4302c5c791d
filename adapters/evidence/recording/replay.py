"""A recording as the sources it was made from: recorded answers first, the parts for anything else."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, get_args

from adapters.evidence.recording import questions
from adapters.evidence.recording.codec import evidence_from_json
from adapters.evidence.recording.recorder import ANSWERS, SOURCES
from adapters.evidence.snapshot import Part, Snapshot, SnapshotHost, SnapshotMetrics, SnapshotSource
from bot.domain.errors import InputError
from bot.domain.evidence import Evidence, Window
from investigators.ports import HostQuery, HostSource, Matcher, MetricQuery, MetricSource
from investigators.queries import EvidenceSource, Query, Sources

_KINDS: tuple[type[Query], ...] = get_args(Query)


def sources_in(snapshot: Snapshot) -> Sources:
    """The recorded sources by their names, or those of a directory that was not recorded.

    Raises InputError for a recording that cannot be read.
    """
    if (snapshot.root / SOURCES).is_file():
        return _recorded(snapshot)
    return Sources(
        metrics=(SnapshotMetrics(snapshot),) if snapshot.has(Part.METRICS) else (),
        hosts=tuple(SnapshotHost(snapshot, host) for host in snapshot.hosts),
        wide=(SnapshotSource(snapshot),),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answers:
    """Of one source: evidence by question, and what it covers and what a person can run instead."""

    evidence: Mapping[str, Evidence]
    noted: Mapping[str, Any]

    async def get(self, question: str, otherwise: Callable[[], Awaitable[Evidence]]) -> Evidence:
        recorded = self.evidence.get(question)
        return await otherwise() if recorded is None else recorded


def _recorded(snapshot: Snapshot) -> Sources:
    try:
        sources = json.loads((snapshot.root / SOURCES).read_bytes())
        answers = _answers(snapshot.root / ANSWERS)
        nothing = _Answers(evidence={}, noted={})
        metrics: list[MetricSource] = []
        hosts: list[HostSource] = []
        wide: list[EvidenceSource] = []
        for source in sources:
            name, known = source["name"], answers.get(source["name"], nothing)
            match source["role"]:
                case "metrics":
                    metrics.append(_Metrics(name, known, SnapshotMetrics(snapshot, name)))
                case "hosts":
                    hosts.append(_Host(name, known, SnapshotHost(snapshot, name.partition(":")[2], name)))
                case _:
                    parts = SnapshotSource(snapshot, name)
                    kinds = frozenset(kind for kind in _KINDS if kind.kind in source["answers"])
                    wide.append(_Wide(name, kinds, known, parts))
    except OSError as error:
        raise InputError(f"{error.filename}: {error.strerror}") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{SOURCES}: a source without {error}") from None
    except ValueError as error:
        raise InputError(f"{SOURCES}: {error}") from None
    return Sources(metrics=tuple(metrics), hosts=tuple(hosts), wide=tuple(wide))


def _answers(path: Path) -> dict[str, _Answers]:
    evidence: dict[str, dict[str, Evidence]] = {}
    noted: dict[str, dict[str, Any]] = {}
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        if not line:
            continue
        try:
            value = json.loads(line)
            source, question = value["source"], value["question"]
            if "answer" in value:
                evidence.setdefault(source, {})[question] = evidence_from_json(value["answer"])
            else:
                noted.setdefault(source, {})[question] = value["noted"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{ANSWERS}:{number}: no recorded answer: {error!r}") from None
    return {
        name: _Answers(evidence=evidence.get(name, {}), noted=noted.get(name, {}))
        for name in {*evidence, *noted}
    }


@dataclass(slots=True)
class _Metrics:
    name: str
    known: _Answers
    parts: SnapshotMetrics

    def command(self, query: MetricQuery | str, window: Window) -> str:
        known = self.known.noted.get(questions.command_question(query, window))
        return self.parts.command(query, window) if known is None else str(known)

    async def range(self, query: MetricQuery, window: Window, step: timedelta, subject: str) -> Evidence:
        question = questions.range_question(query, window, step)
        return await self.known.get(question, lambda: self.parts.range(query, window, step, subject))

    async def instant(self, query: MetricQuery, at: datetime, subject: str) -> Evidence:
        question = questions.instant_question(query, at)
        return await self.known.get(question, lambda: self.parts.instant(query, at, subject))

    async def expression(self, promql: str, window: Window, step: timedelta, subject: str) -> Evidence:
        question = questions.expression_question(promql, window, step)
        return await self.known.get(question, lambda: self.parts.expression(promql, window, step, subject))

    async def targets(self, matchers: Sequence[Matcher], at: datetime, subject: str) -> Evidence:
        question = questions.targets_question(matchers, at)
        return await self.known.get(question, lambda: self.parts.targets(matchers, at, subject))

    async def rules(self, name: str, at: datetime) -> Evidence:
        return await self.known.get(questions.rules_question(name, at), lambda: self.parts.rules(name, at))


@dataclass(slots=True)
class _Host:
    name: str
    known: _Answers
    parts: SnapshotHost

    def covers(self, labels: Mapping[str, str]) -> HostQuery | None:
        question = questions.covers_question(labels)
        if question not in self.known.noted:
            return self.parts.covers(labels)
        made = self.known.noted[question]
        return None if made is None else HostQuery(**made)

    def command(self, part: str, query: HostQuery) -> str:
        known = self.known.noted.get(questions.host_command_question(part, query))
        return self.parts.command(part, query) if known is None else str(known)

    async def processes(self, query: HostQuery, window: Window) -> Evidence:
        return await self._get("processes", query, window, self.parts.processes)

    async def resources(self, query: HostQuery, window: Window) -> Evidence:
        return await self._get("resources", query, window, self.parts.resources)

    async def disks(self, query: HostQuery, window: Window) -> Evidence:
        return await self._get("disks", query, window, self.parts.disks)

    async def ports(self, query: HostQuery, window: Window) -> Evidence:
        return await self._get("ports", query, window, self.parts.ports)

    async def log(self, query: HostQuery, window: Window) -> Evidence:
        return await self._get("log", query, window, self.parts.log)

    async def exits(self, query: HostQuery, window: Window) -> Evidence:
        return await self._get("exits", query, window, self.parts.exits)

    async def _get(
        self,
        part: str,
        query: HostQuery,
        window: Window,
        otherwise: Callable[[HostQuery, Window], Awaitable[Evidence]],
    ) -> Evidence:
        question = questions.host_question(part, query, window)
        return await self.known.get(question, lambda: otherwise(query, window))


@dataclass(slots=True)
class _Wide:
    name: str
    answers: frozenset[type[Query]]
    known: _Answers
    parts: SnapshotSource

    def command(self, query: Query, window: Window) -> str | None:
        known = self.known.noted.get(questions.command_question(query, window))
        return self.parts.command(query, window) if known is None else str(known)

    def covers(self, query: Query) -> bool:
        question = questions.covers_question(query)
        if question in self.known.noted:
            return bool(self.known.noted[question])
        return type(query) in self.answers and self.parts.covers(query)

    async def ask(self, query: Query, window: Window, subject: str) -> Evidence:
        question = questions.wide_question(query, window)
        return await self.known.get(question, lambda: self.parts.ask(query, window, subject))
