"""Values that a change brought and that the program refuses by name: ``Unknown directive 'forwrad'``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from bot.domain.evidence import Change, Evidence, Fact
from investigators.facts.charge import service
from investigators.facts.platform.patterns import PATTERNS
from investigators.facts.platform.scene import Scene, clip
from investigators.world.world import Line, World

KIND = "wrong_env_value"
_RULE = "rejected.value"
_BEFORE = timedelta(hours=2)
_SLACK = timedelta(seconds=5)
"""A program that is stopped for its new configuration may have written its last words before the change's
own time."""
_REFUSES = re.compile(
    r"unsupported|unknown|unrecogni[sz]ed|invalid|illegal|unexpected|undefined|malformed|bad |no such"
    r"|not (?:a valid|valid|supported|allowed|defined|recogni[sz]ed|found|permitted)|does(?: not|n't) exist"
    r"|cannot (?:parse|find|load)|could not (?:parse|find|load)|failed to (?:parse|find|load)|must be",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"['\"`‘“]([A-Za-z0-9_][A-Za-z0-9_./:-]{2,60})['\"`’”]")
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./:-]*[A-Za-z0-9_]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """``line`` is the last of those in which a service refuses the ``word`` that the change brought."""

    change: Change
    service: str
    word: str
    line: Line


def check(scene: Scene) -> list[Fact]:
    """Of workloads that Kubernetes shows, the rules about workloads tell what that broke; and what reads as a
    complaint about something else, such as a table that is not there, is none about a setting."""
    return [
        service(one.service).found(
            KIND, 0.9, (one.line.evidence, *_listing(scene.world, one.change)), _RULE, _detail(one)
        )
        for one in scene.world.derived(rejections)
        if not _about_another(one.line.text)
        and scene.layout.workload(one.service) is None
        and not scene.layout.pods_of(one.service)
    ]


def _about_another(text: str) -> bool:
    low = text.lower()
    return any(
        needle in low and pattern.regex.search(text) for pattern in PATTERNS for needle in pattern.needles
    )


def _detail(one: Rejection) -> str:
    title = one.change.title or one.change.id
    return f"the change “{title}” brought {one.word}, which {one.service} refuses: {clip(one.line.text)}"


def rejections(world: World) -> tuple[Rejection, ...]:
    """One for each change whose own new word its service refuses, the latest first."""
    found = []
    refusing: dict[str, list[tuple[Line, list[str]]]] = {}
    for change in reversed(world.changes):
        if change.diff and change.service and world.onset - _BEFORE <= change.at <= world.now:
            lines = world.lines_of(change.service)
            if change.service not in refusing:
                # Once for all of a service's changes, the newest line first.
                named = ((line, _named(line.text)) for line in reversed(lines) if line.at is not None)
                refusing[change.service] = [(line, words) for line, words in named if words]
            one = _refused(change, lines, refusing[change.service])
            if one is not None:
                found.append(one)
    return tuple(found)


def _refused(
    change: Change, lines: Sequence[Line], refusing: Sequence[tuple[Line, list[str]]]
) -> Rejection | None:
    new = _words(change.diff, "+") - _words(change.diff, "-") if refusing else set()
    if not new:
        return None
    since = change.at - _SLACK
    for line, words in refusing:
        if line.at is None or line.at < since:
            continue
        for word in words:
            # A word that it also wrote before the change is none that the change brought.
            if word in new and not any(
                one.at is not None and one.at < since and word in one.text for one in lines
            ):
                return Rejection(change=change, service=change.service, word=word, line=line)
    return None


def _named(text: str) -> list[str]:
    words = _QUOTED.findall(text[:1000])
    return words if words and _REFUSES.search(text[:1000]) else []


def _words(diff: str, sign: str) -> set[str]:
    return {
        word
        for line in diff.splitlines()
        if line.startswith(sign) and not line.startswith(sign * 3)
        for word in _WORD.findall(line[1:])
    }


def _listing(world: World, change: Change) -> Iterator[Evidence]:
    return (one for one in world.looked("change.list") if any(item.id == change.id for item in one.changes))
