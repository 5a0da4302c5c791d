"""Questions about incidents and actions that people ask for, wired."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from approvals.model import Directory
from bot.app.reasoning import Reasoners
from bot.app.seams import Seams
from bot.commands.asking import Asking
from bot.commands.handlers import may_propose
from bot.domain.proposal import ActionSpec
from bot.ports import IncidentStore
from bot.workflow.asking import AnsweringQuestions
from bot.workflow.proposing import Proposing
from bot.workflow.wishing import Wishing
from config.schema import Config


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Who takes what is asked, who answers it, and who makes proposals of it."""

    commands: Asking
    answering: AnsweringQuestions
    wishing: Wishing


def wire_asking(
    config: Config,
    seams: Seams,
    store: IncidentStore,
    proposing: Proposing,
    people: Directory,
    catalogue: Mapping[str, ActionSpec],
    reasoners: Reasoners,
) -> Asked:
    """The three of them, on the same rows."""
    clock = seams.clock
    calibration = config.investigation.calibration
    may = partial(may_propose, people)
    return Asked(
        commands=Asking(catalogue, clock, calibration=calibration),
        answering=AnsweringQuestions(
            store,
            reasoners.answerer,
            catalogue,
            clock,
            reasoners.answering,
            seams.on_error,
            may,
            calibration=calibration,
        ),
        wishing=Wishing(store, proposing, clock, may, calibration=calibration),
    )
