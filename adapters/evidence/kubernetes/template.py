"""The difference between two pod templates in lines a person reads: ``-containers.web.image: shop/web:1``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from adapters.evidence.kubernetes.look import Object, at, each

_OURS = ("pod-template-hash", "rollouts-pod-template-hash", "controller-revision-hash")
_RESTARTED = "kubectl.kubernetes.io/restartedAt"
_MAX_LINES = 200


def template_diff(before: Object, after: Object) -> list[str]:
    """Changed fields, first what is gone (``-``), then what is new (``+``), field by field."""
    old, new = dict(_flat("", _plain(before))), dict(_flat("", _plain(after)))
    lines = []
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) == new.get(key):
            continue
        if key in old:
            lines.append(f"-{key}: {old[key]}")
        if key in new:
            lines.append(f"+{key}: {new[key]}")
    if len(lines) > _MAX_LINES:
        lines = [*lines[:_MAX_LINES], f"… {len(lines) - _MAX_LINES} more lines"]
    return lines


def only_restarted(lines: list[str]) -> bool:
    """Whether nothing but the annotation of ``kubectl rollout restart`` changed."""
    return bool(lines) and all(_RESTARTED in line for line in lines)


def images(template: Object) -> dict[str, str]:
    """Images by container, init containers too."""
    return {
        str(one.get("name")): str(one.get("image", ""))
        for part in ("containers", "initContainers")
        for one in each(template, "spec", part)
    }


def version_of(changed: Mapping[str, str]) -> str:
    """The images as one text; of a single one the tag or digest alone would not say whose it is."""
    return ", ".join(sorted(set(changed.values())))


def _plain(template: Object) -> dict[str, Any]:
    labels = {k: v for k, v in (at(template, "metadata", "labels", default={})).items() if k not in _OURS}
    return {
        "labels": labels,
        "annotations": at(template, "metadata", "annotations", default={}),
        **at(template, "spec", default={}),
    }


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        if "name" in value and isinstance(value.get("value"), str) and len(value) == 2:
            yield prefix, value["value"]
            return
        for key, inner in value.items():
            if key != "name" or not prefix.endswith(f".{inner}"):
                yield from _flat(f"{prefix}.{key}" if prefix else str(key), inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _flat(f"{prefix}.{_label(inner, index)}", inner)
    else:
        yield prefix, "" if value is None else str(value)


def _label(item: Any, index: int) -> str:
    """Lists of named things (containers, variables, volumes, ports) are compared by name, not by place."""
    if isinstance(item, Mapping):
        for key in ("name", "mountPath", "containerPort", "key"):
            if isinstance(item.get(key), str | int):
                return str(item[key])
    return str(index)
