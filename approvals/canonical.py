"""The exact bytes an approval is about: RFC 8785 canonical JSON and its SHA-256."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import rfc8785

from bot.domain.errors import InputError, IntegrityError
from bot.domain.ids import Digest, IncidentId
from bot.domain.proposal import Action, ParamValue, Target

ACTION_SCHEMA = "assent/action/v1"


def canonicalize(value: Any) -> bytes:
    """Return the RFC 8785 form of a JSON-able value.

    Raises InputError for what JSON or RFC 8785 cannot hold: other types, NaN, lone surrogates, integers
    beyond ±(2^53 - 1).
    """
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeError, RecursionError) as error:
        raise InputError(f"cannot be written as canonical JSON: {error}") from None


def digest(data: bytes) -> Digest:
    """SHA-256 as 64 lower-case hex digits."""
    return Digest(hashlib.sha256(data).hexdigest())


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundAction:
    """What canonical bytes say will be done: this action, for this incident, on this very target."""

    incident_id: IncidentId
    action: Action
    target_kind: str
    target_name: str
    target_uid: str


def action_bytes(incident_id: IncidentId, action: Action, target: Target) -> bytes:
    """Return the canonical bytes of one action on one target: what people approve and the gate runs."""
    return canonicalize(
        {
            "action": {"executor": action.executor, "name": action.name, "params": dict(action.params)},
            "incident": incident_id,
            "schema": ACTION_SCHEMA,
            "target": {"kind": target.kind, "name": target.name, "uid": target.uid},
        }
    )


def parse_action_bytes(data: bytes) -> BoundAction:
    """Inverse of :func:`action_bytes`.

    Raises IntegrityError unless ``data`` is exactly the canonical form of exactly this shape, so that two
    readers can never see two different actions in the same bytes.
    """
    document = strict_json(data, "action")
    if canonicalize(document) != data:
        raise IntegrityError("action: the bytes are not canonical JSON")
    top = members(document, {"action", "incident", "schema", "target"}, "action")
    if top["schema"] != ACTION_SCHEMA:
        raise IntegrityError(f"action: schema is not {ACTION_SCHEMA}")
    action = members(top["action"], {"executor", "name", "params"}, "action.action")
    target = members(top["target"], {"kind", "name", "uid"}, "action.target")
    params: dict[str, ParamValue] = {}
    for name, value in mapping(action["params"], "action.action.params").items():
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise IntegrityError(f"action.action.params.{name}: must be text or a whole number")
        params[name] = value
    return BoundAction(
        incident_id=IncidentId(text(top, "incident", "action")),
        action=Action(
            name=text(action, "name", "action.action"),
            executor=text(action, "executor", "action.action"),
            params=params,
        ),
        target_kind=text(target, "kind", "action.target"),
        target_name=text(target, "name", "action.target"),
        target_uid=text(target, "uid", "action.target"),
    )


def strict_json(data: bytes, where: str) -> Any:
    """Parse JSON, refusing duplicate names, NaN and bad UTF-8. Raises IntegrityError naming ``where``."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            raise ValueError("a name occurs twice in one object")
        return members

    def no_constant(name: str) -> Any:
        raise ValueError(f"{name} is not JSON")

    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=once, parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{where}: not valid JSON: {error}") from None


def mapping(value: Any, where: str) -> Mapping[str, Any]:
    """Return ``value`` as an object. Raises IntegrityError naming ``where``."""
    if not isinstance(value, dict):
        raise IntegrityError(f"{where}: must be an object")
    return value


def members(value: Any, names: set[str], where: str) -> Mapping[str, Any]:
    """Return an object that has exactly these members. Raises IntegrityError naming ``where``."""
    found = mapping(value, where)
    if set(found) != names:
        odd = ", ".join(sorted(set(found) ^ names))
        raise IntegrityError(f"{where}: missing or unknown: {odd}")
    return found


def text(value: Mapping[str, Any], name: str, where: str) -> str:
    """Return a text member. Raises IntegrityError naming ``where``."""
    found = value[name]
    if not isinstance(found, str):
        raise IntegrityError(f"{where}.{name}: must be text")
    return found


def integer(value: Mapping[str, Any], name: str, where: str) -> int:
    """Return a whole-number member. Raises IntegrityError naming ``where``."""
    found = value[name]
    if isinstance(found, bool) or not isinstance(found, int):
        raise IntegrityError(f"{where}.{name}: must be a whole number")
    return found
