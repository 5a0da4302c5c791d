"""Secrets and ConfigMaps that are not there, from kubelet's words and from the template's references."""

from __future__ import annotations

from typing import Any

import pytest

from bot.domain.evidence import FactVerdict
from investigators.facts.workloads.configuration import FAULTS, NEEDS, check
from tests.investigators.kube import (
    causes,
    container,
    event,
    found,
    healthy,
    pod,
    status,
    template,
    thing,
    verdict,
    waiting,
    world_of,
)

ABSENT, FOUND, UNKNOWN = FactVerdict.ABSENT, FactVerdict.FOUND, FactVerdict.UNKNOWN


def blocked(message: str, tpl: Any = None, reason: str = "CreateContainerConfigError") -> Any:
    return pod(tpl, status(state=waiting(reason, message)), phase="Pending")


def mounting(message: str, tpl: Any = None, reason: str = "FailedMount") -> list[Any]:
    waits = pod(tpl, status(state=waiting("ContainerCreating")), phase="Pending")
    return [waits, event(waits, reason, message, count=6, first=18)]


MESSAGES = [
    ("secret_missing", 'secret "cart-db" not found', "Secret shop/cart-db"),
    ("secret_missing", 'secrets "cart-db" not found', "Secret shop/cart-db"),
    ("config_map_missing", 'configmap "cart-config" not found', "ConfigMap shop/cart-config"),
    ("config_map_missing", 'configmaps "cart-config" not found', "ConfigMap shop/cart-config"),
    ("secret_key_missing", "couldn't find key password in Secret shop/cart-db", "key password"),
    ("config_map_key_missing", "couldn't find key LOG_LEVEL in ConfigMap shop/cart-config", "key LOG_LEVEL"),
]


@pytest.mark.parametrize(("kind", "message", "said"), MESSAGES)
def test_what_a_container_lacks_is_named(kind: str, message: str, said: str) -> None:
    world = world_of(blocked(message))
    fact = found(check, kind, world)
    assert said in fact.detail
    assert fact.confidence >= 0.9
    assert found(check, "container_config", world)
    assert {one.kind for one in causes(check(world))} == {kind, "container_config"}
    assert "container_config" in FAULTS[kind].explains


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("secret_missing", 'MountVolume.SetUp failed for volume "tls" : secret "cart-tls" not found'),
        ("config_map_missing", 'MountVolume.SetUp failed for volume "cfg" : configmap "cart-config" '
                               'not found'),
        ("config_map_key_missing", 'MountVolume.SetUp failed for volume "cfg" : configmap references '
                                   'non-existent '
         "config key: app.yaml"),
        ("secret_key_missing", 'MountVolume.SetUp failed for volume "tls" : references non-existent '
                               'secret key: '
         "tls.crt"),
    ],
)  # fmt: skip
def test_what_a_volume_lacks_is_named(kind: str, message: str) -> None:
    assert found(check, kind, world_of(*mounting(message))).confidence >= 0.9


def test_an_object_that_kubelet_has_not_seen_is_missing_only_if_the_cluster_lacks_it() -> None:
    tpl = template(volumes=[{"name": "cfg", "configMap": {"name": "cart-config"}}])
    said = 'MountVolume.SetUp failed for volume "cfg" : object "shop"/"cart-config" not registered'
    assert found(check, "config_map_missing", world_of(*mounting(said, tpl)))
    there = world_of(*mounting(said, tpl), thing("ConfigMap", "cart-config", data={}))
    assert verdict(check, "config_map_missing", there) is ABSENT


def ref_env(field: str, name: str, key: str, **more: Any) -> Any:
    source = {field: {"name": name, "key": key, **more}}
    return template(container(env=[{"name": "DB_PASSWORD", "valueFrom": source}]))


