"""Recorder: passes questions on to live sources, and writes what they said to a directory."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from adapters.evidence.recording.codec import evidence_to_json
from adapters.evidence.recording.parts import Parts
from adapters.evidence.recording.passing import Asked, RecordedHost, RecordedMetrics, RecordedWide
from adapters.evidence.snapshot import Snapshot
from adapters.evidence.snapshot.records import redacted
from bot.domain.errors import InputError
from bot.domain.evidence import Evidence, EvidenceStatus
from investigators.ports import HostSource, MetricSource
from investigators.queries import EvidenceSource

_LOG = logging.getLogger(__name__)
SOURCES = "recorded/sources.json"
ANSWERS = "recorded/answers.jsonl"
CASE = "recorded/case.json"


class Recorder:
    """Wraps the sources of one investigation. Nothing is written before :meth:`finish`."""

    def __init__(self, directory: Path) -> None:
        """Raises InputError for a directory that holds something, or cannot be made."""
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if any(directory.iterdir()):
                raise InputError(f"{directory} is not empty: a recording needs a directory of its own")
        except OSError as error:
            raise InputError(f"{directory}: {error.strerror}") from None
        self._directory = directory
        self._sources: list[dict[str, Any]] = []
        self._noted: dict[tuple[str, str], Any] = {}
        self._asked: list[Asked] = []
        self._parts = Parts()

    def metrics(self, source: MetricSource) -> MetricSource:
        self._sources.append({"role": "metrics", "name": source.name})
        return RecordedMetrics(source.name, self, source, self._parts.metrics)

    def host(self, source: HostSource) -> HostSource:
        self._sources.append({"role": "hosts", "name": source.name})
        return RecordedHost(source.name, self, source, self._parts.host)

    def wide(self, source: EvidenceSource) -> EvidenceSource:
        kinds = sorted(query.kind for query in source.answers)
        self._sources.append({"role": "wide", "name": source.name, "answers": kinds})
        return RecordedWide(source.name, source.answers, self, source, self._parts.wide)

    async def finish(self, *, now: datetime, alert: bytes, case: str, evidence: Sequence[Evidence]) -> None:
        """Write everything. ``alert`` is the original body, ``case`` the investigation's case as JSON, and
        ``evidence`` what the investigation took."""
        await asyncio.to_thread(self._write, now, alert, case, evidence)
        snapshot = Snapshot(self._directory)
        lines: list[dict[str, Any]] = [
            {"source": source, "question": question, "noted": answer}
            for (source, question), answer in self._noted.items()
        ]
        written = set()
        for asked in self._asked:
            key = (asked.source, asked.question)
            if asked.answer is None or key in written:
                continue
            written.add(key)
            if asked.again is None or not _same(asked.answer, await asked.again(snapshot)):
                answer = evidence_to_json(asked.answer)
                lines.append({"source": asked.source, "question": asked.question, "answer": answer})
        text = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)
        await asyncio.to_thread((self._directory / ANSWERS).write_text, text)

    def note(self, source: str, question: str, answer: Any) -> None:
        self._noted[source, question] = answer

    async def pass_on(self, asked: Asked, answer: Awaitable[Evidence]) -> Evidence:
        self._asked.append(asked)
        evidence = await answer
        if isinstance(evidence, Evidence) and (evidence.source, evidence.kind) == (asked.source, asked.kind):
            asked.answer = evidence
        return evidence

    def _write(self, now: datetime, alert: bytes, case: str, evidence: Sequence[Evidence]) -> None:
        made = [item for item in evidence if item.status is EvidenceStatus.FAILED]
        for asked in self._asked:
            if asked.answer is None:
                continue
            try:
                evidence_to_json(asked.answer)
                if asked.keep is not None:
                    asked.keep(asked.answer)
            except (TypeError, ValueError, AttributeError, KeyError):
                # Malformed, and gathering has said so.
                asked.answer = None
                continue
            if asked.answer.status is EvidenceStatus.FAILED:
                self._take(made, asked, asked.answer.reason)
        for asked in self._asked:
            if asked.answer is None:
                asked.answer, asked.again = self._take(made, asked, None), None
            if asked.answer is None:
                _LOG.warning("what %s said to %s could not be recorded", asked.source, asked.kind)
        self._parts.write(self._directory, now)
        (self._directory / "alert.json").write_bytes(_without_secrets(alert))
        (self._directory / CASE).parent.mkdir()
        (self._directory / CASE).write_text(case)
        (self._directory / SOURCES).write_text(json.dumps(self._sources, ensure_ascii=False, indent=1))

    def _take(self, made: list[Evidence], asked: Asked, reason: str | None) -> Evidence | None:
        """The first failure that the investigation noted for this question, taken off the list."""
        wanted = (asked.source, asked.kind, asked.window)
        for index, item in enumerate(made):
            if (
                (item.source, item.kind, item.window) == wanted
                and asked.subject in ("", item.subject)
                and reason in (None, item.reason)
                and self._noted.get((asked.source, asked.command), item.manual) == item.manual
            ):
                return made.pop(index)
        return None


def _same(one: Evidence, other: Evidence) -> bool:
    return replace(one, id=other.id) == other


def _without_secrets(body: bytes) -> bytes:
    """The body as it came, unless it holds a secret."""
    try:
        value = json.loads(body)
    except ValueError:
        raise InputError("the alert is no JSON") from None
    cleaned = redacted(value)
    return body if cleaned == value else json.dumps(cleaned, ensure_ascii=False, indent=1).encode()
