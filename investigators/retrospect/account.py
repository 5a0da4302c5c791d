"""The rules' own summary: pure, the same for the same story."""

from __future__ import annotations

from collections.abc import Iterator

from bot.domain.diagnosis import Diagnosis, DiagnosisVerdict, Origin
from bot.domain.outcome import ExecutionState, OutcomeVerdict
from bot.domain.summary import Finding, Summary
from investigators.ranking import human_time
from investigators.retrospect.runbook import suggest
from investigators.retrospect.sooner import found_sooner
from investigators.retrospect.story import Deed, Story, cited, line, names_cause

_RESULTS = {
    ExecutionState.CLAIMED: "was begun, and how it ended is not known",
    ExecutionState.UNKNOWN: "may or may not have run",
    ExecutionState.FAILED: "failed",
    ExecutionState.SUCCEEDED: "was run",
}
_VERDICTS = {
    OutcomeVerdict.VERIFIED: "verified: it helped",
    OutcomeVerdict.FAILED: "it did not help",
    OutcomeVerdict.UNKNOWN: "whether it helped is not known",
    OutcomeVerdict.PENDING: "whether it helped was not settled",
}


class RulesSummariser:
    """The summariser of a service without a model."""

    async def summarise(self, story: Story) -> Summary:
        return write(story)


def write(story: Story) -> Summary:
    """The summary that needs no model."""
    runbook = suggest(story)
    return Summary(
        incident_id=story.incident.id,
        run=story.diagnosis.run,
        reopened=story.incident.reopened,
        at=story.now,
        origin=Origin.RULES,
        timeline=story.timeline,
        earlier=story.earlier,
        cause=tuple(_cause(story)),
        what_was_done=tuple(_done(story)),
        sooner=found_sooner(story),
        runbook_section=runbook.section,
        runbook_patch=runbook.patch,
        runbook_reason=runbook.reason,
    )


def _cause(story: Story) -> Iterator[Finding]:
    newest = story.diagnosis
    earlier = [one for one in story.diagnoses[1:] if names_cause(one)]
    if names_cause(newest):
        yield Finding(text=_named(newest), evidence_ids=cited(newest))
        other = next((one for one in earlier if one.root_cause != newest.root_cause), None)
        if other is not None:
            yield Finding(text=line(f"run {other.run} had put it down to {_named(other)}"))
        last = story.last_run
        if last is not None and last.verdict is OutcomeVerdict.FAILED:
            yield Finding(
                text=line(f"this is in doubt: {last.name} was run for it and did not help"),
                evidence_ids=last.evidence_ids,
            )
        return
    if newest.verdict is DiagnosisVerdict.NO_ACTION:
        found = f"nothing was found to be wrong: {newest.summary}"
    else:
        found = f"not found: {newest.summary}"
    yield Finding(text=line(found), evidence_ids=cited(newest))
    if earlier:
        before = earlier[0]
        yield Finding(text=line(f"run {before.run} had put it down to {_named(before)}"))


def _named(diagnosis: Diagnosis) -> str:
    return f"{line(diagnosis.root_cause or '', 250)} (confidence {diagnosis.band.value})"


def _done(story: Story) -> Iterator[Finding]:
    for deed in story.deeds:
        yield Finding(text=line(_told(deed)), evidence_ids=deed.evidence_ids)
    if any(deed.began_at is not None for deed in story.deeds):
        return
    lasted = human_time(story.resolved_at - story.incident.opened_at)
    yield Finding(text=f"nothing was run by the bot: the alerts resolved after {lasted}")
    for reason in story.advice[:2]:
        yield Finding(text=line(f"nothing was proposed: {reason}"))


def _told(deed: Deed) -> str:
    if deed.state is None:
        return f"{deed.name} was proposed and not run: {deed.ended or 'nobody decided'}"
    who = f", approved by {', '.join(deed.people)}," if deed.people else ""
    told = f"{deed.name}{who} {_RESULTS[deed.state]}"
    if deed.result and deed.state is not ExecutionState.SUCCEEDED:
        told += f" ({deed.result})"
    return told if deed.verdict is None else f"{told}; {_VERDICTS[deed.verdict]}"
