"""Stored alerts → incidents: heartbeats, routing, grouping, flapping, resolving, reopening."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from approvals.model import RequestState
from bot.domain.alert import Alert, AlertStatus, Criticality, StoredAlert
from bot.domain.audit import AlertsIgnored, AlertsJoined, IncidentMoved, IncidentOpened
from bot.domain.clock import Clock
from bot.domain.errors import StaleWrite, Unavailable
from bot.domain.graph import Graph
from bot.domain.ids import AlertId, IncidentId, RandomToken, new_id, new_short_id
from bot.domain.incident import IN_FLIGHT, LIVE, Incident, IncidentState, Mode
from bot.ports import IncidentStore, Job, JobKind, Transaction
from bot.telemetry import Metrics
from bot.workflow.investigation import begin_investigation
from bot.workflow.memory import remember
from bot.workflow.requests import end_open_requests
from bot.workflow.routing import Routed, Router
from bot.workflow.topology import Grouping, node_of, read_graph, read_grouping

BATCH = 50
"""Alerts per transaction: a larger one would keep new alerts waiting for the only writer."""
_IDS_RECORDED = 50

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupingRules:
    """``correlation_labels`` go from general to specific; alerts correlate only when they carry the most
    specific one, so that a shared cluster alone never makes two alerts one incident.

    ``topology_window`` is for how long after its opening an incident takes in alerts of services known to be
    near (zero: not at all), and ``topology_services`` how many services may come together that way.
    ``heartbeats`` maps the alert names that are signs of life to the time after which their absence is
    an incident of its own (None: never).
    """

    correlation_labels: tuple[str, ...]
    reopen_within: timedelta
    heartbeats: Mapping[str, timedelta | None]
    topology_window: timedelta = timedelta(0)
    topology_services: int = 8


@dataclass(slots=True)
class _Draft:
    """One incident while a batch is being placed into it."""

    incident: Incident
    is_new: bool
    was_quiet: bool = False
    alert_ids: list[AlertId] = field(default_factory=list)
    firing: int = 0
    resolved: int = 0


@dataclass(slots=True)
class _Batch:
    """What is known while a batch is placed. ``near`` is read when an alert belongs nowhere else."""

    pending: Sequence[StoredAlert]
    now: datetime
    drafts: dict[IncidentId, _Draft] = field(default_factory=dict)
    groups: dict[tuple[str, str], IncidentId] = field(default_factory=dict)
    near: Grouping | None = None


@dataclass(slots=True)
class _Ignored:
    ids: dict[str, list[AlertId]] = field(default_factory=dict)

    def add(self, reason: str, alert_id: AlertId) -> None:
        self.ids.setdefault(reason, []).append(alert_id)


class Intake:
    """Places pending alerts, a batch per transaction, until none is left."""

    def __init__(
        self,
        store: IncidentStore,
        router: Router,
        rules: GroupingRules,
        clock: Clock,
        token: RandomToken,
        metrics: Metrics,
        on_error: Callable[[Exception], None],
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._on_error = on_error
        self._router = router
        self._rules = rules
        self._clock = clock
        self._token = token
        self._graph: Graph | None = None

    async def run(self, subject: str = "") -> None:
        """Place everything that is pending now."""
        # Read anew for each run and not for each batch: in a storm there are hundreds of those.
        self._graph = None
        size = BATCH
        while True:
            try:
                if not await self._place_batch(size):
                    return
                size = BATCH
            except (StaleWrite, Unavailable):
                raise
            except Exception as error:  # noqa: BLE001 - one alert that breaks intake must not keep the others out
                if size > 1:
                    size = 1
                    continue
                _log.exception("alert_not_placed")
                self._on_error(error)
                await self._give_up_on_the_first(type(error).__name__)

    async def _place_batch(self, size: int) -> bool:
        """Place up to ``size`` alerts in one transaction; False once none was left."""
        async with self._store.transaction() as tx:
            pending = await tx.pending_alerts(size)
            if not pending:
                return False
            batch = _Batch(pending=pending, now=self._clock.now())
            ignored = _Ignored()
            for stored in pending:
                await self._place(tx, stored, batch, ignored)
            joined = 0
            for draft in batch.drafts.values():
                await self._write(tx, draft, batch.now)
                joined += len(draft.alert_ids) - (1 if draft.is_new else 0)
            for reason, ids in ignored.ids.items():
                await _ignore(tx, ids, reason)
        self._metrics.alerts_coalesced.inc(joined)
        return True

    async def _give_up_on_the_first(self, what: str) -> None:
        async with self._store.transaction() as tx:
            for stored in await tx.pending_alerts(1):
                await _ignore(tx, [stored.id], f"internal error ({what}), see the log")

    async def _place(self, tx: Transaction, stored: StoredAlert, batch: _Batch, ignored: _Ignored) -> None:
        alert, drafts = stored.alert, batch.drafts
        if alert.name in self._rules.heartbeats:
            if alert.status is AlertStatus.FIRING:
                await tx.beat(alert.name, alert.received_at)
            ignored.add("heartbeat", stored.id)
            return
        group_key = group_key_of(alert)
        known = batch.groups.get((alert.source, group_key))
        if alert.status is AlertStatus.RESOLVED:
            draft = drafts[known] if known is not None else await self._draft_of_firing(tx, alert, drafts)
            if draft is None:
                ignored.add("nothing of this alert was firing", stored.id)
                return
            draft.alert_ids.append(stored.id)
            draft.resolved += 1
            return
        routed = self._router.route(alert)
        if routed.ignored is not None:
            ignored.add(routed.ignored, stored.id)
            return
        draft = drafts[known] if known is not None else await self._draft_to_join(tx, alert, batch)
        if draft is None:
            draft = await self._draft_nearby(tx, alert, routed, batch)
        if draft is None:
            incident = open_incident(alert, routed, self._rules.correlation_labels, batch.now, self._token)
            for note in routed.notes:
                _log.warning("label_not_followed", incident=incident.short_id, reason=note)
            draft = _Draft(incident=await tx.add_incident(incident), is_new=True)
            drafts[draft.incident.id] = draft
            if batch.near is not None:
                batch.near.opened(node_of(alert, self._router), draft.incident.id)
        batch.groups[(alert.source, group_key)] = draft.incident.id
        draft.alert_ids.append(stored.id)
        draft.firing += 1
        draft.incident = _with_member(draft.incident, alert, routed)

    async def _draft_of_firing(
        self, tx: Transaction, alert: Alert, drafts: dict[IncidentId, _Draft]
    ) -> _Draft | None:
        incident = await tx.incident_of_firing(alert.source, alert.fingerprint)
        if incident is not None:
            return _drafted(incident, drafts)
        # The firing half may be in this very batch, joined to a draft by correlation.
        for draft in drafts.values():
            if draft.firing and draft.incident.correlation == self._correlation(alert) != {}:
                return draft
        return None

    async def _draft_to_join(self, tx: Transaction, alert: Alert, batch: _Batch) -> _Draft | None:
        resolved_after = batch.now - self._rules.reopen_within
        incident = await tx.joinable_incident(
            source=alert.source,
            group_key=group_key_of(alert),
            correlation=self._correlation(alert),
            resolved_after=resolved_after,
        )
        if incident is None:
            incident = await _incident_of_before(tx, alert, resolved_after)
        return None if incident is None else _drafted(incident, batch.drafts)

    async def _draft_nearby(
        self, tx: Transaction, alert: Alert, routed: Routed, batch: _Batch
    ) -> _Draft | None:
        """The incident of what the alert's service is known to depend on, or of what depends on it."""
        node = node_of(alert, self._router)
        if node is None or not self._rules.topology_window:
            return None
        if self._graph is None:
            self._graph = await read_graph(tx, batch.now)
        if batch.near is None:
            batch.near = await read_grouping(
                tx,
                batch.pending,
                self._router,
                self._graph,
                window=self._rules.topology_window,
                most=self._rules.topology_services,
                now=batch.now,
            )
        found = batch.near.incident_of(node)
        incident = None if found is None else await tx.incident(found)
        if incident is None:
            return None
        draft = _drafted(incident, batch.drafts)
        _log.debug("joined_by_topology", incident=incident.short_id, service=node.service)
        # Whoever waits for this service's alerts hears of them, wherever the first alert went.
        rooms = tuple(dict.fromkeys((*draft.incident.route.rooms, *routed.route.rooms)))
        draft.incident = replace(draft.incident, route=replace(draft.incident.route, rooms=rooms))
        return draft

    def _correlation(self, alert: Alert) -> dict[str, str]:
        return correlation_of(alert, self._rules.correlation_labels)

    async def _write(self, tx: Transaction, draft: _Draft, now: datetime) -> None:
        before = draft.incident
        await tx.place_alerts(draft.alert_ids, before.id)
        firing = await tx.firing_members(before.id)
        back_again = not draft.is_new and before.firing == 0 and firing > 0
        incident = replace(
            before,
            firing=firing,
            alerts_total=before.alerts_total + draft.firing,
            flaps=before.flaps + (1 if back_again else 0),
            updated_at=now,
        )
        if draft.is_new:
            await tx.record(_opened(incident))
        await tx.record(
            AlertsJoined(
                incident_id=incident.id,
                count=len(draft.alert_ids),
                firing=draft.firing,
                resolved=draft.resolved,
                alert_ids=tuple(draft.alert_ids[:_IDS_RECORDED]),
            )
        )
        heard = draft.was_quiet and not incident.quiet
        incident = await self._move(tx, incident, back_again=back_again, heard=heard, now=now)
        saved = await tx.save_incident(incident)
        if before.state is not IncidentState.RESOLVED and incident.run:
            await remember(tx, saved)
        wants_work = incident.route.mode is Mode.INVESTIGATE
        if wants_work and incident.state is IncidentState.OPEN:
            await tx.enqueue(Job(kind=JobKind.INVESTIGATE, subject=incident.id))

    async def _move(
        self, tx: Transaction, incident: Incident, *, back_again: bool, heard: bool, now: datetime
    ) -> Incident:
        before = incident.state
        reason = ""
        if incident.state is IncidentState.RESOLVED and incident.firing > 0:
            incident = replace(incident.moved(IncidentState.OPEN, now), reopened=incident.reopened + 1)
            reason = "firing again"
        elif incident.state is IncidentState.FAILED and back_again:
            return await begin_investigation(tx, incident, now, "firing again after a failed action")
        elif incident.state is IncidentState.DIAGNOSED and heard and incident.firing > 0:
            # While it was quiet nobody was asked to approve anything.
            return await begin_investigation(tx, incident, now, "no longer for the digest only")
        if incident.firing == 0 and incident.state in LIVE - IN_FLIGHT:
            await end_open_requests(
                tx, incident, RequestState.CANCELLED, "every alert of the incident has resolved", now
            )
            incident = incident.moved(IncidentState.RESOLVED, now)
            reason = "every alert has resolved"
        if incident.state is not before:
            await tx.record(
                IncidentMoved(
                    incident_id=incident.id, before=before.value, after=incident.state.value, reason=reason
                )
            )
        return incident


