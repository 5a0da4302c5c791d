"""What a run of a suite comes to, as numbers and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.evaluation.cases import CaseFile
from bot.evaluation.running import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """So many of so many."""

    right: int
    of: int

    @property
    def value(self) -> float | None:
        """None of nothing."""
        return self.right / self.of if self.of else None

    def __str__(self) -> str:
        return "–" if not self.of else f"{self.right}/{self.of} ({100 * self.right / self.of:.1f} %)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """``culprits``: cases with a change to blame, found on top; ``nobody``: those with none, recognised as
    such; ``false_alarms``: healthy cases that were given a diagnosis."""

    cases: int
    crashed: int
    at_1: Share
    at_3: Share
    culprits: Share
    nobody: Share
    false_alarms: Share
    by_tag: Mapping[str, tuple[Share, Share]]
    by_fault: Mapping[str, tuple[Share, Share]]
    mean_seconds: float
    p95_seconds: float
    peak_bytes: int


def summarise(cases: Sequence[CaseFile], outcomes: Sequence[Outcome]) -> Summary:
    """Cases that expect nothing count as run, not as right or wrong."""
    rows = [
        (case.expected, outcome.line)
        for case, outcome in zip(cases, outcomes, strict=True)
        if case.expected is not None
    ]
    judging = [(expected, line) for expected, line in rows if expected.judges_changes]
    named = [
        [expected.culprit_change] == [one["id"] for one in line["culprit_changes"][:1]]
        for expected, line in judging
        if expected.culprit_change is not None
    ]
    nobody = [bool(line["no_culprit"]) for expected, line in judging if expected.culprit_change is None]
    alarms = [
        line["verdict"] in ("action_needed", "action_suggested")
        for expected, line in rows
        if expected.healthy
    ]
    seconds = sorted(float(outcome.line["seconds"]) for outcome in outcomes)
    by_tag: dict[str, list[Mapping[str, Any]]] = {}
    by_fault: dict[str, list[Mapping[str, Any]]] = {}
    for expected, line in rows:
        by_fault.setdefault(expected.fault, []).append(line)
        for tag in expected.tags:
            by_tag.setdefault(tag, []).append(line)
    lines = [line for _, line in rows]
    return Summary(
        cases=len(cases),
        crashed=sum("error" in outcome.line for outcome in outcomes),
        at_1=_both(lines)[0],
        at_3=_both(lines)[1],
        culprits=_share(named),
        nobody=_share(nobody),
        false_alarms=_share(alarms),
        by_tag={tag: _both(found) for tag, found in sorted(by_tag.items())},
        by_fault={fault: _both(found) for fault, found in sorted(by_fault.items())},
        mean_seconds=sum(seconds) / len(seconds),
        p95_seconds=seconds[min(len(seconds) - 1, int(0.95 * len(seconds)))],
        peak_bytes=max(outcome.peak_bytes for outcome in outcomes),
    )


def _share(verdicts: Sequence[bool]) -> Share:
    return Share(right=sum(verdicts), of=len(verdicts))


def _both(lines: Sequence[Mapping[str, Any]]) -> tuple[Share, Share]:
    """Right at the first, and within the first three."""
    at_1 = _share([bool(line["right_at_1"]) for line in lines])
    return at_1, _share([bool(line["right_at_3"]) for line in lines])


def as_json(summary: Summary) -> dict[str, Any]:
    """Shares as {right, of, share}."""
    return {
        "cases": summary.cases,
        "crashed": summary.crashed,
        "right_at_1": _plain(summary.at_1),
        "right_at_3": _plain(summary.at_3),
        "culprits": _plain(summary.culprits),
        "none_recognised": _plain(summary.nobody),
        "false_diagnoses": _plain(summary.false_alarms),
        "by_tag": _groups(summary.by_tag),
        "by_fault": _groups(summary.by_fault),
        "mean_seconds": round(summary.mean_seconds, 4),
        "p95_seconds": round(summary.p95_seconds, 4),
        "peak_rss_bytes": summary.peak_bytes,
    }


def _plain(share: Share) -> dict[str, Any]:
    return {"right": share.right, "of": share.of, "share": share.value}


def _groups(groups: Mapping[str, tuple[Share, Share]]) -> dict[str, Any]:
    return {
        name: {"right_at_1": _plain(one), "right_at_3": _plain(three)}
        for name, (one, three) in groups.items()
    }


def as_table(summary: Summary) -> str:
    """For people: the totals, then each tag and each fault kind."""
    totals = [
        ("cases", str(summary.cases)),
        ("crashed", str(summary.crashed)),
        ("right@1", str(summary.at_1)),
        ("right@3", str(summary.at_3)),
        ("culprit change on top", str(summary.culprits)),
        ('"none" recognised', str(summary.nobody)),
        ("false diagnoses of healthy cases", str(summary.false_alarms)),
        ("seconds per case", f"mean {summary.mean_seconds:.3f}, p95 {summary.p95_seconds:.3f}"),
        ("peak memory of a process", f"{summary.peak_bytes / 2**20:.0f} MiB"),
    ]
    width = max(len(name) for name, _ in totals)
    lines = [f"{name:<{width}}  {text}" for name, text in totals]
    for title, groups in (("tag", summary.by_tag), ("fault", summary.by_fault)):
        if groups:
            lines += ["", *_table(title, groups)]
    return "\n".join(lines)


def _table(title: str, groups: Mapping[str, tuple[Share, Share]]) -> list[str]:
    return table(
        [(title, "right@1", "right@3"), *((name, str(a), str(b)) for name, (a, b) in groups.items())]
    )


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with their columns below each other."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
