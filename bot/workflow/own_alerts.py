"""Alerts that no monitoring system sent: a person's words, and what the bot notices itself."""

from __future__ import annotations

from datetime import datetime

from bot.domain.alert import Alert, AlertStatus, Severity

MANUAL_SOURCE = "manual"
REQUESTED_BY = "requested_by"


def hand_made_alert(text: str, *, actor: str, event_id: str, at: datetime, now: datetime) -> Alert:
    """An alert for an investigation that a person asked for in words; the same event makes the same alert."""
    fingerprint = f"manual:{event_id}"
    return Alert(
        source=MANUAL_SOURCE,
        fingerprint=fingerprint,
        status=AlertStatus.FIRING,
        name="ManualInvestigation",
        severity=Severity.WARNING,
        labels={REQUESTED_BY: actor},
        annotations={"summary": text},
        starts_at=at,
        received_at=now,
        group_key=fingerprint,
    )


def synthetic_alert(name: str, *, firing: bool, summary: str, since: datetime, now: datetime) -> Alert:
    """An alert the bot raises about itself or about silence where a heartbeat should be."""
    return Alert(
        source="assent",
        fingerprint=f"assent:{name}",
        status=AlertStatus.FIRING if firing else AlertStatus.RESOLVED,
        name=name.split(":", 1)[0],
        severity=Severity.CRITICAL,
        labels={"alertname": name.split(":", 1)[0], "heartbeat": name.split(":", 1)[-1]},
        annotations={"summary": summary},
        starts_at=since,
        received_at=now,
        ends_at=None if firing else now,
        group_key=f"assent:{name}",
    )
