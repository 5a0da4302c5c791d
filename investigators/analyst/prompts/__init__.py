"""What the models are told: nothing here differs between incidents, so that a provider can keep it."""

from __future__ import annotations

from importlib.resources import files

from investigators.facts.known import FAULTS
from investigators.hypotheses import WEIGHTS


def analyst_prompt(*, tools: bool, perspectives: bool) -> str:
    parts = ["analyst", *(["deep"] if tools else []), *(["perspectives"] if perspectives else [])]
    words = ", ".join(sorted({*WEIGHTS, *FAULTS}))
    return "\n\n".join([*(_read(part) for part in parts), f"Words for `fault`: {words}."])


def critic_prompt() -> str:
    return _read("critic")


def _read(name: str) -> str:
    return files(__package__).joinpath(f"{name}.md").read_text(encoding="utf-8").strip()
