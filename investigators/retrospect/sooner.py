"""What would have found it sooner, as far as the evidence says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from bot.domain.diagnosis import Band, DiagnosisVerdict, Gap
from bot.domain.evidence import Evidence, Fact, FactVerdict
from bot.domain.past import names_of
from bot.domain.summary import Finding
from investigators.ranking import human_time
from investigators.recurrence import comes_back, told
from investigators.retrospect.story import Story, cited, line, top_of

MOST = 5
_GAPS = 2
_NAMES = 3
_WORTH_SAYING = timedelta(minutes=2)
_LATE = timedelta(minutes=5)
_BRIEF = timedelta(minutes=5)
_PLAIN_SUSPECT = 0.5
_ONSET = "alert_onset"
_HAVE_ALERTS = frozenset({"service", "datastore", "queue", "external", "node", "host"})
"""Kinds of objects that can have an alert of their own; a pod's are its workload's."""
_NOBODY_ASKED = ("is configured", "covers this")


def found_sooner(story: Story) -> tuple[Finding, ...]:
    """At most 5, what is plainest first; none where nothing of it can be said."""
    rules: tuple[Callable[[Story], Iterator[Finding]], ...] = (
        _nobody_alerted,
        _onset,
        _late,
        _change,
        _back_again,
        _gaps,
        _by_itself,
    )
    return tuple(finding for rule in rules for finding in rule(story))[:MOST]


def _nobody_alerted(story: Story) -> Iterator[Finding]:
    """Only what depends on the thing at fault cried out."""
    top = top_of(story.diagnosis)
    if top is None or top.object_kind not in _HAVE_ALERTS:
        return
    bare = top.object.partition(" on ")[0]
    about = {value for alert in story.alerts for value in alert.labels.values()}
    if not story.alerts or bare in names_of(story.incident.service, story.alerts) | about:
        return
    names = sorted({alert.name for alert in story.alerts})
    fired = ", ".join(names[:_NAMES]) + (f" and {len(names) - _NAMES} more" if len(names) > _NAMES else "")
    whose = f" of {story.incident.service}" if story.incident.service else ""
    yield Finding(
        text=line(
            f"no alert was about the {top.object_kind} {bare}, where {top.fault} was found; only {fired}"
            f"{whose} fired: an alert on it would have named it at once"
        ),
        evidence_ids=top.evidence_ids,
    )


def _onset(story: Story) -> Iterator[Finding]:
    began = [one for one in story.diagnosis.facts if _early(one, story.began_at)]
    if not began:
        return
    first = min(began, key=lambda fact: fact.values["onset"])
    at = datetime.fromtimestamp(first.values["onset"], UTC)
    early = human_time(story.began_at - at)
    if first.rule.endswith(".for"):
        waits = f"the alert's rule waits for {early}{_rule_name(story, first)}: a shorter `for`"
    else:
        waits = f"its quantity changed at {at:%H:%M:%S} UTC: a lower threshold or a shorter `for`"
    yield Finding(text=line(f"{waits} fires up to {early} earlier"), evidence_ids=first.evidence_ids)


def _early(fact: Fact, began_at: datetime) -> bool:
    onset = fact.values.get("onset")
    return (
        fact.kind == _ONSET
        and fact.verdict is FactVerdict.FOUND
        and onset is not None
        and began_at.timestamp() - onset >= _WORTH_SAYING.total_seconds()
    )


def _rule_name(story: Story, fact: Fact) -> str:
    rule = next((one for one in story.evidence if one.id in fact.evidence_ids and _is_rule(one)), None)
    name = None if rule is None else rule.records[0].get("name")
    return f" ({name})" if isinstance(name, str) and name else ""


def _is_rule(evidence: Evidence) -> bool:
    return evidence.kind == "metric.rules" and bool(evidence.records)


def _late(story: Story) -> Iterator[Finding]:
    late = story.incident.opened_at - story.began_at
    if late >= _LATE:
        yield Finding(
            text=f"the alert fired {human_time(late)} before it got here: the sender's grouping and waiting "
            "times, or whether somebody was away"
        )


def _change(story: Story) -> Iterator[Finding]:
    suspect = next(iter(story.diagnosis.suspects), None)
    if suspect is None or story.diagnosis.no_culprit or suspect.at is None or suspect.score < _PLAIN_SUSPECT:
        return
    before = story.began_at - suspect.at
    if before >= _WORTH_SAYING:
        of = f" of {suspect.service}" if suspect.service else ""
        yield Finding(
            text=line(
                f"the {suspect.kind}{of} ({suspect.change_id}) was {human_time(before)} before the alert: a "
                "check right after a change, or a first part of the traffic, would have shown it"
            ),
            evidence_ids=suspect.evidence_ids,
        )


def _back_again(story: Story) -> Iterator[Finding]:
    if comes_back(story.recurrence, top_of(story.diagnosis)):
        yield Finding(
            text=line(f"{told(story.recurrence)}, and what brought it about then was not removed"),
            evidence_ids=cited(story.diagnosis),
        )


def _gaps(story: Story) -> Iterator[Finding]:
    """Where the cause is plain, what could not be seen has cost nothing."""
    diagnosis = story.diagnosis
    if diagnosis.band is Band.HIGH and diagnosis.verdict is not DiagnosisVerdict.INCONCLUSIVE:
        return
    lacking = [gap for gap in diagnosis.gaps if _unasked(gap)]
    for gap in (lacking or list(diagnosis.gaps))[:_GAPS]:
        what = "could not be looked at" if not _unasked(gap) else "nothing could be asked about it"
        yield Finding(text=line(f"{gap.what}: {what} ({gap.reason})"))


def _unasked(gap: Gap) -> bool:
    return any(words in gap.reason for words in _NOBODY_ASKED)


def _by_itself(story: Story) -> Iterator[Finding]:
    if any(deed.began_at is not None for deed in story.deeds) or story.incident.reopened:
        return
    lasted = story.resolved_at - story.incident.opened_at
    if lasted <= _BRIEF:
        yield Finding(
            text=f"it went away by itself after {human_time(lasted)}: nothing to find sooner, and a longer "
            "`for` would have woken nobody"
        )
