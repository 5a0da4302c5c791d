"""Writing to the terminal, for people or for machines."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any, TextIO

_UNREAD = 141
"""What a shell reports of a program that wrote to a pipe whose reader was gone."""


def say(text: str = "") -> None:
    """One line to standard output."""
    _write(sys.stdout, text)


def complain(text: str) -> None:
    """One line to standard error."""
    _write(sys.stderr, text)


def say_json(value: Mapping[str, Any]) -> None:
    """One JSON object on one line."""
    say(json.dumps(value, ensure_ascii=False, sort_keys=True))


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(f"{text}\n")
        stream.flush()
    except BrokenPipeError:
        # Whoever read has seen enough, as ``| head`` does. What is still buffered goes nowhere, or Python
        # would try to write it once more at the end and say so.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        raise SystemExit(_UNREAD) from None