def _drafted(incident: Incident, drafts: dict[IncidentId, _Draft]) -> _Draft:
    return drafts.setdefault(incident.id, _Draft(incident=incident, is_new=False, was_quiet=incident.quiet))


async def _incident_of_before(tx: Transaction, alert: Alert, resolved_after: datetime) -> Incident | None:
    """Where this very alert belonged before: it may have joined an incident of another group and service."""
    found = await tx.incident_of_firing(alert.source, alert.fingerprint)
    if found is None:
        found = await tx.incident_with_fingerprint(alert.fingerprint)
        if found is None or found.source != alert.source:
            return None
    lately = found.resolved_at is not None and found.resolved_at > resolved_after
    over = found.state is IncidentState.RESOLVED and not lately
    return None if over or found.state is IncidentState.CLOSED else found


async def _ignore(tx: Transaction, ids: Sequence[AlertId], reason: str) -> None:
    await tx.place_alerts(ids, None)
    await tx.record(AlertsIgnored(count=len(ids), reason=reason, alert_ids=tuple(ids[:_IDS_RECORDED])))


def group_key_of(alert: Alert) -> str:
    """The sender's grouping, else the alert alone."""
    return alert.group_key or f"{alert.name}:{alert.fingerprint}"


def correlation_of(alert: Alert, labels: tuple[str, ...]) -> dict[str, str]:
    """The labels by which alerts of different names belong together; none without the most specific."""
    if not labels or labels[-1] not in alert.labels:
        return {}
    return {name: alert.labels[name] for name in labels if name in alert.labels}


