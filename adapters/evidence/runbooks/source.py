"""RunbookTexts: what people wrote to do in such a case, as lines of text."""

from __future__ import annotations

import asyncio
import shlex
import stat
from pathlib import Path
from urllib.parse import unquote, urlsplit

import aiohttp

from adapters.evidence.build import answered, nothing
from adapters.evidence.json_api import Refused
from adapters.evidence.runbooks.fetch import Fetcher, Page
from adapters.evidence.runbooks.text import HTML, PLAIN, LoginPage, html_text
from bot.domain.clock import Clock
from bot.domain.errors import Unavailable
from bot.domain.evidence import Evidence, EvidenceStatus, LogLine, Window
from bot.domain.redaction import redact, strip_invisible
from config.schema import RunbookHost, Runbooks
from investigators.queries import Query, RunbookQuery

_MAX_LINES = 2_000
_MAX_LINE = 2_000
_SUFFIXES = ("", ".md", ".markdown", ".txt", ".html")
_HTML_SUFFIXES = frozenset({".html", ".htm"})


class RunbookTexts:
    """Answers :class:`RunbookQuery`. The session belongs to the caller."""

    answers: frozenset[type[Query]] = frozenset({RunbookQuery})

    def __init__(self, config: Runbooks, session: aiohttp.ClientSession, clock: Clock) -> None:
        self.name = "runbooks"
        self._config = config
        self._clock = clock
        self._base = str(config.base_url).rstrip("/") + "/" if config.base_url is not None else None
        self._fetcher = Fetcher(config, session)

    def covers(self, query: Query) -> bool:
        return isinstance(query, RunbookQuery) and (
            self._local(query.url) is not None or self._fetcher.knows(query.url)
        )

    def command(self, query: Query, window: Window) -> str | None:
        if not isinstance(query, RunbookQuery) or not self.covers(query):
            return None
        local = self._local(query.url)
        if local is not None:
            return f"less {shlex.quote(str(self._config.directory))}/{shlex.quote(local)}"
        return f"curl -sL {shlex.quote(redact(query.url))}"

    async def ask(self, query: Query, window: Window, subject: str) -> Evidence:
        """The text as it is now, whatever the window."""
        if not isinstance(query, RunbookQuery):
            return self._nothing(query, window, subject, EvidenceStatus.FAILED, "answers no such question")
        notes: list[str] = []
        try:
            text, kind = await self._text(query.url, notes)
        except Refused as error:
            return self._nothing(query, window, subject, EvidenceStatus.FAILED, f"the runbook {error}")
        lines, cut = await asyncio.to_thread(_lines, text)
        if cut:
            notes.append("long lines and what follows the first lines are left out")
        if not lines:
            return self._nothing(query, window, subject, EvidenceStatus.EMPTY, "the runbook holds no text")
        return answered(
            source=self.name,
            kind=query.kind,
            query=_shown(query),
            window=window,
            taken_at=self._clock.now(),
            summary=f"runbook of {len(lines)} lines: {next((x for x in lines if x.strip()), '')[:200]}",
            subject=subject,
            excerpt="\n".join(lines),
            lines=[LogLine(at=None, text=line) for line in lines],
            # Of a page, the text is not what stands in the file.
            records=[{"format": "html"}] if kind in HTML else [],
            reason="; ".join(notes) or None,
            link=self._link(query),
            manual=self.command(query, window),
            outsider_writable=self._config.outsider_writable,
        )

    async def probe(self) -> str:
        """What there is to read, in one sentence. Raises Unavailable with what is wrong."""
        said = []
        try:
            if self._config.directory is not None:
                count = await asyncio.to_thread(_count, self._config.directory)
                said.append(f"{count} files in the folder")
            for host in self._config.hosts:
                said.append(f"{host.host} is {await self._resolved(host)}")
        except Refused as error:
            raise Unavailable(self.name, str(error)) from None
        return ", ".join(said)

    async def _resolved(self, host: RunbookHost) -> str:
        try:
            return await self._fetcher.resolve(host)
        except Refused as error:
            raise Refused(f"{host.host} {error}") from None

    async def _text(self, url: str, notes: list[str]) -> tuple[str, str]:
        local = self._local(url)
        if local is not None and self._config.directory is not None:
            page = await asyncio.to_thread(_read, self._config.directory, local, self._config.max_bytes)
        else:
            page = await self._fetcher.fetch(url)
        if not page.whole:
            notes.append(f"only the first {self._config.max_bytes // 1024} KiB were read")
        if page.kind not in PLAIN | HTML:
            raise Refused(f"is {page.kind[:60]}, not text")
        try:
            text = page.body.decode(page.charset, errors="replace")
        except LookupError:
            raise Refused("names a character set that is not known") from None
        if page.kind in PLAIN:
            return text, page.kind
        try:
            return await asyncio.to_thread(html_text, text), page.kind
        except LoginPage:
            raise Refused("is behind a login page") from None

    def _local(self, url: str) -> str | None:
        """The path within the directory that the address means; None for one on the network."""
        if self._config.directory is None:
            return None
        if self._base is not None and url.startswith(self._base):
            path = url.removeprefix(self._base)
        else:
            try:
                parts = urlsplit(url)
            except ValueError:
                return None
            if parts.scheme or parts.netloc:
                return None
            path = url
        path = unquote(path.partition("#")[0].partition("?")[0]).rstrip("/")
        return path or None

    def _link(self, query: RunbookQuery) -> str | None:
        url = redact(query.url)
        return url if url.startswith(("https://", "http://")) else None

    def _nothing(
        self, query: Query, window: Window, subject: str, status: EvidenceStatus, reason: str
    ) -> Evidence:
        return nothing(
            source=self.name,
            kind=query.kind,
            query=_shown(query) if isinstance(query, RunbookQuery) else query.kind,
            window=window,
            taken_at=self._clock.now(),
            subject=subject,
            reason=reason,
            status=status,
            link=self._link(query) if isinstance(query, RunbookQuery) else None,
            manual=self.command(query, window),
            # Why it failed is told in the words of the server.
            outsider_writable=status is EvidenceStatus.FAILED,
        )


