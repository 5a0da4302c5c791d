"""How an investigation ends."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from config.types import Duration, Section


class Investigation(Section):
    """What becomes of a diagnosis."""

    calibration: bool = Field(
        default=False,
        description="Diagnose and post, offer nothing: no proposal, no advice, no execution, "
        "whatever `execution` says.",
    )
    summarise_after: Duration = Field(
        default=timedelta(minutes=2),
        description="How long an incident has to stay resolved before its summary is written; one that has "
        "come back before stays for `grouping.reopen_within`.",
    )
