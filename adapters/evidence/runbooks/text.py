"""The readable text of a page: plain and Markdown as it is, HTML without its markup."""

from __future__ import annotations

import re
from html import unescape

PLAIN = frozenset({"text/plain", "text/markdown", "text/x-markdown"})
HTML = frozenset({"text/html", "application/xhtml+xml"})

# Each pattern ends at the next bracket, so that no page costs more than its length: Python's own parser
# takes minutes for some pages of a few hundred kilobytes.
_TAG = re.compile(r"<(?P<end>/?)(?P<name>[a-zA-Z][a-zA-Z0-9]*)(?P<rest>[^<>]{0,4000})>")
_BLOCK = re.compile(
    r"address|article|aside|blockquote|br|d[dlt]|div|fieldset|figure|footer|form|h[1-6]|header|hr|li|main|nav|ol"
    r"|p|pre|section|table|t[dhr]|ul"
)
_PASSWORD = re.compile(r"""\btype\s{0,9}=\s{0,9}["']?password""", re.IGNORECASE)
_SPACE = re.compile(r"[ \t\r\n\f]+")
_ENDS = {
    name: re.compile(rf"</{name}[^<>]{{0,99}}>", re.IGNORECASE)
    for name in ("script", "style", "template", "noscript", "svg", "head", "title", "iframe", "object")
}


class LoginPage(Exception):
    """The page asks for a password, so it is not the runbook."""


def html_text(markup: str) -> str:
    """Text with one line per block, ``- `` before list items, ``# `` before headings. Raises LoginPage."""
    page = _Page()
    unended: set[str] = set()
    place = 0
    while (start := markup.find("<", place)) >= 0:
        page.text(markup[place:start])
        place = start + 1
        if markup.startswith(("<!", "<?"), start):
            mark = "-->" if markup.startswith("<!--", start) else ">"
            end = markup.find(mark, place)
            if end < 0:
                # The rest is a comment.
                return page.written()
            place = end + len(mark)
            continue
        tag = _TAG.match(markup, start)
        if tag is None:
            page.text("<")
            continue
        place = tag.end()
        name = tag["name"].lower()
        if tag["end"]:
            page.end(name)
        elif name in _ENDS and not tag["rest"].endswith("/") and name not in unended:
            found = _ENDS[name].search(markup, place)
            if found is not None:
                place = found.end()
            else:
                # There is none further on either: not looked for again.
                unended.add(name)
        else:
            page.start(name, tag["rest"])
    page.text(markup[place:])
    return page.written()


class _Page:
    def __init__(self) -> None:
        self._parts: list[str] = []
        self._preformatted = 0

    def start(self, name: str, attributes: str) -> None:
        if name == "input" and _PASSWORD.search(attributes) is not None:
            raise LoginPage
        if _BLOCK.fullmatch(name) is not None:
            self._break()
        if name == "pre":
            self._preformatted += 1
        elif name == "li":
            self._parts.append("- ")
        elif name[0] == "h" and name[1:].isdigit() and name != "h0":
            self._parts.append(f"{'#' * min(int(name[1:]), 6)} ")

    def end(self, name: str) -> None:
        if name == "pre" and self._preformatted:
            self._preformatted -= 1
        if _BLOCK.fullmatch(name) is not None:
            self._break()

    def text(self, raw: str) -> None:
        text = unescape(raw)
        if not self._preformatted:
            text = _SPACE.sub(" ", text)
            if not self._parts or self._parts[-1].endswith(("\n", " ")):
                text = text.lstrip(" ")
        if text:
            self._parts.append(text)

    def written(self) -> str:
        lines = [line.rstrip() for line in "".join(self._parts).split("\n")]
        return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()

    def _break(self) -> None:
        if self._parts and not self._parts[-1].endswith("\n"):
            self._parts.append("\n")
