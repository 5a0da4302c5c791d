"""Signing the ledger's head and putting it where the store's owner cannot quietly change it."""

from __future__ import annotations

from datetime import timedelta

import structlog

from approvals.ledger import Anchor, Checkpoint, Head
from approvals.ports import LedgerRows, Signer
from approvals.statement import sign_checkpoint
from bot.domain.clock import Clock
from bot.domain.errors import Unavailable
from bot.ports import Anchors

_log = structlog.stdlib.get_logger(__name__)


class Checkpointing:
    """Writes a checkpoint when enough entries came, or when some came and enough time passed.

    An anchor that cannot be written now is written with the next turn: the checkpoint in the store is
    compared with the anchors, not with what this process remembers.
    """

    def __init__(
        self,
        rows: LedgerRows,
        signer: Signer,
        anchors: Anchors | None,
        clock: Clock,
        *,
        entries: int,
        every: timedelta,
    ) -> None:
        self._rows = rows
        self._signer = signer
        self._anchors = anchors
        self._clock = clock
        self._entries = entries
        self._every = every

    async def run(self, *, now_or_never: bool = False) -> None:
        """Write a checkpoint if one is due; with ``now_or_never`` whenever there is anything new."""
        head = await self._rows.head()
        checkpoints = await self._rows.checkpoints()
        last = checkpoints[-1] if checkpoints else None
        new = head.size - (last.size if last is not None else 0)
        old_enough = last is None or self._clock.now() - last.at >= self._every
        if new >= self._entries or (new > 0 and (old_enough or now_or_never)):
            last = await self._write(head)
        if self._anchors is not None and last is not None:
            await self._anchor(self._anchors, last)

    async def _write(self, head: Head) -> Checkpoint:
        checkpoint = sign_checkpoint(self._signer, head, self._clock.now())
        await self._rows.add_checkpoint(checkpoint)
        return checkpoint

    async def _anchor(self, anchors: Anchors, last: Checkpoint) -> None:
        anchor = Anchor(size=last.size, head_hash=last.head_hash, at=last.at, envelope=last.envelope)
        try:
            known = await anchors.read()
            if not any(item.size == anchor.size for item in known):
                await anchors.append(anchor)
        except Unavailable as error:
            _log.error("anchor_unavailable", where=anchors.where, reason=str(error))
