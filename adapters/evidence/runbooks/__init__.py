"""Runbook texts from listed hosts and from a folder."""

from adapters.evidence.runbooks.source import RunbookTexts

__all__ = ["RunbookTexts"]
