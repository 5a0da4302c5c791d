"""The files of a snapshot: plain or gzip'd, whole or line by line, and their times."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any, Generic, TypeVar

import orjson

from bot.domain.redaction import redact, strip_invisible

T = TypeVar("T")
_EPOCH = re.compile(r"[0-9]{1,20}(?:\.[0-9]+)?(?:[eE][+]?[0-9]+)?")
_MILLISECONDS = 1e11
"""Numbers above it (the year 5138 in seconds) are milliseconds, and so on in steps of a thousand."""


class Malformed(Exception):
    """A part of a snapshot cannot be read; the text says which file and line. Never leaves this package."""


class Lazy(Generic[T]):
    """A value made once, when it is first wanted, by whichever thread comes first. Failing counts as made."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = Lock()
        self._value: list[T] = []
        self._error: str | None = None

    def get(self) -> T:
        """Raises Malformed, each time, when the value could not be made."""
        with self._lock:
            if self._error is not None:
                raise Malformed(self._error)
            if not self._value:
                try:
                    self._value.append(self._make())
                except Malformed as malformed:
                    self._error = str(malformed)
                    raise
            return self._value[0]


class Folder:
    """A snapshot's directory, or its ``baseline``. Paths are given relative to it, without ``.gz``."""

    def __init__(self, root: Path, shown: str = "") -> None:
        self.root = root
        self._shown = shown

    def has(self, name: str) -> bool:
        return self._file(name) is not None

    def names(self, folder: str, *endings: str, deep: bool = False) -> list[str]:
        """The files below a folder with one of these endings, sorted."""
        base = self.root / folder
        found = base.rglob("*") if deep else base.glob("*")
        names = {
            path.relative_to(self.root).as_posix().removesuffix(".gz") for path in found if path.is_file()
        }
        return sorted(name for name in names if name.endswith(endings))

    def folders(self, folder: str) -> list[str]:
        return sorted(path.name for path in (self.root / folder).glob("*") if path.is_dir())

    def where(self, name: str, line: int | None = None) -> str:
        shown = f"{self._shown}{name}"
        return shown if line is None else f"{shown}:{line}"

    def data(self, name: str) -> bytes:
        """Raises Malformed when the file cannot be read."""
        path = self._file(name)
        if path is None:
            raise Malformed(f"{self.where(name)}: no such file")
        try:
            data = path.read_bytes()
            return gzip.decompress(data) if path.name.endswith(".gz") else data
        except (OSError, EOFError, zlib.error) as error:
            raise Malformed(f"{self.where(path.relative_to(self.root).as_posix())}: {error}") from None

    def text(self, name: str) -> str:
        return self.decoded(name, self.data(name))

    def decoded(self, name: str, data: bytes) -> str:
        """Raises Malformed."""
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise Malformed(f"{self.where(name)}: not UTF-8 at byte {error.start}") from None

    def json(self, name: str) -> Any:
        try:
            return orjson.loads(self.data(name))
        except orjson.JSONDecodeError as error:
            raise Malformed(f"{self.where(name, error.lineno)}: no JSON: {error.msg}") from None

    def json_lines(self, name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Each line's number and object; empty lines are skipped."""
        loads = orjson.loads
        for number, line in enumerate(self.data(name).split(b"\n"), 1):
            if not line or line.isspace():
                continue
            try:
                value = loads(line)
            except orjson.JSONDecodeError as error:
                raise Malformed(f"{self.where(name, number)}: no JSON: {error.msg}") from None
            if not isinstance(value, dict):
                raise Malformed(f"{self.where(name, number)}: not an object")
            yield number, value

    def _file(self, name: str) -> Path | None:
        plain = self.root / name
        if plain.is_file():
            return plain
        packed = self.root / f"{name}.gz"
        return packed if packed.is_file() else None


def epoch(value: object) -> float:
    """RFC 3339 text or a number as epoch seconds. Raises ValueError."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _seconds(float(value))
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if not isinstance(value, str):
        raise ValueError(f"not a time: {value!r}")
    if _EPOCH.fullmatch(value):
        return _seconds(float(value))
    moment = datetime.fromisoformat(value.strip())
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _seconds(number: float) -> float:
    while abs(number) > _MILLISECONDS:
        number /= 1000
    return number


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def clean_texts(texts: list[str]) -> list[str]:
    """Texts without secrets and invisible characters, each on its own; a key that spans them as well.

    All of them are looked at together, which is many times cheaper, and taken apart again where no line came
    or went.
    """
    joined = "\n".join(texts)
    visible = strip_invisible(joined)
    whole = redact(visible)
    if whole == joined:
        return texts
    lines = whole.split("\n")
    if visible.count("\n") == joined.count("\n") == len(lines) - 1:
        if len(lines) == len(texts):
            return lines
        rest = iter(lines)
        return ["\n".join(islice(rest, text.count("\n") + 1)) for text in texts]
    # Some secret spans lines: what the redaction of the whole does not keep is masked text by text.
    kept = set(lines)
    single = [redact(strip_invisible(text)) for text in texts]
    return [text if kept.issuperset(text.split("\n")) else "[redacted:secret]" for text in single]


def text_of(record: Mapping[str, Any], key: str) -> str:
    """The text of a field; numbers as they are written, nothing for null or a missing one."""
    value = record.get(key)
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()
