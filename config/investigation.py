"""How an investigation ends."""

from __future__ import annotations

from pydantic import Field

from config.types import Section


class Investigation(Section):
    """What becomes of a diagnosis."""

    calibration: bool = Field(
        default=False,
        description="Diagnose and post, offer nothing: no proposal, no advice, no execution, "
        "whatever `execution` says.",
    )
