"""Routes that are shipped, to be used by name in ``route_packs``."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from pydantic import TypeAdapter

from config.alerts import RouteRule
from config.document import Document


def pack_routes(names: Sequence[str]) -> tuple[RouteRule, ...]:
    """Return the routes of these packs, in order."""
    return tuple(rule for name in names for rule in _read(name))


def _read(name: str) -> tuple[RouteRule, ...]:
    file = f"routes/{name}.yaml"
    document = Document((files("config") / file).read_text(encoding="utf-8"), file)
    routes: tuple[RouteRule, ...] = TypeAdapter(tuple[RouteRule, ...]).validate_python(document.data)
    return routes
