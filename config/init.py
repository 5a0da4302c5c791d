"""Writes a first configuration that works, with secrets of its own."""

from __future__ import annotations

import os
import secrets
from importlib.resources import files
from pathlib import Path

from config.errors import ConfigError, Problem

FILE_NAME = "assent.yaml"
DATA_DIR = "data"


def write_initial(
    directory: Path, *, signing_key: str, matrix: bool = False, force: bool = False
) -> list[Path]:
    """Write ``assent.yaml``, a webhook token and the signing key (PEM); return the files written.

    The chat is the terminal, or with ``matrix`` a Matrix room whose names are to be filled in. With
    ``force`` an existing ``assent.yaml`` is replaced; secrets that exist are always kept. Raises ConfigError
    when the file exists or cannot be written.
    """
    target = directory / FILE_NAME
    if target.exists() and not force:
        raise _refusal(target, "exists already", "edit it, or replace it with --force (secrets are kept)")
    data = directory / DATA_DIR
    contents = {
        data / "webhook-token": secrets.token_urlsafe(32) + "\n",
        data / "signing-key.pem": signing_key,
    }
    written: list[Path] = []
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path, text in contents.items():
            if not path.exists():
                _write_private(path, text)
                written.append(path)
        target.write_text(example(matrix=matrix), encoding="utf-8")
    except OSError as error:
        place = Path(error.filename) if error.filename else target
        raise _refusal(place, f"cannot be written: {error.strerror}", "choose a folder of your own") from None
    return [target, *written]


def example(*, matrix: bool) -> str:
    """The commented example, for the terminal (with Matrix as comments) or for Matrix alone."""
    lines: list[str] = []
    inside: str | None = None
    for line in (files("config") / "example.yaml").read_text(encoding="utf-8").splitlines():
        mark = line.strip()
        if mark in ("# >>> console", "# >>> matrix"):
            inside = mark.removeprefix("# >>> ")
        elif mark == "# <<<":
            inside = None
        elif not matrix or inside is None:
            lines.append(line)
        elif inside == "matrix":
            lines.append(line.replace("# ", "", 1))
    return "\n".join(lines) + "\n"


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)


def _refusal(path: Path, reason: str, remedy: str) -> ConfigError:
    return ConfigError([Problem(file=str(path), line=None, path="(file)", reason=reason, remedy=remedy)])
