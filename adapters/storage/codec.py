"""Nouns to JSON text and back, through pydantic; bytes fields never enter the JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import GenericAlias
from typing import Any, TypeVar, get_args

import orjson
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import from_json

from approvals.model import ApprovalRequest, Review
from bot.domain.chat import Inbound
from bot.domain.errors import IntegrityError
from bot.domain.proposal import Proposal

_Noun = TypeVar("_Noun")

_CONFIG = ConfigDict(ser_json_inf_nan="constants")
"""Metrics hold NaN and infinities, and they must come back as such."""

_BYTES_FIELDS: dict[type[Any], frozenset[str]] = {
    Proposal: frozenset({"canonical_bytes"}),
    ApprovalRequest: frozenset({"envelope"}),
    Review: frozenset({"envelope"}),
}


class Codec:
    """Builds each type's adapter when it is first needed: building all of them would delay the start."""

    def __init__(self) -> None:
        self._adapters: dict[type[Any], TypeAdapter[Any]] = {}
        self._inbound: dict[str, type[Any]] = {kind.__name__: kind for kind in get_args(Inbound)}

    def _adapter(self, noun: Any) -> TypeAdapter[Any]:
        adapter = self._adapters.get(noun)
        if adapter is None:
            # Inside a tuple because pydantic takes no configuration for a bare dataclass.
            wrapped: Any = GenericAlias(tuple, (noun,))
            adapter = self._adapters[noun] = TypeAdapter(wrapped, config=_CONFIG)
        return adapter

    def encode(self, noun: Any) -> str:
        """JSON text. Raises ValueError for text that is not Unicode (lone surrogates)."""
        kind = type(noun)
        excluded = _BYTES_FIELDS.get(kind)
        adapter = self._adapter(kind)
        if excluded is None:
            return adapter.dump_json((noun,))[1:-1].decode()
        return adapter.dump_json((noun,), exclude={0: set(excluded)})[1:-1].decode()

    def decode(self, noun: type[_Noun], body: str, **raw: bytes) -> _Noun:
        """The noun again; ``raw`` are its bytes fields. Raises IntegrityError when the row holds none."""
        try:
            if raw:
                return self._adapter(noun).validate_python(({**from_json(body), **raw},))[0]  # type: ignore[no-any-return]
            return self._adapter(noun).validate_json(f"[{body}]")[0]  # type: ignore[no-any-return]
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"][1:])
            raise IntegrityError(
                f"a stored {noun.__name__} cannot be read: {where}: {first['msg']}"
            ) from None

    def sorted_json(self, mapping: Mapping[str, str]) -> str:
        """One text for equal mappings, whatever their order."""
        return orjson.dumps(dict(mapping), option=orjson.OPT_SORT_KEYS).decode()

    def json_list(self, values: Sequence[str]) -> str:
        return orjson.dumps(list(values)).decode()

    def encode_inbound(self, event: Inbound) -> tuple[str, str]:
        """Kind and body."""
        return type(event).__name__, self.encode(event)

    def decode_inbound(self, kind: str, body: str) -> Inbound:
        noun = self._inbound.get(kind)
        if noun is None:
            raise IntegrityError(f"the inbox holds an event of unknown kind {kind!r}")
        event: Inbound = self.decode(noun, body)
        return event
