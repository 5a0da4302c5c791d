"""The rules about workloads, in the order in which their facts are listed, and the faults that they find."""

from __future__ import annotations

from collections.abc import Mapping

from investigators.facts.charge import Fault, WorldRule
from investigators.facts.workloads import (
    admission,
    configuration,
    environment,
    exhaustion,
    images,
    mounts,
    placement,
    ports,
    probes,
    revisions,
    runtime,
    scheduling,
    startup,
)

WORLD_RULES: tuple[WorldRule, ...] = (
    WorldRule(name="workloads.admission", check=admission.check),
    WorldRule(name="workloads.scheduling", check=scheduling.check),
    WorldRule(name="workloads.images", check=images.check),
    WorldRule(name="workloads.configuration", check=configuration.check),
    WorldRule(name="workloads.startup", check=startup.check),
    WorldRule(name="workloads.mounts", check=mounts.check),
    WorldRule(name="workloads.ports", check=ports.check),
    WorldRule(name="workloads.environment", check=environment.check),
    WorldRule(name="workloads.probes", check=probes.check),
    WorldRule(name="workloads.runtime", check=runtime.check),
    WorldRule(name="workloads.exhaustion", check=exhaustion.check),
    WorldRule(name="workloads.revisions", check=revisions.check),
)

FAULTS: Mapping[str, Fault] = {
    **admission.FAULTS,
    **placement.FAULTS,
    **images.FAULTS,
    **configuration.FAULTS,
    **startup.FAULTS,
    **mounts.FAULTS,
    **ports.FAULTS,
    **environment.FAULTS,
    **probes.FAULTS,
    **runtime.FAULTS,
    **exhaustion.FAULTS,
    **revisions.FAULTS,
}
