"""`assent investigate`: the same evidence and rules as the service, once, printed. Stores nothing."""

from __future__ import annotations

import secrets
import sys
from dataclasses import replace
from pathlib import Path

import aiohttp
from pydantic import TypeAdapter

from adapters.alerts import parsers
from bot.app.evidence import build_investigator
from bot.app.seams import Seams
from bot.app.wiring import grouping, router
from bot.cli.loading import load_config
from bot.cli.output import say
from bot.cli.terminal import render
from bot.domain.alert import Alert, AlertStatus
from bot.domain.batch import BodyError
from bot.domain.errors import InputError, UserError
from bot.messages.incident import diagnosis_reply
from bot.workflow.calibration import without_offers
from bot.workflow.intake import open_incident
from config.schema import Config
from investigators.ports import Case, Investigation


async def investigate(config_path: Path, alert_path: Path, *, as_json: bool) -> int:
    """Print the diagnosis of the first firing alert's incident. 0 also when it is inconclusive."""
    config = load_config(config_path)
    alerts = _read_alerts(config, alert_path)
    seams = Seams()
    now = seams.clock.now()
    incident = open_incident(
        alerts[0],
        router(config).route(alerts[0]),
        grouping(config).correlation_labels,
        now,
        secrets.token_hex,
    )
    async with aiohttp.ClientSession() as session:
        investigator = build_investigator(config, seams, session)
        answer = await investigator.investigate(Case(incident=incident, alerts=tuple(alerts), run=1, now=now))
    calibration = config.investigation.calibration
    if calibration:
        answer = replace(answer, diagnosis=without_offers(answer.diagnosis))
    if as_json:
        say(_as_json(answer))
    else:
        say(render(diagnosis_reply(answer.diagnosis, incident, calibration=calibration)))
    return 0


def _as_json(answer: Investigation) -> str:
    return TypeAdapter(Investigation).dump_json(answer).decode()


def _read_alerts(config: Config, path: Path) -> list[Alert]:
    try:
        body = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    now = Seams().clock.now()
    problems = []
    for kind, parse in parsers(config.limits, missing_severity=config.grouping.missing_severity).items():
        try:
            batch = parse(body, source=kind, received_at=now)
        except BodyError as error:
            problems.append(f"as {kind}: {error}")
            continue
        firing = [p.alert for p in batch.alerts if p.alert.status is AlertStatus.FIRING]
        if firing:
            return firing
        problems.append(f"as {kind}: no firing alert in it")
    raise InputError(f"{path} holds no alert to investigate:\n  " + "\n  ".join(problems))
