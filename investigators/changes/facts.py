"""What changes say as facts. That something was deployed is support, never a cause by itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

from bot.domain.diagnosis import Suspect
from bot.domain.evidence import Evidence, EvidenceStatus, Fact, FactVerdict
from bot.domain.redaction import clean
from investigators.changes.candidates import Candidate
from investigators.world.world import World

RECENT = timedelta(hours=2)
SURE = 0.6
"""From this score on a change is called bad, not only suspected."""
_CONFIGURATION = re.compile(
    r"\.(?:ya?ml|toml|ini|conf|cfg|properties|env|tf|hcl)$|(?:^|/)\.env|(?:^|/)config/", re.I
)


def about_changes(world: World, found: Sequence[Candidate], top: Suspect | None) -> tuple[Fact, ...]:
    """``recent_deploy`` and ``config_changed`` for each service in the two hours before the alert, or absent
    or unknown for the alert's own; ``bad_change`` for the service of the top suspect where it is sure."""
    answers = world.looked("change.list")
    facts = [
        *_recent("recent_deploy", [c for c in found if c.deployed], world, answers),
        *_recent("config_changed", [c for c in found if _is_configuration(c)], world, answers),
    ]
    if top is not None and top.score >= SURE and top.service:
        facts.append(
            Fact(
                kind="bad_change",
                verdict=FactVerdict.FOUND,
                confidence=min(0.95, top.score),
                subject=top.service,
                subject_kind="service",
                evidence_ids=top.evidence_ids,
                rule="changes.bad_change",
                detail=f"{top.title or top.change_id}: {top.why}",
                values={} if top.at is None else {"onset": top.at.timestamp()},
            )
        )
    return tuple(facts)


def _recent(kind: str, found: Sequence[Candidate], world: World, answers: Sequence[Evidence]) -> list[Fact]:
    earliest = world.onset - RECENT
    recent = [one for one in found if earliest <= one.at <= world.onset]
    facts = []
    for service in sorted({name for one in recent for name in one.services or {""}}):
        own = [one for one in recent if service in one.services or not (service or one.services)]
        last = max(own, key=lambda one: one.at)
        minutes = (world.onset - last.at).total_seconds() / 60
        facts.append(
            Fact(
                kind=kind,
                verdict=FactVerdict.FOUND,
                confidence=0.5,
                subject=service,
                subject_kind="service" if service else "",
                evidence_ids=tuple(a.id for a in answers if any(c.id == last.change.id for c in a.changes)),
                rule=f"changes.{kind}",
                detail=f"{len(own)} in the two hours before; the last, {minutes:.0f} min before: "
                f"{clean(last.change.title, limit=200) or last.change.id}",
                values={"count": float(len(own)), "minutes_before": minutes},
            )
        )
    if not facts:
        subject = next(iter(world.subjects), "")
        complete = bool(answers) and all(
            a.usable and (a.reason is None or a.status is EvidenceStatus.EMPTY) for a in answers
        )
        facts.append(
            Fact(
                kind=kind,
                verdict=FactVerdict.ABSENT if complete else FactVerdict.UNKNOWN,
                confidence=0.8 if complete else 0.0,
                subject=subject,
                subject_kind="service" if subject else "",
                evidence_ids=tuple(a.id for a in answers),
                rule=f"changes.{kind}",
            )
        )
    return facts


def _is_configuration(one: Candidate) -> bool:
    if one.change.kind in ("config", "flag", "scale"):
        return True
    return (
        bool(one.diff.files)
        and any(_CONFIGURATION.search(file) for file in one.diff.files)
        and not one.diff.inert
    )
