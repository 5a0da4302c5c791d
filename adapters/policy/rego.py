"""The embedded Rego engine: rego-cpp through ``regopy``.

Input and data go in as JSON text: the library's own conversion of Python values keeps strings unescaped, so
that a quotation mark breaks the answer, a backslash changes the value and a zero byte cuts it off (regopy
1.5.2).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.policy.lint import DECISION_PACKAGE, lint
from approvals.canonical import canonicalize
from approvals.document import INPUT_SHAPE
from bot.domain.errors import ConfigError, Unavailable

if TYPE_CHECKING:
    # Importing the library starts a process (it asks platform.uname()): only when an engine is loaded.
    from regopy import Interpreter, RegoError

_QUERY = f"x := data.{DECISION_PACKAGE}"
_POSITION = re.compile(r"\(error \d+:([^|()]+)\|(\d+)\|\d+\s*\(errormsg \d+:([^)]*)\)")


class RegoEngine:
    """Evaluates one loaded bundle, one question at a time, off the event loop. About 1 ms each."""

    def __init__(
        self, interpreter: Interpreter, policy_hash: str, files: tuple[str, ...], *, timeout_s: float = 2.0
    ) -> None:
        self._interpreter = interpreter
        self._bundle = interpreter.build(_QUERY)
        self._policy_hash = policy_hash
        self._timeout = timeout_s
        # One thread: the interpreter holds the input of one question at a time.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="policy")
        self.files = files

    @property
    def policy_hash(self) -> str:
        """SHA-256 over the bundle's file names, their bytes and the data."""
        return self._policy_hash

    async def evaluate(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what package ``assent`` says about the document.

        Raises Unavailable on an engine error, an undefined answer or a timeout. An evaluation that ran out of
        time still ends in its thread; until then later ones run out of time as well.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout):
                return await loop.run_in_executor(self._thread, self._evaluate, document)
        except TimeoutError:
            raise Unavailable("policy", f"no answer within {self._timeout:g} s") from None

    def close(self) -> None:
        """Let go of the thread. No question may be asked afterwards."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _evaluate(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        from regopy import RegoError

        try:
            self._interpreter.set_input_term(_json(document))
            results = self._interpreter.query_bundle(self._bundle).results
        except RegoError as error:
            raise Unavailable("policy", f"the engine failed: {_first_line(error)}") from None
        except (ValueError, TypeError) as error:
            raise Unavailable(
                "policy", f"the engine's answer cannot be read: {type(error).__name__}"
            ) from None
        if len(results) != 1 or not isinstance(answer := results[0].bindings.get("x"), dict):
            raise Unavailable("policy", "the answer is undefined")
        return answer


def load_engine(directory: Path, data: Mapping[str, Any], *, timeout_s: float = 2.0) -> RegoEngine:
    """Load every ``*.rego`` of a directory (``*_test.rego`` left out) with its data document.

    Raises ConfigError with every problem found, each naming file and line.
    """
    from regopy import Interpreter, LogLevel, RegoError

    sources = _read(directory)
    problems = lint(sources, data, INPUT_SHAPE)
    if problems:
        raise ConfigError(problems)
    interpreter = Interpreter()
    interpreter.log_level = LogLevel.NONE
    for name, source in sources.items():
        try:
            interpreter.add_module(name, source)
        except RegoError as error:
            raise ConfigError(_located(str(error), sources, name)) from None
    try:
        interpreter.add_data_json(_json(data))
        return RegoEngine(interpreter, _hash(sources, data), tuple(sources), timeout_s=timeout_s)
    except RegoError as error:
        raise ConfigError(_located(str(error), sources, str(directory))) from None


def _read(directory: Path) -> dict[str, str]:
    if not directory.is_dir():
        raise ConfigError([f"{directory}: not a directory of Rego files"])
    sources: dict[str, str] = {}
    for path in sorted(directory.glob("*.rego")):
        if path.name.endswith("_test.rego"):
            continue
        try:
            sources[path.name] = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError([f"{path}: cannot be read: {error}"]) from None
    if not sources:
        raise ConfigError([f"{directory}: holds no *.rego file; nothing could ever be allowed"])
    return sources


def _hash(sources: Mapping[str, str], data: Mapping[str, Any]) -> str:
    parts = [part for name in sorted(sources) for part in (name.encode(), sources[name].encode())]
    state = hashlib.sha256()
    for part in [*parts, canonicalize(_hashable(data))]:
        state.update(len(part).to_bytes(8, "big"))
        state.update(part)
    return state.hexdigest()


def _hashable(value: Any) -> Any:
    """Epoch nanoseconds are beyond what RFC 8785 can hold as numbers."""
    if isinstance(value, Mapping):
        return {key: _hashable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_hashable(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53 - 1:
        return f"int:{value}"
    return value


def _json(value: Mapping[str, Any]) -> str:
    # The engine compares strings in their escaped form: both sides must be escaped alike.
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _located(text: str, sources: Mapping[str, str], fallback: str) -> list[str]:
    found = [
        f"{name}:{_line(sources.get(name, ''), int(offset))}: {message}"
        for name, offset, message in _POSITION.findall(text)
    ]
    return found or [f"{fallback}: cannot be compiled: {text.strip().splitlines()[0]}"]


def _line(source: str, offset: int) -> int:
    return source.encode()[:offset].count(b"\n") + 1


def _first_line(error: RegoError) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0]
