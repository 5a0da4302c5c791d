"""kubernetes/*.yaml|json: objects as the API prints them, without secrets and bookkeeping."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from adapters.evidence.snapshot.files import Folder, Malformed
from adapters.evidence.snapshot.yamls import documents
from bot.domain.redaction import is_secret_name, redact_field, strip_invisible

_KEYED = frozenset({"Secret", "ConfigMap"})
_CLUSTER_SCOPED = frozenset(
    {
        "APIService",
        "CSIDriver",
        "CSINode",
        "CertificateSigningRequest",
        "ClusterRole",
        "ClusterRoleBinding",
        "ComponentStatus",
        "CustomResourceDefinition",
        "FlowSchema",
        "IngressClass",
        "MutatingWebhookConfiguration",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PriorityClass",
        "PriorityLevelConfiguration",
        "RuntimeClass",
        "StorageClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
        "VolumeAttachment",
    }
)
_NOISE = frozenset({"kubectl.kubernetes.io/last-applied-configuration"})
"""Annotations that repeat the object, the values of its secrets included."""
_WORD = re.compile(r"[A-Za-z]+")


class Objects:
    """Every object by kind, in the order of namespace and name. ``looked`` names kinds that were asked for
    when the snapshot was made, by the names of typed lists and of files without any object."""

    def __init__(self, objects: Sequence[Mapping[str, Any]], looked: Sequence[str]) -> None:
        self._by_kind: dict[str, list[Mapping[str, Any]]] = {}
        for one in objects:
            self._by_kind.setdefault(str(one["kind"]), []).append(one)
        for kind in self._by_kind:
            self._by_kind[kind].sort(key=_place)
        self._looked = frozenset(word.lower() for name in looked for word in _WORD.findall(name))

    def known(self, kind: str) -> bool:
        """Whether the snapshot can say which objects of a kind there are, be it none."""
        return kind in self._by_kind or not self._looked.isdisjoint(plurals(kind))

    def of(self, kind: str, namespace: str | None, name: str | None) -> list[Mapping[str, Any]]:
        found = self._by_kind.get(kind, [])
        if namespace is not None and kind not in _CLUSTER_SCOPED:
            found = [one for one in found if one["metadata"].get("namespace") == namespace]
        return found if name is None else [one for one in found if one["metadata"].get("name") == name]


def _place(one: Mapping[str, Any]) -> tuple[str, str]:
    metadata = one["metadata"]
    return str(metadata.get("namespace") or ""), str(metadata.get("name"))


def plurals(kind: str) -> set[str]:
    """The lower-case names that a kind has in file names and lists."""
    name = kind.lower()
    return {name, f"{name}s", f"{name}es", f"{name[:-1]}ies", f"{name}list"}


def read_objects(folder: Folder) -> Objects:
    """Every document of every file directly in kubernetes/. Raises Malformed."""
    objects: list[Mapping[str, Any]] = []
    looked: list[str] = []
    cleaner = _Cleaner()
    for name in folder.names("kubernetes", ".yaml", ".yml", ".json"):
        before = len(objects)
        for document in _documents(folder, name):
            if isinstance(document, dict) and str(document.get("kind", "")).endswith("List"):
                looked.append(str(document["kind"]))
            for one in _flat(document, folder.where(name)):
                objects.append(_reduced(cleaner, one))
        if len(objects) == before:
            looked.append(name.rpartition("/")[2])
    return Objects(objects, looked)


def _documents(folder: Folder, name: str) -> list[Any]:
    if name.endswith(".json"):
        return [folder.json(name)]
    try:
        return [document for document in documents(folder.text(name)) if document is not None]
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else None
        raise Malformed(f"{folder.where(name, line)}: {error.problem}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise Malformed(f"{folder.where(name)}: {error}") from None


def _flat(document: Any, where: str) -> Iterator[dict[str, Any]]:
    """Objects out of lists; an item of a typed list has no kind of its own."""
    if isinstance(document, list):
        for item in document:
            yield from _flat(item, where)
        return
    if not isinstance(document, dict):
        raise Malformed(f"{where}: not a Kubernetes object")
    kind = document.get("kind")
    if not isinstance(kind, str):
        raise Malformed(f"{where}: an object without a kind")
    if kind.endswith("List") and ("items" in document or "metadata" not in document):
        of = kind.removesuffix("List")
        for item in document.get("items") or ():
            if of and isinstance(item, dict) and "kind" not in item:
                item = {"apiVersion": document.get("apiVersion"), "kind": of, **item}
            yield from _flat(item, where)
        return
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or not metadata.get("name"):
        raise Malformed(f"{where}: a {kind} without a name")
    yield document


def _reduced(cleaner: _Cleaner, one: dict[str, Any]) -> Mapping[str, Any]:
    kind = one["kind"]
    metadata = {key: value for key, value in one["metadata"].items() if key != "managedFields"}
    annotations = metadata.get("annotations")
    if isinstance(annotations, dict):
        metadata["annotations"] = {key: text for key, text in annotations.items() if key not in _NOISE}
    if kind not in _CLUSTER_SCOPED:
        metadata.setdefault("namespace", "default")
    if kind in _KEYED:
        keys = [str(key) for part in ("data", "stringData", "binaryData") for key in one.get(part) or ()]
        one = {"apiVersion": one.get("apiVersion", "v1"), "kind": kind, "data": dict.fromkeys(keys, "")}
    return {
        **{key: cleaner.value(value, key) for key, value in one.items()},
        "metadata": cleaner.value(metadata),
    }


class _Cleaner:
    """Redacts every text of an object. The same texts come again and again: each is looked at once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], str] = {}

    def value(self, value: Any, key: str = "") -> Any:
        if type(value) is str:
            return self._text(key, value)
        if type(value) is dict:
            named = value.get("name")
            return {
                str(inner): self.value(item, named if inner == "value" and type(named) is str else str(inner))
                for inner, item in value.items()
            }
        if type(value) is list:
            return self._items(value, key)
        return value

    def _items(self, items: list[Any], key: str) -> list[Any]:
        found = []
        option = ""
        for item in items:
            if type(item) is str:
                found.append(self._text(option or key, item))
                # The value of an option may stand in the item behind it.
                bare = item.lstrip("-")
                option = bare if item.startswith("-") and "=" not in item and is_secret_name(bare) else ""
            else:
                found.append(self.value(item, key))
        return found

    def _text(self, key: str, text: str) -> str:
        known = self._known.get((key, text))
        if known is None:
            known = self._known[key, text] = strip_invisible(redact_field(key, text))
        return known
