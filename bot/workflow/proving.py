"""Is the ledger what it was? Read from the first entry to the last, against checkpoints and anchors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from approvals.ledger import Anchor, LedgerReport, LedgerVerifier
from approvals.ports import EnvelopeVerifier, LedgerRows
from approvals.statement import parse_checkpoint
from bot.domain.errors import IntegrityError, Unavailable
from bot.ports import Anchors


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerProof:
    """The report, and how many signed heads it was held against."""

    report: LedgerReport
    checkpoints: int
    anchors: int


async def prove_ledger(rows: LedgerRows, verifier: EnvelopeVerifier, anchors: Anchors | None) -> LedgerProof:
    """Verify the whole chain. Never raises for a broken ledger: the report says what is wrong.

    Anchors that cannot be read count as a broken ledger: without them a cut-off tail would go unseen.
    """
    chain = LedgerVerifier(lambda envelope: parse_checkpoint(verifier, envelope))
    async for batch in rows.entries():
        chain.feed(batch)
    checkpoints = await rows.checkpoints()
    known: Sequence[Anchor] = ()
    problem: str | None = None
    if anchors is not None:
        try:
            known = await anchors.read()
        except (IntegrityError, Unavailable) as error:
            problem = f"the anchors in {anchors.where} cannot be used: {error}"
    report = chain.finish(checkpoints, known)
    if problem is not None and report.ok:
        report = replace(report, ok=False, problem=problem)
    return LedgerProof(report=report, checkpoints=len(checkpoints), anchors=len(known))
