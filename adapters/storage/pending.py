"""The work that the rows imply: what a process that has just started has to wake."""

from __future__ import annotations

from sqlalchemy import Select, exists, or_, select, text

from adapters.storage.asked_tables import questions, wishes
from adapters.storage.chat_rows import UNSENT
from adapters.storage.rows import Rows
from adapters.storage.tables import alerts, executions, inbox, incidents, outbox, requests, summaries
from bot.domain.clock import from_rfc3339
from bot.ports import Job, JobKind, PendingJob

_ANY = (
    (JobKind.INTAKE, select(alerts.c.seq).where(text("alerts.placed = 0")).limit(1)),
    (JobKind.DELIVER, select(outbox.c.sequence).where(UNSENT).limit(1)),
    (JobKind.INBOUND, select(inbox.c.seq).where(text("inbox.handled = 0")).limit(1)),
)
_live = select(incidents.c.id).where(text("incidents.live = 1")).order_by(incidents.c.seq)
_no_execution = ~exists().where(executions.c.request_id == requests.c.id)
_EACH: tuple[tuple[JobKind, Select[tuple[str]]], ...] = (
    (
        JobKind.INVESTIGATE,
        _live.where(
            incidents.c.mode == "investigate",
            or_(incidents.c.state == "open", incidents.c.state == "investigating"),
        ),
    ),
    (
        JobKind.REMEDIATE,
        _live.where(incidents.c.state == "diagnosed", incidents.c.remediated_run < incidents.c.run),
    ),
    (JobKind.REMEDIATE, _live.where(incidents.c.state == "failed")),
    (
        JobKind.REMEDIATE,
        select(wishes.c.incident_id)
        .where(text("wishes.state = 'open'"))
        .order_by(wishes.c.incident_id, wishes.c.seq),
    ),
    (
        JobKind.ASK,
        select(questions.c.id).where(text("questions.state = 'pending'")).order_by(questions.c.seq),
    ),
    (
        JobKind.ANNOUNCE,
        select(incidents.c.id)
        .where(text("incidents.announced < incidents.change"))
        .order_by(incidents.c.seq),
    ),
    (
        JobKind.SUMMARISE,
        select(summaries.c.incident_id)
        .where(text("summaries.body IS NULL"))
        .distinct()
        .order_by(summaries.c.incident_id),
    ),
    (
        JobKind.REMIND,
        select(requests.c.id).where(text("requests.state = 'pending'")).order_by(requests.c.seq),
    ),
    (
        JobKind.EXECUTE,
        select(requests.c.id)
        .where(text("requests.state = 'approved'"), _no_execution)
        .order_by(requests.c.seq),
    ),
    (
        JobKind.VERIFY,
        select(executions.c.id).where(text("executions.state = 'claimed'")).order_by(executions.c.seq),
    ),
)
_EXPIRIES = (
    select(requests.c.id, requests.c.expires_at)
    .where(text("requests.state = 'pending'"))
    .order_by(requests.c.expires_at)
)
_later = executions.alias("later")
_VERIFYING = (
    select(executions.c.id)
    .join_from(incidents, executions, executions.c.incident_id == incidents.c.id)
    .where(
        text("incidents.live = 1"),
        incidents.c.state == "verifying",
        ~exists().where(_later.c.incident_id == executions.c.incident_id, _later.c.seq > executions.c.seq),
    )
    .order_by(incidents.c.seq)
)


async def implied_work(rows: Rows) -> list[PendingJob]:
    """Every job in one snapshot; due at once unless it says when."""
    work = [PendingJob(job=Job(kind=JobKind.HEARTBEAT))]
    for kind, query in _ANY:
        if await rows.first(query) is not None:
            work.append(PendingJob(job=Job(kind=kind)))
    for kind, query in (*_EACH, (JobKind.VERIFY, _VERIFYING)):
        work.extend(PendingJob(job=Job(kind=kind, subject=row[0])) for row in await rows.all(query))
    for request_id, expires_at in await rows.all(_EXPIRIES):
        job = Job(kind=JobKind.EXPIRE, subject=request_id)
        work.append(PendingJob(job=job, due_at=from_rfc3339(expires_at)))
    return work
