"""Ordered first-match routing: from an alert to where it goes and how it is treated."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bot.domain.alert import Alert, Severity
from bot.domain.incident import Mode, Route

STEERING_ENVIRONMENT = ("environment", "env", "domain")
STEERING_SERVICE = ("service", "app", "app_kubernetes_io_name", "job")


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingRule:
    """All given conditions must hold. Regular expressions match whole label values; ``words`` must each
    occur as a whole word in name or summary, so that ``balance`` never matches ``Load balancer``."""

    route: Route
    match: Mapping[str, str]
    match_re: Mapping[str, re.Pattern[str]]
    words: tuple[re.Pattern[str], ...]
    severities: frozenset[Severity]

    def matches(self, alert: Alert) -> bool:
        labels = {"alertname": alert.name, "source": alert.source, **alert.labels}
        text = f"{alert.name} {alert.summary}"
        return (
            all(labels.get(name) == value for name, value in self.match.items())
            and all(pattern.fullmatch(labels.get(name, "")) for name, pattern in self.match_re.items())
            and all(pattern.search(text) for pattern in self.words)
            and (not self.severities or alert.severity in self.severities)
        )


def word_pattern(word: str) -> re.Pattern[str]:
    """A pattern for ``word`` as a whole word, case-insensitive."""
    return re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Router:
    """Routes alerts. An alert no rule matches goes to the default rooms and is investigated.

    The label ``agentic: "false"`` turns an investigation into a notification: the sender's own wish
    never to have a bot look into it.
    """

    rules: Sequence[RoutingRule]
    default_rooms: tuple[str, ...]

    def route(self, alert: Alert) -> Route:
        rule = next((rule for rule in self.rules if rule.matches(alert)), None)
        route = rule.route if rule is not None else Route(name="default")
        if not route.rooms:
            route = replace(route, rooms=self.default_rooms)
        if route.mode is Mode.INVESTIGATE and alert.labels.get("agentic", "").lower() == "false":
            route = replace(route, mode=Mode.NOTIFY)
        return route


def service_of(alert: Alert) -> str | None:
    """The service an alert is about: a service label, else the machine it names."""
    for label in (*STEERING_SERVICE, "instance", "node"):
        if value := alert.labels.get(label):
            return value
    return None


def environment_of(alert: Alert, route: Route) -> str | None:
    for label in STEERING_ENVIRONMENT:
        if value := alert.labels.get(label):
            return value
    return route.environment
