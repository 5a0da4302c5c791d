"""Servers of the Model Context Protocol whose tools a model may read with."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from config.auth import HttpAuth
from config.types import Duration, Secret, Section, Text, Token, Url

_SERVER = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,31}")
_TOOL = re.compile(r"[!-~]{1,128}")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_HASH = re.compile(r"[0-9a-f]{64}")
_OWN_HEADERS = frozenset(
    {
        "accept",
        "accept-encoding",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "host",
        "transfer-encoding",
    }
)


def _server(value: str) -> str:
    if _SERVER.fullmatch(value) is None:
        raise ValueError(
            "not a name of a server; use letters, digits and '-', at most 32: its tools are called name__tool"
        )
    return value


def _tool(value: str) -> str:
    if _TOOL.fullmatch(value) is None:
        raise ValueError("not a name of a tool; write it as the server does, no spaces, at most 128")
    return value


def _header(value: str) -> str:
    if _HEADER.fullmatch(value) is None:
        raise ValueError("not a name of a header; write for example X-Scope-OrgID")
    if value.lower() in _OWN_HEADERS or value.lower().startswith("mcp-"):
        raise ValueError("is set by Assent itself; remove it, and log in with auth:")
    return value


def _variable(value: str) -> str:
    if _VARIABLE.fullmatch(value) is None:
        raise ValueError("not a name of a variable; write for example GRAFANA_URL")
    return value


def _hash(value: str) -> str:
    if _HASH.fullmatch(value) is None:
        raise ValueError("not a hash; copy the 64 characters that this prints: assent mcp pin")
    return value


class McpHeader(Section):
    """A header sent with every request."""

    name: Annotated[Text, AfterValidator(_header)] = Field(description="Its name.")
    value: Token = Field(description="Its value.")


class McpVariable(Section):
    """A variable in the environment of the command, which otherwise holds `PATH` and nothing else."""

    name: Annotated[Text, AfterValidator(_variable)] = Field(description="Its name.")
    value: Secret = Field(description="Its value.")


class McpTool(Section):
    """A tool that may be used. Its name alone will do."""

    name: Annotated[Text, AfterValidator(_tool)] = Field(description="What the server calls it.")
    allow_write_hint: bool = Field(
        default=False,
        description="Use it although the server says that it does not only read. Then a call that was cut "
        "off is not made again.",
    )

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class McpSource(Section):
    """A server of the Model Context Protocol. Only the tools named here are used, each only while it is as it
    was when it was pinned. See docs/mcp.md."""

    name: Annotated[Text, AfterValidator(_server)] = Field(description="How evidence and tools name it.")
    transport: Literal["http", "sse", "stdio"] = Field(
        description="Streamable HTTP, the older HTTP with server-sent events, or a command."
    )
    url: Url | None = Field(default=None, description="Address of its endpoint, for `http` and `sse`.")
    auth: HttpAuth = Field(default=HttpAuth(), description="How to log in, for `http` and `sse`.")
    headers: tuple[McpHeader, ...] = Field(default=(), description="Further headers, for `http` and `sse`.")
    command: Text | None = Field(default=None, description="Program, for `stdio`: a path, or sought in PATH.")
    args: tuple[str, ...] = Field(
        default=(), description="Its arguments. Other users of the machine can see them: no secrets."
    )
    env: tuple[McpVariable, ...] = Field(default=(), description="Its environment.")
    tools: tuple[McpTool, ...] = Field(default=(), description="Tools that may be used.")
    pins: dict[str, Annotated[str, AfterValidator(_hash)]] = Field(
        default_factory=dict, description="Hashes of the tools by name, instead of `pins_file`."
    )
    pins_file: Path | None = Field(
        default=None,
        description="Where `assent mcp pin` keeps what was accepted; unset: `mcp-pins.json` in `data_dir`.",
    )
    timeout: Duration = Field(default=timedelta(seconds=20), description="For one call, or to connect.")

    @model_validator(mode="after")
    def _fits_the_transport(self) -> McpSource:
        if self.transport == "stdio":
            if self.command is None:
                raise ValueError("has no command, which stdio needs; add command:")
            if self.url is not None or self.headers or self.auth != HttpAuth():
                raise ValueError("has url, auth or headers, which stdio has no use for; remove them")
        else:
            if self.url is None:
                raise ValueError(f"has no url, which {self.transport} needs; add url:")
            if self.command is not None or self.args or self.env:
                raise ValueError(
                    f"has command, args or env, which {self.transport} has no use for; remove them"
                )
        if not self.tools:
            raise ValueError("allows no tool, so it has no use; list some with tools:")
        names = [tool.name for tool in self.tools]
        if len(set(names)) < len(names):
            raise ValueError("lists a tool twice; keep one")
        if not self.pins.keys() <= set(names):
            raise ValueError("has a pin of a tool that it does not list; add the tool, or remove the pin")
        if self.pins and self.pins_file is not None:
            raise ValueError("has two places of pins; keep pins or pins_file")
        return self
