"""A linear history of commits, as the stand-ins of forges serve it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """``files``: path to patch; an empty patch is a file whose diff is too large to be shown."""

    sha: str
    at: datetime
    message: str = "Change something"
    author: str = "ada"
    files: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class History:
    """Oldest first. ``tags`` name commits."""

    commits: list[Commit] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)

    def find(self, ref: str) -> int | None:
        sha = self.tags.get(ref, ref)
        return next((place for place, one in enumerate(self.commits) if one.sha == sha), None)

    def between(self, base: int, head: int) -> list[Commit]:
        """The commits after ``base`` up to ``head``, oldest first."""
        return self.commits[base + 1 : head + 1]

    def files(self, base: int, head: int) -> dict[str, str]:
        found: dict[str, list[str]] = {}
        for one in self.between(base, head):
            for path, patch in one.files.items():
                found.setdefault(path, []).append(patch)
        return {path: "\n".join(patches) for path, patches in found.items()}


def sha(letter: str) -> str:
    """A commit id made of one letter."""
    return letter * 40
