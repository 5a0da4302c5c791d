"""Alerts as Alertmanager delivers them: webhook version 4, bearer authentication.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import aiohttp

from bot.demo.world import NAME, ServiceHandle
from bot.domain.errors import Unavailable

NO_END = "0001-01-01T00:00:00Z"
USER_AGENT = "Alertmanager/0.28.1"
_FNV_OFFSET, _FNV_PRIME = 14695981039346656037, 1099511628211


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoAlert:
    """One firing of the demo's rule; ``ends_at`` once it is over."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime | None = None
    receiver: str = "assent"

    def resolved(self, at: datetime) -> DemoAlert:
        return replace(self, ends_at=at)


def leak_alert(service: ServiceHandle, *, limit_mb: float, starts_at: datetime) -> DemoAlert:
    """The alert of a rule that watches the service's resident memory."""
    return DemoAlert(
        labels={
            "alertname": "MemoryLeak",
            "environment": "demo",
            "instance": f"127.0.0.1:{service.port}",
            "job": NAME,
            "service": NAME,
            "severity": "warning",
        },
        annotations={
            "summary": f"{NAME} uses more and more memory",
            "description": f"Resident memory of {NAME} is above {limit_mb:g} MiB and rising.",
        },
        starts_at=starts_at,
    )


def fingerprint(labels: Mapping[str, str]) -> str:
    """Alertmanager's fingerprint: FNV-1a (64 bit) over the sorted labels (prometheus/common, ``model``)."""
    value = _FNV_OFFSET
    for name in sorted(labels):
        for byte in (*name.encode(), 0xFF, *labels[name].encode(), 0xFF):
            value = (value ^ byte) * _FNV_PRIME % 2**64
    return f"{value:016x}"


def body(alert: DemoAlert) -> dict[str, Any]:
    """The webhook body for a group of this one alert, grouped by alertname and service."""
    status = "firing" if alert.ends_at is None else "resolved"
    group = {name: alert.labels[name] for name in ("alertname", "service")}
    group_text = ", ".join(f'{name}="{value}"' for name, value in sorted(group.items()))
    return {
        "receiver": alert.receiver,
        "status": status,
        "alerts": [
            {
                "status": status,
                "labels": dict(alert.labels),
                "annotations": dict(alert.annotations),
                "startsAt": _time(alert.starts_at),
                "endsAt": NO_END if alert.ends_at is None else _time(alert.ends_at),
                "generatorURL": "http://127.0.0.1:9090/graph?g0.expr=process_resident_memory_bytes&g0.tab=1",
                "fingerprint": fingerprint(alert.labels),
            }
        ],
        "groupLabels": group,
        "commonLabels": dict(alert.labels),
        "commonAnnotations": dict(alert.annotations),
        "externalURL": "http://127.0.0.1:9093",
        "version": "4",
        "groupKey": f"{{}}:{{{group_text}}}",
        "truncatedAlerts": 0,
    }


async def post_alert(url: str, token: str, alert: DemoAlert) -> int:
    """Deliver the alert to ``url`` as Alertmanager does; return the HTTP status.

    Raises Unavailable when nothing answers or the answer is not 2xx.
    """
    headers = {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "Authorization": f"Bearer {token}",
    }
    data = json.dumps(body(alert), separators=(",", ":")).encode()
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            async with session.post(url, data=data, headers=headers) as response:
                if response.status // 100 != 2:
                    text = (await response.text())[:200]
                    raise Unavailable("listener", f"HTTP {response.status}: {text}")
                return response.status
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Unavailable("listener", f"{url}: {error or type(error).__name__}") from error


async def post_resolved(url: str, token: str, alert: DemoAlert, at: datetime | None = None) -> int:
    """Deliver the end of the alert, now or at ``at``; see :func:`post_alert`."""
    return await post_alert(url, token, alert.resolved(at or datetime.now(UTC)))


def _time(moment: datetime) -> str:
    """Milliseconds and ``Z``, as Alertmanager writes them."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
