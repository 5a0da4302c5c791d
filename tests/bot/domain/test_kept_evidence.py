"""What the store keeps of an answer that holds a whole world."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from types import MappingProxyType

from adapters.storage.codec import Codec
from bot.domain.evidence import Change, Evidence, LogLine, Sample, Series, TraceSpan, kept
from tests.contracts.store_nouns import NOW, evidence

LONG = "x" * 5_000
FLOOD = replace(
    evidence(),
    excerpt="what people are shown",
    series=tuple(
        Series(
            name="cpu",
            labels={"pod": f"cart-{number}", "namespace": "shop"},
            samples=tuple(Sample(at=NOW + timedelta(seconds=s), value=float(s)) for s in range(1_000)),
        )
        for number in range(300)
    ),
    lines=tuple(LogLine(at=NOW, text=f"{number} {LONG}") for number in range(5_000)),
    records=tuple({"pid": number, "command": LONG, "up": True} for number in range(1_000)),
    changes=tuple(
        Change(id=str(number), kind="commit", at=NOW, diff=LONG, files=("a.py",) * 900)
        for number in range(1_000)
    ),
    spans=(
        TraceSpan(
            trace_id="t",
            span_id="s",
            parent_id=None,
            service="cart",
            operation="GET",
            kind="server",
            start=NOW,
            duration_ms=1.0,
        ),
    )
    * 20_000,
    objects=({"kind": "Pod", "spec": LONG},) * 500,
)


def test_a_flood_becomes_a_row_of_bounded_size() -> None:
    stored = kept(FLOOD)
    assert len(Codec().encode(stored)) < 1_200_000
    assert (stored.spans, stored.objects) == ((), ())
    assert len(stored.series) == 50
    assert {len(one.samples) for one in stored.series} == {200}
    assert (len(stored.lines), len(stored.records), len(stored.changes)) == (200, 200, 200)


def test_thinning_is_even_and_keeps_both_ends() -> None:
    stored = kept(FLOOD)
    values = [sample.value for sample in stored.series[0].samples]
    assert (values[0], values[-1]) == (0.0, 999.0)
    assert {after - before for before, after in pairwise(values)} <= {5.0, 6.0}
    assert stored.series[0].labels["pod"] == "cart-0"
    assert stored.series[-1].labels["pod"] == "cart-299"


def test_the_newest_lines_and_changes_are_kept() -> None:
    stored = kept(FLOOD)
    assert stored.lines[-1].text.startswith("4999 ")
    assert stored.changes[-1].id == "999"


def test_what_people_are_shown_and_what_was_signed_stay_as_they_were() -> None:
    stored = kept(FLOOD)
    for name in ("id", "query", "status", "summary", "excerpt", "content_digest", "reason", "manual"):
        assert getattr(stored, name) == getattr(FLOOD, name)


def test_a_small_answer_is_kept_whole() -> None:
    assert kept(evidence()) == evidence()


def test_whatever_mapping_a_source_makes_its_labels_of_they_can_be_stored() -> None:
    labels = MappingProxyType({"service": "cart"})
    odd = replace(
        evidence(),
        series=(Series(name="up", labels=labels, samples=()),),
        lines=(LogLine(at=NOW, text="x", labels=labels),),
        records=(MappingProxyType({"pid": 1, "args": ["a"]}),),  # type: ignore[dict-item]
    )
    codec = Codec()
    stored = codec.decode(Evidence, codec.encode(kept(odd)))
    assert stored.lines[0].labels == stored.series[0].labels == {"service": "cart"}
    assert stored.records == ({"pid": 1, "args": "['a']"},)
