"""An Investigator that answers what a test tells it to."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from bot.domain.diagnosis import (
    Band,
    Citation,
    Cost,
    Diagnosis,
    DiagnosisVerdict,
    Origin,
    SuggestedAction,
)
from bot.domain.evidence import Evidence, EvidenceStatus, Window, content_digest
from bot.domain.graph import Edge
from bot.domain.ids import DiagnosisId, EvidenceId, new_id
from investigators.ports import Case, Investigation


@dataclass(slots=True)
class ScriptedInvestigator:
    """Diagnoses a leak in ``process`` and suggests its restart; without one it is inconclusive.

    ``edges`` are what it saw of the service graph. ``hold`` can be cleared to keep investigations waiting;
    ``fails`` raises instead of answering.
    """

    process: str | None = "cart"
    action: str = "process.restart"
    params: dict[str, str | int] | None = None
    fails: bool = False
    edges: tuple[Edge, ...] = ()
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    cases: list[Case] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.hold.set()

    async def investigate(self, case: Case) -> Investigation:
        self.cases.append(case)
        await self.hold.wait()
        if self.fails:
            raise RuntimeError("the investigator broke")
        text = "rss 80 MiB → 900 MiB"
        evidence = Evidence(
            id=EvidenceId(new_id("ev")),
            source="prometheus",
            kind="metric.range",
            query="process_resident_memory_bytes",
            window=Window(start=case.now, end=case.now),
            taken_at=case.now,
            status=EvidenceStatus.OK,
            summary=text,
            excerpt=text,
            subject="cart",
            content_digest=content_digest(text),
        )
        suggestion = None
        if self.process is not None:
            suggestion = SuggestedAction(
                action=self.action,
                params=self.params or {"process": self.process},
                target=self.process,
                why="a restart frees the memory",
                evidence_ids=(evidence.id,),
            )
        known = self.process is not None
        return Investigation(
            evidence=(evidence,),
            edges=self.edges,
            diagnosis=Diagnosis(
                id=DiagnosisId(new_id("dia")),
                incident_id=case.incident.id,
                run=case.run,
                at=case.now,
                verdict=DiagnosisVerdict.ACTION_NEEDED if known else DiagnosisVerdict.INCONCLUSIVE,
                summary=f"{self.process} leaks memory" if known else "nothing was found",
                root_cause=f"memory_growth in {self.process}" if known else None,
                band=Band.HIGH,
                origin=Origin.RULES,
                citations=(Citation(evidence_id=evidence.id, source="prometheus", finding=text),),
                suggestion=suggestion,
                cost=Cost(seconds=0.1),
            ),
        )
