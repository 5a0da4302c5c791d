"""What is wrong with a configuration file, every problem at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Place = tuple[str | int, ...]
"""Where a value stands: keys and list positions from the top of the file."""


def show_place(place: Place) -> str:
    """``("sources", 0, "auth")`` as ``sources[0].auth``; the whole file as ``(file)``."""
    text = ""
    for part in place:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text or "(file)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake. Prints as ``file:line: path.to.key: reason; remedy``."""

    file: str
    line: int | None
    path: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.path}: {self.reason}; {self.remedy}"


class ConfigError(ValueError):
    """A configuration that cannot be used. ``problems`` holds every one found, in the file's order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: Sequence[Problem] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
