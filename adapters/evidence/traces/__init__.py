"""Tempo (https://grafana.com/docs/tempo/latest/api_docs/) and Jaeger
(https://www.jaegertracing.io/docs/latest/apis/) over their HTTP query APIs."""

from adapters.evidence.traces.source import Traces

__all__ = ["Traces"]