REFERENCES = [
    ("secret_missing", ref_env("secretKeyRef", "cart-db", "password")),
    ("config_map_missing", ref_env("configMapKeyRef", "cart-config", "level")),
    ("secret_missing", template(container(envFrom=[{"secretRef": {"name": "cart-db"}}]))),
    ("config_map_missing", template(container(envFrom=[{"configMapRef": {"name": "cart-config"}}]))),
    ("secret_missing", template(volumes=[{"name": "v", "secret": {"secretName": "cart-db"}}])),
    (
        "config_map_missing",
        template(volumes=[{"name": "v", "projected": {"sources": [{"configMap": {"name": "cart-config"}}]}}]),
    ),
]
NAMESPACE = [thing("ConfigMap", "kube-root-ca.crt", data={"ca.crt": ""}), thing("Secret", "other", data={})]
THERE = [
    thing("Secret", "cart-db", data={"password": ""}),
    thing("ConfigMap", "cart-config", data={"level": ""}),
]


@pytest.mark.parametrize(("kind", "tpl"), REFERENCES)
def test_a_reference_that_leads_nowhere_is_found_without_kubelets_words(kind: str, tpl: Any) -> None:
    assert found(check, kind, world_of(blocked("", tpl), *NAMESPACE)).confidence >= 0.85


@pytest.mark.parametrize(("kind", "tpl"), REFERENCES)
def test_in_a_running_pod_it_is_only_what_fails_next(kind: str, tpl: Any) -> None:
    fact = found(check, kind, world_of(healthy(tpl), *NAMESPACE))
    assert fact.confidence < 0.5
    assert "starts again" in fact.detail


@pytest.mark.parametrize(("kind", "tpl"), REFERENCES)
def test_a_reference_to_what_is_there_is_no_fault(kind: str, tpl: Any) -> None:
    assert verdict(check, kind, world_of(healthy(tpl), *NAMESPACE, *THERE)) is ABSENT


@pytest.mark.parametrize(("kind", "tpl"), REFERENCES)
def test_objects_that_may_not_be_read_leave_it_unknown(kind: str, tpl: Any) -> None:
    failed = {"Secret": "403 Forbidden", "ConfigMap": "403 Forbidden"}
    assert verdict(check, kind, world_of(healthy(tpl), failed=failed)) is UNKNOWN


def test_a_namespace_of_which_nothing_was_read_proves_nothing() -> None:
    assert verdict(check, "secret_missing", world_of(healthy(REFERENCES[0][1]))) is ABSENT


@pytest.mark.parametrize(
    ("field", "kind", "expected"),
    [
        ("secretKeyRef", "Secret", "secret_key_missing"),
        ("configMapKeyRef", "ConfigMap", "config_map_key_missing"),
    ],
)
def test_a_missing_key_is_found_with_those_that_are_there(field: str, kind: str, expected: str) -> None:
    tpl = ref_env(field, "cart", "db_password")
    fact = found(check, expected, world_of(blocked("", tpl), thing(kind, "cart", data={"db-password": ""})))
    assert "it has db-password" in fact.detail
    optional = ref_env(field, "cart", "db_password", optional=True)
    assert verdict(check, expected, world_of(healthy(optional), thing(kind, "cart", data={}))) is ABSENT


@pytest.mark.parametrize("kind", sorted(NEEDS))
def test_a_running_container_has_none(kind: str) -> None:
    assert verdict(check, kind, world_of(healthy())) is ABSENT


@pytest.mark.parametrize("kind", sorted(NEEDS))
def test_without_pods_every_kind_is_unknown(kind: str) -> None:
    assert verdict(check, kind, world_of(failed={"Pod": "timeout after 10 s"})) is UNKNOWN


def test_an_error_without_a_message_leaves_the_cause_open() -> None:
    world = world_of(blocked(""))
    assert verdict(check, "container_config", world) is FOUND
    assert verdict(check, "secret_missing", world) is UNKNOWN


def test_a_mount_that_failed_for_a_moment_at_the_start_is_no_fault() -> None:
    up = healthy()
    said = (
        'MountVolume.SetUp failed for volume "kube-api-access" : object "shop"/"kube-root-ca.crt" '
        "not registered"
    )
    assert not causes(check(world_of(up, event(up, "FailedMount", said, last=19))))
