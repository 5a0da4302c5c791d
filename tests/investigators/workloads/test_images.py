"""Images that cannot be pulled, in the words of containerd, CRI-O and Docker."""

from __future__ import annotations

from typing import Any

import pytest

from bot.domain.evidence import FactVerdict
from investigators.facts.workloads.images import FAULTS, NEEDS, check, reference
from tests.investigators.kube import (
    OLD_RS,
    causes,
    container,
    deployment,
    ended,
    event,
    found,
    healthy,
    line,
    node,
    pod,
    replica_set,
    running,
    status,
    template,
    thing,
    verdict,
    waiting,
    world_of,
)

ABSENT, UNKNOWN = FactVerdict.ABSENT, FactVerdict.UNKNOWN
HUB = "docker.io/acme/cart:1.99"
OWN = "registry.example/shop/cart:1.99"
RPC = 'rpc error: code = {code} desc = failed to pull and unpack image "{image}": failed to '
RESOLVE = RPC + 'resolve reference "{image}": '

MESSAGES = [
    ("image_tag_missing", OWN, RESOLVE.format(code="NotFound", image=OWN) + f"{OWN}: not found"),
    ("image_tag_missing", OWN, "rpc error: code = Unknown desc = Error response from daemon: manifest for "
     f"{OWN} not found: manifest unknown: manifest unknown"),
    ("image_tag_missing", OWN, "rpc error: code = Unknown desc = reading manifest 1.99 in "
                               "registry.example/shop/cart: "
     "manifest unknown"),
    ("image_name_wrong", HUB, RESOLVE.format(code="Unknown", image=HUB) + "pull access denied, "
                                                                          "repository does not "
     "exist or may require authorization: server message: insufficient_scope: authorization failed"),
    ("image_name_wrong", HUB, "rpc error: code = Unknown desc = Error response from daemon: pull "
                              "access denied for "
     "acme/cart, repository does not exist or may require 'docker login': denied: requested access to "
     "the resource "
     "is denied"),
    ("image_name_wrong", OWN, "rpc error: code = Unknown desc = reading manifest 1.99 in "
                              "registry.example/shop/cart: "
     "name unknown: repository name not known to registry"),
    ("image_pull_auth", OWN, RESOLVE.format(code="Unknown", image=OWN) + "unexpected status from HEAD "
                                                                         "request to "
     "https://registry.example/v2/shop/cart/manifests/1.99: 401 Unauthorized"),
    ("image_pull_auth", OWN, RESOLVE.format(code="Unknown", image=OWN) + "failed to authorize: failed "
                                                                         "to fetch oauth "
     "token: unexpected status from GET request to https://registry.example/token: 403 Forbidden"),
    ("image_pull_auth", OWN, "rpc error: code = Unknown desc = Error response from daemon: Get "
     "https://registry.example/v2/shop/cart/manifests/1.99: no basic auth credentials"),
    ("image_pull_network", OWN, RESOLVE.format(code="Unknown", image=OWN) + "failed to do request: Head "
     "\"https://registry.example/v2/shop/cart/manifests/1.99\": dial tcp 10.9.8.7:443: i/o timeout"),
    ("image_pull_network", OWN, RPC.format(code="Unknown", image=OWN) + "copy: httpReadSeeker: failed "
                                                                        "open: failed "
     "to do request: Get \"https://registry.example/v2/\": net/http: TLS handshake timeout"),
    ("image_pull_network", OWN, RESOLVE.format(code="Unknown", image=OWN) + "failed to do request: Head "
     "\"https://registry.example/v2/\": tls: failed to verify certificate: x509: certificate signed "
     "by unknown "
     "authority"),
    ("image_registry_unreachable", OWN, RESOLVE.format(code="Unknown", image=OWN) + "failed to do "
                                                                                    "request: Head "
     "\"https://registry.example/v2/\": dial tcp: lookup registry.example on 10.96.0.10:53: no such host"),
    ("image_registry_unreachable", OWN, RESOLVE.format(code="Unknown", image=OWN) + "failed to do "
                                                                                    "request: Head "
     "\"https://registry.example/v2/\": dial tcp 10.9.8.7:443: connect: connection refused"),
    ("image_registry_unreachable", OWN, RESOLVE.format(code="Unknown", image=OWN) + "unexpected "
                                                                                    "status from HEAD "
     "request to https://registry.example/v2/: 503 Service Unavailable"),
    ("image_pull_rate_limited", HUB, RPC.format(code="Unknown", image=HUB) + "copy: httpReadSeeker: "
                                                                             "failed open: "
     "unexpected status code https://registry-1.docker.io/v2/: 429 Too Many Requests - Server message: "
     "toomanyrequests: You have reached your unauthenticated pull rate limit."),
    ("image_arch_mismatch", OWN, RPC.format(code="NotFound", image=OWN) + "resolve image: no match "
                                                                          "for platform in "
     "manifest: not found"),
    ("image_arch_mismatch", OWN, "rpc error: code = Unknown desc = Error response from daemon: no "
                                 "matching manifest "
     "for linux/arm64/v8 in the manifest list entries"),
]  # fmt: skip


