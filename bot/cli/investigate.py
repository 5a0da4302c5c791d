"""`assent investigate`: the same evidence and rules as the service, once, printed. Stores nothing, but for a
recording in the directory that was asked for."""

from __future__ import annotations

import secrets
import sys
from dataclasses import replace
from pathlib import Path

import aiohttp
from pydantic import TypeAdapter

from bot.app.reasoning import open_reasoners
from bot.app.recording import record
from bot.app.replay import firing, new_case, replay
from bot.app.seams import Seams
from bot.app.wiring import grouping, router
from bot.cli.loading import load_config
from bot.cli.output import say
from bot.cli.terminal import render
from bot.domain.errors import UserError
from bot.messages.incident import diagnosis_reply
from bot.workflow.calibration import without_offers
from config.schema import Config
from investigators.ports import Case, Investigation


async def investigate(
    config_path: Path,
    alert_path: Path | None,
    *,
    as_json: bool,
    record_to: Path | None = None,
    replay_from: Path | None = None,
) -> int:
    """Print the diagnosis of the first firing alert's incident. 0 also when it is inconclusive."""
    calibration = False
    if replay_from is not None:
        if alert_path is not None:
            raise UserError(f"--replay takes the alert from {replay_from}: leave out {alert_path}")
        case, answer = await replay(replay_from)
    elif alert_path is None:
        raise UserError("which alert? Give its file, or - for standard input")
    else:
        config = load_config(config_path)
        calibration = config.investigation.calibration
        if record_to is not None:
            case, answer = await record(config, _body(alert_path), str(alert_path), record_to)
        else:
            case, answer = await _look(config, alert_path)
    if calibration:
        answer = replace(answer, diagnosis=without_offers(answer.diagnosis))
    if as_json:
        say(_as_json(answer))
    else:
        say(render(diagnosis_reply(answer.diagnosis, case.incident, calibration=calibration)))
    return 0


async def _look(config: Config, path: Path) -> tuple[Case, Investigation]:
    seams = Seams()
    now = seams.clock.now()
    alerts = firing(
        _body(path), str(path), now, limits=config.limits, missing_severity=config.grouping.missing_severity
    )
    case = new_case(alerts, now, secrets.token_hex, router(config), grouping(config))
    async with (
        aiohttp.ClientSession() as session,
        open_reasoners(config, seams, session) as reasoners,
    ):
        return case, await reasoners.investigator.investigate(case)


def _as_json(answer: Investigation) -> str:
    return TypeAdapter(Investigation).dump_json(answer).decode()


def _body(path: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