def _with_member(incident: Incident, alert: Alert, routed: Routed) -> Incident:
    """The incident as one more firing alert makes it. One that is not for the digest makes it heard."""
    claimed, known = Criticality.of(alert.labels), incident.criticality
    wanted = routed.route.mode is Mode.INVESTIGATE
    return replace(
        incident,
        severity=max(incident.severity, alert.severity, key=lambda severity: severity.rank),
        criticality=claimed if claimed and (known is None or claimed.rank > known.rank) else known,
        route=replace(
            incident.route,
            digest=incident.route.digest and routed.route.digest,
            mode=Mode.INVESTIGATE if wanted else incident.route.mode,
        ),
    )


def open_incident(
    alert: Alert, routed: Routed, correlation_labels: tuple[str, ...], now: datetime, token: RandomToken
) -> Incident:
    """A new incident that begins with this alert; nothing is stored yet."""
    route = routed.route
    runbook = route.runbook_url or alert.links.get("runbook")
    return Incident(
        id=IncidentId(new_id("inc", token)),
        short_id=new_short_id(token),
        state=IncidentState.OPEN,
        severity=alert.severity,
        title=f"{alert.name}: {alert.summary}" if alert.summary != alert.name else alert.name,
        service=routed.service,
        environment=routed.environment,
        entity=routed.entity,
        criticality=Criticality.of(alert.labels),
        source=alert.source,
        group_key=group_key_of(alert),
        route=replace(route, runbook_url=runbook),
        correlation=correlation_of(alert, correlation_labels),
        opened_at=now,
        updated_at=now,
    )


def _opened(incident: Incident) -> IncidentOpened:
    return IncidentOpened(
        incident_id=incident.id,
        short_id=incident.short_id,
        title=incident.title,
        severity=incident.severity.value,
        route=incident.route.name,
        mode=incident.route.mode.value,
    )
