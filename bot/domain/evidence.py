"""What was looked at, what it said, and what rules made of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Any, TypeVar, overload

from bot.domain.ids import Digest, EvidenceId

_KEPT_SERIES = 50
_KEPT_SAMPLES = 200
_KEPT_ROWS = 200
"""Lines, records and changes."""
_KEPT_TEXT = 500
"""Characters of one line, of one value of a record, of one diff."""
_KEPT_FILES = 50

_Item = TypeVar("_Item")


class EvidenceStatus(StrEnum):
    """``failed`` is evidence of a gap in what we know, never of absence."""

    OK = "ok"
    EMPTY = "empty"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A half-open span of time, ``[start, end)``, both aware UTC."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        return self.end - self.start


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One point of a series."""

    at: datetime
    value: float


@dataclass(frozen=True, slots=True, eq=False)
class Samples(Sequence[Sample]):
    """As many ``times`` as ``values``; a sample is made when it is asked for.

    An answer holds tens of thousands of them. As objects they would cost more than all that is concluded from
    them, and every full garbage collection would walk them again, with everything else standing still.
    """

    times: tuple[datetime, ...]
    values: tuple[float, ...]

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> Samples: ...

    def __getitem__(self, index: int | slice) -> Sample | Samples:
        if isinstance(index, slice):
            return Samples(self.times[index], self.values[index])
        return Sample(at=self.times[index], value=self.values[index])

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[Sample]:
        for at, value in zip(self.times, self.values, strict=True):
            yield Sample(at=at, value=value)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Samples):
            return self.times == other.times and self.values == other.values
        return tuple(self) == other if isinstance(other, tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))


class AsTuple:
    """Tells pydantic, at the boundary, that these samples are written and read as a tuple of samples."""

    def __get_pydantic_core_schema__(self, _source: Any, handler: Any) -> dict[str, Any]:
        plain = handler(tuple[Sample, ...])
        written = {"type": "function-wrap", "function": _written, "schema": plain}
        return {**plain, "serialization": written}


def _written(samples: Sequence[Sample], write: Any) -> Any:
    return write(tuple(samples))


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A named series; ``labels`` without ``__name__``; ``samples`` oldest first."""

    name: str
    labels: Mapping[str, str]
    samples: Annotated[Sequence[Sample], AsTuple()]

    @property
    def times(self) -> Sequence[datetime]:
        return self.samples.times if isinstance(self.samples, Samples) else [one.at for one in self.samples]

    @property
    def values(self) -> Sequence[float]:
        """As ``times``, many times faster than asking each sample."""
        return values_of(self.samples)


def values_of(samples: Sequence[Sample]) -> Sequence[float]:
    return samples.values if isinstance(samples, Samples) else [sample.value for sample in samples]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line of a log; ``at`` is None where the line has no readable time."""

    at: datetime | None
    text: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSpan:
    """One span of a trace. ``kind`` is client, server, internal, producer, consumer or "" where it is not
    known; ``parent_id`` None at a root; ``peer`` what a client span calls, where the tracer says so."""

    trace_id: str
    span_id: str
    parent_id: str | None
    service: str
    operation: str
    kind: str
    start: datetime
    duration_ms: float
    error: bool = False
    peer: str = ""
    pod: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that was changed on purpose. ``kind`` is deploy, commit, config, flag, scale or rollback;
    ``diff`` the changed lines as far as they are known; ``before`` and ``after`` versions or values."""

    id: str
    kind: str
    at: datetime
    service: str = ""
    title: str = ""
    author: str = ""
    files: tuple[str, ...] = ()
    diff: str = ""
    version: str = ""
    before: str = ""
    after: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One answer of one source to one exact query.

    ``kind`` says what was asked (``metric.range``, ``log.tail``, ``host.process`` …) so that rules
    select evidence by meaning, not by source. ``series``, ``lines``, ``records``, ``spans``, ``changes``
    and ``objects`` (JSON objects as an API prints them) carry structured data; ``excerpt`` is the redacted
    text a person or a model may see. ``outsider_writable`` is True where somebody outside the operator's
    trust can choose the text. ``reason`` says why a source failed or is empty; ``manual`` is the command a
    person can run to see for themselves.
    """

    id: EvidenceId
    source: str
    kind: str
    query: str
    window: Window
    taken_at: datetime
    status: EvidenceStatus
    summary: str
    subject: str = ""
    excerpt: str = ""
    content_digest: Digest | None = None
    link: str | None = None
    reason: str | None = None
    manual: str | None = None
    outsider_writable: bool = False
    series: tuple[Series, ...] = field(default=(), repr=False)
    lines: tuple[LogLine, ...] = field(default=(), repr=False)
    records: tuple[Mapping[str, str | int | float | bool | None], ...] = field(default=(), repr=False)
    spans: tuple[TraceSpan, ...] = field(default=(), repr=False)
    changes: tuple[Change, ...] = field(default=(), repr=False)
    objects: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)

    @property
    def filled(self) -> bool:
        """Whether it carries any structured data."""
        return bool(self.series or self.lines or self.records or self.spans or self.changes or self.objects)

    @property
    def usable(self) -> bool:
        return self.status is not EvidenceStatus.FAILED


