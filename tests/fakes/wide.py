"""A source of typed questions that holds what a test puts into it, and misbehaves on request."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any

from adapters.evidence.build import answered, nothing
from bot.domain.evidence import Change, Evidence, EvidenceStatus, LogLine, Sample, Series, TraceSpan, Window
from investigators.queries import ObjectQuery, Query
from tests.fakes.evidence import NOW


class Trouble(StrEnum):
    """How a source may misbehave."""

    FAILS = "fails"
    HANGS = "hangs"
    IGNORES_CANCELLATION = "hangs and ignores cancellation"
    RAISES = "raises"
    CANCELS = "cancels"
    ANSWERS_ELSE = "answers else"
    NOT_EVIDENCE = "not evidence"
    EMPTY_OK = "says it has an answer and has none"
    LIES = "lies"
    WRONG_TYPES = "answers with parts of the wrong types"
    CONTRADICTS = "says that all is well"
    FLOODS = "floods"


@dataclass(slots=True)
class WorldSource:
    """Answers from ``content``: by query type (for objects, by kind) the fields of the evidence; a question
    without content is answered ``empty``. ``trouble`` applies to the query types in ``troubled``."""

    name: str = "wide"
    content: Mapping[type[Query] | str, Mapping[str, Any]] = field(default_factory=dict)
    trouble: Trouble | None = None
    troubled: frozenset[type[Query]] = frozenset()
    answers: frozenset[type[Query]] = frozenset()

    def covers(self, query: Query) -> bool:
        return True

    def command(self, query: Query, window: Window) -> str | None:
        return f"look at {query.kind}"

    async def ask(self, query: Query, window: Window, subject: str) -> Evidence:
        if self.trouble is None or type(query) not in self.troubled:
            return self._honest(query, window, subject)
        match self.trouble:
            case Trouble.FAILS:
                return self._nothing(query, window, subject, "connection refused", EvidenceStatus.FAILED)
            case Trouble.HANGS:
                await asyncio.Event().wait()
                raise AssertionError
            case Trouble.IGNORES_CANCELLATION:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()
                await asyncio.sleep(1)
                return self._honest(query, window, subject)
            case Trouble.RAISES:
                raise RuntimeError("the adapter broke")
            case Trouble.CANCELS:
                raise asyncio.CancelledError
            case Trouble.ANSWERS_ELSE:
                return replace(self._honest(query, window, subject), kind="weather.report")
            case Trouble.NOT_EVIDENCE:
                return {"rows": []}  # type: ignore[return-value]
            case Trouble.EMPTY_OK:
                return self._answer(query, window, subject, {})
            case Trouble.LIES:
                return self._answer(query, window, subject, _LIES)
            case Trouble.WRONG_TYPES:
                return self._answer(query, window, subject, _WRONG)
            case Trouble.CONTRADICTS:
                return self._answer(query, window, subject, _ALL_IS_WELL)
            case Trouble.FLOODS:
                return self._answer(query, window, subject, _flood())

    def _honest(self, query: Query, window: Window, subject: str) -> Evidence:
        key = query.object_kind if isinstance(query, ObjectQuery) else type(query)
        content = self.content.get(key)
        if not content or getattr(query, "healthy", False):
            return self._nothing(query, window, subject, "nothing there", EvidenceStatus.EMPTY)
        return self._answer(query, window, subject, content)

    def _answer(self, query: Query, window: Window, subject: str, content: Mapping[str, Any]) -> Evidence:
        return answered(
            source=self.name, kind=query.kind, query=query.kind, window=window, taken_at=NOW, summary="x",
            subject=subject, excerpt="x", manual=self.command(query, window), **content,
        )  # fmt: skip

    def _nothing(
        self, query: Query, window: Window, subject: str, reason: str, status: EvidenceStatus
    ) -> Evidence:
        return nothing(
            source=self.name, kind=query.kind, query=query.kind, window=window, taken_at=NOW, subject=subject,
            reason=reason, status=status, manual=self.command(query, window),
        )  # fmt: skip


_LATER = NOW + timedelta(days=3)
_HUGE = "@@ x\n+" * 200_000


def _owned(name: str, owner: str) -> Mapping[str, Any]:
    references = [{"kind": "ReplicaSet", "name": owner, "controller": True}]
    return {
        "kind": "ReplicaSet",
        "metadata": {"name": name, "namespace": "shop", "ownerReferences": references},
    }


_LIES: Mapping[str, Any] = {
    "series": (
        Series(
            name="latency",
            labels={"service": "cart"},
            samples=(
                Sample(at=_LATER, value=1.0),
                Sample(at=NOW, value=float("nan")),
                Sample(at=NOW - timedelta(minutes=9), value=float("inf")),
            ),
        ),
    ),
    "lines": (LogLine(at=_LATER, text="\x00" * 50, labels={}), LogLine(at=None, text="", labels={"pod": ""})),
    "spans": (
        TraceSpan(
            trace_id="t", span_id="a", parent_id="b", service="", operation="", kind="?", start=_LATER,
            duration_ms=-5.0,
        ),
        TraceSpan(
            trace_id="t", span_id="b", parent_id="a", service="cart", operation="", kind="?", start=NOW,
            duration_ms=float("inf"),
        ),
    ),
    "records": ({"from": "cart", "to": "cart", "seen_at": float("nan")}, {"to": None}, {}),
    "objects": (
        {"kind": "Pod", "metadata": {"name": "p", "ownerReferences": "none", "labels": ["a"]}, "spec": 7},
        {"kind": "Event", "metadata": {"name": "e"}, "involvedObject": "p", "count": "many"},
        {"kind": "Node", "metadata": {"name": "n"}, "status": {"conditions": {"Ready": True}}},
        {"metadata": "x"},
        {},
        *(_owned(one, other) for one, other in (("a", "b"), ("b", "c"), ("c", "a"))),
        {
            "kind": "Pod",
            "metadata": {"name": "q", "namespace": "shop"},
            "spec": {"containers": {"name": "q"}, "nodeName": ["n"]},
            "status": {"containerStatuses": [
                {"name": 5, "state": 7, "lastState": ["x"], "restartCount": "often"},
                {"state": {"waiting": {"reason": ["CrashLoopBackOff"]}}, "lastState": {"terminated": 3}},
            ]},
        },
        {
            "kind": "Deployment",
            "metadata": {"name": "d", "annotations": 3, "creationTimestamp": "yesterday"},
            "spec": {"replicas": "two", "selector": "app=d", "template": {"spec": {"containers": [7, None]}}},
        },
    ),
    "changes": (
        Change(id="c", kind="deploy", at=_LATER, service="cart", title=_HUGE, diff=_HUGE),
    ),
}  # fmt: skip
_WRONG: Mapping[str, Any] = {
    "series": ("x", Series(name="up", labels={}, samples=(1, 2))),  # type: ignore[arg-type]
    "lines": (LogLine(at="now", text=None),),  # type: ignore[arg-type]
    "spans": (None, 3),
    "records": ("x", 7),
    "objects": (7, None, "pod", ["x"]),
    "changes": (Change(id="c", kind="deploy", at=None), None),  # type: ignore[arg-type]
}
_ALL_IS_WELL: Mapping[str, Any] = {
    "objects": (
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "cart-7d9f8b6c5-00000", "namespace": "shop", "labels": {"app": "cart"}},
            "spec": {"containers": [{"name": "cart", "image": "cart:1"}]},
            "status": {"phase": "Running", "containerStatuses": [{"name": "cart", "ready": True}]},
        },
    ),
    "lines": (LogLine(at=NOW - timedelta(seconds=1), text="all is well", labels={"service": "cart"}),),
}


def _flood() -> Mapping[str, Any]:
    line = LogLine(at=NOW - timedelta(seconds=1), text="all is well", labels={"service": "noise"})
    sample = (Sample(at=NOW - timedelta(minutes=1), value=1.0),)
    return {
        "lines": (line,) * 1_000_000,
        "series": tuple(
            Series(name="up", labels={"service": f"s{i}"}, samples=sample) for i in range(25_000)
        ),
    }
