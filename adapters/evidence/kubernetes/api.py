"""Lists and single objects, page by page, within a budget. Read-only: nothing but GET leaves here."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from adapters.evidence.kubernetes.connection import Connection, Raw
from adapters.evidence.kubernetes.reduce import Memo, reduced
from adapters.evidence.kubernetes.refused import Asked, Expired, Refused, kind_of, refusal

PAGE = 500
JSON = "application/json"
METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""Only metadata crosses the wire: no value of a ConfigMap does."""
_PARSE_IN_THREAD = 64 * 1024
_EMPTY_PAGES = 20
_PATIENCE = 2
"""How often a request is made again that the server was too busy for and asked us to repeat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One kind the server serves. ``plural`` is the last part of its path."""

    kind: str
    group: str
    version: str
    plural: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def typed(self) -> str:
        """What kubectl calls it without ambiguity."""
        return f"{self.plural}.{self.group}" if "." in self.group else self.plural

    def path(self, namespace: str | None) -> str:
        base = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        where = f"/namespaces/{namespace}" if namespace is not None and self.namespaced else ""
        return f"{base}{where}/{self.plural}"

    def asked(self, verb: str, namespace: str | None) -> Asked:
        return Asked(
            verb=verb,
            resource=self.plural,
            group=self.group,
            namespace=namespace if self.namespaced else None,
        )


class Budget:
    """What one question may still cost: seconds, objects, bytes. Shared by all its requests."""

    def __init__(self, *, seconds: float, objects: int, size: int) -> None:
        self._deadline = asyncio.get_running_loop().time() + seconds
        self._seconds = seconds
        self.objects = objects
        self.size = size

    @property
    def seconds(self) -> float:
        return self._deadline - asyncio.get_running_loop().time()

    @property
    def spent(self) -> str | None:
        """What is used up, in words."""
        if self.seconds <= 0:
            return f"the budget of {self._seconds:g} s"
        if self.objects <= 0:
            return "the limit of objects"
        return "the limit of bytes" if self.size <= 0 else None


@dataclass(slots=True, kw_only=True)
class Listed:
    """Objects of a list, and why they are not all where they are not."""

    items: list[dict[str, Any]] = field(default_factory=list)
    cut: str | None = None


