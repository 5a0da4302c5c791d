"""What a conversation begins with: the alerts, what the rules made of it, and the evidence for that."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from bot.domain.clock import to_rfc3339
from bot.domain.diagnosis import Diagnosis
from bot.domain.evidence import Evidence, FactVerdict
from bot.domain.ids import EvidenceId
from investigators.analyst.citations import Exhibits
from investigators.analyst.envelope import of_words
from investigators.analyst.ports import OfferedAction, ParamRole
from investigators.ports import Case, Investigation

_CHARACTERS = 48_000
"""Of all evidence that is sent unasked: what was added beyond that made answers worse, not better."""
_EACH = 3_000
_ALERTS = 10
_HYPOTHESES = 6
_FACTS = 30
_TARGETS = 100
_OF_ALERTS = "; labels of one firing alert of this incident, its alertname and what it is about among them"
_OF_THE_ALERT = ("metric.expression", "metric.rules", "host.exits", "log.tail")


def brief(
    case: Case, investigation: Investigation, exhibits: Exhibits, actions: Sequence[OfferedAction]
) -> str:
    """The first message. What it shows can be cited from then on."""
    parts = [
        "The alerts:",
        of_alerts(case),
        "What the rules made of it:",
        of_words("rules", "diagnosis", found(investigation.diagnosis)),
        "Evidence:",
        *_evidence(investigation, exhibits),
        offered(actions),
    ]
    return "\n".join(parts)


def of_alerts(case: Case) -> str:
    """The envelope of the first of them."""
    count = min(len(case.alerts), _ALERTS)
    return of_words("alerts", "alert.list", [_alert(case, number) for number in range(count)])


def _alert(case: Case, number: int) -> dict[str, Any]:
    alert = case.alerts[number]
    return {
        "name": alert.name,
        "status": alert.status.value,
        "severity": alert.severity.value,
        "minutes_ago": round((case.now - alert.starts_at).total_seconds() / 60, 1),
        "starts_at": to_rfc3339(alert.starts_at),
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "values": dict(alert.values),
    }


def found(diagnosis: Diagnosis) -> dict[str, Any]:
    """What a diagnosis says, for an envelope."""
    hypotheses = {
        f"h{number}": {
            "object": one.object,
            "object_kind": one.object_kind,
            "fault": one.fault,
            "score": round(one.score, 2),
            "statement": one.statement,
            "evidence_ids": list(one.evidence_ids[:6]),
            **({"refuted_by": one.refuted_by} if one.refuted_by else {}),
        }
        for number, one in enumerate(diagnosis.hypotheses[:_HYPOTHESES], 1)
    }
    facts = [
        f"{fact.kind} at {fact.subject}: {fact.detail}"
        for fact in diagnosis.facts
        if fact.verdict is FactVerdict.FOUND
    ]
    return {
        "verdict": diagnosis.verdict.value,
        "root_cause": diagnosis.root_cause,
        "confidence": diagnosis.band.value,
        "hypotheses": hypotheses,
        "facts_found": facts[:_FACTS],
        "ruled_out": list(diagnosis.ruled_out),
        "changes_to_blame": [f"{one.kind} {one.change_id}: {one.why}" for one in diagnosis.suspects[:3]],
        "could_not_be_read": [f"{gap.what}: {gap.reason}" for gap in diagnosis.gaps[:10]],
    }


def _evidence(investigation: Investigation, exhibits: Exhibits) -> Iterator[str]:
    """What the rules cite, best cause first, then what the alert itself is about, until it is enough."""
    by_id = {one.id: one for one in investigation.evidence}
    left = _CHARACTERS
    for known in _wanted(investigation.diagnosis, investigation.evidence):
        evidence = by_id.get(known)
        if evidence is None or not evidence.usable or not evidence.excerpt:
            continue
        if left < _EACH:
            return
        line = exhibits.show(evidence, _EACH)
        left -= len(line)
        yield line


def _wanted(diagnosis: Diagnosis, evidence: Sequence[Evidence]) -> dict[EvidenceId, None]:
    wanted: dict[EvidenceId, None] = {}
    for hypothesis in diagnosis.hypotheses[:_HYPOTHESES]:
        wanted.update(dict.fromkeys(hypothesis.evidence_ids))
    wanted.update(dict.fromkeys(citation.evidence_id for citation in diagnosis.citations))
    wanted.update(dict.fromkeys(one for suspect in diagnosis.suspects[:3] for one in suspect.evidence_ids))
    wanted.update(dict.fromkeys(one.id for one in evidence if one.kind in _OF_THE_ALERT))
    return wanted


def offered(actions: Sequence[OfferedAction]) -> str:
    """What may be named, in no envelope: the catalogue is the operator's own."""
    if not actions:
        return "Actions offered: none."
    listed = [
        {
            "action": one.name,
            "title": one.title,
            "params": {
                spec.name: spec.description + _OF_ALERTS * (one.roles.get(spec.name) is ParamRole.LABELS)
                for spec in one.params
                if one.roles.get(spec.name) is not ParamRole.PROSE
            },
            "targets": "as its parameters say" if one.targets is None else list(one.targets[:_TARGETS]),
        }
        for one in actions
    ]
    return f"Actions offered: {json.dumps(listed, ensure_ascii=False)}"
