"""Is the ledger what it was? Read from the first entry to the last, against checkpoints and anchors."""

from __future__ import annotations

from approvals.ledger import LedgerReport, LedgerVerifier
from approvals.ports import EnvelopeVerifier, LedgerRows
from bot.domain.errors import IntegrityError
from bot.ports import Anchors


async def prove_ledger(rows: LedgerRows, verifier: EnvelopeVerifier, anchors: Anchors | None) -> LedgerReport:
    """Verify the whole chain. Never raises for a broken ledger: the report says what is wrong."""
    chain = LedgerVerifier(verifier)
    async for batch in rows.entries():
        chain.feed(batch)
    try:
        known = await anchors.read() if anchors is not None else ()
    except IntegrityError as error:
        return chain.finish(await rows.checkpoints(), ()).with_problem(f"the anchors are damaged: {error}")
    return chain.finish(await rows.checkpoints(), known)
