"""The kubectl lines with which a person sees the same."""

from __future__ import annotations

import shlex

from adapters.evidence.kubernetes.api import Resource
from bot.domain.evidence import Window
from investigators.queries import ChangeQuery, GraphQuery, ObjectQuery, PodLogQuery


class Commands:
    """``context`` is the kubeconfig context of the cluster, if it has one."""

    def __init__(self, context: str | None, namespaces: tuple[str, ...]) -> None:
        self._head = ["kubectl"] if context is None else ["kubectl", "--context", context]
        self._everywhere = ["-n", namespaces[0]] if len(namespaces) == 1 else ["-A"]

    def line(self, *words: str) -> str:
        """Any words for kubectl, about this cluster."""
        return shlex.join([*self._head, *words])

    def objects(self, query: ObjectQuery, resource: Resource | None) -> str:
        """``resource`` None where it is not known yet; kubectl finds it by its kind."""
        what = query.object_kind.lower() if resource is None else resource.typed
        words = [*self._head, "get", what]
        if query.name is not None and (query.namespace is not None or not _namespaced(resource)):
            words.append(query.name)
        elif query.name is not None:
            words += ["--field-selector", f"metadata.name={query.name}"]
        if _namespaced(resource):
            words += ["-n", query.namespace] if query.namespace is not None else self._everywhere
        if query.object_kind == "Event":
            words.append("--sort-by=.lastTimestamp")
        elif query.object_kind not in ("Secret", "ConfigMap"):
            words += ["-o", "wide"]
        return shlex.join(words)

    def log(self, query: PodLogQuery, window: Window) -> str:
        words = [*self._head, "logs", "-n", query.namespace, query.pod]
        words += ["-c", query.container] if query.container is not None else ["--all-containers"]
        words += ["--timestamps", f"--tail={query.tail}"]
        if query.previous:
            words.append("--previous")
        else:
            start = window.start.replace(microsecond=0).isoformat().replace("+00:00", "Z")
            words.append(f"--since-time={start}")
        return shlex.join(words)

    def changes(self, query: ChangeQuery) -> str:
        words = [*self._head, "get", "replicasets,controllerrevisions", *self._everywhere]
        words += ["--sort-by=.metadata.creationTimestamp", "-o", "wide"]
        return shlex.join(words)

    def graph(self, query: GraphQuery) -> str:
        words = [*self._head, "get", "services,ingresses,deployments,statefulsets,daemonsets,pods"]
        return shlex.join([*words, *self._everywhere, "-o", "wide"])


def _namespaced(resource: Resource | None) -> bool:
    return resource is None or resource.namespaced
