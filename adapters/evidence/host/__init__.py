"""This machine as a source of evidence: psutil, ``/proc`` and log files."""

from adapters.evidence.host.source import LocalHost

__all__ = ["LocalHost"]
