"""Who answers questions about incidents."""

from __future__ import annotations

from bot.app.seams import Seams
from investigators.answering import RulesAnswerer
from investigators.ports import Answerer


def build_answerer(seams: Seams) -> Answerer:
    """The one that works without a model: it reads what is stored."""
    return seams.answerer or RulesAnswerer()
