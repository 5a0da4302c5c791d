"""PagerDuty's events.

The bodies are built from the examples of PagerDuty's documentation
(https://developer.pagerduty.com/docs/webhooks-overview); they were not captured from PagerDuty.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.alerts import parsers
from bot.domain.alert import Alert, AlertStatus, Severity
from bot.domain.batch import BodyError, BodyProblem, ParsedBatch
from config.schema import Limits

RECEIVED = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
CREATED, OCCURRED = "2026-11-21T01:15:16Z", "2026-11-21T01:45:22.169Z"


def incident(**changes: Any) -> dict[str, Any]:
    """The documented ``event.data`` of an incident."""
    return {
        "id": "PGR0VU2",
        "type": "incident",
        "self": "https://api.pagerduty.com/incidents/PGR0VU2",
        "html_url": "https://acme.pagerduty.com/incidents/PGR0VU2",
        "number": 2,
        "status": "triggered",
        "incident_key": "d3640fbd41094207a1c11e58e46b1662",
        "created_at": CREATED,
        "title": "A little bump in the road",
        "service": {
            "html_url": "https://acme.pagerduty.com/services/PF9KMXH",
            "id": "PF9KMXH",
            "self": "https://api.pagerduty.com/services/PF9KMXH",
            "summary": "API Service",
            "type": "service_reference",
        },
        "assignees": [{"id": "PTUXL6G", "summary": "User 123", "type": "user_reference"}],
        "escalation_policy": {"id": "PUS0KTE", "summary": "Default", "type": "escalation_policy_reference"},
        "teams": [{"id": "PFCVPS0", "summary": "Engineering", "type": "team_reference"}],
        "priority": {"id": "PSO75BM", "summary": "P1", "type": "priority_reference"},
        "urgency": "high",
        "conference_bridge": {"conference_number": "+1 1234123412,,987654321#"},
        "resolve_reason": None,
    } | changes


def event(kind: str = "incident.triggered", data: Any = None, **changes: Any) -> dict[str, Any]:
    """The documented envelope."""
    return {
        "event": {
            "id": "5ac64822-4adc-4fda-ade0-410becf0de4f",
            "event_type": kind,
            "resource_type": kind.partition(".")[0],
            "occurred_at": OCCURRED,
            "agent": {"id": "PLH1HKV", "summary": "Tenex Engineer", "type": "user_reference"},
            "client": {"name": "PagerDuty"},
            "data": incident() if data is None else data,
        }
        | changes
    }


def parse(body: Any, limits: Limits | None = None) -> ParsedBatch:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parsers(limits or Limits())["pagerduty"](raw, source="pd", received_at=RECEIVED)


def taken(kind: str = "incident.triggered", **changes: Any) -> Alert:
    batch = parse(event(kind, incident(**changes)))
    assert batch.rejected == ()
    return batch.alerts[0].alert


def test_a_triggered_incident_becomes_a_firing_alert() -> None:
    alert = taken()
    assert (alert.status, alert.severity, alert.name) == (
        AlertStatus.FIRING,
        Severity.CRITICAL,
        "A little bump in the road",
    )
    assert alert.labels == {
        "alertname": "A little bump in the road",
        "service": "API Service",
        "urgency": "high",
        "severity": "critical",
        "priority": "P1",
        "team": "Engineering",
    }
    assert (alert.source, alert.fingerprint, alert.group_key) == ("pd", "PGR0VU2", "PGR0VU2")
    assert alert.links == {"generator": "https://acme.pagerduty.com/incidents/PGR0VU2"}
    assert alert.starts_at == datetime(2026, 11, 21, 1, 15, 16, tzinfo=UTC)


def test_a_resolved_incident_ends_when_the_event_says() -> None:
    alert = taken("incident.resolved", status="resolved")
    assert alert.status is AlertStatus.RESOLVED
    assert alert.ends_at == datetime(2026, 11, 21, 1, 45, 22, 169000, tzinfo=UTC)


def test_a_low_urgency_is_a_warning_and_none_at_all_is_what_is_configured() -> None:
    assert taken(urgency="low").severity is Severity.WARNING
    assert taken(urgency=None).severity is Severity.UNKNOWN
    assert "severity" not in taken(urgency=None).labels


def test_what_may_be_missing_may_be_missing() -> None:
    data = {"id": "P1", "title": "T", "priority": None, "teams": [], "service": None}
    alert = parse(event(data=data, occurred_at=None)).alerts[0].alert
    assert (alert.labels, alert.starts_at) == ({"alertname": "T"}, RECEIVED)


def test_an_acknowledgement_repeats_the_firing_and_so_changes_nothing() -> None:
    assert taken("incident.acknowledged", status="acknowledged").delivery_key == taken().delivery_key


def test_a_retry_is_recognised_and_a_second_round_is_not_taken_for_one() -> None:
    def key(kind: str, occurred: str) -> str:
        batch = parse(event(kind, occurred_at=occurred))
        return batch.alerts[0].alert.delivery_key

    first, second = "2026-11-21T01:30:00Z", "2026-11-21T01:50:00Z"
    assert key("incident.resolved", first) == key("incident.resolved", first)
    assert key("incident.resolved", first) != key("incident.resolved", second)
    assert key("incident.reopened", first) not in (
        key("incident.triggered", first),
        key("incident.reopened", second),
    )


def test_the_test_event_is_welcome() -> None:
    batch = parse(event("pagey.ping", {"message": "Hello from your friend Pagey!", "type": "ping"}))
    assert (batch.alerts, batch.rejected) == ((), ())
    assert batch.note == "the test event has arrived; nothing is made of it"


@pytest.mark.parametrize(
    "kind", ["incident.annotated", "incident.responder.added", "service.updated", "incident.new_in_2031"]
)
def test_other_events_are_taken_with_a_note_and_whatever_data_they_have(kind: str) -> None:
    for data in ({"type": "incident_note"}, [1], "x", 0):
        batch = parse(event(kind, data))
        assert (batch.alerts, batch.rejected) == ((), ())
        assert batch.note == f"nothing is made of events of type {kind}"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": None}, 'alert 0 "A little bump in the road": id: '),
        ({"id": "P" * 300}, "fingerprint: 300 bytes, the limit is 256 bytes"),
        ({"title": ""}, "title: "),
        ({"title": "a\0b"}, "holds a NUL character"),
        ({"title": "a\ud800b"}, "title: "),
        ({"created_at": "yesterday"}, "created_at: "),
        ({"service": "API"}, "service: "),
        ({"teams": [{"summary": "\ud800"}]}, "data.team: not valid UTF-8 text"),
        ({"urgency": 5}, "urgency: "),
    ],
)
def test_an_incident_that_cannot_be_taken_is_rejected_by_name(changes: dict[str, Any], reason: str) -> None:
    batch = parse(event(data=incident(**changes)))
    assert batch.alerts == ()
    (rejected,) = batch.rejected
    assert reason in (rejected.reason or "")
    rejected.reason.encode()  # type: ignore[union-attr]  # a reason there is, and it can be sent


@pytest.mark.parametrize("data", [None, [], "text", 7])
def test_an_incident_event_without_an_incident_is_rejected(data: Any) -> None:
    body = event()
    body["event"]["data"] = data
    (rejected,) = parse(body).rejected
    assert "alert 0" in (rejected.reason or "")


def test_text_over_the_limit_is_rejected_and_not_shortened() -> None:
    limits = Limits(label_value_bytes=64)
    (rejected,) = parse(event(data=incident(title="x" * 65)), limits).rejected
    assert "labels.alertname: 65 bytes, the limit is 64 bytes" in (rejected.reason or "")


@pytest.mark.parametrize(
    ("body", "problem", "hint"),
    [
        (b"", BodyProblem.MALFORMED, "the body is empty"),
        (b"{", BodyProblem.MALFORMED, "not JSON"),
        ([], BodyProblem.UNUSABLE, "webhooks of version 3"),
        ({"alerts": []}, BodyProblem.UNUSABLE, "no object with an object `event`"),
        ({"event": []}, BodyProblem.UNUSABLE, "no object with an object `event`"),
        ({"event": {}}, BodyProblem.UNUSABLE, "event: event_type: "),
        ({"event": {"event_type": 5}}, BodyProblem.UNUSABLE, "event: event_type: "),
        ({"messages": [{}]}, BodyProblem.UNUSABLE, "subscribe to version 3"),
    ],
)
def test_another_body_is_refused_with_what_to_do(body: Any, problem: BodyProblem, hint: str) -> None:
    with pytest.raises(BodyError, match=hint) as caught:
        parse(body)
    assert caught.value.problem is problem
