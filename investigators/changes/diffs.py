"""A diff as statements that came and went: comments, moved lines, documentation and tests taken out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from investigators.changes.values import Switched, Tuned, switched, tuned

_INERT = re.compile(
    r"(?:^|/)(?:docs?|documentation|runbooks?|tests?|__tests__|spec|testdata|fixtures"
    r"|golden|examples?|\.github"
    r"|\.circleci|\.vscode|stories)/|(?:^|/)(?:README|CHANGELOG|LICENSE|CODEOWNERS|OWNERS|\.gitignore"
    r"|\.editorconfig|\.golangci|\.pre-commit|\.eslintrc|\.prettierrc|\.gitlab-ci|Jenkinsfile)[^/]*$"
    r"|\.(?:md|rst|adoc|css|scss|less|svg|png|jpe?g|gif|ico|woff2?|snap)$"
    r"|(?:_test|_spec|\.test|\.spec|_bench|_fuzz)\.[A-Za-z]+$|Tests?\.(?:java|kt|cs|php"
    r"|scala)$|(?:^|/)test_[^/]+$"
    r"|(?:^|/)conftest\.py$",
    re.I,
)
_HEADER = re.compile(r"^@@ ?(?:-\d+(?:,\d+)? \+\d+(?:,\d+)? @@)?(?P<rest>.*?)(?:@@)?(?P<tail>[^@]*)$")
_COMMENT = re.compile(
    r"^\s*(?:/\*.*|\*(?:\s.*|/.*)?|<!--.*|\"\"\".*|'''.*|--\s.*|;+\s.*|%\s.*)$|(?:(?<=\s)|^)//.*$"
    r"|(?:(?<=\s)|^)#(?!\[|!|include|define|if|else|endif|pragma).*$|/\*.*?\*/"
)
_MARKS = ("/", "*", "#", "-", ";", "%", '"""', "'''")
_IMPORT = re.compile(
    r"^\s*(?:import\b.*|from\s+\S+\s+import\b.*|use\s+[\w:]+.*;|using\s+[\w.]+;|package\s+\w+|#include\b.*"
    r"|\"[\w./\-]+\"|(?:const|var|let)\s+.*=\s*require\(.*)\s*$"
)


