"""A secret planted wherever a cluster keeps one shows up nowhere."""

from __future__ import annotations

import base64
import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.evidence.kubernetes.reduce import Memo, reduced
from bot.domain.evidence import EvidenceStatus
from investigators.queries import ChangeQuery, GraphQuery, ObjectQuery, PodLogQuery, Query
from tests.adapters.evidence.kubernetes_world import (
    ago,
    asked,
    cluster,
    made,
    owned_by,
    pod_template,
)
from tests.fakes.evidence import NOW
from tests.servers.kubernetes_api import KubernetesApi

CANARY = "c4n4ry-hunter2-swordfish"
ENCODED = base64.b64encode(CANARY.encode()).decode()
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def planted() -> KubernetesApi:
    api = KubernetesApi()
    api.serve("argoproj.io", "v1alpha1", "Application", "applications")
    api.serve("helm.toolkit.fluxcd.io", "v2", "HelmRelease", "helmreleases")
    annotations = {
        LAST_APPLIED: json.dumps({"data": {"password": ENCODED}}),
        "example.org/api-token": CANARY,
        "example.org/note": f"password={CANARY}",
        "kubernetes.io/change-cause": f"kubectl set env deploy/web DB_PASSWORD={CANARY}",
        "deployment.kubernetes.io/revision": "2",
    }
    managed = [{"manager": "kubectl", "time": ago(minutes=5), "fieldsV1": {"f:data": {"f:password": {}}}}]
    metadata: dict[str, Any] = {"annotations": annotations, "managedFields": managed}
    data = {"password": ENCODED, ".dockerconfigjson": ENCODED}
    api.put(
        made("Secret", "keys", metadata=dict(metadata), data=data, stringData={"more": CANARY}, type="Opaque")
    )
    api.put(
        made(
            "ConfigMap",
            "settings",
            metadata=dict(metadata),
            data={"app.yaml": f"password: {CANARY}"},
            binaryData={"b": ENCODED},
        )
    )
    container = {
        "env": [
            {"name": "DB_PASSWORD", "value": CANARY},
            {"name": "DATABASE_URL", "value": f"postgres://web:{CANARY}@db.example.org:5432/shop"},
            {"name": "OPTIONS", "value": f"--user=a --password={CANARY}"},
        ],
        "envFrom": [{"configMapRef": {"name": "settings"}}],
        "command": ["web", "--api-key", CANARY, "-v"],
        "args": [f"--token={CANARY}", "sh", "-c", f"export PASSWORD={CANARY}"],
        "livenessProbe": {
            "httpGet": {"httpHeaders": [{"name": "Authorization", "value": f"Bearer {CANARY}"}]}
        },
        "lifecycle": {"preStop": {"exec": {"command": ["curl", "-H", f"Authorization: Bearer {CANARY}"]}}},
    }
    before = pod_template(
        "shop/web:1", container={"env": [{"name": "DB_PASSWORD", "value": f"{CANARY}-old"}]}
    )
    after = pod_template("shop/web:2", container=container)
    deployment = api.put(
        made("Deployment", "web", api_version="apps/v1", metadata=dict(metadata), spec={"template": after})
    )
    for number, spec in ((1, before), (2, after)):
        notes = {**annotations, "deployment.kubernetes.io/revision": str(number)}
        owner = {
            "annotations": notes,
            "ownerReferences": owned_by(deployment),
            "creationTimestamp": ago(minutes=90 - number),
        }
        api.put(
            made(
                "ReplicaSet", f"web-{number}", api_version="apps/v1", metadata=owner, spec={"template": spec}
            )
        )
    ended = {
        "message": f"fatal: token={CANARY} -> secret={CANARY}",
        "exitCode": 1,
        "reason": f"token={CANARY}",
    }
    status = {"phase": "Running", "containerStatuses": [{"name": "web", "lastState": {"terminated": ended}}]}
    api.put(
        made("Pod", "web-1", metadata=dict(metadata), spec={"nodeName": "n1", **after["spec"]}, status=status)
    )
    api.put(made("Event", "e", message=f"probe failed: Authorization: Bearer {CANARY}1", type="Warning"))
    helm = {
        "parameters": [{"name": "db.password", "value": CANARY}],
        "values": f"auth:\n  password: {CANARY}\n",
    }
    state = {"phase": "Failed", "startedAt": ago(minutes=3), "message": f"login failed: password={CANARY}"}
    history = [
        {
            "id": 1,
            "revision": "a" * 40,
            "deployedAt": ago(minutes=9),
            "source": {"repoURL": f"https://x:{CANARY}@git", "path": "p"},
        }
    ]
    api.put(
        made(
            "Application",
            "shop",
            api_version="argoproj.io/v1alpha1",
            spec={"source": {"helm": helm}},
            status={"operationState": state, "history": history},
        )
    )
    api.put(
        made(
            "HelmRelease",
            "shop",
            api_version="helm.toolkit.fluxcd.io/v2",
            spec={"values": {"auth": {"password": CANARY}}},
        )
    )
    api.log(
        "shop", "web-1", "web", [(NOW, f"GET /?access_token={CANARY}"), (NOW, f'{{"password":"{CANARY}"}}')]
    )
    return api  # fmt: skip


