"""A secret pasted into any place of the file, or coming from any variable, is never repeated in an error."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.errors import ConfigError, Place
from config.loader import loads

HERE = Path(__file__).parent
CANARY = "canary-5f1c"
ENVIRON = {"ASSENT_TOKEN": "0123456789abcdef0123", "CANARY": CANARY, "ASSENT_PUBLIC_KEY": CANARY}
BADLY_QUOTED = r"""
*C|&C|!C|!!C x|@C|%C|`C|"C|"\qC"|'C|[C|{C|{C}|a: C|- C|>C|? C|{password:C}|{x: C}|C: C|<<: C|"C" C|#C|!!int C
"""


def leaves(value: Any, place: Place = ()) -> Iterator[Place]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*place, key))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from leaves(item, (*place, index))
    else:
        yield place


def replaced(value: Any, place: Place, new: Any) -> Any:
    if not place:
        return new
    if isinstance(value, dict):
        return {**value, place[0]: replaced(value[place[0]], place[1:], new)}
    return [replaced(item, place[1:], new) if index == place[0] else item for index, item in enumerate(value)]


def said_of(data: Any) -> str:
    try:
        loads(yaml.safe_dump(data, allow_unicode=True), ENVIRON, base=HERE / "good", known_actions={"a.b"})
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("given", ["${CANARY}", "a${CANARY} "])
def test_a_variable_is_named_and_its_value_is_not(given: str) -> None:
    data = yaml.safe_load((HERE / "good" / "everything.yaml").read_text())
    places = list(leaves(data))
    assert len(places) > 120
    before = said_of(data)
    refusals = 0
    for place in places:
        said = said_of(replaced(data, place, given))
        refusals += said not in ("", before)
        # A file's name is shown so that one can look for it.
        shown = said.replace(f"/{CANARY} ", "").replace(f"/a{CANARY} ", "")
        assert CANARY not in shown, place
    assert refusals > 40


@pytest.mark.parametrize("given", [text.replace("C", CANARY) for text in BADLY_QUOTED.strip().split("|")])
def test_a_secret_that_is_not_quoted_right_is_not_repeated(given: str) -> None:
    flow = (HERE / "good" / "smallest.yaml").read_text().replace("unauthenticated: true", f"bearer: {given}")
    block = f"""
version: 1
data_dir: data
sources:
  - name: a
    kind: generic
    auth:
      bearer: {given}
"""
    for file in (block, flow):
        with pytest.raises(ConfigError) as caught:
            loads(file, {}, base=HERE)
        assert CANARY not in str(caught.value)
