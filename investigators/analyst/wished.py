"""An action that a model names → one of the catalogue for a target of the inventory, or why not."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from bot.domain.diagnosis import Citation, SuggestedAction
from bot.domain.errors import InputError
from bot.domain.proposal import ParamKind, ParamValue
from investigators.analyst.claims import Wished
from investigators.analyst.ports import OfferedAction

_INTEGER = re.compile(r"-?\d{1,12}")


def offered_action(
    offers: Mapping[str, OfferedAction], wished: Wished, citations: Sequence[Citation]
) -> SuggestedAction:
    """The typed suggestion. Raises InputError with why there is none, in our own words: it is not offered, a
    parameter or the target does not fit, or only words that an outsider can have written speak for it."""
    offer = offers.get(wished.action)
    if offer is None:
        raise InputError("it is not one of those offered")
    if offer.targets is not None and wished.target not in offer.targets:
        raise InputError("its target is not in the inventory")
    if all(one.outsider_writable for one in citations):
        raise InputError("only words that an outsider can have written speak for it")
    specs = {one.name: one for one in offer.params}
    if unknown := wished.params.keys() - specs.keys():
        raise InputError(f"{len(unknown)} of its parameters are not known to {offer.name}")
    params: dict[str, ParamValue] = {}
    for name, spec in specs.items():
        if name not in wished.params:
            if spec.required:
                raise InputError(f"parameter {name}: missing")
            continue
        value = wished.params[name]
        number = spec.kind is ParamKind.INTEGER and _INTEGER.fullmatch(value) is not None
        params[name] = spec.check(int(value) if number else value)
    return SuggestedAction(
        action=offer.name,
        params=params,
        target=wished.target,
        why="a model named it in an answer",
        evidence_ids=tuple(dict.fromkeys(one.evidence_id for one in citations)),
    )