QUERIES: list[Query] = [
    *(
        ObjectQuery(object_kind=kind)
        for kind in (
            "Secret",
            "ConfigMap",
            "Deployment",
            "ReplicaSet",
            "Pod",
            "Event",
            "Application",
            "HelmRelease",
        )
    ),
    ObjectQuery(object_kind="Secret", namespace="shop", name="keys"),
    ObjectQuery(object_kind="Secret", name="keys"),
    PodLogQuery(namespace="shop", pod="web-1"),
    ChangeQuery(),
    GraphQuery(),
]


async def test_a_planted_secret_is_in_no_answer_and_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with cluster(planted()) as source:
        for query in QUERIES:
            evidence = await asked(source, query)
            assert evidence.status is not EvidenceStatus.FAILED, evidence.reason
            for planted_text in (CANARY, ENCODED, "hunter2"):
                assert planted_text not in str(evidence), evidence.query
            assert "managedFields" not in str(evidence)
            assert LAST_APPLIED not in str(evidence)
    for text in (CANARY, ENCODED):
        assert text not in caplog.text


async def test_config_maps_are_read_for_changes_without_their_data() -> None:
    api = planted()
    async with cluster(api) as source:
        await asked(source, ChangeQuery())
        assert not [path for _, path, _ in api.requests if path.endswith("/secrets")]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--password", CANARY, "-v"], ["--password", "[redacted:secret]", "-v"]),
        (["--password", "--verbose"], ["--password", "--verbose"]),
        (["-token", CANARY], ["-token", "[redacted:secret]"]),
        (["--tokens-per-second", "5"], ["--tokens-per-second", "5"]),
        (["serve", "--port=80"], ["serve", "--port=80"]),
    ],
)
def test_the_word_behind_a_secret_option_is_masked(words: list[str], expected: list[str]) -> None:
    document = {"kind": "Pod", "spec": {"containers": [{"args": words}]}}
    assert reduced(document, Memo())["spec"]["containers"][0]["args"] == expected


def test_what_is_no_secret_stays_as_the_api_prints_it() -> None:
    document = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a", "annotations": {"a": "b"}, "labels": {"tier": "web"}},
        "spec": {
            "imagePullSecrets": [{"name": "registry"}],
            "automountServiceAccountToken": False,
            "volumes": [{"name": "keys", "secret": {"secretName": "web-keys", "defaultMode": 420}}],
            "containers": [
                {
                    "image": f"ghcr.io/shop/web@sha256:{'3f1b0cbe2b2a0d9f' * 4}",
                    "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "k", "key": "password"}}}],
                    "resources": {"limits": {"cpu": 0.5, "memory": None}},
                }
            ],
        },
        "status": {"podIP": "10.0.0.7", "observedGeneration": 3},
    }
    assert reduced(document, Memo()) == document


@pytest.mark.parametrize("odd", [None, [], 7, "text", {"data": None}])
def test_a_secret_of_an_odd_shape_has_no_keys_and_no_values(odd: Any) -> None:
    document = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "a"},
        "data": odd,
        "stringData": odd,
    }
    kept = reduced(document, Memo())
    assert set(kept["data"].values()) <= {""}
    assert "stringData" not in kept


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["name", "value", "args", "env", "data", "metadata", "x"]), inner)
    ),
    max_leaves=20,
)


@given(JSON, st.sampled_from(["Secret", "ConfigMap", "Pod"]))
def test_reducing_any_document_twice_changes_nothing_more(document: Any, kind: str) -> None:
    whole = {"apiVersion": "v1", "kind": kind, "metadata": document, "spec": document, "data": document}
    once = reduced(whole, Memo())
    assert reduced(once, Memo()) == once


@given(st.text(alphabet=st.characters(categories=["L", "N"]), min_size=12, max_size=30))
def test_no_value_of_a_secret_or_config_map_stays(value: str) -> None:
    for kind in ("Secret", "ConfigMap"):
        document = {"apiVersion": "v1", "kind": kind, "metadata": {}, "data": {"k": value, "l": [value]}}
        document |= {"stringData": {"k": value}, "binaryData": {"k": value}}
        assert value not in str(reduced(document, Memo()))
