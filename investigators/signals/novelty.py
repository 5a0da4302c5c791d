"""What one service's log says anew, or no longer says, against the time before: lines to show as evidence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.domain.clock import to_rfc3339
from bot.domain.diagnosis import Citation
from bot.domain.evidence import Evidence
from investigators.pack import complete
from investigators.ranking import human_time
from investigators.signals.vocabulary import Vocabulary
from investigators.world.world import Line, World, texts_of

_BAD = frozenset({"warning", "warn", "error", "err", "fatal", "critical", "severe", "panic"})
_LEAD = timedelta(minutes=1)
"""An alert fires some time after the trouble began."""
_LEAST_BEFORE = 5
"""Lines from before without which nothing can be called new."""
_EXPECTED = 5.0
"""A template is missed where its pace would have given so many lines by now."""
_MOST_LINES = 5_000
"""On each side, for looking at every line: missing ones are found among plain lines too."""
_NEW, _MISSING, _SHOWN = 3, 2, 160


@dataclass(slots=True)
class _Seen:
    line: Line
    count: int
    first: datetime
    last: datetime


def novelty(world: World, service: str) -> tuple[Citation, ...]:
    """New kinds of warnings and errors, most frequent first, then usual lines that no longer come."""
    border = world.onset - _LEAD
    lines = [line for line in world.lines_of(service) if line.at is not None and not line.previous]
    healthy = [line for line in world.healthy_lines if line.service == service and line.at is not None]
    after = [line for line in lines if line.at is not None and line.at >= border]
    before = healthy or [line for line in lines if line.at is not None and line.at < border]
    if len(before) < _LEAST_BEFORE:
        return ()
    words = Vocabulary(world.derived(texts_of))
    known = _templates(words, (line for line in before if line.level in _BAD))
    appeared = [
        seen
        for number, seen in _templates(words, (line for line in after if line.level in _BAD)).items()
        if number not in known
    ]
    appeared.sort(key=lambda seen: (-seen.count, seen.first))
    found = [
        _cited(seen.line.evidence, f"new in the log of {service} since {_clock(seen.first)}, "
               f"{_times(seen.count)}: {_sample(seen.line)}")
        for seen in appeared[:_NEW]
    ]  # fmt: skip
    return (*found, *_missing(world, service, before, after))


def _missing(world: World, service: str, before: Sequence[Line], after: Sequence[Line]) -> list[Citation]:
    """Only where nothing was cut: a line that was left out is not missing."""
    looked = {one.id: one for one in world.looked("log.lines", "kubernetes.log")}
    whole = all(complete(one) for one in looked.values())
    times = [line.at for line in before if line.at is not None]
    took = (max(times) - min(times)).total_seconds()
    passed = (world.now - world.onset + _LEAD).total_seconds()
    if not whole or took < 60 or max(len(before), len(after)) > _MOST_LINES:
        return []
    pace = passed / took
    if not after:
        if len(before) * pace < _EXPECTED or before[-1].evidence.id not in looked:
            return []
        text = f"the log of {service} has been silent for {human_time(world.now - world.onset)}; it wrote "
        return [
            _cited(before[-1].evidence, f"{text}{len(before)} lines in {human_time(max(times) - min(times))}")
        ]
    words = Vocabulary(world.derived(texts_of))
    usual = _templates(words, (line for line in before if line.level not in _BAD))
    now = _templates(words, after)
    gone = [
        seen
        for number, seen in usual.items()
        if number not in now
        and seen.count * pace >= _EXPECTED
        and seen.last - seen.first >= (max(times) - min(times)) / 2
    ]
    gone.sort(key=lambda seen: (-seen.count, seen.first))
    return [
        _cited(seen.line.evidence, f"missing from the log of {service} since about {_clock(world.onset)}, "
               f"{_times(seen.count)} in {human_time(max(times) - min(times))} before: {_sample(seen.line)}")
        for seen in gone[:_MISSING]
    ]  # fmt: skip


def _templates(words: Vocabulary, lines: Iterable[Line]) -> dict[int, _Seen]:
    found: dict[int, _Seen] = {}
    for line in lines:
        assert line.at is not None
        number = words.number(line.service, line.level, line.text)
        seen = found.get(number)
        if seen is None:
            found[number] = _Seen(line=line, count=1, first=line.at, last=line.at)
        else:
            seen.count += 1
            seen.first, seen.last = min(seen.first, line.at), max(seen.last, line.at)
    return found


def _cited(evidence: Evidence, finding: str) -> Citation:
    return Citation(evidence_id=evidence.id, source=evidence.source, finding=finding, link=evidence.link)


def _sample(line: Line) -> str:
    text = " ".join(line.text.split())
    return f"“{text if len(text) <= _SHOWN else text[: _SHOWN - 1] + '…'}”"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _clock(moment: datetime) -> str:
    return to_rfc3339(moment)[:19] + "Z"
