"""Routes: first match wins, words are whole words, labels steer."""

import re
from datetime import UTC, datetime

from bot.domain.alert import Alert, AlertStatus, Severity
from bot.domain.incident import Mode, Route
from bot.workflow.routing import Owned, Routed, Router, RoutingRule, anchored, word_pattern


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


def decided(rules: list[RoutingRule], subject: Alert) -> Routed:
    rooms = {"war-room": "war-room", "!war:example.org": "war-room"}
    return Router(rules=rules, default_rooms=("lobby",), rooms=rooms).route(subject)


def routed(rules: list[RoutingRule], subject: Alert) -> Route:
    return decided(rules, subject).route


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
    assert routed([], alert(agentic=" False ")).mode is Mode.NOTIFY
    assert routed([], alert(agentic="true")).mode is Mode.INVESTIGATE


def test_the_label_agentic_true_does_not_investigate_what_a_route_only_tells() -> None:
    only_told = [rule("r", route=Route(name="r", mode=Mode.NOTIFY))]
    assert routed(only_told, alert(agentic="true")).mode is Mode.NOTIFY


def test_an_agentic_label_that_is_no_answer_is_noted_and_not_followed() -> None:
    found = decided([], alert(agentic="flase"))
    assert found.route.mode is Mode.INVESTIGATE
    assert found.notes == ("agentic is neither true nor false",)
    assert decided([], alert(agentic="true")).notes == ()
    both = decided([], alert(agentic="maybe", matrix_room="!nowhere"))
    assert len(both.notes) == 2


def test_the_service_is_taken_from_the_label_and_else_from_the_machine() -> None:
    assert decided([], alert(service="cart", job="node")).service == "cart"
    assert decided([], alert(instance="nas:9100")).service == "nas:9100"
    assert decided([], alert()).service is None


def test_the_environment_label_beats_what_the_route_says() -> None:
    rules = [rule("r", route=Route(name="r", environment="staging"))]
    assert decided(rules, alert(environment="production")).environment == "production"
    assert decided(rules, alert()).environment == "staging"


def test_an_environment_is_called_by_its_proper_name() -> None:
    rules = [rule("r", environments={"prd": "production"})]
    assert decided(rules, alert(env="PRD")).environment == "production"
    assert decided(rules, alert(domain="lab")).environment == "lab"


PAIR = anchored(r"(?P<source>[\w ]+?)\s*->\s*(?P<target>\w+)(?: in (?P<environment>\w+))?")


def test_a_pair_in_the_name_is_what_the_alert_is_about() -> None:
    found = decided([rule("r", extract=PAIR)], alert("Ada -> Grace in lab lags", "x -> y"))
    assert (found.entity, found.environment) == ("Ada → Grace", "lab")
    assert decided([rule("r", extract=PAIR)], alert("Lagging", "Ada -> Grace")).entity == "Ada → Grace"
    assert decided([rule("r", extract=PAIR)], alert("Lagging")).entity is None


def test_labels_say_more_than_the_text_and_the_text_more_than_machine_and_route() -> None:
    finding = rule(
        "r",
        route=Route(name="r", environment="staging"),
        extract=anchored(r"(?P<service>\w+) of (?P<environment>\w+)"),
    )
    found = decided([finding], alert("cart of lab", service="shop", environment="production"))
    assert (found.service, found.environment) == ("shop", "production")
    found = decided([finding], alert("cart of lab", instance="10.0.0.1:80"))
    assert (found.service, found.environment) == ("cart", "lab")


def test_a_bare_to_in_an_expression_makes_no_pair_inside_a_word() -> None:
    pair = anchored(r"(?P<source>\w+?)\s*to\s*(?P<target>\w+)")
    for prose in ("Restarted automatically", "Storage nearly full", "customtop"):
        assert decided([rule("r", extract=pair)], alert(prose)).entity is None, prose
    assert decided([rule("r", extract=pair)], alert("automatic: ada to grace")).entity == "ada → grace"


def test_an_expression_is_found_from_word_to_word_only() -> None:
    rules = [rule("low-balance", text_re=anchored("balances?"))]
    assert routed(rules, alert("LB", "The load balancer is down")).name == "default"
    assert routed(rules, alert("LB", "Rebalance failed")).name == "default"
    assert routed(rules, alert("Relay BALANCES")).name == "low-balance"


def test_long_hostile_text_costs_little_time() -> None:
    pair = anchored(r"(?P<source>\w+?)\s*to\s*(?P<target>\w+)")
    for text in ("a" * 100_000, "a to" * 50_000, " " * 100_000):
        decided([rule("r", extract=pair, text_re=anchored(r"\w+\s*x"))], alert("A", text))


def test_information_is_silent_unless_a_route_asks_for_it_or_its_sender_pages() -> None:
    info = alert(severity=Severity.INFO)
    assert decided([], info).ignored == "for information only, and no route asks for it"
    assert decided([rule("deploys")], info).ignored is None
    assert decided([], alert(severity=Severity.INFO, channel="page")).ignored is None
    assert decided([], alert(severity=Severity.UNKNOWN)).ignored is None


def test_a_route_that_ignores_says_so() -> None:
    rules = [rule("noise", route=Route(name="noise", mode=Mode.IGNORE))]
    assert decided(rules, alert(channel="page")).ignored == "route noise ignores it"


def test_the_team_label_names_another_owner() -> None:
    rules = [rule("r", route=Route(name="r", team="platform"))]
    assert routed(rules, alert()).team == "platform"
    assert routed(rules, alert(team="payments")).team == "payments"


def test_a_label_can_choose_among_configured_rooms_and_no_other() -> None:
    rules = [rule("r")]
    for name in ("war-room", "!war:example.org"):
        assert routed(rules, alert(matrix_room=name)).rooms == ("war-room",)
    elsewhere = decided(rules, alert(matrix_room="!evil:example.net"))
    assert elsewhere.route.rooms == ("ops",)
    assert elsewhere.notes == ("matrix_room names no configured room",)


def test_the_digest_channel_is_remembered() -> None:
    assert routed([], alert(channel="Digest")).digest
    assert not routed([], alert(channel="page")).digest


OWNERS = {"cart": Owned(team="shop", rooms=("shop", "lobby")), "db": Owned(team="storage")}


def owned_route(rules: list[RoutingRule], subject: Alert) -> Route:
    rooms = {"war-room": "war-room"}
    return Router(rules=rules, default_rooms=("lobby",), rooms=rooms, owners=OWNERS).route(subject).route


def test_the_rooms_of_a_service_hear_too_where_no_route_names_rooms() -> None:
    route = owned_route([], alert(service="cart"))
    assert (route.rooms, route.team) == (("lobby", "shop"), "shop")
    roomless = [rule("all", route=Route(name="all"))]
    assert owned_route(roomless, alert(service="cart")).rooms == ("lobby", "shop")
    assert owned_route([], alert(service="db")).rooms == ("lobby",)
    assert owned_route([], alert(service="mail")).team is None


def test_a_route_or_a_label_that_names_rooms_decides_alone() -> None:
    assert owned_route([rule("all")], alert(service="cart")).rooms == ("ops",)
    assert owned_route([], alert(service="cart", matrix_room="war-room")).rooms == ("war-room",)


def test_a_declared_team_gives_way_to_the_route_and_the_route_to_the_label() -> None:
    rules = [rule("all", route=Route(name="all", team="web"))]
    assert owned_route([], alert(service="db")).team == "storage"
    assert owned_route(rules, alert(service="db")).team == "web"
    assert owned_route(rules, alert(service="db", team="night")).team == "night"
