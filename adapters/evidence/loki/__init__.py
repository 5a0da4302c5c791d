"""Loki over its HTTP API (https://grafana.com/docs/loki/latest/reference/loki-http-api/)."""

from adapters.evidence.loki.source import LokiLogs

__all__ = ["LokiLogs"]
