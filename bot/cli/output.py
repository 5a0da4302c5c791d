"""Writing to the terminal, for people or for machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any


def say(text: str = "") -> None:
    """One line to standard output."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    """One line to standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def say_json(value: Mapping[str, Any]) -> None:
    """One JSON object on one line."""
    say(json.dumps(value, ensure_ascii=False, sort_keys=True))