def stuck(image: str, message: str, reason: str = "ErrImagePull", **more: Any) -> Any:
    tpl = template(container(image=image), **more)
    return pod(tpl, status(state=waiting(reason, message)), phase="Pending")


@pytest.mark.parametrize(("kind", "image", "message"), MESSAGES)
def test_the_runtimes_error_names_the_fault(kind: str, image: str, message: str) -> None:
    world = world_of(stuck(image, message))
    best = max(
        (one for one in causes(check(world)) if one.kind != "image_pull"), key=lambda one: one.confidence
    )
    assert best.kind == kind
    assert best.confidence >= 0.75
    assert image in best.detail
    assert found(check, "image_pull", world).confidence >= 0.85
    assert "image_pull" in FAULTS[kind].explains


@pytest.mark.parametrize(("kind", "image", "message"), MESSAGES)
def test_in_the_back_off_older_kubelets_say_it_in_events_only(kind: str, image: str, message: str) -> None:
    waits = stuck(image, f'Back-off pulling image "{image}"', "ImagePullBackOff")
    told = event(waits, "Failed", f'Failed to pull image "{image}": {message}', count=4, first=15)
    assert found(check, kind, world_of(waits, told)).confidence >= 0.75


@pytest.mark.parametrize("kind", sorted(NEEDS))
def test_a_running_container_has_none(kind: str) -> None:
    assert verdict(check, kind, world_of(healthy())) is ABSENT


@pytest.mark.parametrize("kind", sorted(NEEDS))
def test_without_pods_every_kind_is_unknown(kind: str) -> None:
    assert verdict(check, kind, world_of(failed={"Pod": "timeout after 10 s"})) is UNKNOWN


@pytest.mark.parametrize("kind", sorted(set(NEEDS) - {"image_pull"}))
def test_a_back_off_without_a_reason_leaves_the_cause_open(kind: str) -> None:
    waits = stuck(OWN, f'Back-off pulling image "{OWN}"', "ImagePullBackOff")
    world = world_of(waits)
    assert verdict(check, "image_pull", world) is FactVerdict.FOUND
    assert verdict(check, kind, world) is UNKNOWN


def test_an_image_that_came_after_a_second_try_is_no_fault() -> None:
    up = healthy()
    told = event(up, "Failed", f'Failed to pull image "{OWN}": {MESSAGES[9][2]}', last=18)
    assert not causes(check(world_of(up, told)))


def test_a_name_that_is_no_reference_is_wrong() -> None:
    said = 'Failed to apply default image tag "Shop/Cart:1": couldn\'t parse image name "Shop/Cart:1"'
    assert found(check, "image_name_wrong", world_of(stuck("Shop/Cart:1", said, "InvalidImageName")))


