"""A stand-in API server: the paths an investigation reads, with the answers and errors of the real one.

Holds the objects a test puts into it. Lists are paged with tokens that name a revision and a key, as etcd's
do: a page is of the moment of the first, until :meth:`compact` makes its token expire. RBAC denies what
:meth:`deny` says, in the real words. :meth:`misbehave` makes paths answer as broken servers and proxies do.
"""

from __future__ import annotations

import base64
import copy
import json
import re
import ssl
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from adapters.evidence.kubernetes.kinds import built_in
from tests.fakes.evidence import NOW
from tests.servers.kubernetes_replies import (
    Fault,
    Object,
    Served,
    expired,
    not_found,
    printed,
    selected,
    status,
    token_of,
)

_AGGREGATED = "g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
USER = "system:serviceaccount:assent:assent"


@dataclass(slots=True)
class KubernetesApi:
    """``token`` None lets everybody in. ``aggregated`` False is a server before 1.30."""

    token: str | None = None
    aggregated: bool = True
    now: datetime = NOW
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    _served: dict[tuple[str, str, str], Served] = field(default_factory=dict)
    _objects: dict[tuple[str, str, str, str], Object] = field(default_factory=dict)
    _logs: dict[tuple[str, str, str, bool], list[tuple[datetime, str]] | str] = field(default_factory=dict)
    _denied: set[tuple[str, str, str | None]] = field(default_factory=set)
    _faults: list[tuple[re.Pattern[str], Fault]] = field(default_factory=list)
    _stale: set[str] = field(default_factory=set)
    _revision: int = 1000
    _compacted: int = 0
    _history: dict[int, dict[tuple[str, str, str, str], Object]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for one in built_in().values():
            self.serve(one.group, one.version, one.kind, one.plural, namespaced=one.namespaced)

    def serve(self, group: str, version: str, kind: str, plural: str, *, namespaced: bool = True) -> None:
        """Install a CustomResourceDefinition, as it were."""
        self._served[group, version, plural] = Served(group, version, kind, plural, namespaced)

    def put(self, document: Mapping[str, Any]) -> Object:
        """Store an object, with the uid, times and revision a server gives it; returns it as stored."""
        found = copy.deepcopy(dict(document))
        served = self._of(found["apiVersion"], found["kind"])
        metadata = found.setdefault("metadata", {})
        self._revision += 1
        metadata.setdefault("uid", str(uuid.uuid5(uuid.NAMESPACE_OID, str(self._revision))))
        metadata.setdefault(
            "creationTimestamp", (self.now - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        )
        metadata["resourceVersion"] = str(self._revision)
        if served.namespaced:
            metadata.setdefault("namespace", "default")
        key = (served.group, served.plural, metadata.get("namespace", ""), metadata["name"])
        self._objects[key] = found
        return copy.deepcopy(found)

    def fill(self, documents: Iterable[Mapping[str, Any]]) -> None:
        for one in documents:
            self.put(one)

    def compact(self) -> None:
        """Forget every earlier revision, as etcd does after five minutes."""
        self._compacted = self._revision

    def log(
        self,
        namespace: str,
        pod: str,
        container: str,
        lines: list[tuple[datetime, str]] | str,
        *,
        previous: bool = False,
    ) -> None:
        """The log of one container; a text is what the kubelet answers instead of one."""
        self._logs[namespace, pod, container, previous] = lines

    def deny(self, verb: str, resource: str, namespace: str | None = None) -> None:
        """``resource`` as in RBAC, ``pods`` or ``deployments.apps``; None denies it everywhere."""
        self._denied.add((verb, resource, namespace))

    def misbehave(self, path: str, fault: Fault) -> None:
        """Requests whose path and query match are answered by ``fault``, the last given first."""
        self._faults.insert(0, (re.compile(path), fault))

    def stale(self, group: str) -> None:
        """An aggregated API whose server is down."""
        self._stale.add(group)

    def behave(self) -> None:
        self._faults.clear()

    @asynccontextmanager
    async def serving(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
        """The address it listens on."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        server = TestServer(app)
        await server.start_server(ssl=tls)
        try:
            yield str(server.make_url("/")).rstrip("/")
        finally:
            await server.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path, dict(request.query)))
        for pattern, fault in self._faults:
            if pattern.search(request.path_qs):
                return await fault(request)
        if self.token is not None and request.headers.get("Authorization") != f"Bearer {self.token}":
            return status(401, "Unauthorized", "Unauthorized")
        if request.method != "GET":
            return status(
                405, "MethodNotAllowed", "the server does not allow this method on the requested resource"
            )
        if request.path == "/version":
            return web.json_response({"major": "1", "minor": "33", "gitVersion": "v1.33.1"})
        parts = request.path.strip("/").split("/")
        if len(parts) <= (2 if parts[0] == "api" else 3) and parts[0] in ("api", "apis"):
            return self._discovery(request, parts)
        return self._resource(request)

    def _discovery(self, request: web.Request, parts: list[str]) -> web.Response:
        core = parts[0] == "api"
        groups = sorted({one.group for one in self._served.values() if one.group} | self._stale)
        if len(parts) == 1:
            accept = request.headers.get("Accept", "")
            if self.aggregated and _AGGREGATED in accept:
                return self._aggregated([""] if core else groups)
            if core:
                return web.json_response({"kind": "APIVersions", "versions": ["v1"]})
            return web.json_response(
                {"kind": "APIGroupList", "apiVersion": "v1", "groups": [self._group(one) for one in groups]}
            )
        group = "" if core else parts[1]
        if group in self._stale:
            return web.Response(status=503, text="service unavailable\n", content_type="text/plain")
        if group not in ("", *groups):
            return not_found()
        if len(parts) == 2 and not core:
            return web.json_response({"kind": "APIGroup", "apiVersion": "v1", **self._group(group)})
        found = [one for one in self._served.values() if (one.group, one.version) == (group, parts[-1])]
        if not found:
            return not_found()
        resources: list[Object] = []
        for one in found:
            entry = {"name": one.plural, "singularName": one.kind.lower(), "namespaced": one.namespaced}
            resources.append({**entry, "kind": one.kind, "verbs": ["delete", "get", "list", "watch"]})
            resources.append({**entry, "name": f"{one.plural}/status", "kind": one.kind, "verbs": ["get"]})
        return web.json_response(
            {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": found[0].api_version,
                "resources": resources,
            }
        )

    def _group(self, group: str) -> Object:
        versions = [one.version for one in self._served.values() if one.group == group] or ["v1"]
        listed = [{"groupVersion": f"{group}/{one}", "version": one} for one in dict.fromkeys(versions)]
        return {"name": group, "versions": listed, "preferredVersion": listed[0]}

    def _aggregated(self, groups: list[str]) -> web.Response:
        items = []
        for group in groups:
            versions: dict[str, Object] = {}
            for one in self._served.values():
                if one.group == group:
                    versions.setdefault(
                        one.version, {"version": one.version, "resources": [], "freshness": "Current"}
                    )
                    versions[one.version]["resources"].append(
                        {
                            "resource": one.plural,
                            "responseKind": {"group": "", "version": "", "kind": one.kind},
                            "scope": "Namespaced" if one.namespaced else "Cluster",
                            "singularResource": one.kind.lower(),
                            "verbs": ["delete", "get", "list", "watch"],
                        }
                    )
            if group in self._stale:
                versions["v1"] = {"version": "v1", "freshness": "Stale"}
            items.append({"metadata": {"name": group}, "versions": list(versions.values())})
        body = {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}}
        said = f"application/json;{_AGGREGATED}"
        return web.Response(body=json.dumps({**body, "items": items}), headers={"Content-Type": said})

    def _resource(self, request: web.Request) -> web.Response:
        match request.path.strip("/").split("/"):
            case ["api", version, *rest]:
                group = ""
            case ["apis", group, version, *rest]:
                pass
            case _:
                return not_found()
        namespace = name = subresource = None
        match rest:
            case ["namespaces", namespace, plural, name, subresource]:
                pass
            case ["namespaces", namespace, plural, name]:
                pass
            case ["namespaces", namespace, plural]:
                pass
            case [plural, name]:
                pass
            case [plural]:
                pass
            case _:
                return not_found()
        served = self._served.get((group, version, plural))
        if served is None or ((namespace is not None) != served.namespaced and name is not None):
            return not_found()
        verb = "list" if name is None else "get"
        if refused := self._authorize(verb, served, namespace, name, subresource):
            return refused
        if name is None:
            return self._list(request, served, namespace)
        found = self._objects.get((group, plural, namespace or "", name))
        if found is None:
            where = f"{plural}.{group}" if group else plural
            details = {"name": name, "kind": plural, **({"group": group} if group else {})}
            return status(404, "NotFound", f'{where} "{name}" not found', details)
        if subresource is None:
            return web.json_response(found)
        if (plural, subresource) == ("pods", "log"):
            return self._pod_log(request, found)
        return not_found()

    def _authorize(
        self, verb: str, served: Served, namespace: str | None, name: str | None, subresource: str | None
    ) -> web.Response | None:
        resource = served.plural if subresource is None else f"{served.plural}/{subresource}"
        rule = f"{resource}.{served.group}" if served.group else resource
        if (verb, rule, None) not in self._denied and (verb, rule, namespace) not in self._denied:
            return None
        where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
        full = f"{served.plural}.{served.group}" if served.group else served.plural
        what = full if name is None else f'{full} "{name}"'
        message = (
            f'{what} is forbidden: User "{USER}" cannot {verb} resource "{resource}" in API group '
            f'"{served.group}" {where}'
        )
        return status(403, "Forbidden", message, {"kind": served.plural, "name": name or ""})

    def _list(self, request: web.Request, served: Served, namespace: str | None) -> web.Response:
        query = request.query
        revision, start = self._revision, ""
        if token := query.get("continue"):
            try:
                position = json.loads(base64.urlsafe_b64decode(token))
            except ValueError:
                return status(400, "BadRequest", "continue key is not valid: illegal base64 data")
            revision, start = position["rv"], position["start"]
            if revision == -1:
                revision = self._revision
            elif revision < self._compacted:
                return expired(start)
        world = self._objects if revision == self._revision else self._history[revision]
        rows = [
            (f"{place}/{name}", found)
            for (group, plural, place, name), found in sorted(world.items())
            if (group, plural) == (served.group, served.plural) and namespace in (None, place)
        ]
        try:
            chosen = [row for row in rows if selected(row[1], served.plural, query)]
        except ValueError as error:
            return status(400, "BadRequest", str(error))
        chosen = [row for row in chosen if row[0] > start]
        limit = int(query.get("limit", "0"))
        page = chosen[:limit] if limit else chosen
        metadata: Object = {"resourceVersion": str(revision)}
        if len(page) < len(chosen):
            self._history.setdefault(revision, dict(world))
            metadata["continue"] = token_of(revision, page[-1][0])
            if "fieldSelector" not in query and "labelSelector" not in query:
                metadata["remainingItemCount"] = len(chosen) - len(page)
        return web.json_response(printed(request, served, [found for _, found in page], metadata))

    def _pod_log(self, request: web.Request, pod: Object) -> web.Response:
        query = request.query
        name = pod["metadata"]["name"]
        regular = [one["name"] for one in pod["spec"]["containers"]]
        initial = [one["name"] for one in pod["spec"].get("initContainers", [])]
        container = query.get("container")
        if container is None:
            if len(regular) > 1 or initial:
                choice = f"choose one of: [{' '.join(regular)}]"
                choice += f" or one of the init containers: [{' '.join(initial)}]" if initial else ""
                text = f"a container name must be specified for pod {name}, {choice}"
                return status(400, "BadRequest", text)
            container = regular[0]
        if container not in regular + initial:
            return status(400, "BadRequest", f"container {container} is not valid for pod {name}")
        if "nodeName" not in pod["spec"]:
            return status(400, "BadRequest", f"pod {name} does not have a host assigned")
        previous = query.get("previous") == "true"
        log = self._logs.get((pod["metadata"]["namespace"], name, container, previous))
        if log is None:
            if previous:
                text = f'previous terminated container "{container}" in pod "{name}" not found'
            else:
                text = f'container "{container}" in pod "{name}" is waiting to start: ContainerCreating'
            return status(400, "BadRequest", text)
        if isinstance(log, str):
            return web.Response(text=log, content_type="text/plain")
        return web.Response(text=self._lines(log, query), content_type="text/plain")

    def _lines(self, log: list[tuple[datetime, str]], query: Mapping[str, str]) -> str:
        if since := query.get("sinceSeconds"):
            log = [one for one in log if one[0] >= self.now - timedelta(seconds=int(since))]
        if tail := query.get("tailLines"):
            log = log[-int(tail) :]
        lines = [
            (f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond:06d}123Z " if query.get("timestamps") == "true" else "")
            + text
            + "\n"
            for at, text in log
        ]
        whole = "".join(lines).encode()
        return whole[: int(query["limitBytes"])].decode() if "limitBytes" in query else whole.decode()

    def _of(self, api_version: str, kind: str) -> Served:
        for one in self._served.values():
            if (one.api_version, one.kind) == (api_version, kind):
                return one
        raise KeyError(f"{api_version} {kind} is not served")
