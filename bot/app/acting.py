"""Everything around the gate: keys, policy, inspectors, executors. The only place that names executors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp

import config as config_package
from adapters.keys import Ed25519Signer, TrustedKeys, load_signer, load_trusted
from adapters.policy import load_engine
from adapters.storage import SqlStore
from approvals.catalogue import builtin_catalogue
from approvals.document import FreezeWindow, PolicySettings, RiskSettings, policy_data
from approvals.gate import Gate, GateSettings
from approvals.model import Directory
from approvals.policy import PolicyGuard
from approvals.ports import Executor, Inspector
from bot.app.seams import Seams
from bot.domain.errors import ConfigError
from bot.domain.proposal import ActionSpec, ParamSpec
from config.loader import process_environment
from config.schema import AlertmanagerTarget, Config
from investigators.analyst.ports import OfferedAction, ParamRole

_ROLES: Mapping[tuple[str, str], ParamRole] = {
    ("alertmanager.silence", "matchers"): ParamRole.LABELS,
    ("alertmanager.silence", "comment"): ParamRole.PROSE,
}
_MOST: Mapping[tuple[str, str], tuple[int, str]] = {
    ("alertmanager.silence", "duration_minutes"): (120, "how long, from 1 minute to 120 (two hours)"),
}
"""What a model may ask for at most, where a person may ask for more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The signing key, where one is configured, and every key whose signature counts."""

    signer: Ed25519Signer | None
    verifier: TrustedKeys

    def must_sign(self) -> Ed25519Signer:
        """The signer. Raises ConfigError without one: nothing may be approved that cannot be signed."""
        if self.signer is None:
            raise ConfigError(["keys.signing_key: missing; make one with: assent keys generate"])
        return self.signer


def load_keys(config: Config) -> Keys:
    """Raises ConfigError naming the key that cannot be used."""
    signer = None
    if config.keys.signing_key is not None:
        signer = load_signer(config.keys.signing_key.get_secret_value())
    return Keys(signer=signer, verifier=load_trusted(config.keys.trusted, signer=signer))


def policy_directory(config: Config) -> Path:
    """The operator's own policies, else the shipped ones."""
    if config.policy.directory is not None:
        return config.policy.directory
    return Path(next(iter(config_package.__path__))) / "policies"


def build_policy(config: Config, risk: RiskSettings) -> PolicyGuard:
    """Raises ConfigError naming file and line of a policy that cannot be used."""
    settings = PolicySettings(
        critical_services=critical_services(config),
        forbidden_namespaces=config.policy.forbidden_namespaces,
        writable_environments=config.policy.writable_environments,
        executions_per_hour=config.policy.executions_per_hour,
        freezes=freezes(config),
    )
    timeout = config.policy.timeout.total_seconds()
    engine = load_engine(policy_directory(config), policy_data(settings, risk), timeout_s=timeout)
    return PolicyGuard(engine, timeout, risk)


def critical_services(config: Config) -> tuple[str, ...]:
    """Those of the policy and those that are declared to be."""
    declared = (service.name for service in config.services if service.critical)
    return tuple(dict.fromkeys((*config.policy.critical_services, *declared)))


def freezes(config: Config) -> tuple[FreezeWindow, ...]:
    return tuple(FreezeWindow.parse(f.start, f.end, f.reason) for f in config.policy.freezes)


def may_execute(config: Config) -> bool:
    """Whether anything may be executed at all: in calibration nothing is, whatever else is configured."""
    return config.execution.enabled and not config.investigation.calibration


def build_inspectors(config: Config, seams: Seams, session: aiohttp.ClientSession) -> dict[str, Inspector]:
    """The reading halves, by executor name: they look, try and verify, and cannot change anything."""
    if seams.acting is not None:
        return {name: inspector for name, (inspector, _) in seams.acting.items()}
    inspectors: dict[str, Inspector] = {}
    if config.execution.processes:
        from adapters.executors.process import ProcessInspector

        inspectors["process"] = ProcessInspector(
            config.execution.processes, clock=seams.clock, environment=process_environment()
        )
    if config.execution.alertmanager is not None:
        from adapters.executors.alertmanager import AlertmanagerInspector

        inspectors["alertmanager"] = AlertmanagerInspector(
            config.execution.alertmanager, session=session, clock=seams.clock
        )
    return inspectors


def offered_actions(config: Config, seams: Seams) -> tuple[OfferedAction, ...]:
    """What a model may name: the catalogue's entries whose executor is configured, without those that only
    undo another. Naming one runs nothing, whether execution is enabled or not."""
    configured = set(seams.acting or ())
    inventory: dict[str, tuple[str, ...]] = {}
    if config.execution.processes:
        configured.add("process")
        inventory["process"] = tuple(process.name for process in config.execution.processes)
    if config.execution.alertmanager is not None:
        configured.add("alertmanager")
    catalogue = builtin_catalogue()
    undoing = {spec.compensating for spec in catalogue.values()}
    return tuple(
        offered(spec, inventory.get(spec.executor))
        for spec in catalogue.values()
        if spec.executor in configured and spec.name not in undoing
    )


def offered(spec: ActionSpec, targets: tuple[str, ...] | None = None) -> OfferedAction:
    """One entry of the catalogue as a model may name it."""
    return OfferedAction(
        name=spec.name,
        title=spec.title,
        params=tuple(_narrowed(spec.name, one) for one in spec.params),
        targets=targets,
        roles={one.name: role for one in spec.params if (role := _ROLES.get((spec.name, one.name)))},
    )


def _narrowed(action: str, param: ParamSpec) -> ParamSpec:
    most = _MOST.get((action, param.name))
    return param if most is None else replace(param, maximum=most[0], description=most[1])


def _build_executors(config: Config, seams: Seams, session: aiohttp.ClientSession) -> Mapping[str, Executor]:
    executors: dict[str, Executor] = {}
    if not may_execute(config):
        return executors
    if seams.acting is not None:
        return {name: executor for name, (_, executor) in seams.acting.items()}
    if config.execution.processes:
        from adapters.executors.process import ProcessExecutor

        executors["process"] = ProcessExecutor(
            config.execution.processes,
            clock=seams.clock,
            environment=process_environment(),
            state_dir=config.data_dir / "executions",
            timeout=config.execution.timeout,
        )
    if config.execution.alertmanager is not None:
        from adapters.executors.alertmanager import AlertmanagerExecutor

        executors["alertmanager"] = AlertmanagerExecutor(
            config.execution.alertmanager, session=session, clock=seams.clock
        )
    return executors


def build_gate(
    config: Config,
    seams: Seams,
    session: aiohttp.ClientSession,
    *,
    store: SqlStore,
    keys: Keys,
    policy: PolicyGuard,
    risk: RiskSettings,
    directory: Directory,
    inspectors: Mapping[str, Inspector],
) -> Gate:
    """The gate with its executors, which nothing else ever holds."""
    return Gate(
        store=store,
        verifier=keys.verifier,
        policy=policy,
        directory=directory,
        catalogue=builtin_catalogue(),
        inspectors=inspectors,
        executors=_build_executors(config, seams, session),
        clock=seams.clock,
        token=seams.token,
        settings=GateSettings(execution_timeout=config.execution.timeout, freezes=freezes(config), risk=risk),
    )


async def probe_alertmanager(section: AlertmanagerTarget, session: aiohttp.ClientSession) -> str:
    """What Alertmanager says, in one sentence. Raises Unavailable."""
    from adapters.executors.alertmanager.api import AlertmanagerApi

    alerts = await AlertmanagerApi(section, session).alerts()
    return f"answers, {len(alerts)} active alerts"
