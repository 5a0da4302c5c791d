"""What osquery's tables say of the machine of an alert, charged as the host rules charge it: two sources that
agree are two witnesses."""

from __future__ import annotations

from bot.domain.evidence import Fact
from investigators.entities import Entity
from investigators.facts.tables import listening, processes, storage, units
from investigators.facts.tables.reading import Machine
from investigators.pack import Pack


def check(pack: Pack, entity: Entity) -> list[Fact]:
    """Nothing at all where no table was asked for."""
    machine = Machine.of(pack, entity)
    if machine is None:
        return []
    return [
        *storage.mounts(machine),
        *storage.memory(machine),
        *units.check(machine),
        *listening.check(machine),
        *processes.own(machine),
        *processes.consumers(machine),
        *processes.users(machine),
    ]
