"""Live sources as they are, with each question and answer noted on the way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

from adapters.evidence.recording import questions
from adapters.evidence.snapshot import Snapshot, SnapshotMetrics, SnapshotSource
from adapters.evidence.snapshot.host_source import TABLES
from bot.domain.evidence import Evidence, Window
from investigators.ports import HostQuery, HostSource, Matcher, MetricQuery, MetricSource
from investigators.queries import EvidenceSource, Query

Again = Callable[[Snapshot], Awaitable[Evidence]]
"""Asks the written parts the same question."""


@dataclass(slots=True)
class Asked:
    """A question under way or answered. ``answer`` None: the source was cut off, raised or answered something
    else, so that what was made of it is found in the investigation. ``again`` None: the parts hold too little
    of it. ``command`` is the question for what a person can run instead."""

    source: str
    kind: str
    question: str
    window: Window
    subject: str
    command: str
    keep: Callable[[Evidence], None] | None = None
    again: Again | None = None
    answer: Evidence | None = None


class Notes(Protocol):
    """Where questions and answers are noted."""

    def note(self, source: str, question: str, answer: Any) -> None:
        """Something that was answered at once and is no evidence."""
        ...

    async def pass_on(self, asked: Asked, answer: Awaitable[Evidence]) -> Evidence:
        """The answer, noted."""
        ...


@dataclass(slots=True)
class RecordedMetrics:
    """MetricSource."""

    name: str
    notes: Notes
    source: MetricSource
    keep: Callable[[MetricQuery, Evidence], None]

    def command(self, query: MetricQuery | str, window: Window) -> str:
        command = self.source.command(query, window)
        self.notes.note(self.name, questions.command_question(query, window), command)
        return command

    async def range(self, query: MetricQuery, window: Window, step: timedelta, subject: str) -> Evidence:
        asked = Asked(
            source=self.name,
            kind="metric.range",
            question=questions.range_question(query, window, step),
            command=questions.command_question(query, window),
            window=window,
            subject=subject,
            keep=partial(self.keep, query),
            again=lambda snapshot: SnapshotMetrics(snapshot, self.name).range(query, window, step, subject),
        )
        return await self.notes.pass_on(asked, self.source.range(query, window, step, subject))

    async def instant(self, query: MetricQuery, at: datetime, subject: str) -> Evidence:
        asked = Asked(
            source=self.name,
            kind="metric.instant",
            question=questions.instant_question(query, at),
            command=questions.command_question(query, Window(start=at, end=at)),
            window=Window(start=at, end=at),
            subject=subject,
            again=lambda snapshot: SnapshotMetrics(snapshot, self.name).instant(query, at, subject),
        )
        return await self.notes.pass_on(asked, self.source.instant(query, at, subject))

    async def expression(self, promql: str, window: Window, step: timedelta, subject: str) -> Evidence:
        asked = Asked(
            source=self.name,
            kind="metric.expression",
            question=questions.expression_question(promql, window, step),
            command=questions.command_question(promql, window),
            window=window,
            subject=subject,
            again=lambda snapshot: SnapshotMetrics(snapshot, self.name).expression(
                promql, window, step, subject
            ),
        )
        return await self.notes.pass_on(asked, self.source.expression(promql, window, step, subject))

    async def targets(self, matchers: Sequence[Matcher], at: datetime, subject: str) -> Evidence:
        asked = Asked(
            source=self.name,
            kind="metric.targets",
            question=questions.targets_question(matchers, at),
            command="",
            window=Window(start=at, end=at),
            subject=subject,
        )
        return await self.notes.pass_on(asked, self.source.targets(matchers, at, subject))

    async def rules(self, name: str, at: datetime) -> Evidence:
        asked = Asked(
            source=self.name,
            kind="metric.rules",
            question=questions.rules_question(name, at),
            command="",
            window=Window(start=at, end=at),
            subject="",
        )
        return await self.notes.pass_on(asked, self.source.rules(name, at))


@dataclass(slots=True)
class RecordedHost:
    """HostSource."""

    name: str
    notes: Notes
    source: HostSource
    keep: Callable[[str, Evidence], None]

    def covers(self, labels: Mapping[str, str]) -> HostQuery | None:
        query = self.source.covers(labels)
        answer = None
        if query is not None:
            answer = {"host": query.host, "process": query.process, "labels": dict(query.labels)}
        self.notes.note(self.name, questions.covers_question(labels), answer)
        return query

    def command(self, part: str, query: HostQuery) -> str:
        command = self.source.command(part, query)
        self.notes.note(self.name, questions.host_command_question(part, query), command)
        return command

    async def processes(self, query: HostQuery, window: Window) -> Evidence:
        return await self._pass_on("processes", query, window, self.source.processes)

    async def resources(self, query: HostQuery, window: Window) -> Evidence:
        return await self._pass_on("resources", query, window, self.source.resources)

    async def disks(self, query: HostQuery, window: Window) -> Evidence:
        return await self._pass_on("disks", query, window, self.source.disks)

    async def ports(self, query: HostQuery, window: Window) -> Evidence:
        return await self._pass_on("ports", query, window, self.source.ports)

    async def log(self, query: HostQuery, window: Window) -> Evidence:
        return await self._pass_on("log", query, window, self.source.log)

    async def exits(self, query: HostQuery, window: Window) -> Evidence:
        return await self._pass_on("exits", query, window, self.source.exits)

    async def _pass_on(
        self,
        part: str,
        query: HostQuery,
        window: Window,
        method: Callable[[HostQuery, Window], Awaitable[Evidence]],
    ) -> Evidence:
        asked = Asked(
            source=self.name,
            kind=TABLES[part][0],
            question=questions.host_question(part, query, window),
            command=questions.host_command_question(part, query),
            window=window,
            subject="",
            keep=partial(self.keep, query.host),
        )
        return await self.notes.pass_on(asked, method(query, window))


@dataclass(slots=True)
class RecordedWide:
    """EvidenceSource."""

    name: str
    answers: frozenset[type[Query]]
    notes: Notes
    source: EvidenceSource
    keep: Callable[[Query, Window, Evidence], None]

    def command(self, query: Query, window: Window) -> str | None:
        command = self.source.command(query, window)
        self.notes.note(self.name, questions.command_question(query, window), command)
        return command

    def covers(self, query: Query) -> bool:
        covered = self.source.covers(query)
        self.notes.note(self.name, questions.covers_question(query), covered)
        return covered

    async def ask(self, query: Query, window: Window, subject: str) -> Evidence:
        asked = Asked(
            source=self.name,
            kind=query.kind,
            question=questions.wide_question(query, window),
            command=questions.command_question(query, window),
            window=window,
            subject=subject,
            keep=partial(self.keep, query, window),
            again=lambda snapshot: SnapshotSource(snapshot, self.name).ask(query, window, subject),
        )
        return await self.notes.pass_on(asked, self.source.ask(query, window, subject))
