"""Reading a log store backwards, page by page, keeping what was read when a later page fails."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from adapters.evidence.entries import Entry, nanoseconds
from adapters.evidence.http import Malformed, Refused, TooLarge
from bot.domain.evidence import Window

_SMALLEST_PAGE = 10


class Backwards(ABC):
    """Pages of a store until ``limit`` entries are there; ``page`` is how many are asked for at once.

    Subclasses say how a page is read and where the next one begins. ``notes`` say what is missing.
    """

    def __init__(self, window: Window, limit: int, page: int) -> None:
        self.entries: list[Entry] = []
        self.notes: list[str] = []
        self.start, self.end = nanoseconds(window.start), nanoseconds(window.end)
        self._limit = limit
        self._page = min(page, limit)

    @abstractmethod
    async def read(self, count: int) -> Sequence[Entry]:
        """The newest ``count`` entries that are not yet read. Raises Refused or Malformed."""

    def again(self) -> int:
        """How many entries of the next page are known already, because it begins with them."""
        return 0

    @abstractmethod
    def go_on(self, inside: Sequence[Entry], *, full: bool) -> bool:
        """Take the entries of a page, those in the window, and set out for the next one, if there is one;
        ``full``: the page had as many as were asked for."""

    async def run(self) -> None:
        """Raises Refused or Malformed when there is nothing to show for it."""
        while True:
            want = min(self._page, self._limit - len(self.entries) + self.again())
            try:
                page = await self.read(want)
            except TooLarge as error:
                if self._page <= _SMALLEST_PAGE:
                    self._give_up(error)
                    return
                self._page = max(_SMALLEST_PAGE, self._page // 4)
                continue
            except (Refused, Malformed) as error:
                self._give_up(error)
                return
            inside = [entry for entry in page if self.start <= entry.at < self.end]
            if len(inside) < len(page):
                self.notes.append(f"{len(page) - len(inside)} lines of another time than asked for left out")
                if not inside:
                    return
            if not self.go_on(inside, full=len(page) >= want):
                return
            if len(self.entries) >= self._limit:
                self.notes.append(f"only the last {self._limit} lines")
                return

    def kept(self) -> list[Entry]:
        """The last ``limit`` entries: a server may send more than it was asked for."""
        return sorted(self.entries, key=lambda entry: entry.at)[-self._limit :]

    def _give_up(self, error: Exception) -> None:
        if not self.entries:
            raise error
        self.notes.append(f"only the last {len(self.entries)} lines: {error}")
