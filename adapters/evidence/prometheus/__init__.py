"""Prometheus and VictoriaMetrics over their HTTP API (https://prometheus.io/docs/prometheus/latest/querying/api/)."""

from adapters.evidence.prometheus.source import PrometheusMetrics

__all__ = ["PrometheusMetrics"]
