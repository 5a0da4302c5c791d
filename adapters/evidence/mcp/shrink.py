"""What is handed on of a message: what we read, and no more of it.

The library checks every message against its models, at some two seconds for a mebibyte of tiny parts, and
makes an error of each that is wrong. So what is not looked at anyway goes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.evidence.mcp.listing import MAX_TOOLS

MAX_PARTS = 200
"""Parts of one result that are looked at."""
_BLOCK = ("type", "text", "mimeType", "uri", "name")
_RESOURCE = ("uri", "text", "mimeType")
_TOOL = ("name", "description", "inputSchema")
_HINTS = ("readOnlyHint", "destructiveHint")


def shrunk(result: Mapping[str, Any]) -> dict[str, Any]:
    """The result of a request, whatever was asked."""
    small = dict(result)
    if isinstance(content := result.get("content"), list):
        small["content"] = [_block(block) for block in content[:MAX_PARTS]]
        if len(content) > MAX_PARTS:
            small["content"].append({"type": "text", "text": f"[{len(content) - MAX_PARTS} more parts]"})
    if isinstance(tools := result.get("tools"), list):
        small["tools"] = [_tool(tool) for tool in tools[:MAX_TOOLS]]
    small.pop("_meta", None)
    return small


def _block(block: Any) -> Any:
    if not isinstance(block, dict):
        return None
    small = {key: block[key] for key in _BLOCK if isinstance(block.get(key), str)}
    if "data" in block:
        # An image or a sound is named, not looked at.
        small["data"] = ""
    if isinstance(resource := block.get("resource"), dict):
        kept = {key: resource[key] for key in _RESOURCE if isinstance(resource.get(key), str)}
        small["resource"] = kept if "text" in kept else {**kept, "blob": ""}
    return small


def _tool(tool: Any) -> Any:
    if not isinstance(tool, dict):
        return None
    small = {key: tool[key] for key in _TOOL if isinstance(tool.get(key), str | dict)}
    if isinstance(hints := tool.get("annotations"), dict):
        small["annotations"] = {key: hints[key] for key in _HINTS if isinstance(hints.get(key), bool)}
    return small
