"""`assent investigate`: the same evidence and rules as the service, once, printed. Stores nothing, but for a
recording in the directory that was asked for, and what a model costs in the day's money."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter

from bot.app.once import body_of, case_of_body, case_of_incident, investigate_once, open_kept
from bot.app.recording import record
from bot.app.replay import replay
from bot.app.seams import Seams
from bot.cli.loading import load_config
from bot.cli.output import complain, say
from bot.cli.terminal import render
from bot.domain.clock import to_rfc3339
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
    incident: str | None = None,
) -> int:
    """Print the diagnosis of the first firing alert's incident, or of a stored one. 0 also when it is
    inconclusive."""
    calibration = False
    if replay_from is not None:
        if alert_path is not None or incident is not None:
            raise UserError(
                f"--replay takes the alert from {replay_from}: leave out {alert_path or '--incident'}"
            )
        case, answer = await replay(replay_from)
    elif incident is not None and alert_path is not None:
        raise UserError(f"--incident takes the alerts from the store: leave out {alert_path}")
    elif alert_path is None and incident is None:
        raise UserError(
            "which alert? Give its file, or - for standard input, or --incident with the ID of a stored one"
        )
    else:
        config = load_config(config_path)
        calibration = config.investigation.calibration
        case, answer = await _look(config, alert_path, incident, record_to)
    if calibration:
        answer = replace(answer, diagnosis=without_offers(answer.diagnosis))
    if as_json:
        say(_as_json(answer))
    else:
        say(render(diagnosis_reply(answer.diagnosis, case.incident, calibration=calibration)))
    return 0


async def _look(
    config: Config, alert_path: Path | None, incident: str | None, record_to: Path | None
) -> tuple[Case, Investigation]:
    seams = Seams()
    body = b"" if alert_path is None else _body(alert_path)
    async with open_kept(config, seams.clock) as (store, problem):
        if incident is None:
            recorded = record_to is not None
            case = case_of_body(config, body, str(alert_path), seams.clock, recorded=recorded)
        elif store is None:
            raise UserError(problem)
        else:
            case = await case_of_incident(store, incident, seams.clock)
            body = body_of(case.alerts)
            if case.incident.resolved_at is not None:
                complain(
                    f"{case.incident.short_id} is over: looked at as of {to_rfc3339(case.now)}; what has no "
                    "memory of its own, such as a host, says how it is now"
                )
        if record_to is not None:
            if config.model is not None:
                complain("the model is not asked while recording: a replay is by rules alone")
            return case, await record(config, seams, case, body, record_to, store)
        if store is None:
            config = _without_store(config, problem)
        return case, await investigate_once(config, seams, case, store)


def _without_store(config: Config, problem: str) -> Config:
    """The model is left out where a service may be spending the same day's money unseen."""
    if not (config.data_dir / "assent.db").exists():
        if config.model is not None:
            complain(f"{problem}: of the model's limits only those of one investigation hold")
        return config
    asked = "" if config.model is None else ", and the model is not asked, as the day's money is not known"
    complain(f"{problem}: past incidents are not looked at{asked}")
    return config.model_copy(update={"model": None})


def _as_json(answer: Investigation) -> str:
    return TypeAdapter(Investigation).dump_json(answer).decode()


def _body(path: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