def content_digest(text: str) -> Digest:
    """SHA-256 of the redacted excerpt, as lower-case hex."""
    return Digest(sha256(text.encode()).hexdigest())


def kept(evidence: Evidence) -> Evidence:
    """What the store keeps of an answer: all that people are shown, and a small part of the data.

    Without spans and objects; at most 50 series of 200 samples, evenly thinned, the newest 200 lines, 200
    records and 200 changes, each text cut at 500 characters. Rules have seen the whole answer and
    ``content_digest`` is over the excerpt, so nothing that was concluded or signed depends on the rest.
    Labels become plain mappings of texts, whatever kind of mapping a source made them of.
    """
    return replace(
        evidence,
        series=tuple(
            replace(one, labels=_plain(one.labels), samples=_thinned(one.samples, _KEPT_SAMPLES))
            for one in _thinned(evidence.series, _KEPT_SERIES)
        ),
        lines=tuple(
            replace(one, text=one.text[:_KEPT_TEXT], labels=_plain(one.labels))
            for one in evidence.lines[-_KEPT_ROWS:]
        ),
        records=tuple(
            {str(name): _scalar(value) for name, value in record.items()}
            for record in evidence.records[:_KEPT_ROWS]
        ),
        changes=tuple(
            replace(one, diff=one.diff[:_KEPT_TEXT], files=one.files[:_KEPT_FILES])
            for one in evidence.changes[-_KEPT_ROWS:]
        ),
        spans=(),
        objects=(),
    )


def _plain(labels: Mapping[str, str]) -> dict[str, str]:
    return {str(name): str(value) for name, value in labels.items()}


def _scalar(value: str | int | float | bool | None) -> str | int | float | bool | None:
    """The value, a text of it cut; what is neither number, truth nor text becomes a text."""
    return value if value is None or isinstance(value, int | float) else str(value)[:_KEPT_TEXT]


def _thinned(items: Sequence[_Item], most: int) -> tuple[_Item, ...]:
    """At most so many of them, evenly chosen, the first and the last among them."""
    if len(items) <= most:
        return tuple(items)
    return tuple(items[round(number * (len(items) - 1) / (most - 1))] for number in range(most))


class FactVerdict(StrEnum):
    """``absent`` only when a live source was looked at; otherwise ``unknown``."""

    FOUND = "found"
    ABSENT = "absent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What one rule concluded about one subject. ``confidence`` is between 0 and 1.

    ``subject_kind`` says what the subject is: service, pod, node, namespace, datastore, queue, external,
    volume, host or process; empty where the subject is the alert's own entity.
    """

    kind: str
    verdict: FactVerdict
    confidence: float
    subject: str
    evidence_ids: tuple[EvidenceId, ...]
    rule: str
    detail: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    subject_kind: str = ""
