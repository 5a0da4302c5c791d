"""How an API server writes its answers, and how broken ones do."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

Object = dict[str, Any]
Fault = Callable[[web.Request], Awaitable[web.StreamResponse]]
_FIELDS = {
    "pods": ("spec.nodeName", "status.phase", "spec.restartPolicy"),
    "events": ("involvedObject.kind", "involvedObject.name", "reason", "type"),
    "secrets": ("type",),
}


@dataclass(frozen=True, slots=True)
class Served:
    """One resource of one group version."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


def status(code: int, reason: str, message: str, details: Object | None = None) -> web.Response:
    """A Status as the API server writes it."""
    body: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    body |= {"message": message, "reason": reason, "code": code}
    return web.json_response(body if details is None else body | {"details": details}, status=code)


def not_found() -> web.Response:
    """What is no API at all is answered in plain text."""
    return web.Response(status=404, text="404 page not found\n", content_type="text/plain")


def answering(body: Any, code: int = 200, content_type: str = "application/json") -> Fault:
    """The same answer to everything."""

    async def fault(request: web.Request) -> web.StreamResponse:
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(text=text, status=code, content_type=content_type)

    return fault


async def hanging(request: web.Request) -> web.StreamResponse:
    """Takes the request and never answers."""
    await asyncio.Event().wait()
    raise AssertionError


async def dropping(request: web.Request) -> web.StreamResponse:
    """Closes the connection in the middle of the answer."""
    response = web.StreamResponse(headers={"Content-Length": "100000", "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"kind":"PodList","items":[')
    assert request.transport is not None
    request.transport.close()
    return response


def expired(start: str) -> web.Response:
    message = (
        "The provided continue parameter is too old to display a consistent list result. You can start a new "
        "list without the continue parameter, or use the continue token in this response to retrieve the "
        "remainder of the results. Continuing with the provided token results in an inconsistent list - "
        "objects that were created, modified, or deleted between the time the first chunk was returned and "
        "now may show up in the list."
    )
    body = json.loads(str(status(410, "Expired", message).text))
    body["metadata"] = {"continue": token_of(-1, start)}
    return web.json_response(body, status=410)


def token_of(revision: int, start: str) -> str:
    position = {"v": "meta.k8s.io/v1", "rv": revision, "start": start}
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode()


def selected(found: Object, plural: str, query: Mapping[str, str]) -> bool:
    for part in filter(None, query.get("fieldSelector", "").split(",")):
        path, _, value = part.partition("=")
        if path not in ("metadata.name", "metadata.namespace", *_FIELDS.get(plural, ())):
            raise ValueError(f"field label not supported: {path}")
        here: Any = found
        for step in path.split("."):
            here = here.get(step, {}) if isinstance(here, dict) else {}
        if here != value.lstrip("="):
            return False
    labels = found["metadata"].get("labels", {})
    for part in filter(None, query.get("labelSelector", "").split(",")):
        key, _, value = part.partition("=")
        if labels.get(key) != value.lstrip("="):
            return False
    return True


def printed(request: web.Request, served: Served, items: list[Object], metadata: Object) -> Object:
    """Lists of built-in kinds do not repeat the kind on each item; those of custom resources do."""
    if "as=PartialObjectMetadataList" in request.headers.get("Accept", ""):
        partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
        return {
            "kind": "PartialObjectMetadataList",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": metadata,
            "items": [{**partial, "metadata": one["metadata"]} for one in items],
        }
    custom = "." in served.group and not served.group.endswith(".k8s.io")
    bare = [
        one if custom else {k: v for k, v in one.items() if k not in ("kind", "apiVersion")} for one in items
    ]
    return {
        "kind": f"{served.kind}List",
        "apiVersion": served.api_version,
        "metadata": metadata,
        "items": bare,
    }
