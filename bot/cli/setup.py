"""`assent init` and `assent keys`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from adapters.keys import generate_signing_key, load_signer
from bot.cli.output import say
from bot.domain.errors import ConfigError, UserError
from config import errors as config_errors
from config.init import write_initial


async def init(directory: Path, *, matrix: bool, force: bool) -> int:
    """Write a working configuration with fresh secrets."""
    try:
        written = write_initial(directory, matrix=matrix, force=force, signing_key=generate_signing_key())
    except config_errors.ConfigError as error:
        raise ConfigError([str(problem) for problem in error.problems]) from None
    for path in written:
        say(f"wrote {path}")
    config = directory / "assent.yaml"
    say()
    say(f"Look it through, then:  assent check -c {config}")
    say(f"and:                    assent run -c {config}")
    return 0


async def keys(arguments: argparse.Namespace) -> int:
    """Make a key, or show one."""
    if arguments.action == "generate":
        return _generate(arguments.out)
    try:
        text = arguments.key.read_text("utf-8")
    except OSError as error:
        raise UserError(f"{arguments.key}: {error.strerror}; name a PEM file") from None
    signer = load_signer(text)
    say(f"key id: {signer.key_id}")
    say(signer.public_pem.strip())
    return 0


def _generate(out: Path) -> int:
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UserError(f"{out} exists already; a signing key is never overwritten") from None
    except OSError as error:
        raise UserError(f"{out}: {error.strerror}") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        pem = generate_signing_key()
        file.write(pem)
    say(f"wrote {out} (key id {load_signer(pem).key_id})")
    say("Name it in the configuration as  keys: {signing_key_file: " + str(out) + "}")
    return 0
