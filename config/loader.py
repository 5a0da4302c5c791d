"""Reads the configuration: text → environment and secret files → models → cross-checks.

The only module that reads the environment.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from config.crosscheck import crosscheck
from config.document import Document
from config.errors import ConfigError, Place, Problem
from config.explain import explain
from config.report import Report
from config.resolve import Resolver
from config.schema import Config

MAX_FILE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A usable configuration, and what is unwise in it, one line each."""

    config: Config
    warnings: tuple[str, ...] = ()


def process_environment() -> Mapping[str, str]:
    """A copy of the process's environment, for programs that are started on our behalf."""
    return dict(os.environ)


def load(
    path: Path, environ: Mapping[str, str] | None = None, *, known_actions: Collection[str] | None = None
) -> Config:
    """Return the configuration in ``path``. Raises ConfigError with every problem found."""
    return read(path, environ, known_actions=known_actions).config


def loads(
    text: str,
    environ: Mapping[str, str] | None = None,
    *,
    file: str = "<text>",
    base: Path | None = None,
    known_actions: Collection[str] | None = None,
) -> Config:
    """Return the configuration in ``text``; paths in it are relative to ``base`` (the working directory).

    Raises ConfigError with every problem found.
    """
    return _interpret(text, environ, file, base or Path.cwd(), known_actions).config


def read(
    path: Path, environ: Mapping[str, str] | None = None, *, known_actions: Collection[str] | None = None
) -> Loaded:
    """Return the configuration in ``path`` with its warnings.

    ``environ`` is what ``${NAME}`` refers to, the process's own environment unless given. Paths in the file
    are relative to its folder. ``known_actions`` are the names in the catalogue; without them the actions
    that routes suggest are not checked. Raises ConfigError with every problem found.
    """
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, f"cannot be read: {error.strerror}", "write one with: assent init") from None
    if len(raw) > MAX_FILE_BYTES:
        raise _unreadable(path, f"is over {MAX_FILE_BYTES} bytes", "name the configuration file")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _unreadable(path, "is not UTF-8 text", "save the file as UTF-8", line) from None
    return _interpret(text, environ, str(path), path.absolute().parent, known_actions)


def _unreadable(path: Path, reason: str, remedy: str, line: int | None = None) -> ConfigError:
    return ConfigError([Problem(file=str(path), line=line, path="(file)", reason=reason, remedy=remedy)])


def _interpret(
    text: str,
    environ: Mapping[str, str] | None,
    file: str,
    base: Path,
    known_actions: Collection[str] | None,
) -> Loaded:
    document = Document(text, file)
    if document.data is None:
        raise ConfigError(document.problems)
    resolver = Resolver(document, os.environ if environ is None else environ, base.absolute())
    data = resolver.resolve(Config)
    problems = [*document.problems, *resolver.problems]
    config, broken = _validated(data, document, resolver, problems)
    report = Report(document, resolver)
    crosscheck(config, broken, report, known_actions)
    problems += report.problems
    if problems:
        raise ConfigError(sorted(problems, key=lambda problem: problem.line or 0))
    return Loaded(config=config, warnings=(*resolver.warnings, *report.warnings))


def _validated(
    data: Any, document: Document, resolver: Resolver, problems: list[Problem]
) -> tuple[Config, frozenset[str]]:
    """Validate; on errors again without the broken sections, so that the others can be cross-checked."""
    try:
        return Config.model_validate(data), frozenset()
    except ValidationError as error:
        details = error.errors(include_url=False)
    broken: set[str] = set()
    for detail in details:
        place: Place = detail["loc"]
        broken.add(str(place[0]) if place else "")
        if detail["type"] == "extra_forbidden" and len(place) == 1:
            # A misspelt section was meant for this one, which then only looks empty.
            broken.update(get_close_matches(str(place[0]), list(Config.model_fields), n=1))
        if _already_told(place, detail["type"], resolver, document):
            continue
        reason, remedy = explain(detail, Config)
        problems.append(document.problem(resolver.renamed.get(place, place), reason, remedy))
    sound = {key: value for key, value in data.items() if key not in broken} if "" not in broken else {}
    names = frozenset(Config.model_fields) if "" in broken else frozenset(broken)
    return Config.model_validate({"version": 1, "data_dir": "/", **sound}), names


def _already_told(place: Place, kind: str, resolver: Resolver, document: Document) -> bool:
    """Whether an error only follows from one that was told: of this value, or of one inside this section."""
    told = resolver.unusable | document.refused
    return any(known[: len(place)] == place and (known == place or kind == "value_error") for known in told)
