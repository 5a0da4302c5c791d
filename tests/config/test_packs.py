"""The shipped routes, as the router uses them. The alerts are those of paritytech/parity-bridges-common."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from bot.app.wiring import router
from bot.domain.alert import Alert, AlertStatus, Severity
from bot.workflow.routing import Routed
from config.loader import loads
from config.packs import pack_routes
from config.schema import Config

PACKS: tuple[str, ...] = get_args(get_args(get_type_hints(Config)["route_packs"])[0])
ROOT = Path(__file__).parents[2]
BEFORE = """
routes:
  - {name: own, words: [delivery, orders], category: shop}
"""


def routed(name: str, summary: str = "", before: str = "", **labels: str) -> Routed:
    smallest = (Path(__file__).parent / "good" / "smallest.yaml").read_text()
    config = loads(f"{smallest}{before}\nroute_packs: [bridge]\n", {})
    moment = datetime(2026, 11, 21, tzinfo=UTC)
    return router(config).route(
        Alert(
            source="grafana",
            fingerprint="f",
            status=AlertStatus.FIRING,
            name=name,
            severity=Severity.UNKNOWN,
            labels=labels,
            annotations={"summary": summary} if summary else {},
            starts_at=moment,
            received_at=moment,
        )
    )


def category(name: str, summary: str = "", **labels: str) -> str:
    return routed(name, summary, **labels).route.category


@pytest.mark.parametrize("pack", PACKS)
def test_every_pack_that_can_be_named_loads_and_its_names_begin_with_its_own(pack: str) -> None:
    routes = pack_routes((pack,))
    assert routes
    assert {rule.name.partition(".")[0] for rule in routes} == {pack}
    assert len({rule.name for rule in routes}) == len(routes)
    assert [rule.name for rule in routes if rule.rooms or rule.suggest] == []


def test_the_packs_are_part_of_what_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "routes/*.yaml" in project["tool"]["setuptools"]["package-data"]["config"]


@pytest.mark.parametrize(
    ("name", "summary", "expected"),
    [
        ("KusamaBridgeHub <> PolkadotBridgeHub relay (00000001) node is down", "", "relay-down"),
        ("Version guard has aborted RococoBridgeHub <> WestendBridgeHub relay (2)", "", "version-guard"),
        ("Relay stopped", "Aborting relay: the chain was upgraded", "version-guard"),
        ("Rococo headers mismatch", "Best Rococo header doesn't match", "headers-mismatch"),
        ("Kusama", "source and source at target are using different forks", "headers-mismatch"),
        (
            "Polkadot -> KusamaBridgeHub finality sync lags (00000001)",
            "Less than 5000 Polkadot headers (~1/2 era) have been synced to KusamaBridgeHub. "
            "Relay is not running?",
            "finality-lag",
        ),
        ("PolkadotBridgeHub -> KusamaBridgeHub delivery lags (00000001)", "", "delivery-lag"),
        (
            "PolkadotBridgeHub -> KusamaBridgeHub confirmation lags (00000001)",
            "Messages are either not confirmed, or are confirmed with lags",
            "confirmation-lag",
        ),
        (
            "PolkadotBridgeHub -> KusamaBridgeHub reward lags (00000002)",
            "Rewards for messages are either not confirmed, or are confirmed with lags",
            "reward-lag",
        ),
        ("Relay balances at PolkadotBridgeHub", "Relay balance is getting low", "low-balance"),
        ("RococoBridgeHub messages relay balance at WestendBridgeHub is too low", "", "low-balance"),
    ],
)
def test_each_alert_of_the_bridges_has_its_category(name: str, summary: str, expected: str) -> None:
    found = routed(name, summary)
    assert found.route.category == expected
    assert found.route.emoji != "🔔"


def test_any_other_alert_of_the_bridges_is_other() -> None:
    found = routed("Something new", domain="parity-chains")
    assert (found.route.name, found.route.category) == ("bridge.other", "other")
    assert found.environment == "production"


@pytest.mark.parametrize(
    ("name", "summary"),
    [
        ("LoadBalancerDown", "Load balancer is down"),
        ("Relay load balancer is down", ""),
        ("Shard rebalance failed", "the relay will be rebalanced"),
        ("InstanceDown", "node is down"),
        ("MySQLReplicationLag", "replica sync lags behind"),
        ("CommitRate", "transactions are aborted"),
    ],
)
def test_what_only_looks_like_the_bridges_is_left_alone(name: str, summary: str) -> None:
    assert routed(name, summary).route.name == "default"


@pytest.mark.parametrize(
    ("name", "entity", "environment"),
    [
        ("Polkadot -> KusamaBridgeHub finality sync lags (1)", "Polkadot → KusamaBridgeHub", "production"),
        (
            "RococoBridgeHub <> WestendBridgeHub relay (2) node is down",
            "RococoBridgeHub → WestendBridgeHub",
            "testnet",
        ),
        ("Polkadot to Polkadot Bulletin delivery lags", "Polkadot → Polkadot Bulletin", "production"),
        ("Relay balances at WestendBridgeHub", None, "testnet"),
    ],
)
def test_chains_make_a_pair_and_tell_the_environment(name: str, entity: str | None, environment: str) -> None:
    found = routed(name)
    assert (found.entity, found.environment) == (entity, environment)


@pytest.mark.parametrize(
    "prose",
    [
        "delivery lags: failed to connect to the node",
        "delivery lags since Monday, unable to reach it",
        "confirmation lags, went from bad to worse",
        "delivery lags at PolkadotBridgeHub to everyone's surprise",
    ],
)
def test_prose_makes_no_pair(prose: str) -> None:
    found = routed(prose)
    assert found.route.name.startswith("bridge.")
    assert found.entity is None


def test_the_domain_label_tells_the_environment_whatever_the_name_says() -> None:
    found = routed("Polkadot headers mismatch", domain="parity-testnet")
    assert found.environment == "testnet"


def test_the_files_own_routes_come_first() -> None:
    assert routed("delivery of orders lags", before=BEFORE).route.name == "own"
    assert routed("delivery lags", before=BEFORE).route.name == "bridge.delivery-lag"
