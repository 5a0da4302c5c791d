"""Recording what sources said, in the snapshot format, and replaying it to the byte."""

from adapters.evidence.recording.recorder import CASE, Recorder
from adapters.evidence.recording.replay import sources_in

__all__ = ["CASE", "Recorder", "sources_in"]
