"""What is handed on of a result is small, whatever a server sends."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from adapters.evidence.mcp.shrink import MAX_PARTS, shrunk

scalars = st.one_of(st.none(), st.booleans(), st.integers(0, 9), st.sampled_from(["", "a"]))
keys = st.sampled_from(["type", "text", "data", "resource", "uri", "annotations", "name", "inputSchema"])
blocks = st.dictionaries(keys, scalars | st.dictionaries(keys, scalars, max_size=3), max_size=4)
lists = scalars | st.lists(scalars | blocks, max_size=3)


@given(st.dictionaries(st.sampled_from(["content", "tools", "_meta", "isError"]), lists, max_size=3))
def test_any_result_is_shrunk_without_an_error(result: dict[str, Any]) -> None:
    small = shrunk(result)
    assert "_meta" not in small
    assert shrunk(small) == small
    for block in small["content"] if isinstance(small.get("content"), list) else []:
        assert block is None or all(isinstance(value, str | dict) for value in block.values())


def test_many_parts_become_few_and_say_so() -> None:
    small = shrunk(
        {"content": [{"type": "text", "text": "a", "annotations": {"audience": [1] * 9}}] * 100_000}
    )
    assert len(small["content"]) == MAX_PARTS + 1
    assert small["content"][0] == {"type": "text", "text": "a"}
    assert small["content"][-1]["text"] == "[99800 more parts]"
    assert len(shrunk({"tools": [{"name": "x"}] * 100_000})["tools"]) == 1_000


def test_what_is_read_of_a_tool_is_kept_as_it_is() -> None:
    tool = {
        "name": "look",
        "description": "Looks.",
        "inputSchema": {"type": "object"},
        "annotations": {"readOnlyHint": True, "destructiveHint": False},
    }
    more = {**tool, "outputSchema": {"pattern": "(a+)+$"}, "icons": [1], "_meta": {}}
    assert shrunk({"tools": [more]}) == {"tools": [tool]}
