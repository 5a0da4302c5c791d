"""Which action that a model named may be suggested: one of the catalogue, with its parameters, on a target of
the inventory."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.domain.diagnosis import Band, DiagnosisVerdict, SuggestedAction
from bot.domain.errors import InputError
from bot.domain.ids import EvidenceId
from bot.domain.proposal import ParamKind, ParamSpec
from investigators.analyst.answer import Cause, WantedAction
from investigators.analyst.ports import OfferedAction
from investigators.analyst.sureness import same_object
from investigators.facts.known import FAULTS
from investigators.words import TITLES, title_of

_NAME = re.compile(r"[A-Za-z0-9_][\w./-]*")
_ACTING = (DiagnosisVerdict.ACTION_NEEDED, DiagnosisVerdict.ACTION_SUGGESTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the diagnosis that an action is for came to; ``evidence_ids`` of its verified quotes, ``words``
    those of them that no outsider wrote, with what their evidence is about."""

    cause: Cause
    verdict: DiagnosisVerdict
    band: Band
    evidence_ids: tuple[EvidenceId, ...]
    words: tuple[str, ...] = ()


def offer(
    wanted: Sequence[WantedAction], offered: Sequence[OfferedAction], standing: Standing
) -> tuple[SuggestedAction | None, tuple[str, ...]]:
    """The first that may be suggested, and for each other one a sentence why it is not.

    The sentences name what the catalogue names and repeat none of the model's words.
    """
    catalogue = {one.name: one for one in offered}
    suggestion: SuggestedAction | None = None
    dropped: list[str] = []
    for one in wanted:
        known = catalogue.get(one.action)
        called = known.name if known is not None else "an action that the catalogue does not have"
        try:
            made = _made(one, known, standing)
        except InputError as error:
            dropped.append(f"The model wanted {called}, which is not offered: {error}.")
            continue
        if suggestion is None:
            suggestion = made
        elif made != suggestion:
            dropped.append(f"The model also wanted {called}: one action is offered at a time.")
    return suggestion, tuple(dict.fromkeys(dropped))


def _made(wanted: WantedAction, known: OfferedAction | None, standing: Standing) -> SuggestedAction:
    if known is None:
        raise InputError("people offer what is in the catalogue only")
    if standing.verdict not in _ACTING:
        raise InputError("the diagnosis asks for no action")
    if standing.band is Band.LOW:
        raise InputError("the diagnosis is not sure enough")
    params = _params(wanted.params, known.params)
    target = wanted.target
    if known.targets is None:
        target = next((str(params[spec.name]) for spec in known.params if spec.name in params), known.name)
    elif target not in known.targets:
        raise InputError("its target is not in the inventory")
    elif params and target not in params.values():
        raise InputError("its parameters are about something else than its target")
    elif not _about(target, standing):
        raise InputError("its target is not named by any quoted evidence that no outsider can write")
    fault = standing.cause.fault
    # Not the model's words: a name or a fault of its own making could be a sentence to whoever decides.
    found = title_of(fault) if fault in TITLES or fault in FAULTS else "the fault that the diagnosis names"
    return SuggestedAction(
        action=known.name,
        params=params,
        target=target,
        why=f"{target}: {found} (found by a model; its quotes are in the diagnosis)",
        evidence_ids=standing.evidence_ids,
    )


def _about(target: str, standing: Standing) -> bool:
    """A true cause is no reason to touch something else, nor is a name that only the model gives it."""
    names = {name for words in standing.words for name in _NAME.findall(words)}
    return any(same_object(target, name) for name in names)


def _params(given: Mapping[str, str | int], specs: Sequence[ParamSpec]) -> dict[str, str | int]:
    known = {spec.name: spec for spec in specs}
    if set(given) - set(known):
        raise InputError("it has a parameter that the action does not know")
    checked: dict[str, str | int] = {}
    for name, spec in known.items():
        if name not in given:
            if spec.required:
                raise InputError(f"parameter {name} is missing")
            continue
        value: object = given[name]
        whole = spec.kind is ParamKind.INTEGER
        if whole and isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
            value = int(value)
        checked[name] = spec.check(value)
    return checked
