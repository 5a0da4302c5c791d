"""Values in code and configuration: numbers with their units, and settings that got another value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

_TIME_UNITS = {
    "ns": 1e-9, "nanosecond": 1e-9, "us": 1e-6, "µs": 1e-6, "microsecond": 1e-6,
    "ms": 1e-3, "milli": 1e-3, "millisecond": 1e-3,
    "s": 1.0, "sec": 1.0, "second": 1.0, "m": 60.0, "min": 60.0, "minute": 60.0,
    "h": 3600.0, "hour": 3600.0, "d": 86_400.0, "day": 86_400.0,
}  # fmt: skip
_SIZE_UNITS = {
    "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40, "kib": 2**10, "mib": 2**20, "gib": 2**30,
    "k": 1e3, "kb": 1e3, "mb": 1e6, "gb": 1e9, "g": 1e9, "tb": 1e12,
}  # fmt: skip
_WORD = r"(?i:nanosecond|microsecond|millisecond|milli|second|minute|hour|day)s?"
_NUMBER = re.compile(
    rf"(?P<go>\d+(?:\.\d+)?)\s*\*\s*time\.(?P<gou>[A-Z]\w+)"
    rf"|time\.(?P<rou>[A-Z]\w+)\s*\*\s*(?P<ro>\d+)"
    rf"|(?:Duration\.)?(?:of|from_?)(?P<jau>{_WORD})\((?P<ja>\d[\d_]*)\)"
    rf"|\b(?P<pyu>{_WORD})\s*=\s*(?P<py>\d+(?:\.\d+)?)"
    r"|(?<![\w.])(?P<prod>\d[\d_]*(?:\s*\*\s*\d[\d_]*)+)(?![\w.])"
    r"|(?<![\w.])(?P<num>\d[\d_]*(?:\.\d+)?)(?P<unit>ns|us|µs|ms|sec|min|s|m|h|d"
    r"|[KMGT]i?B?|[kmg]b)?(?![\w.]*\w)",
)
_GO_ALONE = re.compile(r"(?<!\* )(?<!\*)\btime\.(Millisecond|Second|Minute|Hour)\b(?!\s*\*)")
_SETTING = re.compile(
    r"^\s*(?:-\s+)?(?:(?:export|const|let|var|final|static|private|public|self\.|this\.|ENV|ARG)\s*)*"
    r"[\"']?(?P<key>[A-Za-z_][\w.\-/\[\]\"']*?)[\"']?(?:\s*:\s*\w+)?\s*(?::=|=>|:"
    r"|=)\s*(?P<value>[^=\s].*?)\s*[,;]?\s*$"
)
_ASSIGNED = re.compile(
    r"(?P<key>[A-Za-z_][\w.\-]*)[\"']?\s*(?::=|=>|:|=)\s*(?P<value>[^,;{}()\n]*\d[^,;{}()\n]*)"
)
_JVM = re.compile(r"(-Xm[xsn])(\d+)([gmkGMK])\b")
_DIGIT = re.compile(r"\d")
_SIMILAR = 0.6
MOST_PAIRED = 60
"""Lines of one side that are compared with those of the other: all pairs of a large diff would take long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """A number that became another one. Times in seconds, sizes in bytes; ``own`` is both lines and what they
    are nested in, ``about`` also the line before and the file."""

    before: float
    after: float
    text: str
    own: str
    about: str

    @property
    def ratio(self) -> float:
        """After over before; infinite where it was 0."""
        return self.after / self.before if self.before else float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Switched:
    """A setting whose value became another one that is no number; ``about`` as in :class:`Tuned`."""

    key: str
    before: str
    after: str
    about: str


def likeness(one: str, other: str, least: float) -> float:
    """How alike two lines are, 0 to 1; 0 where that is at most ``least``."""
    if one == other:
        return 1.0 if least < 1 else 0.0
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    if matcher.real_quick_ratio() <= least or matcher.quick_ratio() <= least:
        return 0.0
    ratio = matcher.ratio()
    return ratio if ratio > least else 0.0


