"""The bot's own past incidents as a source of evidence."""

from adapters.evidence.past.source import PastIncidents

__all__ = ["PastIncidents"]