class Api:
    """The API of one cluster, as far as an investigation reads it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def document(self, path: str, asked: Asked, budget: Budget, *, accept: str = JSON) -> Any:
        """A JSON document as it is (discovery, version). Raises Refused."""
        return await self._json(path, (), asked, budget, accept)

    async def text(self, path: str, params: Sequence[tuple[str, str]], asked: Asked, budget: Budget) -> Raw:
        """A plain text, such as a log. Raises Refused."""
        raw = await self._spend(path, params, budget, "*/*")
        if raw.status != 200:
            raise refusal(raw.status, raw.content_type, _parsed(raw.body), asked)
        return raw

    async def one(
        self, resource: Resource, namespace: str | None, name: str, budget: Budget
    ) -> dict[str, Any] | None:
        """One object by name; None when there is no such one. Raises Refused."""
        asked = resource.asked("get", namespace)
        try:
            found = await self._json(f"{resource.path(namespace)}/{name}", (), asked, budget, JSON, resource)
        except Refused as error:
            if error.status == 404 and error.code == "NotFound":
                return None
            raise
        if not isinstance(found, dict) or found.get("kind") != resource.kind or "metadata" not in found:
            raise Refused(f"answered with {kind_of(found)} instead of one {resource.kind}")
        return found

    async def list(
        self,
        resource: Resource,
        namespace: str | None,
        budget: Budget,
        *,
        name: str | None = None,
        accept: str = JSON,
        managers: bool = False,
    ) -> Listed:
        """Every object of a kind in one namespace or all, as far as the budget goes. Raises Refused when
        not even the first page came."""
        asked = resource.asked("list", namespace)
        selector = [] if name is None else [("fieldSelector", f"metadata.name={name}")]
        result = Listed()
        token = ""
        pages = empty = 0
        while True:
            if pages and (spent := budget.spent):
                result.cut = f"{len(result.items)} {resource.plural} read, then {spent} was used up"
                return result
            limit = max(1, min(PAGE, budget.objects))
            params = [("limit", str(limit)), *selector]
            if token:
                params.append(("continue", token))
            try:
                page = await self._json(
                    resource.path(namespace), params, asked, budget, accept, resource, managers=managers
                )
                items, token, remaining = _page(page, resource)
            except Expired as error:
                if not pages:
                    raise
                if not error.token or empty >= _EMPTY_PAGES:
                    result.cut = f"{len(result.items)} {resource.plural} read, then the list expired"
                    return result
                # The rest is of a later moment than the beginning; a person would take it as well.
                token, empty = error.token, empty + 1
                result.cut = f"{resource.plural} changed while they were read; some may be missing"
                continue
            except Refused as error:
                if not pages:
                    raise
                result.cut = f"{len(result.items)} {resource.plural} read, then it {_then(error)}"
                return result
            pages += 1
            empty = empty + 1 if not items else empty
            _merge(result, items)
            budget.objects -= len(items)
            if not token:
                return result
            if empty >= _EMPTY_PAGES:
                result.cut = f"{len(result.items)} {resource.plural} read, then only empty pages came"
                return result
            if budget.objects <= 0:
                more = f"; {remaining} more" if remaining else ""
                result.cut = f"only {len(result.items)} {resource.plural} read{more}"
                return result

    async def _json(
        self,
        path: str,
        params: Sequence[tuple[str, str]],
        asked: Asked,
        budget: Budget,
        accept: str,
        resource: Resource | None = None,
        *,
        managers: bool = False,
    ) -> Any:
        raw = await self._spend(path, params, budget, accept)
        if raw.cut and raw.status == 200:
            raise Refused(f"the answer about {asked.words} is larger than the limit of bytes")
        if len(raw.body) > _PARSE_IN_THREAD:
            return await asyncio.to_thread(_read, raw, asked, resource, managers)
        return _read(raw, asked, resource, managers)

    async def _spend(self, path: str, params: Sequence[tuple[str, str]], budget: Budget, accept: str) -> Raw:
        for patience in range(_PATIENCE, -1, -1):
            if spent := budget.spent:
                raise Refused(f"not asked: {spent} was used up")
            raw = await self._connection.get(
                path, params, accept=accept, max_bytes=budget.size, seconds=budget.seconds
            )
            budget.size -= len(raw.body)
            wait = raw.retry_after
            if raw.status != 429 or wait is None or not patience or wait >= budget.seconds:
                break
            await asyncio.sleep(wait)
        return raw


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _read(raw: Raw, asked: Asked, resource: Resource | None, managers: bool) -> Any:
    document = _parsed(raw.body)
    if not 200 <= raw.status < 300:
        raise refusal(raw.status, raw.content_type, document, asked)
    if document is None:
        what = "broken JSON" if raw.content_type == "application/json" else raw.content_type or "something"
        raise Refused(f"answered {raw.status} with {what} that is not the Kubernetes API")
    if resource is None or not isinstance(document, dict):
        return document
    return _without_secrets(document, resource, managers)


def _without_secrets(document: dict[str, Any], resource: Resource, managers: bool) -> dict[str, Any]:
    """A list or an object of a resource, each object with kind and apiVersion."""
    memo = Memo()
    head = {"apiVersion": resource.api_version, "kind": resource.kind}
    items = document.get("items")
    if isinstance(items, list):
        # The items of a list carry neither; said first, so that a Secret is known for what it is.
        document["items"] = [
            reduced({**one, **head}, memo, managers=managers) if isinstance(one, dict) else None
            for one in items
        ]
        return document
    if "items" in document or document.get("kind") != resource.kind:
        return {key: document[key] for key in ("kind", "metadata", "items") if key in document}
    found: dict[str, Any] = reduced({**document, **head}, memo, managers=managers)
    return found


def _page(page: Any, resource: Resource) -> tuple[list[dict[str, Any]], str, int]:
    """Items, continue token and how many remain. Raises Refused for what is no list."""
    items = page.get("items") if isinstance(page, Mapping) else None
    if not isinstance(page, Mapping) or "items" not in page or not isinstance(items, list | None):
        raise Refused(f"answered with {kind_of(page)} instead of a list of {resource.plural}")
    metadata = page.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    remaining = metadata.get("remainingItemCount")
    whole = [one for one in items or () if isinstance(one, dict) and isinstance(one.get("metadata"), dict)]
    if len(whole) != len(items or ()):
        raise Refused(f"answered with a list of {resource.plural} that are no objects")
    return whole, str(metadata.get("continue") or ""), remaining if isinstance(remaining, int) else 0


def _merge(result: Listed, items: Sequence[dict[str, Any]]) -> None:
    """An object that moved between two pages of an inconsistent list comes twice."""
    known = {one["metadata"].get("uid") for one in result.items} if result.cut else set()
    result.items += [one for one in items if one["metadata"].get("uid") not in known or not known]


def _then(error: Refused) -> str:
    text = str(error)
    return text if text.startswith(("answered", "may not", "does not")) else f"failed: {text}"
