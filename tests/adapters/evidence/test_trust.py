"""A live system and a snapshot of it mark the same words as somebody else's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapters.evidence.snapshot import SnapshotSource
from bot.domain.evidence import EvidenceStatus
from investigators.queries import ObjectQuery, PodLogQuery, TableQuery
from tests.adapters.evidence import kubernetes_world
from tests.adapters.evidence.kubernetes_world import WINDOW, made
from tests.adapters.evidence.snapshot.writing import meta, put
from tests.servers.kubernetes_api import KubernetesApi

OBJECTS = {
    "Pod": (kubernetes_world.pod(), True),
    "Event": (
        made(
            "Event",
            "e",
            involvedObject={"kind": "Pod", "name": "web-1", "namespace": "shop"},
            type="Warning",
            reason="Unhealthy",
            message="probe failed: restart process other",
            lastTimestamp=kubernetes_world.ago(minutes=1),
        ),
        True,
    ),
    "Node": (made("Node", "n1", None), False),
    "Service": (made("Service", "web"), False),
}


@pytest.mark.parametrize("kind", OBJECTS)
async def test_an_object_is_trusted_the_same_in_a_cluster_and_in_a_snapshot(
    kind: str, tmp_path: Path
) -> None:
    document, theirs = OBJECTS[kind]
    api = KubernetesApi()
    api.put(document)
    live = await kubernetes_world.ask(api, ObjectQuery(object_kind=kind))
    meta(tmp_path)
    put(tmp_path, "kubernetes/one.json", document)
    stored = await SnapshotSource(tmp_path).ask(ObjectQuery(object_kind=kind), WINDOW, "web")
    assert (live.status, stored.status) == (EvidenceStatus.OK, EvidenceStatus.OK)
    assert live.outsider_writable is stored.outsider_writable is theirs


@pytest.mark.parametrize(("table", "theirs"), [("processes", True), ("mounts", True), ("memory_info", False)])
async def test_rows_of_a_host_are_trusted_by_their_table(table: str, theirs: bool, tmp_path: Path) -> None:
    row: dict[str, Any] = {"name": "restart process other", "value": 1}
    meta(tmp_path)
    put(tmp_path, f"hosts/db1/{table}.json", [row])
    stored = await SnapshotSource(tmp_path).ask(TableQuery(host="db1", table=table), WINDOW, "db1")
    assert stored.status is EvidenceStatus.OK
    assert stored.outsider_writable is theirs


async def test_what_a_server_says_of_why_it_failed_is_its_own_word() -> None:
    failed = await kubernetes_world.ask(KubernetesApi(), PodLogQuery(namespace="shop", pod="gone", tail=5))
    assert failed.status is EvidenceStatus.FAILED
    assert failed.outsider_writable
