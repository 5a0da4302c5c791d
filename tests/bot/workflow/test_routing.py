"""Routes: first match wins, words are whole words, labels steer."""

import re
from datetime import UTC, datetime

from bot.domain.alert import Alert, AlertStatus, Severity
from bot.domain.incident import Mode, Route
from bot.workflow.routing import Router, RoutingRule, environment_of, service_of, word_pattern


def alert(
    name: str = "HighErrorRate", summary: str = "", severity: Severity = Severity.WARNING, **labels: str
) -> Alert:
    moment = datetime(2026, 11, 21, tzinfo=UTC)
    return Alert(
        source="alertmanager",
        fingerprint="f",
        status=AlertStatus.FIRING,
        name=name,
        severity=severity,
        labels=labels,
        annotations={"summary": summary} if summary else {},
        starts_at=moment,
        received_at=moment,
    )


def rule(name: str, **conditions: object) -> RoutingRule:
    fields: dict[str, object] = {
        "route": Route(name=name, rooms=("ops",)),
        "match": {},
        "match_re": {},
        "words": (),
        "severities": frozenset(),
    }
    return RoutingRule(**(fields | conditions))  # type: ignore[arg-type]


def routed(rules: list[RoutingRule], subject: Alert) -> Route:
    return Router(rules=rules, default_rooms=("lobby",)).route(subject)


def test_the_first_rule_that_matches_wins() -> None:
    rules = [rule("shop", match={"namespace": "shop"}), rule("all")]
    assert routed(rules, alert(namespace="shop")).name == "shop"
    assert routed(rules, alert(namespace="bank")).name == "all"


def test_an_alert_no_rule_knows_goes_to_the_default_rooms() -> None:
    route = routed([], alert())
    assert (route.name, route.rooms, route.mode) == ("default", ("lobby",), Mode.INVESTIGATE)


def test_the_word_balance_does_not_match_a_load_balancer() -> None:
    rules = [rule("low-balance", words=(word_pattern("balance"),))]
    assert routed(rules, alert("LoadBalancerDown", "Load balancer is down")).name == "default"
    assert routed(rules, alert("Relayer", "Balance is low")).name == "low-balance"


def test_a_regular_expression_must_match_the_whole_label() -> None:
    rules = [rule("prod", match_re={"cluster": re.compile("prod-.*")})]
    assert routed(rules, alert(cluster="prod-1")).name == "prod"
    assert routed(rules, alert(cluster="nonprod-1")).name == "default"


def test_a_rule_may_ask_for_severities() -> None:
    rules = [rule("loud", severities=frozenset({Severity.CRITICAL}))]
    assert routed(rules, alert(severity=Severity.CRITICAL)).name == "loud"
    assert routed(rules, alert(severity=Severity.WARNING)).name == "default"


def test_the_label_agentic_false_keeps_the_bot_from_investigating() -> None:
    assert routed([], alert(agentic="false")).mode is Mode.NOTIFY
    assert routed([], alert(agentic="true")).mode is Mode.INVESTIGATE


def test_the_service_is_taken_from_the_label_and_else_from_the_machine() -> None:
    assert service_of(alert(service="cart", job="node")) == "cart"
    assert service_of(alert(instance="nas:9100")) == "nas:9100"
    assert service_of(alert()) is None


def test_the_environment_label_beats_what_the_route_says() -> None:
    route = Route(name="r", environment="staging")
    assert environment_of(alert(environment="production"), route) == "production"
    assert environment_of(alert(), route) == "staging"
