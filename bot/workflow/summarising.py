"""An incident that is over and stays over → its summary, once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from approvals.canonical import canonicalize, digest
from bot.domain.audit import IncidentSummarised
from bot.domain.clock import Clock
from bot.domain.errors import StaleWrite, Unavailable
from bot.domain.ids import IncidentId
from bot.domain.incident import Incident, IncidentState
from bot.domain.summary import Finding, Summary
from bot.ports import IncidentStore, Job, JobKind
from bot.workflow.chronicle import read_story
from investigators.retrospect.account import RulesSummariser
from investigators.retrospect.story import Story, Summariser

_log = structlog.stdlib.get_logger(__name__)


class Summarising:
    """Writes what was planned when the incident resolved, once it has been quiet for ``settle``, or for
    ``reopen_within`` where its alerts have come back before: one that comes and goes is told of once."""

    def __init__(
        self,
        store: IncidentStore,
        summariser: Summariser,
        settle: timedelta,
        reopen_within: timedelta,
        clock: Clock,
        on_error: Callable[[Exception], None],
    ) -> None:
        self._store = store
        self._summariser = summariser
        self._settle = settle
        self._reopen_within = max(settle, reopen_within)
        self._clock = clock
        self._on_error = on_error
        self._rules = RulesSummariser()

    async def run(self, subject: str) -> None:
        incident_id = IncidentId(subject)
        async with self._store.reading() as rows:
            incident = await rows.incident(incident_id)
            wanted = await rows.summary_wanted(incident_id)
            if incident is None or wanted is None:
                return
            due = self._due(incident, wanted)
            ready = due is not None and due <= self._clock.now()
            story = await read_story(rows, incident_id, self._clock) if ready else None
        if due is None or (ready and story is None):
            await self._forget(incident_id, wanted)
        elif story is None:
            async with self._store.transaction() as tx:
                await tx.enqueue(Job(kind=JobKind.SUMMARISE, subject=subject), due)
        else:
            await self._write(story, await self._summary(story))

    def _due(self, incident: Incident, wanted: int) -> datetime | None:
        """None where nothing is to be written: it was opened again, or closed."""
        over = incident.state is IncidentState.RESOLVED and incident.reopened == wanted
        if not over or incident.resolved_at is None:
            return None
        restless = incident.reopened or incident.flaps
        return incident.resolved_at + (self._reopen_within if restless else self._settle)

    async def _summary(self, story: Story) -> Summary:
        # A digest's incident is told to nobody: no model is asked about it.
        if story.incident.quiet:
            return await self._rules.summarise(story)
        try:
            with structlog.contextvars.bound_contextvars(incident=story.incident.short_id):
                return await self._summariser.summarise(story)
        except Exception as error:  # noqa: BLE001 - what goes wrong beside the rules keeps nobody from theirs
            _log.exception("summariser_failed", incident=story.incident.short_id)
            self._on_error(error)
            return await self._rules.summarise(story)

    async def _write(self, story: Story, summary: Summary) -> None:
        try:
            async with self._store.transaction() as tx:
                incident = await tx.incident(story.incident.id)
                if incident is None or self._due(incident, summary.reopened) is None:
                    return
                if await tx.add_summary(summary):
                    await tx.record(_event(summary))
        except (StaleWrite, Unavailable):
            raise
        except (TypeError, ValueError) as error:
            # What a summary says has no place in a row, and would have none the next time either.
            _log.exception("summary_not_stored", incident=story.incident.short_id)
            self._on_error(error)
            await self._forget(story.incident.id, summary.reopened)

    async def _forget(self, incident_id: IncidentId, wanted: int) -> None:
        # What was planned since, when it resolved once more, has a higher number and stays.
        async with self._store.transaction() as tx:
            await tx.drop_summaries(incident_id, wanted)


def _event(summary: Summary) -> IncidentSummarised:
    findings = (*summary.cause, *summary.what_was_done, *summary.sooner)
    return IncidentSummarised(
        incident_id=summary.incident_id,
        run=summary.run,
        reopened=summary.reopened,
        origin=summary.origin.value,
        evidence_ids=tuple(dict.fromkeys(one for finding in findings for one in finding.evidence_ids)),
        summary_digest=digest(
            canonicalize(
                {
                    "timeline": [entry.what for entry in summary.timeline],
                    "cause": _texts(summary.cause),
                    "what_was_done": _texts(summary.what_was_done),
                    "sooner": _texts(summary.sooner),
                    "runbook": summary.runbook_section,
                    "patch": summary.runbook_patch or "",
                }
            )
        ),
    )


def _texts(findings: tuple[Finding, ...]) -> list[str]:
    return [finding.text for finding in findings]
