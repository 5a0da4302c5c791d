"""One incident about several services: each is looked at, and what they have in common is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bot.app.replay import replay
from bot.domain.diagnosis import Diagnosis
from tests.adapters.evidence.snapshot.writing import ago, meta, put

ALERTED = ("web", "orders", "billing", "search", "mail")
CALLERS = ("orders", "billing", "search")


def workload(name: str, fault: str = "") -> list[dict[str, Any]]:
    """A Deployment with its pod, which runs, was killed for its memory, or waits for a Secret."""
    states: Mapping[str, Mapping[str, Any]] = {
        "": {"ready": True, "restartCount": 0, "state": {"running": {"startedAt": "2026-02-28T12:00:00Z"}}},
        "memory": {
            "ready": False,
            "restartCount": 6,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {
                "terminated": {
                    "reason": "OOMKilled",
                    "exitCode": 137,
                    "startedAt": "2026-03-01T11:50:00Z",
                    "finishedAt": "2026-03-01T11:55:00Z",
                }
            },
        },
        "secret": {
            "ready": False,
            "restartCount": 0,
            "state": {
                "waiting": {
                    "reason": "CreateContainerConfigError",
                    "message": f'secret "{name}-login" not found',
                }
            },
        },
    }
    limits = {"resources": {"limits": {"memory": "64Mi"}}}
    container: dict[str, Any] = {"name": name, "image": f"{name}:1", **limits}
    if fault == "secret":
        container["envFrom"] = [{"secretRef": {"name": f"{name}-login"}}]
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    ready = int(not fault)

    def of(kind: str, own: str, owner: tuple[str, str] | None, **parts: Any) -> dict[str, Any]:
        metadata: dict[str, Any] = {"name": own, "namespace": "shop", "labels": labels}
        if owner is not None:
            metadata["ownerReferences"] = [
                {"apiVersion": "apps/v1", "kind": owner[0], "name": owner[1], "controller": True}
            ]
        version = "v1" if kind == "Pod" else "apps/v1"
        return {"apiVersion": version, "kind": kind, "metadata": metadata, **parts}

    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    rs = f"{name}-5d9f8b6c5"
    return [
        of("Deployment", name, None, spec=spec, status={"replicas": 1, "readyReplicas": ready}),
        of("ReplicaSet", rs, ("Deployment", name), spec=spec),
        of(
            "Pod",
            f"{rs}-x2x4z",
            ("ReplicaSet", rs),
            spec={"nodeName": "n1", "containers": [container]},
            status={
                "phase": "Pending" if fault == "secret" else "Running",
                "containerStatuses": [{"name": name, **states[fault]}],
            },
        ),
    ]


def snapshot(
    root: Path, faults: Mapping[str, str], calls: Sequence[tuple[str, str]], alerted: Sequence[str] = ALERTED
) -> None:
    meta(root)
    alerts = [
        {
            "status": "firing",
            "labels": {"alertname": "Failing", "severity": "critical", "namespace": "shop", "service": name},
            "annotations": {"summary": f"{name} answers with errors"},
            "startsAt": "2026-03-01T11:56:00Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "fingerprint": name,
        }
        for name in alerted
    ]
    body = {"version": "4", "groupKey": "g", "status": "firing", "receiver": "assent", "alerts": alerts}
    put(root, "alert.json", body)
    names = sorted({*alerted, *faults, *(name for pair in calls for name in pair)})
    items = [item for name in names for item in workload(name, faults.get(name, ""))]
    put(root, "kubernetes/all.json", {"apiVersion": "v1", "kind": "List", "items": items})
    put(
        root,
        "topology.json",
        {
            "nodes": [{"id": name, "kind": "service"} for name in names],
            "edges": [{"from": one, "to": other, "kind": "calls"} for one, other in calls],
        },
    )
    lines = [
        {
            "ts": ago(200 - number),
            "message": f"error: call of {other} failed: connection refused",
            "service": one,
            "level": "error",
        }
        for one, other in calls
        if faults.get(other)
        for number in range(20)
    ]
    put(root, "logs/all.jsonl", lines)


async def diagnosed(root: Path) -> Diagnosis:
    _, result = await replay(root)
    return result.diagnosis


async def test_what_three_callers_have_in_common_is_the_cause_though_nobody_complains_of_it(
    tmp_path: Path,
) -> None:
    calls = [(caller, "ledger") for caller in CALLERS] + [("web", "orders")]
    snapshot(tmp_path, {"ledger": "memory"}, calls, alerted=("web", *CALLERS))
    diagnosis = await diagnosed(tmp_path)
    top = diagnosis.hypotheses[0]
    assert (top.object, top.fault) == ("ledger", "oom_killed")
    reached = next(part for part in diagnosis.summary.split(". ") if "depend on it" in part)
    assert all(name in reached for name in ("web", *CALLERS))
    assert "fault of its own" not in diagnosis.summary


async def test_of_two_faults_that_have_nothing_to_do_with_each_other_both_are_told(tmp_path: Path) -> None:
    calls = [(caller, "ledger") for caller in CALLERS]
    snapshot(tmp_path, {"ledger": "memory", "mail": "secret"}, calls)
    diagnosis = await diagnosed(tmp_path)
    causes = {one.object: one.fault for one in reversed(diagnosis.hypotheses) if one.score >= 0.55}
    assert (causes["ledger"], causes["mail"]) == ("oom_killed", "secret_missing")
    assert "A fault of its own is at mail: " in diagnosis.summary
    assert "orders, billing, search depend on it" in diagnosis.summary
    assert diagnosis.root_cause is not None
    assert diagnosis.root_cause.startswith("ledger: ")


async def test_each_of_five_services_is_looked_at(tmp_path: Path) -> None:
    faults = {"web": "memory", "mail": "secret"}
    snapshot(tmp_path, faults, [("web", "orders")])
    diagnosis = await diagnosed(tmp_path)
    subjects = {fact.subject for fact in diagnosis.facts}
    assert set(ALERTED) <= subjects
    assert not [gap for gap in diagnosis.gaps if "further objects" in gap.what]


async def test_the_world_knows_more_services_of_an_incident_than_are_looked_at_one_by_one(
    tmp_path: Path,
) -> None:
    """The faulty one is the ninth and is named by nothing but its alert."""
    many = tuple(f"shop{number}" for number in range(9))
    snapshot(tmp_path, {"shop8": "secret"}, [], alerted=many)
    diagnosis = await diagnosed(tmp_path)
    top = diagnosis.hypotheses[0]
    assert (top.object, top.fault) == ("shop8", "secret_missing")
    assert any("4 further objects" in gap.what for gap in diagnosis.gaps)


async def test_an_incident_about_one_service_is_told_as_before(tmp_path: Path) -> None:
    snapshot(tmp_path, {"mail": "secret"}, [], alerted=("mail",))
    summary = (await diagnosed(tmp_path)).summary
    assert "depend on it" not in summary
    assert "fault of its own" not in summary
