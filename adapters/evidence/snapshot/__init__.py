"""A directory in the snapshot format as sources of evidence."""

from adapters.evidence.snapshot.host_source import SnapshotHost
from adapters.evidence.snapshot.metric_source import SnapshotMetrics
from adapters.evidence.snapshot.snapshot import Part, Snapshot
from adapters.evidence.snapshot.source import SnapshotSource

__all__ = ["Part", "Snapshot", "SnapshotHost", "SnapshotMetrics", "SnapshotSource"]
