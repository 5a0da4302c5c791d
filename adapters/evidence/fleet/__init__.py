"""osquery on hosts, through Fleet: single SELECTs over allowed tables."""

from adapters.evidence.fleet.source import FleetHosts

__all__ = ["FleetHosts"]