def _shown(query: RunbookQuery) -> str:
    return redact(strip_invisible(query.url))[:1_000] or "(no address)"


def _lines(text: str) -> tuple[list[str], bool]:
    """Redacted lines, and whether something was left out."""
    every = redact(strip_invisible(text)).strip("\n").split("\n")
    lines = [line[:_MAX_LINE] for line in every[:_MAX_LINES]]
    cut = len(every) > _MAX_LINES or any(len(line) > _MAX_LINE for line in every)
    return (lines, cut) if any(line.strip() for line in lines) else ([], cut)


def _count(directory: Path) -> int:
    try:
        return sum(1 for path in directory.resolve(strict=True).rglob("*") if path.is_file())
    except OSError as error:
        raise Refused(f"the folder cannot be read: {error.strerror or type(error).__name__}") from None


def _read(directory: Path, path: str, max_bytes: int) -> Page:
    """A regular file that really lies in the directory, wherever links point. Raises Refused."""
    try:
        root = directory.resolve(strict=True)
        for suffix in _SUFFIXES:
            file = (root / f"{path}{suffix}").resolve()
            if not file.is_relative_to(root):
                raise Refused("lies outside the folder of runbooks")
            if not file.exists() or not stat.S_ISREG(file.stat().st_mode):
                continue
            with file.open("rb") as opened:
                body = opened.read(max_bytes + 1)
            kind = "text/html" if file.suffix.lower() in _HTML_SUFFIXES else "text/plain"
            return Page(kind=kind, charset="utf-8", body=body[:max_bytes], whole=len(body) <= max_bytes)
    except OSError as error:
        raise Refused(f"cannot be read: {error.strerror or type(error).__name__}") from None
    except (ValueError, RuntimeError):
        # A path with a NUL, or links that go round in circles.
        raise Refused("has no path that can be read") from None
    raise Refused("is not in the folder of runbooks")
