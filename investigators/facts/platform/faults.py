"""What is known of each kind of fault of the platform: how close to a cause it is, what it brings about."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from investigators.facts.charge import Fault
from investigators.facts.platform.machine_faults import CAPACITY, CONTROL_PLANE, NODES
from investigators.facts.platform.path_faults import DEPENDENCIES, SERVICE_PATH

FAULTS: Mapping[str, Fault] = MappingProxyType(
    {**SERVICE_PATH, **DEPENDENCIES, **NODES, **CAPACITY, **CONTROL_PLANE}
)
