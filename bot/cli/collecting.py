"""How often the garbage collector looks at everything."""

from __future__ import annotations

import gc

_SELDOM = (2_000, 1, 2_500)
"""By default a full collection follows every 70,000 new objects, and an investigation makes about as many.
Everything stands still while it walks all that is alive: 0.1 s with twenty investigations at once. Hardly any
object of theirs is in a cycle. Now one follows every ten million, and when no investigation runs.

The middle one is 1 so that what outlives its first collection is looked at four thousand objects at a time,
not twenty thousand, which took 17 ms."""


def collect_seldom() -> None:
    """What is alive now stays until the end and is not looked at again; what comes is looked at seldom."""
    gc.freeze()
    gc.set_threshold(*_SELDOM)
