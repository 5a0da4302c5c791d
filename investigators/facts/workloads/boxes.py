"""Pods and their containers as the API prints them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from investigators.world.cluster import Thing, moment

Json = Mapping[str, Any]
EMPTY: Json = {}


def mapping(value: object) -> Json:
    return value if isinstance(value, Mapping) else EMPTY


def objects(value: object) -> list[Json]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list | tuple) else []


def words(value: object) -> list[str]:
    """A list of texts, such as a command; empty for anything else."""
    return [str(one) for one in value] if isinstance(value, list | tuple) else []


def whole(value: object, default: int = 0) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else default


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """One container of a pod: what is declared and how it is. ``init`` only for those that must end before
    the pod starts."""

    pod: Thing
    name: str
    init: bool
    spec: Json
    status: Json

    @property
    def waiting(self) -> Json:
        return mapping(mapping(self.status.get("state")).get("waiting"))

    @property
    def waiting_reason(self) -> str:
        return str(self.waiting.get("reason") or "")

    @property
    def running_since(self) -> datetime | None:
        return moment(mapping(mapping(self.status.get("state")).get("running")).get("startedAt"))

    @property
    def ended(self) -> Json:
        """How its latest finished run ended; empty when none did."""
        now = mapping(mapping(self.status.get("state")).get("terminated"))
        return now or mapping(mapping(self.status.get("lastState")).get("terminated"))

    @property
    def ended_at(self) -> datetime | None:
        return moment(self.ended.get("finishedAt"))

    @property
    def exit_code(self) -> int | None:
        code = self.ended.get("exitCode")
        return code if isinstance(code, int) and not isinstance(code, bool) else None

    @property
    def restarts(self) -> int:
        count = self.status.get("restartCount")
        return count if isinstance(count, int) else 0

    @property
    def where(self) -> str:
        return f"container {self.name} of pod {self.pod.name}"


def boxes_of(pod: Thing) -> Iterable[Box]:
    """Every container of a pod; a sidecar (an init container that keeps running) is none of the init ones."""
    status = mapping(pod.at("status"))
    for key, listed, init in (
        ("initContainers", "initContainerStatuses", True),
        ("containers", "containerStatuses", False),
    ):
        states = {str(one.get("name")): one for one in objects(status.get(listed))}
        for spec in pod.items("spec", key):
            name = str(spec.get("name"))
            sidecar = spec.get("restartPolicy") == "Always"
            yield Box(
                pod=pod,
                name=name,
                init=init and not sidecar,
                spec=spec,
                status=states.get(name, EMPTY),
            )


def leaving(pod: Thing) -> bool:
    """Whether the pod is being deleted: what ends in it then ends on purpose."""
    return pod.at("metadata", "deletionTimestamp") is not None


def condition(thing: Thing, kind: str) -> Json:
    """The condition of that type; empty where there is none."""
    return next((one for one in thing.items("status", "conditions") if one.get("type") == kind), EMPTY)
