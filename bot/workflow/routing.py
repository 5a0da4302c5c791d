"""Ordered first-match routing: from an alert to where it goes, how it is treated and what it is about."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from bot.domain.alert import Alert, Severity
from bot.domain.incident import Mode, Route

STEERING_ENVIRONMENT = ("environment", "env", "domain")
STEERING_SERVICE = ("service", "app", "app_kubernetes_io_name", "job")
_MACHINE = ("instance", "node")

PAGE, DIGEST = "page", "digest"
"""Values of the label ``channel``."""

_TEXT_LIMIT = 2000
"""Characters of a name or summary that an expression sees: its author did not write it for a novel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingRule:
    """All given conditions must hold. ``match_re`` match whole label values; each of ``words`` must occur
    as a whole word in name or summary, and ``text_re`` between two word edges of one of them, so that
    ``balance`` never matches ``Load balancer``.

    ``extract`` finds what an alert is about where its labels say nothing; ``environments`` gives what
    labels and ``extract`` call an environment (in lower case) its proper name.
    """

    route: Route
    match: Mapping[str, str]
    match_re: Mapping[str, re.Pattern[str]]
    words: tuple[re.Pattern[str], ...]
    severities: frozenset[Severity]
    text_re: re.Pattern[str] | None = None
    extract: re.Pattern[str] | None = None
    environments: Mapping[str, str] = field(default_factory=dict)

    def matches(self, alert: Alert) -> bool:
        labels = {"alertname": alert.name, "source": alert.source, **alert.labels}
        text = f"{alert.name} {alert.summary}"
        return (
            all(labels.get(name) == value for name, value in self.match.items())
            and all(pattern.fullmatch(labels.get(name, "")) for name, pattern in self.match_re.items())
            and all(pattern.search(text) for pattern in self.words)
            and (self.text_re is None or any(self.text_re.search(text) for text in texts_of(alert)))
            and (not self.severities or alert.severity in self.severities)
        )

    def found_in(self, alert: Alert) -> Mapping[str, str]:
        """The named groups of ``extract`` that took part in its first match."""
        if self.extract is None:
            return {}
        for text in texts_of(alert):
            if found := _groups(self.extract, text):
                return found
        return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """Where one alert goes and what it is about. With ``ignored``, a reason, it goes nowhere. ``notes`` say
    which of its labels could not be followed."""

    route: Route
    service: str | None = None
    environment: str | None = None
    entity: str | None = None
    ignored: str | None = None
    notes: tuple[str, ...] = ()


def word_pattern(word: str) -> re.Pattern[str]:
    """A pattern for ``word`` as a whole word, case-insensitive."""
    return anchored(re.escape(word))


def anchored(expression: str) -> re.Pattern[str]:
    """A case-insensitive pattern that begins and ends at a word's edge."""
    return re.compile(rf"(?<!\w)(?:{expression})(?!\w)", re.IGNORECASE)


def texts_of(alert: Alert) -> tuple[str, str]:
    """The texts in which expressions look, in this order."""
    return alert.name[:_TEXT_LIMIT], alert.summary[:_TEXT_LIMIT]


def _groups(pattern: re.Pattern[str], text: str) -> dict[str, str]:
    """The named groups of the first match in which each of them is made of whole words: an expression with
    a bare ``to`` in it must not split ``automatic`` into a pair."""
    for match in pattern.finditer(text):
        found = {name: value.strip() for name, value in match.groupdict().items() if value and value.strip()}
        if found and all(_whole_words(text, match.span(name)) for name in found):
            return found
    return {}


def _whole_words(text: str, span: tuple[int, int]) -> bool:
    return all(re.match(r"\w\w", text[edge - 1 : edge + 1]) is None for edge in span if 0 < edge < len(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """Who is to be told of a service, as declared."""

    team: str | None = None
    rooms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Router:
    """Routes alerts. An alert no rule matches goes to the default rooms and is investigated, unless it
    is only for information: then it is ignored.

    ``owners`` says whose a service is: its rooms hear too where neither route nor label names rooms, and its
    team is named where neither names one.
    ``rooms`` maps what a label may call a room (its name, its id) to the room's name. Labels steer within
    what is configured: ``agentic: "false"`` turns an investigation into a notification, ``team`` names
    another owner, ``matrix_room`` another room, ``channel: digest`` keeps it out of the rooms,
    ``channel: page`` lets even information be told.
    """

    rules: Sequence[RoutingRule]
    default_rooms: tuple[str, ...]
    rooms: Mapping[str, str] = field(default_factory=dict)
    owners: Mapping[str, Owned] = field(default_factory=dict)

    def route(self, alert: Alert) -> Routed:
        rule = next((rule for rule in self.rules if rule.matches(alert)), None)
        route = rule.route if rule is not None else Route(name="default")
        found = rule.found_in(alert) if rule is not None else {}
        service = service_of(alert, found)
        owned = self.owners.get(service or "", Owned())
        if not route.rooms:
            route = replace(route, rooms=tuple(dict.fromkeys((*self.default_rooms, *owned.rooms))))
        if route.team is None and owned.team is not None:
            route = replace(route, team=owned.team)
        route, notes = self._steered(route, alert)
        return Routed(
            route=route,
            service=service,
            environment=environment_of(alert, rule, found),
            entity=entity_of(found),
            ignored=_ignored(alert, rule),
            notes=notes,
        )

    def _steered(self, route: Route, alert: Alert) -> tuple[Route, tuple[str, ...]]:
        notes: tuple[str, ...] = ()
        labels = alert.labels
        agentic = labels.get("agentic", "").strip().lower()
        if agentic not in ("", "true", "false"):
            notes = ("agentic is neither true nor false",)
        if route.mode is Mode.INVESTIGATE and agentic == "false":
            route = replace(route, mode=Mode.NOTIFY)
        if team := labels.get("team", "").strip():
            route = replace(route, team=team)
        if wanted := labels.get("matrix_room", "").strip():
            room = self.rooms.get(wanted)
            if room is None:
                notes = (*notes, "matrix_room names no configured room")
            else:
                route = replace(route, rooms=(room,))
        if channel_of(alert) == DIGEST:
            route = replace(route, digest=True)
        return route, notes


def channel_of(alert: Alert) -> str:
    """The label ``channel`` in lower case, empty without one."""
    return alert.labels.get("channel", "").strip().lower()


def _ignored(alert: Alert, rule: RoutingRule | None) -> str | None:
    if rule is not None:
        return f"route {rule.route.name} ignores it" if rule.route.mode is Mode.IGNORE else None
    if alert.severity is Severity.INFO and channel_of(alert) != PAGE:
        return "for information only, and no route asks for it"
    return None


def service_of(alert: Alert, found: Mapping[str, str]) -> str | None:
    """The service an alert is about: a service label, what was found in its text, the machine it names."""
    return _first(alert, STEERING_SERVICE) or found.get("service") or _first(alert, _MACHINE)


def environment_of(alert: Alert, rule: RoutingRule | None, found: Mapping[str, str]) -> str | None:
    """The environment: a label, what was found in the alert's text, what the route says."""
    said = _first(alert, STEERING_ENVIRONMENT) or found.get("environment")
    if rule is None:
        return said
    return rule.environments.get(said.lower(), said) if said else rule.route.environment


def entity_of(found: Mapping[str, str]) -> str | None:
    """The pair ``source → target``."""
    return f"{found['source']} → {found['target']}" if {"source", "target"} <= set(found) else None


def _first(alert: Alert, names: Sequence[str]) -> str | None:
    return next((value for name in names if (value := alert.labels.get(name))), None)
