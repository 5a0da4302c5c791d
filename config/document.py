"""YAML text to plain data that knows on which line each value stands.

The scalars are those of YAML 1.2's core schema: ``yes``, ``on`` and ``2026-12-24`` are text, ``010`` is ten.
"""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from config.errors import Place, Problem, show_place

MAX_VALUES = 50_000
"""Values in one file, aliases written out: a bound on what a few nested aliases can grow to."""

_CORE = "tag:yaml.org,2002:"


_CORE_SCHEMA = (
    (_CORE + "null", re.compile(r"(?:~|null|Null|NULL|)\Z")),
    (_CORE + "bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z")),
    (_CORE + "int", re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z")),
    (_CORE + "float", re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")),
)
"""https://yaml.org/spec/1.2.2/#103-core-schema, without infinity and not-a-number."""


class Document:
    """What a file says: ``data``, and the ``problems`` of its YAML. With problems, ``data`` is incomplete."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.refused: set[Place] = set()
        self.data: Any = None
        self._lines: dict[Place, int] = {(): 1}
        self._count = 0
        node = self._compose(text)
        if node is not None:
            self.data = self._value(node, (), frozenset())

    def line_of(self, place: Place) -> int:
        """The line of a value, or of the nearest section around it that the file holds."""
        while place not in self._lines:
            place = place[:-1]
        return self._lines[place]

    def holds(self, place: Place) -> bool:
        return place in self._lines

    def problem(self, place: Place, reason: str, remedy: str, *, line: int | None = None) -> Problem:
        return Problem(
            file=self.file,
            line=self.line_of(place) if line is None else line,
            path=show_place(place),
            reason=reason,
            remedy=remedy,
        )

    def _refuse(self, place: Place, line: int, reason: str, remedy: str) -> None:
        self.problems.append(self.problem(place, reason, remedy, line=line))
        self.refused.add(place)

    def _compose(self, text: str) -> Node | None:
        loader = None
        try:
            loader = yaml.SafeLoader(text)
            loader.yaml_implicit_resolvers = {None: list(_CORE_SCHEMA)}
            node = loader.get_single_node()
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            self._refuse((), line, f"character #x{error.character:04x} is not allowed in YAML", "remove it")
            return None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (1, 1) if mark is None else (mark.line + 1, mark.column + 1)
            reason, remedy = _syntax(error.problem or error.context or "")
            self._refuse((), line, f"not YAML, at column {column}: {reason}", remedy)
            return None
        except RecursionError:
            self._refuse((), 1, "nested too deeply", "the sections go four levels deep")
            return None
        finally:
            if loader is not None:
                loader.dispose()
        if node is None:
            self._refuse((), 1, "is empty", "write one with: assent init")
        return node

    def _value(self, node: Node, place: Place, above: frozenset[int]) -> Any:
        line = node.start_mark.line + 1
        self._lines.setdefault(place, line)
        self._count += 1
        if id(node) in above:
            self._refuse(place, line, "an alias that holds itself", "write the value out")
            return None
        if self._count > MAX_VALUES:
            if self._count == MAX_VALUES + 1:
                self._refuse(place, line, f"more than {MAX_VALUES} values", "write fewer, without aliases")
            return None
        if isinstance(node, ScalarNode):
            return self._scalar(node, place, line)
        if node.tag not in (_CORE + "map", _CORE + "seq"):
            self._refuse(place, line, "a section with a tag", "leave the tag away")
            return None
        within = above | {id(node)}
        if isinstance(node, SequenceNode):
            return [self._value(item, (*place, index), within) for index, item in enumerate(node.value)]
        if isinstance(node, MappingNode):
            return self._mapping(node, place, within)
        return None

    def _mapping(self, node: MappingNode, place: Place, within: frozenset[int]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = self._key(key_node, place, line)
            if key is None:
                continue
            here = (*place, key)
            if key in result:
                first = self._lines[here]
                self._refuse(here, line, f"stands twice (first on line {first})", "keep one of the two")
                continue
            self._lines[here] = line
            result[key] = self._value(value_node, here, within)
        return result

    def _key(self, node: Node, place: Place, line: int) -> str | None:
        if not isinstance(node, ScalarNode):
            self._refuse(place, line, "a key that is a list or a mapping", "write keys as plain text")
            return None
        text = str(node.value)
        stem, colon, _ = text.partition(":")
        if colon and node.style is None:
            # What stands behind the colon may be a secret.
            self._refuse((*place, stem), line, "no space behind the colon", f"write {stem}: and then a space")
            return None
        if text == "<<":
            self._refuse(place, line, "merge keys (<<) are not part of YAML 1.2", "repeat the keys here")
            return None
        return text

    def _scalar(self, node: ScalarNode, place: Place, line: int) -> Any:
        text = str(node.value)
        kind = node.tag.removeprefix(_CORE)
        try:
            match kind:
                case "str":
                    return text
                case "null":
                    return None
                case "bool":
                    return _BOOLS[text.lower()]
                case "int":
                    return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
                case "float":
                    return float(text)
        except (KeyError, ValueError):
            self._refuse(place, line, f"does not fit its tag !!{kind}", "leave the tag away")
            return None
        self._refuse(place, line, "begins with '!', which makes it a tag", "put the value in quotes")
        return None


_BOOLS = {"true": True, "false": False}


def _syntax(problem: str) -> tuple[str, str]:
    """Our words for the YAML library's: its own may quote the text, which may be a secret."""
    for pattern, reason, remedy in _SYNTAX:
        if re.search(pattern, problem):
            return reason, remedy
    return re.sub(r"'[^'<>]{2,}'", "…", problem) or "cannot be read", "mend the YAML there"


_SYNTAX = (
    ("undefined alias", "begins with '*', which makes it an alias of nothing", "put the value in quotes"),
    (
        r"character '\\t' that cannot",
        "indented with a tab",
        "indent with spaces, two for each level",
    ),
    (r"character '[@`]'", "begins with '@' or '`', which YAML keeps for itself", "put the value in quotes"),
    (r"character '%'", "begins with '%', which YAML keeps for itself", "put the value in quotes"),
    (
        "mapping values are not allowed",
        "a ': ' where none can be",
        "put the value in quotes, or mend the indentation",
    ),
    ("unexpected end of stream", "quotes that are never closed", "close the quotes"),
    (r"expected ',' or '\]'", "a '[' that is never closed, or a missing comma", "close it with ']'"),
    (
        r"expected ',' or '\}'",
        "a '{' that is never closed, or a missing comma",
        "close it with '}', and put every ${NAME} within it in quotes",
    ),
    (
        "escape (sequence|character)",
        "a backslash in double quotes that is no escape",
        "use single quotes, or write two backslashes",
    ),
    (
        "expected <block end>",
        "not indented like the lines around it",
        "give it the indentation of its section",
    ),
    ("could not find expected ':'", "a line without a ':'", "write key: value"),
    ("found another document", "a second document behind ---", "keep one"),
    ("duplicate anchor", "an anchor that stands twice", "rename one"),
)
