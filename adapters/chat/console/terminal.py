"""Text on a terminal: how wide it is, where it wraps, how it is coloured (ECMA-48 SGR)."""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass
from typing import Literal, TextIO

from bot.domain.message import Tone

BOLD, DIM, CODE, LINK = "1", "2", "36", "4"
TONES = {Tone.INFO: "36", Tone.WARNING: "33", Tone.CRITICAL: "31", Tone.GOOD: "32", Tone.MUTED: "2"}

_NARROWEST, _WIDEST, _UNKNOWN = 40, 120, 100
_CONTROLS = dict.fromkeys((*range(32), *range(127, 160), 0x2028, 0x2029))
_WIDE_BY_SELECTOR = "\ufe0f"


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A run of text in one style (SGR parameters; "" for none)."""

    text: str
    style: str = ""


Line = tuple[Piece, ...]


def char_width(char: str) -> int:
    """Columns of one character: 2 for wide and emoji (UAX #11), 0 for marks that combine."""
    if unicodedata.combining(char) or char in "\u200d\ufe0e\ufe0f" or "\U0001f3fb" <= char <= "\U0001f3ff":
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def text_width(text: str) -> int:
    """Columns of a text. A narrow symbol with an emoji selector after it (⚠️) takes two."""
    columns = 0
    for before, char in zip(" " + text, text, strict=False):
        columns += 1 if char == _WIDE_BY_SELECTOR and char_width(before) == 1 else char_width(char)
    return columns


def wrap(line: Line, columns: int, hanging: int = 0) -> list[Line]:
    """Break a line at spaces, and inside a word only when it alone is too long, so that no line is wider than
    ``columns``: where the terminal itself wraps, text could pose as something that we wrote. Lines after the
    first are indented by ``hanging`` columns."""
    lines: list[Line] = []
    current: list[Piece] = []
    used = 0

    def end_line() -> None:
        nonlocal used
        lines.append(tuple(current))
        current.clear()
        if hanging:
            current.append(Piece(text=" " * hanging))
        used = hanging

    for piece in line:
        for word in _words(piece.text):
            wide = text_width(word)
            if used + wide > columns and used > (hanging if lines else 0):
                end_line()
                word = word.lstrip(" ")
                wide = text_width(word)
            while wide > columns - used:
                head = _fitting(word, columns - used)
                current.append(Piece(text=head, style=piece.style))
                word = word[len(head) :]
                wide = text_width(word)
                end_line()
            if word:
                current.append(Piece(text=word, style=piece.style))
                used += wide
    if current or not lines:
        lines.append(tuple(current))
    return lines


def _words(text: str) -> list[str]:
    """Words with the spaces before them."""
    words: list[str] = []
    for part in text.split(" "):
        words.append(part if not words else f" {part}")
    return words


def _fitting(word: str, columns: int) -> str:
    """As much of the word's head as fits; at least one character, with what belongs to it."""
    used = start = 0
    while start < len(word):
        # A selector or a mark belongs to the character before it, and may widen it.
        end = start + 1
        while end < len(word) and char_width(word[end]) == 0:
            end += 1
        used += text_width(word[start:end])
        if used > columns and start > 0:
            return word[:start]
        start = end
    return word


class Screen:
    """Writes styled lines. Raises OSError or ValueError when the stream is gone."""

    def __init__(self, stream: TextIO, colour: Literal["auto", "always", "never"]) -> None:
        self._stream = stream
        self._coloured = colour == "always" or (colour == "auto" and stream.isatty())

    @property
    def columns(self) -> int:
        """Width to wrap at: the terminal's between 40 and 120; 100 where there is no terminal."""
        try:
            return min(max(os.get_terminal_size(self._stream.fileno()).columns, _NARROWEST), _WIDEST)
        except (OSError, ValueError):
            return _UNKNOWN

    def write(self, lines: list[Line]) -> None:
        self._stream.write("".join(f"{self._painted(line)}\n" for line in lines))
        self._stream.flush()

    def _painted(self, line: Line) -> str:
        # The last look: no text has any control character by now, and here none could pass.
        texts = [piece.text.translate(_CONTROLS) for piece in line]
        if not self._coloured:
            return "".join(texts).rstrip(" ")
        return "".join(
            f"\x1b[{piece.style}m{text}\x1b[0m" if piece.style else text
            for piece, text in zip(line, texts, strict=True)
        )
