"""Loading a configuration for a command."""

from __future__ import annotations

from pathlib import Path

from approvals.catalogue import builtin_catalogue
from bot.cli.output import complain
from bot.domain.errors import ConfigError
from config import errors as config_errors
from config.loader import read
from config.schema import Config


def load_config(path: Path, *, warn: bool = True) -> Config:
    """Return the configuration; warnings go to standard error. Raises ConfigError with every problem."""
    try:
        loaded = read(path, known_actions=tuple(builtin_catalogue()))
    except config_errors.ConfigError as error:
        raise ConfigError([str(problem) for problem in error.problems]) from None
    for warning in loaded.warnings if warn else ():
        complain(f"warning: {warning}")
    return loaded.config
