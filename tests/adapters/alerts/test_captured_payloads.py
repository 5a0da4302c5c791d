"""Every captured body must be understood as it stands, byte for byte."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.alerts import parsers
from bot.domain.alert import AlertStatus, Severity
from bot.domain.batch import ParsedBatch
from config.schema import Limits

PAYLOADS = Path(__file__).parents[2] / "data" / "payloads"
BODIES = sorted(
    path for path in PAYLOADS.glob("*.json") if not path.name.endswith((".headers.json", "_vectors.json"))
)
RECEIVED = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)


def parse(path: Path) -> ParsedBatch:
    kind = path.name.split("_")[0].split("-")[0]
    return parsers(Limits())[kind](path.read_bytes(), source="prod", received_at=RECEIVED)


def test_all_eleven_bodies_are_there() -> None:
    assert len(BODIES) == 11


@pytest.mark.parametrize("path", BODIES, ids=lambda path: path.stem)
def test_every_field_of_a_captured_body_arrives_unchanged(path: Path) -> None:
    sent = json.loads(path.read_bytes())
    batch = parse(path)
    assert batch.rejected == ()
    assert [parsed.note for parsed in batch.alerts] == [None] * len(sent["alerts"])
    for index, (parsed, raw) in enumerate(zip(batch.alerts, sent["alerts"], strict=True)):
        alert = parsed.alert
        assert parsed.index == index
        assert alert.source == "prod"
        assert alert.fingerprint == raw["fingerprint"]
        assert alert.status == raw["status"]
        assert alert.name == "HighErrorRate"
        assert alert.severity is Severity.CRITICAL
        assert alert.labels == raw["labels"]
        assert alert.annotations == raw["annotations"]
        assert alert.starts_at == datetime.fromisoformat(raw["startsAt"])
        assert alert.starts_at.tzinfo is UTC
        assert alert.received_at == RECEIVED
        assert alert.group_key == sent["groupKey"]
        assert alert.receiver == sent["receiver"]
        assert alert.links["generator"] == raw["generatorURL"]
        assert alert.links["runbook"] == raw["annotations"]["runbook_url"]
        assert alert.values == raw.get("values", {})
        if alert.status is AlertStatus.RESOLVED:
            assert alert.ends_at == datetime.fromisoformat(raw["endsAt"])
        else:
            assert alert.ends_at is None


@pytest.mark.parametrize("version", ["0.25", "0.28"])
def test_a_mixed_group_keeps_the_state_of_each_alert(version: str) -> None:
    batch = parse(PAYLOADS / f"alertmanager-{version}_partly_resolved.json")
    assert [parsed.alert.status for parsed in batch.alerts] == ["resolved", "firing", "resolved"]


def test_both_alertmanager_versions_mean_the_same() -> None:
    for path in PAYLOADS.glob("alertmanager-0.25_*d.json"):
        newer = path.with_name(path.name.replace("0.25", "0.28"))
        old, new = parse(path), parse(newer)
        assert [parsed.alert.labels for parsed in old.alerts] == [
            parsed.alert.labels for parsed in new.alerts
        ]


def test_grafana_links_and_values_arrive() -> None:
    alert = parse(PAYLOADS / "grafana_firing_single.json").alerts[0].alert
    assert alert.values == {"A": 0.21, "C": 1}
    assert sorted(alert.links) == ["dashboard", "generator", "panel", "runbook", "silence"]
    assert alert.links["panel"].endswith("&viewPanel=1")