def test_a_missing_pull_secret_is_the_reason_that_a_registry_denies() -> None:
    said = next(message for kind, image, message in MESSAGES if image == HUB and kind == "image_name_wrong")
    waits = stuck(HUB, said, imagePullSecrets=[{"name": "regcred"}])
    fact = found(check, "image_pull_auth", world_of(waits, thing("Secret", "other")))
    assert "regcred does not exist" in fact.detail
    there = world_of(waits, thing("Secret", "regcred"))
    assert (
        found(check, "image_pull_auth", there).confidence > found(check, "image_name_wrong", there).confidence
    )


def rolled(image: str, before: str, message: str) -> Any:
    top = deployment()
    old = replica_set(template(container(image=before)), name=OLD_RS, of=top, revision=1, replicas=0)
    tpl = template(container(image=image))
    new = replica_set(tpl, of=top)
    waits = pod(tpl, status(state=waiting("ErrImagePull", message)), phase="Pending", owner=new)
    return world_of(top, old, new, waits)


def test_what_the_revision_before_pulled_tells_name_from_credentials() -> None:
    said = "pull access denied, repository does not exist or may require authorization: insufficient_scope"
    slip = rolled("docker.io/acme/crat:1.4", "docker.io/acme/cart:1.3", said)
    fact = found(check, "image_name_wrong", slip)
    assert fact.confidence >= 0.85
    assert "before it was acme/cart" in fact.detail
    same = rolled("docker.io/acme/cart:1.4", "docker.io/acme/cart:1.3", said)
    assert found(check, "image_pull_auth", same).confidence >= 0.85
    assert verdict(check, "image_name_wrong", same) is ABSENT
    tag = rolled("registry.example/cart:1.4", "registry.example/cart:1.3", ": not found")
    assert "before it was tag 1.3" in found(check, "image_tag_missing", tag).detail


def test_a_registry_without_an_address_that_is_new_may_be_a_slip() -> None:
    said = "dial tcp: lookup regsitry.example: no such host"
    world = rolled("regsitry.example/cart:1", "registry.example/cart:1", said)
    assert "before the registry was registry.example" in found(check, "image_name_wrong", world).detail


def test_a_tag_that_looks_like_a_status_code_is_not_one() -> None:
    waits = stuck("registry.example/cart:401", "dial tcp 10.0.0.1:443: i/o timeout")
    assert verdict(check, "image_pull_auth", world_of(waits)) is ABSENT


def test_exec_format_error_is_another_architecture() -> None:
    crashed = pod(None, status(state=waiting("CrashLoopBackOff"), last=ended(1), restarts=4))
    said = line("exec /usr/local/bin/cart: exec format error")
    arm = node(labels={"kubernetes.io/arch": "arm64"})
    fact = found(check, "image_arch_mismatch", world_of(crashed, arm, node("node-2"), lines=[said]))
    assert "node node-1 is arm64" in fact.detail
    assert fact.confidence >= 0.9
    start = ended(128, "StartError", message="failed to create containerd task: exec /app: exec format error")
    assert found(check, "image_arch_mismatch", world_of(pod(None, status(last=start))))
    elsewhere = pod(None, status(state=running(), ready=True))
    assert verdict(check, "image_arch_mismatch", world_of(elsewhere, lines=[said])) is ABSENT


@pytest.mark.parametrize(
    ("image", "registry", "repository", "tag"),
    [
        ("nginx", "docker.io", "library/nginx", "latest"),
        ("acme/cart:1", "docker.io", "acme/cart", "1"),
        ("localhost:5000/cart", "localhost:5000", "cart", "latest"),
        ("ghcr.io/a/b/c:v2", "ghcr.io", "a/b/c", "v2"),
        ("ghcr.io/a/b@sha256:aa", "ghcr.io", "a/b", "sha256:aa"),
    ],
)
def test_a_reference_is_read_as_a_runtime_reads_it(
    image: str, registry: str, repository: str, tag: str
) -> None:
    own = reference(image)
    assert (own.registry, own.repository, own.tag) == (registry, repository, tag)