_MOST_TEXT = 100_000
_MOST_LINE = 400
"""A generated file or a minified script has nothing to compare statement by statement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunk:
    """Consecutive lines of one file: statements only, as they stand, without comments. ``after`` are context
    and added lines in order, the text as it is now, ``fresh`` whether each was added; ``places`` gives for
    each removed line what it is nested in and the line before it."""

    file: str
    removed: tuple[str, ...]
    added: tuple[str, ...]
    context: tuple[str, ...]
    after: tuple[str, ...]
    fresh: tuple[bool, ...]
    places: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """What a change did. ``inert`` is True where it touched nothing that runs: documentation, tests, styles,
    comments, order of lines. ``known`` is False where nobody says what was changed."""

    files: tuple[str, ...]
    hunks: tuple[Hunk, ...] = ()
    removed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    tuned: tuple[Tuned, ...] = ()
    switched: tuple[Switched, ...] = ()
    headings: str = ""
    known: bool = False
    inert: bool = False
    removed_text: str = field(default="", repr=False)
    added_text: str = field(default="", repr=False)

    def lost(self, pattern: re.Pattern[str]) -> int:
        """How many matches fewer the changed lines hold now; 0 where they hold as many or more."""
        return self._more(pattern, self.removed_text, self.added_text)

    def gained(self, pattern: re.Pattern[str]) -> int:
        """How many matches more the changed lines hold now."""
        return self._more(pattern, self.added_text, self.removed_text)

    @staticmethod
    def _more(pattern: re.Pattern[str], here: str, there: str) -> int:
        count = len(pattern.findall(here))
        return max(0, count - len(pattern.findall(there))) if count else 0


def parse(text: str, files: Sequence[str]) -> Diff:
    """A unified diff, or the loose forms in which histories print one (``@@ file @@``, no line numbers)."""
    text = text[:_MOST_TEXT]
    hunks: list[Hunk] = []
    headings: list[str] = []
    for file, heading, lines in _sections(text, tuple(files)):
        headings.append(heading)
        if _INERT.search(file):
            continue
        hunks.append(_hunk(file, lines))
    removed, added = _unmoved(
        [line for hunk in hunks for line in hunk.removed], [line for hunk in hunks for line in hunk.added]
    )
    numbers: list[Tuned] = []
    values: list[Switched] = []
    for hunk in hunks:
        numbers += tuned(hunk.removed, hunk.added, hunk.places, hunk.file)
        values += switched(hunk.removed, hunk.added, hunk.places, hunk.file)
    every = tuple(dict.fromkeys((*files, *(hunk.file for hunk in hunks))))
    return Diff(
        files=every,
        hunks=tuple(hunks),
        removed=tuple(removed),
        added=tuple(added),
        tuned=tuple(numbers),
        switched=tuple(values),
        headings="\n".join(headings),
        known=bool(text.strip()),
        inert=(bool(every) and all(_INERT.search(file) for file in every))
        or (bool(text.strip()) and not removed and not added),
        removed_text="\n".join(removed),
        added_text="\n".join(added),
    )


def statement(line: str) -> str:
    """A line of code without its comment; empty where nothing is left."""
    # Every comment holds one of these; to look for them first is many times cheaper.
    for mark in _MARKS:
        if mark in line:
            return _COMMENT.sub("", line).rstrip()
    return line.rstrip()


def is_import(line: str) -> bool:
    return _IMPORT.match(line) is not None


def _sections(text: str, files: tuple[str, ...]) -> Iterable[tuple[str, str, list[str]]]:
    """(file, heading, lines) for each hunk."""
    file = files[0] if files else ""
    heading = ""
    lines: list[str] = []
    for line in (whole[:_MOST_LINE] for whole in text.splitlines()):
        if line.startswith(
            ("--- ", "+++ ", "diff --git ", "index ", "new file mode", "rename ", "similarity ")
        ):
            if lines:
                yield file, heading, lines
                heading, lines = "", []
            if line.startswith("+++ ") and not line.endswith("/dev/null"):
                file = re.sub(r"^b/", "", line[4:].strip())
            elif line.startswith("--- ") and not line.endswith("/dev/null"):
                file = re.sub(r"^a/", "", line[4:].strip())
        elif line.startswith("@@"):
            if lines:
                yield file, heading, lines
            match = _HEADER.match(line)
            heading, lines = " ".join((match["rest"], match["tail"])) if match else "", []
            named = [one for one in files if one in heading]
            if named:
                file = max(named, key=len)
                heading = heading.replace(file, "")
        else:
            lines.append(line)
    if lines:
        yield file, heading, lines


def _hunk(file: str, lines: Sequence[str]) -> Hunk:
    removed, added, context, after, fresh = [], [], [], [], []
    bodies = [statement(line[1:]) for line in lines]
    for line, body in zip(lines, bodies, strict=True):
        if not body:
            continue
        if line[0] == "-":
            removed.append(body)
            continue
        if line[0] == "+":
            added.append(body)
        else:
            context.append(body)
        after.append(body)
        fresh.append(line[0] == "+")
    return Hunk(
        file=file,
        removed=tuple(removed),
        added=tuple(added),
        context=tuple(context),
        after=tuple(after),
        fresh=tuple(fresh),
        places=_places(lines, bodies),
    )


def _places(lines: Sequence[str], bodies: Sequence[str]) -> Mapping[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    above: list[tuple[int, str]] = []
    previous = ""
    for line, body in zip(lines, bodies, strict=True):
        if not body or line[0] == "+":
            continue
        # A dash begins an item of a list: what follows it is nested as deep as its first key.
        indent = len(body) - len(body.lstrip(" \t-"))
        while above and above[-1][0] >= indent:
            above.pop()
        if line[0] == "-":
            found.setdefault(body, ("\n".join(text for _, text in above), previous))
        above.append((indent, body))
        previous = body
    return found


def _unmoved(removed: list[str], added: list[str]) -> tuple[list[str], list[str]]:
    """Both sides without the lines that are on both, whatever their indentation and order."""
    gone, come = [_plain(line) for line in removed], [_plain(line) for line in added]
    both = Counter(gone) & Counter(come)

    def rest(lines: list[str], plain: list[str]) -> list[str]:
        left = Counter(both)
        kept = []
        for line, bare in zip(lines, plain, strict=True):
            if left[bare] > 0:
                left[bare] -= 1
            else:
                kept.append(line)
        return kept

    return rest(removed, gone), rest(added, come)


def _plain(line: str) -> str:
    return "".join(line.split()).rstrip(",;")
