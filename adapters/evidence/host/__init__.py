"""This machine as a source of evidence: psutil, ``/proc`` and log files."""

from adapters.evidence.host.source import LocalHost
from adapters.evidence.host.units import LocalUnits

__all__ = ["LocalHost", "LocalUnits"]