def tuned(
    removed: Sequence[str], added: Sequence[str], places: Mapping[str, tuple[str, str]], file: str
) -> Iterable[Tuned]:
    """Pairs each removed line that holds numbers with the added one most like it. ``places`` gives for each
    line what it is nested in, and the line before."""
    left = [(line, *_masked(line)) for line in added[:MOST_PAIRED] if _DIGIT.search(line)]
    paired: set[str] = set()
    for line in removed[:MOST_PAIRED]:
        mask, before = _masked(line)
        if not before:
            continue
        best, score = None, _SIMILAR
        for other in left:
            alike = likeness(mask, other[1], score) if len(other[2]) == len(before) else 0.0
            if alike > score:
                best, score = other, alike
        if best is None:
            continue
        left.remove(best)
        paired.add(line)
        for (old, old_text), (new, new_text) in zip(before, best[2], strict=True):
            if old != new:
                nested, previous = places.get(line, ("", ""))
                own = f"{line}\n{best[0]}\n{nested}"
                text = f"{old_text} → {new_text}"
                yield Tuned(before=old, after=new, text=text, own=own, about=f"{own}\n{previous}\n{file}")
    # The same name may be on a line that is laid out quite differently.
    now = dict(_assigned(added))
    for key, (before_value, old_text, line) in _assigned(removed):
        if line not in paired and key in now and now[key][0] != before_value:
            text = f"{old_text} → {now[key][1]}"
            own = f"{key}\n{places.get(line, ('', ''))[0]}"
            yield Tuned(before=before_value, after=now[key][0], text=text, own=own, about=f"{own}\n{file}")


def _assigned(lines: Sequence[str]) -> Iterable[tuple[str, tuple[float, str, str]]]:
    """Names that are given exactly one number: (name, (value, its text, the line))."""
    for line in lines:
        for match in _ASSIGNED.finditer(line):
            _, numbers = _masked(match["value"])
            if len(numbers) == 1:
                yield match["key"], (*numbers[0], line)


def switched(
    removed: Sequence[str], added: Sequence[str], places: Mapping[str, tuple[str, str]], file: str
) -> Iterable[Switched]:
    """Settings (``key: value``, ``key = value``) with the same key on both sides."""
    now: dict[str, tuple[str, str]] = {}
    for line in added:
        if match := _SETTING.match(line):
            now.setdefault(match["key"], (match["value"], line))
    for line in removed:
        match = _SETTING.match(line)
        if match and match["key"] in now:
            value, other = now[match["key"]]
            if value != match["value"]:
                about = "\n".join((line, other, *places.get(line, ()), file))
                yield Switched(
                    key=match["key"], before=_bare(match["value"]), after=_bare(value), about=about
                )


def _bare(value: str) -> str:
    return value.strip().strip("\"'`")


def _masked(line: str) -> tuple[str, list[tuple[float, str]]]:
    """The line with every number as ``#``, and the numbers in base units with their text."""
    found: list[tuple[float, str]] = []
    if _DIGIT.search(line) is None and "time." not in line:
        return " ".join(line.split()), found
    if "-Xm" in line:
        line = _JVM.sub(lambda match: f"{match[1]} {match[2]}{match[3].upper()}i", line)
    if "time." in line:
        line = _GO_ALONE.sub(lambda match: f"1*time.{match[1]}", line)
    cpu = "cpu" in line.lower()

    def one(match: re.Match[str]) -> str:
        found.append((_value(match, cpu=cpu), match[0].strip()))
        return "#"

    return " ".join(_NUMBER.sub(one, line).split()), found


def _value(match: re.Match[str], *, cpu: bool) -> float:
    if match["prod"]:
        product = 1.0
        for part in match["prod"].replace("_", "").split("*"):
            product *= float(part)
        return product
    for number, unit in (("go", "gou"), ("ro", "rou"), ("ja", "jau"), ("py", "pyu")):
        if match[number]:
            name = match[unit].lower().rstrip("s")
            return float(match[number].replace("_", "")) * _TIME_UNITS.get(name, 1.0)
    value, unit = float(match["num"].replace("_", "")), match["unit"] or ""
    if not unit:
        return value
    if unit == "m" and cpu:
        return value / 1000
    if unit == "M":
        return value * 1e6
    return value * _TIME_UNITS.get(unit, _SIZE_UNITS.get(unit.lower(), 1.0))
