"""Arguments that a model wrote, against a schema that a stranger wrote: neither may cost us anything.

Expressions (``pattern``) are left to the server: one that takes for ever would stop the whole program. So is
``format``. References lead nowhere but into the schema itself, and the number of them is bounded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from adapters.evidence.mcp.listing import MAX_DEPTH, MAX_DESCRIPTION, MAX_SCHEMA
from adapters.evidence.mcp.words import Refused
from bot.domain.redaction import strip_invisible

MAX_ARGUMENTS = 8_000
"""Characters of the arguments as JSON."""
_UNCHECKED = ("$dynamicRef", "$recursiveRef", "patternProperties")
_REFERENCES = 5_000
"""References that one check may follow."""


def schema_flaw(schema: Mapping[str, Any]) -> str | None:
    """Why a schema is not taken, None where it is."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for

    try:
        text = json.dumps(schema, ensure_ascii=False, allow_nan=False)
        if len(text) > MAX_SCHEMA:
            return f"its schema is longer than {MAX_SCHEMA} characters"
        if (reason := _odd(schema, 0)) is not None:
            return reason
        if schema.get("type") != "object":
            return "its schema does not describe an object"
        validator_for(schema, default=Draft202012Validator).check_schema(dict(schema))
    except SchemaError as error:
        return f"its schema is none: {'/'.join(str(part) for part in error.path)[:100] or 'at the top'}"
    except (ValueError, TypeError, RecursionError):
        return "its schema is none"
    return None


def _odd(value: Any, depth: int) -> str | None:
    if depth > MAX_DEPTH:
        return f"its schema is deeper than {MAX_DEPTH}"
    if isinstance(value, list):
        return next((reason for item in value if (reason := _odd(item, depth + 1)) is not None), None)
    if isinstance(value, str) and len(value) > MAX_DESCRIPTION:
        return f"its schema has a text longer than {MAX_DESCRIPTION} characters"
    if not isinstance(value, dict):
        return None
    for key, item in value.items():
        if key != strip_invisible(key):
            return "its schema has a name with characters that are not seen"
        if key in _UNCHECKED or (key == "$id" and depth):
            return f"its schema uses {key}, which is not checked here"
        if key == "$ref" and isinstance(item, str) and not item.startswith("#"):
            return "its schema refers to another one, which is not fetched"
        if (reason := _odd(item, depth + 1)) is not None:
            return reason
    return None


def as_json(arguments: Mapping[str, Any]) -> str:
    """The arguments on one line. Raises Refused."""
    try:
        text = json.dumps(dict(arguments), ensure_ascii=False, allow_nan=False, sort_keys=True)
        text.encode()
    except (ValueError, TypeError, RecursionError):
        raise Refused("the arguments are not JSON") from None
    if len(text) > MAX_ARGUMENTS:
        raise Refused(f"the arguments are longer than {MAX_ARGUMENTS} characters")
    return text


def check(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Raises Refused where the arguments are not what the schema asks for; the text names the first place."""
    from jsonschema.exceptions import ValidationError, best_match
    from referencing.exceptions import Unresolvable

    try:
        error = best_match(_bounded(schema).iter_errors(dict(arguments)))
    except (Unresolvable, RecursionError, _TooMany):
        raise Refused("the tool's schema cannot be checked against") from None
    if isinstance(error, ValidationError):
        place = "/".join(str(part) for part in error.absolute_path) or "arguments"
        raise Refused(f"the arguments do not fit: {place}: {error.message}")


class _TooMany(Exception):
    """More references than one check may follow."""


def _bounded(schema: Mapping[str, Any]) -> Any:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend, validator_for
    from referencing import Registry

    left = _REFERENCES
    draft = validator_for(schema, default=Draft202012Validator)
    follow = draft.VALIDATORS["$ref"]

    def counted(validator: Any, reference: Any, instance: Any, within: Any) -> Iterator[Any]:
        nonlocal left
        left -= 1
        if left < 0:
            raise _TooMany
        yield from follow(validator, reference, instance, within) or ()

    def accepted(_validator: Any, _value: Any, _instance: Any, _within: Any) -> Iterator[Any]:
        yield from ()

    kind: Any = extend(  # type: ignore[no-untyped-call]  # the library left it without annotations
        draft, {"$ref": counted, "pattern": accepted}
    )
    # A registry of its own: the default one fetches what a schema refers to.
    return kind(dict(schema), registry=Registry())
