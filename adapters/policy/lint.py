"""What the embedded Rego engine would get wrong in silence, refused when the policy is loaded.

The engine (rego-cpp) does not report unknown functions or unbound variables and treats whatever touches a
missing member as undefined, so that a mistyped ``deny`` is a ``deny`` that never fires. The checks below make
a stricter dialect of Rego (https://www.openpolicyagent.org/docs/policy-language): packages and rule names are
fixed, each variable is declared, each member of ``input`` and ``data`` exists, each function is known to
agree with OPA.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

CONFORMANT_BUILTINS = frozenset(
    {"abs", "concat", "contains", "count", "endswith", "max", "min", "sprintf", "startswith", "sum"}
)
"""Functions that the conformance corpus runs on the embedded engine and on OPA with equal results."""

DECISION_PACKAGE = "assent"
FACTS_PACKAGE = "facts"
DECISION_RULES = frozenset({"allow", "deny", "require", "rules"})
_KEYWORDS = frozenset(
    {"as", "contains", "default", "else", "every", "false", "if", "import", "in", "not", "null", "package"}
    | {"some", "true", "with"}
)
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r]+)|(?P<comment>\#[^\n]*)|(?P<newline>\n)|(?P<raw>`[^`]*`)
    |(?P<string>"(?:\\.|[^"\\\n])*")|(?P<number>\d+(?:\.\d+)?)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<op>:=|==|!=|<=|>=|[{}\[\](),;:.|+\-*/%<>=&])""",
    re.VERBOSE,
)
_OPEN, _CLOSE = frozenset("{[("), frozenset("}])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    kind: str
    text: str
    line: int
    column: int
    tight: bool
    """True when nothing stands between it and the token before."""


@dataclass(slots=True, kw_only=True)
class _Module:
    name: str
    package: str = ""
    rules: list[list[Token]] = field(default_factory=list)
    heads: set[str] = field(default_factory=set)


def lint(sources: Mapping[str, str], data: Mapping[str, Any], shape: Mapping[str, Any]) -> list[str]:
    """Return every problem of these files (name → text) as ``file:line: what and how to mend it``.

    ``data`` is the policy's data document; ``shape`` the members of ``input``, nested, a leaf being anything
    that is not a mapping.
    """
    problems: list[str] = []
    modules = [_parse(name, source, problems) for name, source in sorted(sources.items())]
    heads: dict[str, set[str]] = {DECISION_PACKAGE: set(), FACTS_PACKAGE: set()}
    for module in modules:
        heads.setdefault(module.package, set()).update(module.heads)
    if "allow" not in heads[DECISION_PACKAGE]:
        problems.append(
            f"no file of package {DECISION_PACKAGE} has an allow rule: everything would be denied"
        )
    for module in modules:
        for rule in module.rules:
            checker = _RuleChecker(
                module.name, heads[module.package], heads[FACTS_PACKAGE], data, shape, problems
            )
            checker.check(rule)
    return problems


def _parse(name: str, source: str, problems: list[str]) -> _Module:
    module = _Module(name=name)
    statements = list(_statements(list(_tokens(name, source, problems))))
    if not statements or statements[0][0].text != "package":
        problems.append(f"{name}:1: must begin with: package {DECISION_PACKAGE}")
        return module
    module.package = "".join(token.text for token in statements[0][1:])
    if module.package not in (DECISION_PACKAGE, FACTS_PACKAGE):
        problems.append(f"{name}:1: the package must be {DECISION_PACKAGE} or {FACTS_PACKAGE}")
    imports = [rule for rule in statements[1:] if rule[0].text == "import"]
    for rule in imports:
        if [token.text for token in rule[1:]] != ["rego", ".", "v1"]:
            problems.append(
                f"{name}:{rule[0].line}: only rego.v1 may be imported; write data.facts.<name> in full"
            )
    if not imports:
        problems.append(f"{name}:1: import rego.v1 is missing")
    for rule in statements[1:]:
        if rule[0].text == "import":
            continue
        module.rules.append(rule)
        head = next((token for token in rule if token.kind == "name" and token.text != "default"), rule[0])
        module.heads.add(head.text)
        if module.package == DECISION_PACKAGE and head.text not in DECISION_RULES:
            allowed = ", ".join(sorted(DECISION_RULES))
            problems.append(
                f"{name}:{head.line}: rule {head.text} is not one of {allowed}; "
                f"put helpers in package {FACTS_PACKAGE}"
            )
        texts = [token.text for token in rule]
        if texts[:2] == ["default", "allow"] and texts[2:] != [":=", "false"]:
            problems.append(f"{name}:{head.line}: default allow must be false")
    return module


def _tokens(name: str, source: str, problems: list[str]) -> Iterator[Token]:
    position, line, start, tight = 0, 1, 0, False
    while position < len(source):
        match = _TOKEN.match(source, position)
        if match is None:
            problems.append(f"{name}:{line}: cannot be read from {source[position : position + 10]!r}")
            return
        kind, text = str(match.lastgroup), match.group()
        if kind not in ("space", "comment", "newline"):
            yield Token(kind=kind, text=text, line=line, column=position - start, tight=tight)
            tight = True
        else:
            tight = False
        line += text.count("\n")
        position = match.end()
        if "\n" in text:
            start = source.rindex("\n", 0, position) + 1


def _statements(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Split at names that stand in the first column outside of any bracket."""
    current: list[Token] = []
    depth = 0
    for token in tokens:
        if token.column == 0 and depth == 0 and token.kind == "name" and current:
            yield current
            current = []
        depth += (token.text in _OPEN) - (token.text in _CLOSE) if token.kind == "op" else 0
        current.append(token)
    if current:
        yield current


class _RuleChecker:
    def __init__(
        self,
        file: str,
        siblings: set[str],
        facts: set[str],
        data: Mapping[str, Any],
        shape: Mapping[str, Any],
        problems: list[str],
    ) -> None:
        self._file = file
        self._siblings = siblings
        self._facts = facts
        self._data = data
        self._shape = shape
        self._problems = problems

    def check(self, rule: Sequence[Token]) -> None:
        declared = _declared(rule)
        index = 0
        while index < len(rule):
            token = rule[index]
            if token.kind == "op" and token.text == "=":
                self._problem(token, "= both binds and compares; write := to bind or == to compare")
            called = _is_call(rule, index)
            if token.kind == "name" and token.text == "with":
                self._problem(token, "with replaces what is judged; it may not be used in a policy")
            if token.kind != "name" or (token.text in _KEYWORDS and not called):
                index += 1
                continue
            path, end = _path(rule, index)
            self._check_path(token, path, declared, called=end < len(rule) and _opens_call(rule, end))
            index = end

    def _check_path(self, at: Token, path: list[str], declared: set[str], *, called: bool) -> None:
        name = ".".join(path)
        if path[0] == "input":
            self._check_members(at, path, self._shape)
        elif path[0] == "data":
            self._check_data(at, path)
        elif called:
            if name not in CONFORMANT_BUILTINS and name not in self._siblings:
                known = ", ".join(sorted(CONFORMANT_BUILTINS))
                self._problem(at, f"function {name} is not known to agree with OPA; usable are {known}")
        elif path[0] not in declared and path[0] not in self._siblings and path[0] != "_":
            self._problem(at, f"{path[0]} is not declared; use some {path[0]} in …, or {path[0]} := …")

    def _check_data(self, at: Token, path: list[str]) -> None:
        if len(path) < 2:
            self._problem(at, "data must be followed by .settings or .facts")
        elif path[1] != FACTS_PACKAGE:
            self._check_members(at, path, self._data)
        elif len(path) < 3 or path[2] not in self._facts:
            self._problem(at, f"{'.'.join(path)}: package {FACTS_PACKAGE} has no such rule")

    def _check_members(self, at: Token, path: list[str], known: Mapping[str, Any]) -> None:
        level: Any = known
        for depth, member in enumerate(path[1:], start=2):
            if not isinstance(level, Mapping):
                return
            if member not in level:
                names = ", ".join(sorted(level))
                self._problem(at, f"{'.'.join(path[:depth])} does not exist; there is: {names}")
                return
            level = level[member]

    def _problem(self, at: Token, text: str) -> None:
        self._problems.append(f"{self._file}:{at.line}: {text}")


def _is_call(rule: Sequence[Token], index: int) -> bool:
    return index + 1 < len(rule) and _opens_call(rule, index + 1)


def _opens_call(rule: Sequence[Token], index: int) -> bool:
    return rule[index].text == "(" and rule[index].tight


def _path(rule: Sequence[Token], index: int) -> tuple[list[str], int]:
    """Read ``a.b["c"]`` from ``index``; return its static members and where it ends."""
    path = [rule[index].text]
    end = index + 1
    while end + 1 < len(rule):
        if rule[end].text == "." and rule[end + 1].kind == "name":
            path.append(rule[end + 1].text)
            end += 2
        elif (
            rule[end].text == "["
            and rule[end].tight
            and rule[end + 1].kind == "string"
            and end + 2 < len(rule)
            and rule[end + 2].text == "]"
        ):
            path.append(rule[end + 1].text[1:-1])
            end += 3
        else:
            break
    return path, end


def _declared(rule: Sequence[Token]) -> set[str]:
    """Names bound in a rule: its own, its arguments, ``x :=``, ``some x, y in``, ``every x in``."""
    declared: set[str] = set()
    head = 1 if rule[0].text == "default" and len(rule) > 1 else 0
    declared.add(rule[head].text)
    if _is_call(rule, head):
        for token in rule[head + 2 :]:
            if token.text == ")":
                break
            if token.kind == "name":
                declared.add(token.text)
    for index, token in enumerate(rule):
        if token.text == ":=" and index and rule[index - 1].kind == "name":
            declared.add(rule[index - 1].text)
        if token.kind == "name" and token.text in ("some", "every"):
            for later in rule[index + 1 :]:
                if later.text == "in" or later.line != token.line:
                    break
                if later.kind == "name":
                    declared.add(later.text)
    return declared
