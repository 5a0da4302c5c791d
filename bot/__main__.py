"""The `assent` command."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from bot.cli.arguments import build_parser
from bot.cli.collecting import collect_seldom
from bot.domain.errors import AssentError, ConfigError, UserError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns 0 only when it did what was asked; 2 for what the user can mend."""
    arguments = build_parser().parse_args(argv)
    # Imported once it is known which command is wanted: `assent --help` must not load the world.
    from bot.cli.dispatch import dispatch

    try:
        with _everything_stays():
            command = dispatch(arguments)
        return asyncio.run(command)
    except ConfigError as error:
        for problem in error.problems:
            sys.stderr.write(f"{problem}\n")
        return 2
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except AssentError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


@contextmanager
def _everything_stays() -> Iterator[None]:
    """Import without looking for garbage, and never look at what was imported: modules live as long as the
    process. Otherwise a tenth of the start goes into it, and later a pause of 0.1 s now and then."""
    gc.disable()
    try:
        yield
        collect_seldom()
    finally:
        gc.enable()


if __name__ == "__main__":
    sys.exit(main())
