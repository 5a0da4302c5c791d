"""Kubernetes objects out of what kubectl prints: lists, documents, secrets, and what is not known."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.evidence.snapshot import SnapshotSource
from adapters.evidence.snapshot.yamls import documents
from bot.domain.evidence import Evidence, EvidenceStatus
from investigators.queries import ObjectQuery
from tests.adapters.evidence.snapshot.writing import HOUR, meta, pod, put

CANARY = "hunter2-canary-7f3a"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    meta(tmp_path)
    return tmp_path


async def ask(root: Path, kind: str, **more: str) -> Evidence:
    return await SnapshotSource(root).ask(ObjectQuery(object_kind=kind, **more), HOUR, "x")


def names(evidence: Evidence) -> list[str]:
    assert evidence.status is not EvidenceStatus.FAILED, evidence.reason
    return [one["metadata"]["name"] for one in evidence.objects]


async def test_objects_come_from_lists_documents_and_single_files_by_namespace_and_name(root: Path) -> None:
    put(
        root, "kubernetes/a.yaml", {"apiVersion": "v1", "kind": "List", "items": [pod("b"), pod("a", "apps")]}
    )
    put(
        root,
        "kubernetes/b.yaml",
        "---\n" + yaml.safe_dump(pod("c")) + "---\n" + yaml.safe_dump(pod("d")) + "---\n",
    )
    put(root, "kubernetes/c.json", pod("e"))
    assert names(await ask(root, "Pod")) == ["a", "b", "c", "d", "e"]
    assert names(await ask(root, "Pod", namespace="apps")) == ["a"]
    assert names(await ask(root, "Pod", namespace="shop", name="d")) == ["d"]
    missing = await ask(root, "Pod", namespace="nowhere")
    assert missing.status is EvidenceStatus.EMPTY


async def test_items_of_a_typed_list_take_their_kind_from_it(root: Path) -> None:
    items = [{"metadata": {"name": "web", "namespace": "shop"}}]
    put(root, "kubernetes/d.json", {"apiVersion": "apps/v1", "kind": "DeploymentList", "items": items})
    (one,) = (await ask(root, "Deployment")).objects
    assert (one["kind"], one["apiVersion"]) == ("Deployment", "apps/v1")


async def test_kinds_of_the_cluster_are_found_whatever_namespace_is_asked(root: Path) -> None:
    put(root, "kubernetes/n.yaml", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})
    assert names(await ask(root, "Node", namespace="shop")) == ["n1"]


async def test_an_object_without_a_namespace_is_in_the_default_one(root: Path) -> None:
    put(root, "kubernetes/s.yaml", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}})
    assert names(await ask(root, "Service", namespace="default")) == ["web"]


async def test_a_kind_that_is_not_in_the_snapshot_is_not_asked_and_never_empty(root: Path) -> None:
    owned = pod("a") | {"metadata": {"name": "a", "ownerReferences": [{"kind": "ReplicaSet", "name": "r"}]}}
    put(root, "kubernetes/p.yaml", owned)
    source = SnapshotSource(root)
    assert not source.covers(ObjectQuery(object_kind="NetworkPolicy"))
    # The kind is mentioned, but no object of it is there.
    assert (await ask(root, "ReplicaSet")).status is EvidenceStatus.FAILED


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("networkpolicies.yaml", "apiVersion: v1\nitems: []\nkind: List\n", "NetworkPolicy"),
        ("ingresses.json", '{"apiVersion": "v1", "kind": "List", "items": []}', "Ingress"),
        ("quota.json", '{"apiVersion": "v1", "kind": "ResourceQuotaList", "items": []}', "ResourceQuota"),
        ("events.yaml", "", "Event"),
    ],
)
async def test_an_empty_list_of_a_kind_says_that_there_is_none(
    root: Path, name: str, content: str, kind: str
) -> None:
    put(root, f"kubernetes/{name}", content)
    assert SnapshotSource(root).covers(ObjectQuery(object_kind=kind))
    assert (await ask(root, kind)).status is EvidenceStatus.EMPTY


async def test_of_secrets_and_config_maps_only_the_names_of_their_keys_are_kept(root: Path) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {
            "name": "s",
            "namespace": "shop",
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": CANARY, "team": "a"},
        },
        "data": {"url": CANARY},
        "stringData": {"user": CANARY},
    }
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"app.ini": CANARY}}
    put(root, "kubernetes/s.yaml", {"kind": "List", "items": [secret, config]})
    (one,) = (await ask(root, "Secret")).objects
    assert one["data"] == {"url": "", "user": ""}
    assert one["metadata"]["annotations"] == {"team": "a"}
    for kind in ("Secret", "ConfigMap"):
        assert CANARY not in repr(await ask(root, kind))


async def test_secrets_in_the_environment_and_the_command_of_a_pod_are_masked(root: Path) -> None:
    one = pod("a")
    one["spec"]["containers"][0] |= {
        "env": [{"name": "DB_PASSWORD", "value": CANARY}, {"name": "PORT", "value": "8080"}],
        "args": ["--token", CANARY, f"--password={CANARY}", "--verbose", "yes"],
        "envFrom": [{"secretRef": {"name": "db-password"}}],
    }
    one["metadata"]["managedFields"] = [{"manager": CANARY}]
    put(root, "kubernetes/p.yaml", one)
    evidence = await ask(root, "Pod")
    assert CANARY not in repr(evidence)
    container = evidence.objects[0]["spec"]["containers"][0]
    assert container["env"][1] == {"name": "PORT", "value": "8080"}
    assert container["args"][-2:] == ["--verbose", "yes"]
    assert container["envFrom"] == [{"secretRef": {"name": "db-password"}}]


@pytest.mark.parametrize(
    ("name", "content", "where"),
    [
        ("a.yaml", "kind: Pod\nmetadata:\n  name: [\n", "kubernetes/a.yaml:4"),
        ("a.yaml", "kind: Pod\n", "kubernetes/a.yaml: a Pod without a name"),
        ("a.yaml", "metadata: {name: x}\nwhat: {kind: Pod}\n", "kubernetes/a.yaml: an object without a kind"),
        ("a.json", '{"kind": "Pod",\n', "kubernetes/a.json:2"),
        ("pod.json", "[1]", "kubernetes/pod.json: not a Kubernetes object"),
    ],
)
async def test_what_is_no_kubernetes_object_is_named(root: Path, name: str, content: str, where: str) -> None:
    put(root, f"kubernetes/{name}", content)
    evidence = await ask(root, "Pod")
    assert evidence.status is EvidenceStatus.FAILED
    assert where in (evidence.reason or "")


TEXTS = (
    "yes", "no", "on", "~", "", "null", "0o17", "017", "0x1f", "1_000", "1e3", "1.5e3", ".5", "-.inf", ".nan",
    "12:30:45", "2026-03-01", "2026-03-01T12:00:00Z", "a: b", "- a", "#x", "%", "@a", "multi\nline\n",
    " lead", "trail ", "'", '"', "\\", "tab\there", "é", "🙂", "=", "<<", "1.2.3", "-1", "+1", "1.", "true",
    "False",
)  # fmt: skip


def value(random_: random.Random, depth: int) -> Any:
    kind = random_.random()
    if depth == 0 or kind < 0.5:
        return random_.choice([*TEXTS, None, True, False, 0, -7, 10**12, 1.5, -2e10, 1e-7])
    if kind < 0.75:
        return [value(random_, depth - 1) for _ in range(random_.randrange(4))]
    return {
        random_.choice([*TEXTS[:20], "a", "b", "c"]): value(random_, depth - 1)
        for _ in range(random_.randrange(5))
    }


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("flow", [False, True])
def test_what_is_written_as_yaml_is_read_back_the_same(seed: int, flow: bool) -> None:
    made = {"spec": value(random.Random(seed), 4)}
    text = yaml.safe_dump(made, default_flow_style=flow, allow_unicode=bool(seed % 2), sort_keys=False)
    assert json.dumps(documents(text)) == json.dumps([made])


@pytest.mark.parametrize(
    "text",
    [
        "a: &x {b: 1}\nc: *x\n",
        "a: &x {b: 1}\nc: {<<: *x, d: 2}\n",
        "a: !!str 12\nb: !!int '7'\n",
        "? [1, 2]\n: 3\n",
        "a: |\n  managedFields:\n  - x\nb: >-\n  folded\n  text\n",
        "a: 017\nb: 0b11\nc: 1_000\nd: .5\ne: 190:20:30\n",
    ],
)
def test_unusual_yaml_means_what_it_means_to_the_safe_loader(text: str) -> None:
    if text.startswith("? "):
        with pytest.raises(yaml.YAMLError):
            documents("? {a: 1}\n: 3\n")
        return
    expected = yaml.safe_load(text.replace("  managedFields:\n  - x\n", "  other:\n"))
    if "managedFields" in text:
        assert documents(text)[0]["b"] == expected["b"]
        return
    assert documents(text) == [expected]


def test_bookkeeping_of_field_managers_is_skipped_in_every_style() -> None:
    styles = (
        "metadata:\n  managedFields:\n  - manager: a\n    f:\n      .: {}\n  name: x\n",
        "metadata:\n  managedFields:\n    - manager: a\n      f: {}\n  name: x\n",
    )
    for text in styles:
        assert documents(text) == [{"metadata": {"name": "x"}}]
