"""Which action that a model named may be suggested: one of the catalogue, with its parameters, on a target of
the inventory or for the alerts of its own incident."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bot.domain.alert import AlertStatus
from bot.domain.diagnosis import Band, DiagnosisVerdict, SuggestedAction
from bot.domain.errors import InputError
from bot.domain.ids import EvidenceId
from bot.domain.proposal import ParamKind, ParamSpec
from bot.domain.redaction import redact
from investigators.analyst.answer import Cause, WantedAction
from investigators.analyst.ports import OfferedAction, ParamRole
from investigators.analyst.sureness import same_object
from investigators.facts.known import FAULTS
from investigators.ports import Case
from investigators.words import TITLES, title_of

_NAME = re.compile(r"[A-Za-z0-9_][\w./-]*")
_ACTING = (DiagnosisVerdict.ACTION_NEEDED, DiagnosisVerdict.ACTION_SUGGESTED)
_ALERT = "alertname"
_THINGS = frozenset(
    {
        *("instance", "host", "hostname", "node", "nodename", "device", "mountpoint", "process", "unit"),
        *("service", "service_name", "app", "application", "job", "deployment", "statefulset", "daemonset"),
        *("pod", "container", "queue", "topic", "database", "table", "endpoint"),
    }
)
"""Labels that tell one thing from another. A team, a severity or an environment holds all of its alerts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What an action may be for: the incident, by its short id, and the labels of its firing alerts."""

    incident: str = ""
    labels: tuple[Mapping[str, str], ...] = ()


def scope_of(case: Case) -> Scope:
    labels = tuple(alert.labels for alert in case.alerts if alert.status is AlertStatus.FIRING)
    return Scope(incident=case.incident.short_id, labels=labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the diagnosis that an action is for came to; ``evidence_ids`` of its verified quotes, ``words``
    those of them that no outsider wrote, with what their evidence is about. An empty ``scope`` allows no
    action that is about alerts."""

    cause: Cause
    verdict: DiagnosisVerdict
    band: Band
    evidence_ids: tuple[EvidenceId, ...]
    words: tuple[str, ...] = ()
    scope: Scope = field(default_factory=Scope)


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
    ours = {name for name, role in known.roles.items() if role is ParamRole.PROSE}
    given = {name: value for name, value in wanted.params.items() if name not in ours}
    written = f"asked for by the bot for incident {standing.scope.incident}"
    params = _params({**given, **dict.fromkeys(ours, written)}, known.params)
    alerts = [str(params[name]) for name, role in known.roles.items() if role is ParamRole.LABELS]
    for matchers in alerts:
        _of_the_incident(matchers, standing.scope.labels)
    target = wanted.target
    if known.targets is None:
        if not alerts:
            raise InputError("nothing says what it would be about")
        target = alerts[0]
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


def _of_the_incident(matchers: str, labels: Sequence[Mapping[str, str]]) -> None:
    """Narrow, and true of one alert that fires. Raises InputError."""
    pairs = [pair.partition("=")[::2] for pair in matchers.split(",")]
    named = {name for name, _ in pairs}
    if len(named) < len(pairs) or _ALERT not in named or not named & _THINGS:
        raise InputError("it is too broad: it has to name the alert, and the thing that the alert is about")
    if not any(all(one.get(name) == value for name, value in pairs) for one in labels):
        raise InputError("it is about other alerts than those that fire in this incident")
    if redact(matchers) != matchers:
        raise InputError("one of its labels looks like a secret")


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
