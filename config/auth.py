"""How Assent proves itself to a server."""

from __future__ import annotations

from pydantic import Field

from config.alerts import Basic
from config.types import Section, Token


class HttpAuth(Section):
    """How Assent proves itself to a server; nothing for a server that does not ask."""

    bearer: Token | None = Field(default=None, description="Token for `Authorization: Bearer`.")
    basic: Basic | None = Field(default=None, description="HTTP basic authentication.")
