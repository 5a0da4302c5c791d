"""What a parsed alert means: severity, times, links, values, identity."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.alerts import parsers
from adapters.alerts.grafana import values_from_text
from bot.domain.alert import Alert, AlertStatus, Severity
from bot.domain.batch import ParsedAlert, ParsedBatch
from config.schema import Limits

RECEIVED = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)


def parse(data: Any, kind: str = "alertmanager", missing: str = "unknown") -> ParsedBatch:
    return parsers(Limits(), missing_severity=missing)[kind](
        json.dumps(data).encode(), source="prod", received_at=RECEIVED
    )


def parsed(kind: str = "alertmanager", envelope: dict[str, Any] | None = None, **changes: Any) -> ParsedAlert:
    raw = {"status": "firing", "labels": {"alertname": "A"}, "startsAt": "2026-11-21T01:00:00Z"} | changes
    batch = parse({"alerts": [raw]} | (envelope or {}), kind)
    assert batch.rejected == ()
    return batch.alerts[0]


def flat(**fields: Any) -> Alert:
    batch = parse({"alertname": "A"} | fields, "generic")
    assert batch.rejected == ()
    return batch.alerts[0].alert


@pytest.mark.parametrize(
    ("word", "severity"),
    [
        ("critical", Severity.CRITICAL),
        (" Critical ", Severity.CRITICAL),
        ("page", Severity.CRITICAL),
        ("error", Severity.CRITICAL),
        ("warn", Severity.WARNING),
        ("warning", Severity.WARNING),
        ("info", Severity.INFO),
        ("none", Severity.INFO),
        ("blorp", Severity.WARNING),
        (None, Severity.WARNING),
    ],
)
def test_severity_words_are_normalised_and_others_get_the_configured_one(
    word: str | None, severity: Severity
) -> None:
    labels = {"alertname": "A"} | ({"severity": word} if word else {})
    batch = parse({"alerts": [{"status": "firing", "labels": labels}]}, missing="warning")
    assert batch.alerts[0].alert.severity is severity
    assert batch.alerts[0].alert.labels == labels


@pytest.mark.parametrize("sent", ["0001-01-01T00:00:00Z", None])
def test_no_start_time_means_the_time_of_receipt(sent: str | None) -> None:
    took = parsed(startsAt=sent)
    assert (took.alert.starts_at, took.note) == (RECEIVED, None)


def test_a_start_weeks_ago_is_kept_as_it_is() -> None:
    took = parsed(startsAt="2026-09-01T00:00:00.123456789+02:00")
    assert took.alert.starts_at == datetime(2026, 8, 31, 22, 0, 0, 123456, tzinfo=UTC)
    assert took.note is None


@pytest.mark.parametrize("sent", ["2099-01-01T00:00:00Z", "2026-11-21T03:00:01Z", "1066-10-14T09:00:00Z"])
def test_an_implausible_start_is_replaced_and_the_sender_told(sent: str) -> None:
    took = parsed(startsAt=sent)
    assert took.alert.starts_at == RECEIVED
    assert "the time of receipt was used" in (took.note or "")


def test_a_clock_that_is_minutes_ahead_is_believed() -> None:
    took = parsed(startsAt="2026-11-21T02:05:00Z")
    assert (took.alert.starts_at, took.note) == (RECEIVED + timedelta(minutes=5), None)


def test_a_resolved_alert_ends_when_it_says_and_a_firing_one_has_no_end() -> None:
    ended = "2026-11-21T01:30:00Z"
    assert parsed(status="resolved", endsAt=ended).alert.ends_at == datetime(2026, 11, 21, 1, 30, tzinfo=UTC)
    assert parsed(status="firing", endsAt=ended).alert.ends_at is None
    assert parsed(status="resolved", endsAt="0001-01-01T00:00:00Z").alert.ends_at == RECEIVED
    assert parsed(status="resolved", endsAt="2031-01-01T00:00:00Z").alert.ends_at == RECEIVED


@pytest.mark.parametrize("state", ["active", "suppressed", "unprocessed", "firing"])
def test_a_status_object_is_understood(state: str) -> None:
    took = parsed(status={"state": state, "silencedBy": ["s1"], "inhibitedBy": ["i1", "i2"]})
    assert took.alert.status is AlertStatus.FIRING
    assert took.alert.annotations["suppressed"] == "silenced by s1; inhibited by i1, i2"


def test_a_missing_status_is_taken_from_the_envelope_or_refused() -> None:
    bare = {"labels": {"alertname": "A"}}
    assert parse({"status": "resolved", "alerts": [bare]}).alerts[0].alert.status is AlertStatus.RESOLVED
    assert "status: missing" in (parse({"alerts": [bare]}).rejected[0].reason or "")


def test_alerts_the_sender_left_out_are_counted() -> None:
    assert parse({"alerts": [], "truncatedAlerts": 12}).truncated == 12


def test_secrets_in_annotations_and_links_do_not_get_in_and_labels_stay_what_they_are() -> None:
    took = parsed(
        annotations={"description": "curl -H 'Authorization: Bearer abc.def'", "api_key": "0xBEEF"},
        generatorURL="http://p.test/graph?token=abcdef123",
        labels={"alertname": "A", "owner": "ops@example.com"},
    ).alert
    assert "abc.def" not in took.annotations["description"]
    assert took.annotations["api_key"] == "[redacted:secret]"
    assert took.links["generator"] == "http://p.test/graph?token=[redacted:secret]"
    assert took.labels["owner"] == "ops@example.com"


def test_a_link_that_is_no_web_address_is_left_out_and_the_sender_told() -> None:
    took = parsed(generatorURL="javascript:alert(1)", annotations={"runbook_url": "wiki/page"})
    assert took.alert.links == {}
    assert "the generator link" in (took.note or "")
    assert "the runbook link" in (took.note or "")
    assert took.alert.annotations["runbook_url"] == "wiki/page"


def test_an_alert_without_a_fingerprint_gets_one_from_its_labels_in_any_order() -> None:
    first = parsed(labels={"alertname": "A", "b": "c"}).alert.fingerprint
    assert first == parsed(labels={"b": "c", "alertname": "A"}).alert.fingerprint
    assert len(first) == 16
    others = [{"alertname": "A", "b": "d"}, {"alertname": "A", "bc": ""}, {"alertname": "Ab", "": "c"}]
    assert len({first, *(parsed(labels=labels).alert.fingerprint for labels in others)}) == 4


def test_an_alert_without_a_name_is_still_an_alert() -> None:
    assert parsed(labels={"job": "node"}).alert.name == "unnamed alert"


def test_grafana_values_skip_what_is_no_number() -> None:
    assert parsed("grafana", values={"A": 1.5, "B": None}).alert.values == {"A": 1.5}


def test_grafana_value_text_is_read_when_values_are_null() -> None:
    text = "[ var='A' labels={namespace=shop} value=0.21 ], [ var='C' labels={x=a] b} value=1 ]"
    assert parsed("grafana", values=None, valueString=text).alert.values == {"A": 0.21, "C": 1.0}


@pytest.mark.parametrize(
    "text", ["", "[ var='A", "[ var='A' value= ]", "[ var='A' value=none ]", "[ var='A' value=NaN ]"]
)
def test_odd_value_text_gives_no_value(text: str) -> None:
    assert parsed("grafana", valueString=text).alert.values == {}


def test_hostile_value_text_is_read_in_linear_time() -> None:
    assert values_from_text("[ var='A' " * 200_000) == {}


def test_grafana_links_are_made_from_the_dashboard_uid() -> None:
    annotations = {"__dashboardUid__": "shop/1", "__panelId__": "7"}
    took = parsed("grafana", {"externalURL": "https://grafana.test/", "orgId": 3}, annotations=annotations)
    assert took.alert.links == {
        "dashboard": "https://grafana.test/d/shop%2F1?orgId=3",
        "panel": "https://grafana.test/d/shop%2F1?orgId=3&viewPanel=7",
    }


def test_grafana_links_it_sent_itself_win() -> None:
    took = parsed(
        "grafana",
        {"externalURL": "https://grafana.test/"},
        annotations={"__dashboardUid__": "shop"},
        dashboardURL="https://grafana.test/d/own",
        imageURL="https://img.test/1.png",
    )
    assert took.alert.links == {"dashboard": "https://grafana.test/d/own", "image": "https://img.test/1.png"}


def test_a_flat_alert_needs_only_its_name() -> None:
    alert = flat()
    assert alert.labels == {"alertname": "A", "severity": "warning"}
    assert (alert.status, alert.severity, alert.starts_at) == ("firing", Severity.WARNING, RECEIVED)


def test_a_flat_alert_takes_everything_it_may_say() -> None:
    alert = flat(
        instance="web-1",
        severity="critical",
        summary="disk full",
        description="97 %",
        runbook_url="https://runbooks.test/disk",
        labels={"port": 8080, "instance": "other"},
        annotations={"note": "n"},
        status="resolved",
        startsAt=1795223000,
        endsAt="2026-11-21T01:40:00Z",
        fingerprint="fp",
        generatorURL="https://cron.test/job",
    )
    assert alert.labels == {"alertname": "A", "instance": "web-1", "severity": "critical", "port": "8080"}
    assert alert.annotations == {
        "note": "n",
        "summary": "disk full",
        "description": "97 %",
        "runbook_url": "https://runbooks.test/disk",
    }
    assert alert.links == {"generator": "https://cron.test/job", "runbook": "https://runbooks.test/disk"}
    assert alert.starts_at == datetime.fromtimestamp(1795223000, UTC)
    assert (alert.status, alert.severity, alert.fingerprint) == ("resolved", Severity.CRITICAL, "fp")


def test_the_severity_among_the_labels_of_a_flat_alert_counts() -> None:
    assert flat(labels={"severity": "critical"}).severity is Severity.CRITICAL


def test_a_list_of_flat_alerts_keeps_the_good_ones() -> None:
    batch = parse([{"alertname": "A"}, {"instance": "x"}, {"alertname": ""}, {"alertname": "B"}], "generic")
    assert [took.alert.name for took in batch.alerts] == ["A", "B"]
    assert [result.index for result in batch.rejected] == [1, 2]
    assert "alertname: Field required" in (batch.rejected[0].reason or "")


@pytest.mark.parametrize("kind", ["alertmanager", "generic"])
def test_a_byte_order_mark_is_ignored(kind: str) -> None:
    data: Any = {"alertname": "A"}
    if kind == "alertmanager":
        data = {"alerts": [{"status": "firing", "labels": data}]}
    raw = b"\xef\xbb\xbf" + json.dumps(data).encode()
    batch = parsers(Limits())[kind](raw, source="prod", received_at=RECEIVED)
    assert len(batch.alerts) == 1
