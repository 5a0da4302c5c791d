"""`assent check`: the configuration, and every connection in it, tested one by one."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import aiohttp

from adapters.anchors import FileAnchors
from adapters.storage import open_ledger
from approvals.document import RiskSettings
from approvals.ports import Inspector
from bot.app.acting import build_inspectors, build_policy, load_keys, may_execute, probe_alertmanager
from bot.app.evidence import probe_sources
from bot.app.models import probe_model
from bot.app.seams import Seams
from bot.cli.loading import load_config
from bot.cli.output import say, say_json
from bot.domain.clock import SystemClock
from bot.domain.errors import AssentError, Unavailable
from bot.domain.proposal import Action
from bot.domain.redaction import redact
from bot.telemetry import configure_logging
from bot.workflow.proving import prove_ledger
from config.dump import to_redacted_yaml
from config.schema import Config

_LIMIT = timedelta(seconds=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at. ``detail`` says what was found, or what is wrong and how to mend it."""

    name: str
    ok: bool
    detail: str


Probe = Callable[[], Awaitable[str]]
"""Returns what it found; raises AssentError or OSError with what is wrong."""


async def check(path: Path, *, as_json: bool, dump: bool) -> int:
    """0 when everything works, 1 when something does not."""
    config = load_config(path)
    if dump:
        say(to_redacted_yaml(config).rstrip())
        return 0
    # What a connection logs of itself is told as a finding.
    configure_logging(config.telemetry.log_format, "error", sys.stderr)
    async with aiohttp.ClientSession() as session:
        findings = [await _look(name, probe) for name, probe in _probes(config, session)]
    good = all(finding.ok for finding in findings)
    if as_json:
        say_json({"ok": good, "checks": [{"name": f.name, "ok": f.ok, "detail": f.detail} for f in findings]})
        return 0 if good else 1
    for finding in findings:
        say(f"{'✔' if finding.ok else '✘'} {finding.name}: {finding.detail}")
    mode = "may execute approved actions" if may_execute(config) else "advises only, executes nothing"
    if config.investigation.calibration:
        mode = "calibrates: it diagnoses and offers nothing"
    say(f"\n{'Everything works' if good else 'Something does not work'}; this configuration {mode}.")
    return 0 if good else 1


async def _look(name: str, probe: Probe) -> Finding:
    try:
        async with asyncio.timeout(_LIMIT.total_seconds()):
            return Finding(name=name, ok=True, detail=redact(await probe()))
    except TimeoutError:
        return Finding(name=name, ok=False, detail=f"no answer within {_LIMIT.total_seconds():g} s")
    except Unavailable as error:
        # The finding's own name says already what did not answer.
        named = error.system.lower() in name.lower().split()
        return Finding(name=name, ok=False, detail=redact(error.reason if named else str(error)))
    except (AssentError, OSError) as error:
        return Finding(name=name, ok=False, detail=redact(str(error)))


def _probes(config: Config, session: aiohttp.ClientSession) -> list[tuple[str, Probe]]:
    probes: list[tuple[str, Probe]] = [
        ("data directory", lambda: _data_directory(config)),
        ("keys", lambda: _keys(config)),
        ("policy", lambda: _policy(config)),
        ("ledger", lambda: _ledger(config)),
    ]
    if config.ledger.anchor_file is not None:
        probes.append(("ledger anchor", lambda: _anchor(config)))
    if config.chat.matrix is not None:
        probes.append(("matrix", lambda: _matrix(config)))
    for name, source in probe_sources(config, Seams(), session):
        probes.append((f"evidence {name}", source))
    if config.model is not None:
        probes.append((f"model {config.model.provider}", partial(probe_model, config.model, SystemClock())))
    inspectors = build_inspectors(config, Seams(), session)
    for process in config.execution.processes:
        probes.append((f"process {process.name}", _process(inspectors["process"], process.name)))
    if config.execution.alertmanager is not None:
        probes.append(("alertmanager", lambda: _alertmanager(config, session)))
    return probes


async def _data_directory(config: Config) -> str:
    config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(config.data_dir, os.W_OK | os.X_OK):
        raise PermissionError(f"{config.data_dir} is not writable for this user")
    return f"{config.data_dir} is writable"


async def _keys(config: Config) -> str:
    keys = load_keys(config)
    if keys.signer is None:
        return "no signing key: nothing can be approved and the ledger is not checkpointed"
    return f"signing key {keys.signer.key_id[:16]}, {len(config.keys.trusted)} other trusted"


async def _policy(config: Config) -> str:
    return f"loads, hash {build_policy(config, RiskSettings()).policy_hash[:16]}"


async def _ledger(config: Config) -> str:
    database = config.data_dir / "assent.db"
    if not database.exists():
        return "nothing stored yet"
    anchors = FileAnchors(config.ledger.anchor_file) if config.ledger.anchor_file else None
    async with open_ledger(database) as rows:
        proof = await prove_ledger(rows, load_keys(config).verifier, anchors)
    if not proof.report.ok:
        raise OSError(f"broken at entry {proof.report.first_bad}: {proof.report.problem}")
    return f"intact, {proof.report.entries} entries"


async def _anchor(config: Config) -> str:
    path = config.ledger.anchor_file
    assert path is not None
    parent = path.parent
    parent.mkdir(parents=True, exist_ok=True)
    if not os.access(path if path.exists() else parent, os.W_OK):
        raise PermissionError(f"{path} is not writable for this user")
    same_disk = parent.stat().st_dev == config.data_dir.stat().st_dev
    return f"{path}" + (" (on the store's own disk: put it elsewhere to be worth more)" if same_disk else "")


async def _matrix(config: Config) -> str:
    from adapters.chat.matrix import probe_matrix

    section = config.chat.matrix
    assert section is not None
    rooms = [room.matrix for room in config.chat.rooms if room.matrix is not None]
    return await probe_matrix(section, state_dir=config.data_dir, rooms=rooms)


def _process(inspector: Inspector, name: str) -> Probe:
    async def probe() -> str:
        action = Action(name="process.restart", executor="process", params={"process": name})
        target = await inspector.locate(action)
        tried = await inspector.dry_run(action, target)
        if not tried.ok:
            raise OSError(tried.summary)
        return f"{target.uid}; {tried.summary}"

    return probe


async def _alertmanager(config: Config, session: aiohttp.ClientSession) -> str:
    assert config.execution.alertmanager is not None
    return await probe_alertmanager(config.execution.alertmanager, session)
