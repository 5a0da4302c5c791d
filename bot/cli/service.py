"""`assent run`: the service, until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import structlog

from bot.app.acting import may_execute
from bot.app.build import build
from bot.cli.collecting import collect_seldom
from bot.cli.loading import load_config
from bot.telemetry import configure_logging

_log = structlog.stdlib.get_logger(__name__)


async def run(path: Path) -> int:
    """Run until told to stop. A part that must not end ends the process with 1, for its service manager."""
    config = load_config(path)
    configure_logging(config.telemetry.log_format, config.telemetry.log_level, sys.stderr)
    stop = asyncio.Event()
    ended: tuple[Exception | ExceptionGroup[Exception], ...] = ()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with build(config) as app:
        # What was built stays until the end: the collector need not look at it again and again.
        collect_seldom()
        _log.info(
            "started",
            port=app.port,
            chats=sorted(app.chats),
            execution="enabled" if may_execute(config) else "advisory only",
        )
        try:
            await app.run(stop)
        except* Exception as group:  # noqa: BLE001 - the last boundary: said, then the process ends
            ended = group.exceptions
    for error in ended:
        _log.critical("part_ended", error=str(error), exc_info=error)
    if ended:
        return 1
    _log.info("stopped")
    return 0
