"""What a pod template refers to: Secrets, ConfigMaps and their keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from investigators.facts.workloads.boxes import Json, mapping, objects

_SOURCES = (("secret", "Secret", "secretName"), ("configMap", "ConfigMap", "name"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ref:
    """``key`` None: the whole object. ``place`` is where in the template it stands."""

    kind: str
    name: str
    key: str | None
    place: str
    mounted: bool


def references(spec: Json) -> Iterator[Ref]:
    """Every Secret and ConfigMap that must be there for a pod to start; optional ones are left out."""
    for container in [*objects(spec.get("initContainers")), *objects(spec.get("containers"))]:
        name = container.get("name")
        for variable in objects(container.get("env")):
            source = mapping(variable.get("valueFrom"))
            for field, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
                ref = mapping(source.get(field))
                if ref and not ref.get("optional"):
                    place = f"env {variable.get('name')} of container {name}"
                    yield _ref(kind, ref.get("name"), ref.get("key"), place)
        for entry in objects(container.get("envFrom")):
            for field, kind in (("secretRef", "Secret"), ("configMapRef", "ConfigMap")):
                ref = mapping(entry.get(field))
                if ref and not ref.get("optional"):
                    yield _ref(kind, ref.get("name"), None, f"envFrom of container {name}")
    for volume in objects(spec.get("volumes")):
        place = f"volume {volume.get('name')}"
        for field, kind, naming in _SOURCES:
            yield from _volume(kind, mapping(volume.get(field)), naming, place)
        for source in objects(mapping(volume.get("projected")).get("sources")):
            for field, kind, _ in _SOURCES:
                yield from _volume(kind, mapping(source.get(field)), "name", place)


def _volume(kind: str, source: Json, naming: str, place: str) -> Iterator[Ref]:
    if not source or source.get("optional"):
        return
    items = objects(source.get("items"))
    for item in items:
        yield _ref(kind, source.get(naming), item.get("key"), place, mounted=True)
    if not items:
        yield _ref(kind, source.get(naming), None, place, mounted=True)


def _ref(kind: str, name: Any, key: Any, place: str, *, mounted: bool = False) -> Ref:
    return Ref(kind=kind, name=str(name), key=None if key is None else str(key), place=place, mounted=mounted)
