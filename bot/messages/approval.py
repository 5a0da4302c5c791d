"""The approval card and everything said about reviews, the gate and the outcome.

Cards are rendered from the typed action and never from prose: what is shown is what the digest binds.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from approvals.model import ApprovalRequest, RequestState, Review, ReviewVerdict, Strength
from bot.domain.evidence import Evidence
from bot.domain.graph import Dependents
from bot.domain.incident import Incident
from bot.domain.message import Block, Bullets, Fields, Message, Paragraph, Span, Tone, paragraph
from bot.domain.outcome import Execution, ExecutionState, Outcome, OutcomeVerdict
from bot.domain.proposal import Proposal
from bot.messages.view import RequestView
from bot.messages.words import clock_time, code, date_time, duration, inert, outside, span, strong

_STATE_TITLES = {
    RequestState.PENDING: "✋ Approval needed",
    RequestState.APPROVED: "✅ Approved",
    RequestState.REJECTED: "❌ Rejected",
    RequestState.EXPIRED: "⌛ Expired: nobody decided in time",
    RequestState.SUPERSEDED: "♻️ Superseded",
    RequestState.WITHDRAWN: "↩️ Withdrawn",
    RequestState.CANCELLED: "⛔ Cancelled",
}

_TOO_WEAK = {
    Strength.REACTION: "",
    Strength.COMMAND: " A reaction is not enough to approve.",
    Strength.DEVICE_VERIFIED: " It has to come from a verified device in an encrypted room.",
    Strength.SECOND_FACTOR: " It has to carry a second factor.",
}

_CHECK_MARKS = {True: "✔", False: "✘", None: "?"}


def approval_card(incident: Incident, view: RequestView, outsider_evidence: tuple[Evidence, ...]) -> Message:
    """The one card of a request: pending, then decided, then what happened."""
    proposal, request = view.proposal, view.request
    blocks: list[Block] = [
        Fields(pairs=tuple(_action_pairs(proposal))),
        Paragraph(spans=(strong("Why: "), outside(proposal.rationale))),
    ]
    if outsider_evidence:
        names = ", ".join(sorted({f"{item.source} {item.kind}" for item in outsider_evidence}))
        blocks.append(paragraph(f"Part of the evidence is text an outsider could have written: {names}."))
    match request.state:
        case RequestState.PENDING:
            blocks.append(Paragraph(spans=_how_to_decide(incident, request, proposal)))
        case RequestState.APPROVED | RequestState.REJECTED:
            pass
        case _:
            blocks.append(paragraph(request.ended_reason or request.state.value, untrusted=True))
    reviews = tuple(_review_line(review) for review in view.standing)
    if reviews:
        blocks.append(Bullets(title="Reviews", items=reviews))
    if view.execution is not None:
        blocks.append(Paragraph(spans=_execution_spans(view.execution)))
        if view.last_outcome is not None:
            blocks.append(_outcome_block(view.last_outcome))
    return Message(
        title=f"{_title(view)} · {incident.short_id} · {proposal.short_digest}",
        blocks=tuple(blocks),
        tone=_tone(view),
    )


def _title(view: RequestView) -> str:
    if view.execution is None:
        return _STATE_TITLES[view.request.state]
    match view.execution.state:
        case ExecutionState.CLAIMED:
            return "⚙️ Approved, running"
        case ExecutionState.FAILED:
            return "✘ Approved, run, failed"
        case ExecutionState.UNKNOWN:
            return "⚠️ Approved, outcome unknown"
        case ExecutionState.SUCCEEDED:
            outcome = view.last_outcome
            if outcome is not None and outcome.verdict is OutcomeVerdict.VERIFIED:
                return "✔ Approved, run, verified"
            if outcome is not None and outcome.verdict is OutcomeVerdict.FAILED:
                return "✘ Approved, run, did not help"
            return "✅ Approved, run"


def _tone(view: RequestView) -> Tone:
    if view.execution is None:
        return Tone.WARNING if view.request.state is RequestState.PENDING else Tone.MUTED
    if view.execution.state in (ExecutionState.FAILED, ExecutionState.UNKNOWN):
        return Tone.CRITICAL
    outcome = view.last_outcome
    return Tone.CRITICAL if outcome is not None and outcome.verdict is OutcomeVerdict.FAILED else Tone.GOOD


def _action_pairs(proposal: Proposal) -> list[tuple[str, tuple[Span, ...]]]:
    params = ", ".join(f"{name}={value}" for name, value in sorted(proposal.action.params.items()))
    dry_run, target = proposal.dry_run, proposal.target
    covered = f" (not tried: {dry_run.uncovered})" if dry_run.uncovered else ""
    return [
        ("Action", (code(proposal.action.name),)),
        ("Parameters", (inert(params or "none"),)),
        (
            "Target",
            (
                inert(f"{proposal.target.kind} {proposal.target.name}"),
                span(" identity "),
                inert(proposal.target.uid),
            ),
        ),
        ("Risk", (span(f"{proposal.risk.value} · blast radius {target.blast_radius}"),)),
        *_depends(target.dependents),
        ("Dry run", (span("✔ " if dry_run.ok else "✘ "), outside(dry_run.summary + covered))),
        ("Digest", (code(proposal.short_digest),)),
    ]


def _depends(known: Dependents | None) -> Iterator[tuple[str, tuple[Span, ...]]]:
    """That none was seen is not that there is none, and says so."""
    if known is None:
        return
    if not known.count:
        yield "Dependents", (span("no dependents seen, which does not mean that nothing depends on it"),)
        return
    services = "1 service is" if known.count == 1 else f"{known.count} services are"
    seen = "declared" if known.seen_at is None else f"last seen {date_time(known.seen_at)}"
    more = f" and {known.more} more" if known.more else ""
    yield (
        "Dependents",
        (
            span(f"{services} known to depend on it ({seen}): "),
            outside(", ".join(known.names)),
            span(more),
        ),
    )


def _how_to_decide(incident: Incident, request: ApprovalRequest, proposal: Proposal) -> tuple[Span, ...]:
    requirement = request.requirement
    people = "one approver" if requirement.count == 1 else f"{requirement.count} different approvers"
    approve = "React ✅ or write " if requirement.strength is Strength.REACTION else "Approve with "
    return (
        span(f"Needs {people} ({' or '.join(requirement.roles)}). {approve}"),
        code(f"!assent approve {incident.short_id} {proposal.short_digest}"),
        span(f".{_TOO_WEAK[requirement.strength]} Reject with ❌ or "),
        code(f"!assent reject {incident.short_id} REASON"),
        span(f". Expires at {clock_time(request.expires_at)}."),
    )


def _review_line(review: Review) -> tuple[Span, ...]:
    mark = "✅" if review.verdict is ReviewVerdict.APPROVE else "❌"
    spans = [
        span(f"{mark} "),
        strong(review.reviewer),
        span(f" by {review.means.value} on {review.identity.platform} at {clock_time(review.at)}"),
    ]
    if review.reason:
        spans.append(outside(f": {review.reason}"))
    return tuple(spans)


def _execution_spans(execution: Execution) -> tuple[Span, ...]:
    match execution.state:
        case ExecutionState.CLAIMED:
            return (span(f"Running since {clock_time(execution.claimed_at)} …"),)
        case ExecutionState.UNKNOWN:
            return (
                strong("It may or may not have run. It will not be run again. "),
                span("Look: "),
                inert(execution.inspect),
            )
        case _:
            result = execution.result
            summary = result.summary if result is not None else ""
            return (strong("Result: "), outside(summary))


def _outcome_block(outcome: Outcome) -> Block:
    return Bullets(
        title=f"Verification: {outcome.verdict.value}" + ("" if outcome.last else " (will look again)"),
        items=tuple(
            (span(f"{_CHECK_MARKS[check.ok]} {check.name}: "), outside(check.detail))
            for check in outcome.checks
        ),
    )


def outcome_reply(incident: Incident, execution: Execution, outcome: Outcome) -> Message:
    """Said in the thread after each verification round."""
    words = {
        OutcomeVerdict.VERIFIED: "✔ It helped: verified",
        OutcomeVerdict.FAILED: "✘ It did not help",
        OutcomeVerdict.PENDING: "Not settled yet",
        OutcomeVerdict.UNKNOWN: "Could not be verified",
    }
    good = outcome.verdict is OutcomeVerdict.VERIFIED
    return Message(
        title=f"{words[outcome.verdict]} · {incident.short_id}",
        blocks=(_outcome_block(outcome),),
        tone=Tone.GOOD if good else Tone.WARNING,
    )


def execution_reply(incident: Incident, view: RequestView) -> Message | None:
    """Said in the thread once the action has run (or may have)."""
    execution = view.execution
    if execution is None or execution.state is ExecutionState.CLAIMED:
        return None
    title = "⚙️ Done" if execution.state is ExecutionState.SUCCEEDED else _title(view)
    return Message(
        title=f"{title} · {incident.short_id}",
        blocks=(Paragraph(spans=_execution_spans(execution)),),
        tone=Tone.INFO if execution.state is ExecutionState.SUCCEEDED else Tone.CRITICAL,
    )


def ended_reply(incident: Incident, view: RequestView) -> Message | None:
    """Said in the thread when a request ended without a run."""
    request = view.request
    if view.execution is not None or request.state in (RequestState.PENDING, RequestState.APPROVED):
        return None
    reason = request.ended_reason or ""
    return Message(
        title=f"{_STATE_TITLES[request.state]} · {incident.short_id} · nothing was executed",
        blocks=(paragraph(reason, untrusted=True),) if reason else (),
        tone=Tone.MUTED,
    )


def reminder_reply(incident: Incident, request: ApprovalRequest, now: datetime) -> Message:
    left = duration(request.expires_at - now)
    return Message(title=f"⏰ {incident.short_id} still waits for approval: {left} left", tone=Tone.WARNING)
