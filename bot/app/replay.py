"""Investigations of a directory: a recording, or a case written by hand or converted. No configuration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import count
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from adapters.alerts import parsers
from adapters.evidence.recording import CASE, sources_in
from adapters.evidence.snapshot import Snapshot
from bot.domain.alert import Alert, AlertStatus
from bot.domain.batch import BodyError
from bot.domain.clock import Clock
from bot.domain.errors import InputError
from bot.domain.ids import RandomToken
from bot.domain.threads import in_thread
from bot.workflow.intake import GroupingRules, open_incident
from bot.workflow.routing import Router
from config.alerts import Grouping, Limits
from config.looking import Evidence as EvidenceSettings
from investigators.ports import Case, Investigation, Investigator
from investigators.queries import Sources
from investigators.registry import DeterministicInvestigator, Rules

_DEADLINE = timedelta(minutes=10)
"""A directory answers in milliseconds; the answer must not depend on how busy the machine is."""


@dataclass(frozen=True, slots=True)
class FixedClock:
    """The moment of a recording."""

    moment: datetime

    def now(self) -> datetime:
        return self.moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What a recording keeps of the investigation besides the answers."""

    case: Case
    lookback: timedelta


Wrap = Callable[[Investigator, Sources, Clock], Investigator]
"""Puts something behind the rules, over the same sources and at the same moment."""


async def replay(
    directory: Path, rules: Rules | None = None, pool: Executor | None = None, wrap: Wrap | None = None
) -> tuple[Case, Investigation]:
    """Investigate a directory, with all rules or some. The same directory gives the same investigation, to
    the byte. Several at once had better share a ``pool`` of few threads.

    Raises InputError for a directory that is none, or holds no alert.
    """
    saved, sources = await in_thread(pool, _opened, directory, pool)
    clock = FixedClock(saved.case.now)
    investigator = build_rules_investigator(sources, clock, _DEADLINE, saved.lookback, rules, pool)
    if wrap is not None:
        investigator = wrap(investigator, sources, clock)
    return saved.case, await investigator.investigate(saved.case)


def _opened(directory: Path, pool: Executor | None) -> tuple[Saved, Sources]:
    snapshot = Snapshot(directory, pool)
    # Without meta.yaml the clock is the newest time of the parts, which are then read.
    return _saved(snapshot, snapshot.now), replay_sources(snapshot)


def replay_sources(snapshot: Snapshot | Path) -> Sources:
    """What a directory answers with: the recorded sources by their names, or one for each part."""
    return sources_in(snapshot if isinstance(snapshot, Snapshot) else Snapshot(snapshot))


def build_rules_investigator(
    sources: Sources,
    clock: FixedClock,
    deadline: timedelta,
    lookback: timedelta,
    rules: Rules | None = None,
    pool: Executor | None = None,
) -> Investigator:
    """The deterministic investigator at one moment."""
    return DeterministicInvestigator(
        sources, clock=clock, deadline=deadline, lookback=lookback, rules=rules, pool=pool
    )


def _saved(snapshot: Snapshot, now: datetime) -> Saved:
    """The recorded case, or a new one from alert.json, always with the same ids."""
    path = snapshot.root / CASE
    try:
        if path.is_file():
            return TypeAdapter(Saved).validate_json(path.read_bytes())
        alert = snapshot.root / "alert.json"
        body = alert.read_bytes()
    except ValidationError as error:
        raise InputError(f"{path}: {error.error_count()} errors, first: {error.errors()[0]['msg']}") from None
    except OSError as error:
        raise InputError(f"{error.filename}: {error.strerror}") from None
    defaults = Grouping()
    alerts = firing(
        body, str(alert), now, limits=Limits(), missing_severity=defaults.missing_severity, or_resolved=True
    )
    rules = GroupingRules(
        correlation_labels=defaults.correlation_labels, reopen_within=defaults.reopen_within, heartbeats={}
    )
    case = new_case(alerts, now, seed(body, now), Router(rules=(), default_rooms=()), rules)
    return Saved(case=case, lookback=EvidenceSettings().lookback)


def new_case(
    alerts: Sequence[Alert], now: datetime, token: RandomToken, routes: Router, rules: GroupingRules
) -> Case:
    """The first alert's incident, not stored anywhere."""
    incident = open_incident(alerts[0], routes.route(alerts[0]), rules.correlation_labels, now, token)
    return Case(incident=incident, alerts=tuple(alerts), run=1, now=now)


def seed(body: bytes, now: datetime) -> RandomToken:
    """Ids that depend on nothing but the alert and its moment, so that a replay has the same ones."""
    number = count()
    begin = sha256(body + now.isoformat().encode()).digest()

    def token(size: int) -> str:
        made = ""
        while len(made) < 2 * size:
            made += sha256(begin + str(next(number)).encode()).hexdigest()
        return made[: 2 * size]

    return token


def firing(
    body: bytes,
    where: str,
    now: datetime,
    *,
    limits: Limits,
    missing_severity: str,
    or_resolved: bool = False,
) -> list[Alert]:
    """The firing alerts of a body of any known kind; ``or_resolved``: all of them where none fires.

    Raises InputError with what was wrong with it as each kind.
    """
    problems = []
    for kind, parse in parsers(limits, missing_severity=missing_severity).items():
        try:
            batch = parse(body, source=kind, received_at=now)
        except BodyError as error:
            problems.append(f"as {kind}: {error}")
            continue
        alerts = [parsed.alert for parsed in batch.alerts]
        fires = [alert for alert in alerts if alert.status is AlertStatus.FIRING]
        if fires or (alerts and or_resolved):
            return fires or alerts
        problems.append(f"as {kind}: no firing alert in it")
    raise InputError(f"{where} holds no alert to investigate:\n  " + "\n  ".join(problems))
