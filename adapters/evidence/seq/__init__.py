"""Seq over its HTTP API (https://docs.datalust.co/docs/server-http-api)."""

from adapters.evidence.seq.source import SeqLogs

__all__ = ["SeqLogs"]
