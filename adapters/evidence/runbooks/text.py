"""The readable text of a page: plain and Markdown as it is, HTML without its markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_BLOCK = re.compile(
    r"address|article|aside|blockquote|br|d[dlt]|div|fieldset|figure|footer|form|h[1-6]|header|hr|li|main|nav|ol|p|pre"
    r"|section|table|t[dhr]|ul"
)
_SILENT = frozenset({"script", "style", "template", "noscript", "svg", "head", "iframe", "object"})
_SPACE = re.compile(r"[ \t\r\n\f]+")
PLAIN = frozenset({"text/plain", "text/markdown", "text/x-markdown"})
HTML = frozenset({"text/html", "application/xhtml+xml"})


class LoginPage(Exception):
    """The page asks for a password, so it is not the runbook."""


def html_text(markup: str) -> str:
    """Text with one line per block, ``- `` before list items, ``# `` before headings. Raises LoginPage."""
    reader = _Reader()
    reader.feed(markup)
    reader.close()
    lines = [line.rstrip() for line in "".join(reader.parts).split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._silent: list[str] = []
        self._preformatted = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "input" and ("type", "password") in [(k, (v or "").lower()) for k, v in attrs]:
            raise LoginPage
        if tag in _SILENT:
            self._silent.append(tag)
        elif tag == "body":
            # A head that is never closed ends here.
            self._silent.clear()
        if self._silent:
            return
        if _BLOCK.fullmatch(tag):
            self._break()
        if tag == "pre":
            self._preformatted += 1
        elif tag == "li":
            self.parts.append("- ")
        elif tag in ("h1", "h2", "h3", "h4", "h5", "h6"):
            self.parts.append(f"{'#' * int(tag[1])} ")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._silent:
            while self._silent.pop() != tag:
                pass
            return
        if self._silent:
            return
        if tag == "pre" and self._preformatted:
            self._preformatted -= 1
        if _BLOCK.fullmatch(tag):
            self._break()

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        if self._preformatted:
            self.parts.append(data)
            return
        text = _SPACE.sub(" ", data)
        if not self.parts or self.parts[-1].endswith(("\n", " ")):
            text = text.lstrip(" ")
        if text:
            self.parts.append(text)

    def _break(self) -> None:
        if self.parts and not self.parts[-1].endswith("\n"):
            self.parts.append("\n")
