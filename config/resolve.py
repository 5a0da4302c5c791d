"""Fills in what a file only names: environment variables, secret files, paths relative to the file."""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from config.document import Document
from config.errors import Place, Problem, show_place
from config.shape import is_list, is_path, is_secret, section_of
from config.types import MASK, Section

MAX_SECRET_BYTES = 65_536

_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|\$\{")


class Resolver:
    """One pass over one document. ``given`` maps each filled-in value to the words that stand for it."""

    def __init__(self, document: Document, environ: Mapping[str, str], base: Path) -> None:
        self._document = document
        self._environ = environ
        self._base = base
        self.problems: list[Problem] = []
        self.warnings: list[str] = []
        self.given: dict[Place, str] = {}
        self.unusable: set[Place] = set()
        self.renamed: dict[Place, Place] = {}

    def resolve(self, root: type[Section]) -> Any:
        return self._section(self._interpolated(self._document.data, ()), root, ())

    def _problem(self, place: Place, reason: str, remedy: str) -> None:
        self.problems.append(self._document.problem(place, reason, remedy))
        self.unusable.add(place)

    def _interpolated(self, value: Any, place: Place) -> Any:
        if isinstance(value, dict):
            return {key: self._interpolated(item, (*place, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self._interpolated(item, (*place, index)) for index, item in enumerate(value)]
        return self._text(value, place) if isinstance(value, str) else value

    def _text(self, text: str, place: Place) -> str:
        def fill(match: re.Match[str]) -> str:
            if match[0] == "$${":
                return "${"
            name = match["name"]
            if name is None:
                self._problem(place, "a '${' that names nothing", "write ${NAME}, ${NAME:-default}, or $${")
                return "?"
            self.given[place] = f"${{{name}}}"
            value = self._environ.get(name, "")
            if value:
                return value
            if match["default"] is not None:
                return match["default"]
            state = "is empty" if name in self._environ else "is not set"
            self._problem(
                place,
                f"the environment variable {name} {state}",
                f"set it, or give a default: ${{{name}:-default}}",
            )
            return "?"

        filled = _REFERENCE.sub(fill, text)
        if filled == MASK:
            self._problem(
                place, f"holds the mask {MASK} of a redacted dump", "write the real value, or ${NAME}"
            )
        return filled

    def _section(self, value: Any, section: type[Section], place: Place) -> Any:
        if not isinstance(value, dict):
            return value
        result: dict[str, Any] = {}
        for key, item in value.items():
            here = (*place, key)
            secret = section.model_fields.get(key.removesuffix("_file")) if key.endswith("_file") else None
            if key not in section.model_fields and secret is not None and is_secret(secret):
                self._secret_file(key, item, value, place, result)
                continue
            field = section.model_fields.get(key)
            if field is None:
                result[key] = item
                continue
            inner = section_of(field.annotation)
            if item is None and (inner is None or is_list(field)):
                continue
            item = {} if item is None else item
            if inner is not None and isinstance(item, list):
                result[key] = [self._section(part, inner, (*here, index)) for index, part in enumerate(item)]
            elif inner is not None:
                result[key] = self._section(item, inner, here)
            elif is_path(field) and isinstance(item, str):
                result[key] = self._path(item, here)
            else:
                result[key] = item
        return result

    def _path(self, text: str, place: Place) -> str:
        if text.startswith("~"):
            self._problem(place, "'~' is not filled in", "write ${HOME}/… or the whole path")
        elif not text.strip():
            self._problem(place, "is empty", "write a path, or remove the line")
        return str(self._base / text)

    def _secret_file(
        self, key: str, item: Any, siblings: Mapping[str, Any], place: Place, result: dict[str, Any]
    ) -> None:
        name = key.removesuffix("_file")
        here = (*place, key)
        self.renamed[(*place, name)] = here
        if siblings.get(name) is not None:
            self._problem(here, f"stands beside {name}", "keep one of the two")
            return
        if item is None:
            return
        self.given[(*place, name)] = "the content of the file"
        # Something must stand there, so that one mistake is told once.
        result[name] = self._read(item, here) or "?"
        if here in self.unusable:
            self.unusable.add((*place, name))

    def _read(self, item: Any, here: Place) -> str | None:
        if not isinstance(item, str):
            self._problem(here, "must be a path", "put the value in quotes")
            return None
        if here in self.unusable:
            return None
        path = Path(self._path(item, here))
        try:
            mode = path.stat().st_mode
            if not stat.S_ISREG(mode):
                self._problem(here, f"{path} is not a regular file", "name the file itself")
                return None
            raw = path.read_bytes()
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "not a path"
            self._problem(here, f"{path} cannot be read: {why}", "make the file readable to this user")
            return None
        if len(raw) > MAX_SECRET_BYTES:
            self._problem(here, f"{path} is over {MAX_SECRET_BYTES} bytes", "name the file of the secret")
            return None
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            self._problem(here, f"{path} is not UTF-8 text", "write the secret as text")
            return None
        text = text.removesuffix("\n").removesuffix("\r")
        if not text.strip():
            self._problem(here, f"{path} is empty", "write the secret into it")
            return None
        if text == MASK:
            self._problem(here, f"{path} holds the mask {MASK} of a redacted dump", "write the real value")
            return None
        if mode & stat.S_IROTH:
            line = self._document.line_of(here)
            self.warnings.append(
                f"{self._document.file}:{line}: {show_place(here)}: {path} is readable by every user "
                f"of this machine; run: chmod 600 {path}"
            )
        return text
