"""The logs of pods: which container, which run, which lines."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.domain.evidence import EvidenceStatus, Window
from investigators.queries import PodLogQuery
from tests.adapters.evidence.kubernetes_world import WINDOW, ask, made, pod
from tests.fakes.evidence import NOW
from tests.servers.kubernetes_api import KubernetesApi

CANARY = "c4n4ry-hunter2-swordfish"
QUERY = PodLogQuery(namespace="shop", pod="web-1")


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def two_containers() -> KubernetesApi:
    api = KubernetesApi()
    containers = [{"name": "web"}, {"name": "proxy"}]
    api.put(
        made(
            "Pod",
            "web-1",
            spec={"nodeName": "n1", "containers": containers, "initContainers": [{"name": "setup"}]},
        )
    )
    api.log("shop", "web-1", "setup", [(NOW - minutes(30), "migrating")])
    api.log("shop", "web-1", "web", [(NOW - minutes(20), "starting"), (NOW - minutes(1), "panic: no cart")])
    api.log("shop", "web-1", "proxy", [(NOW - minutes(10), "GET /cart 502")])
    return api


async def test_lines_have_the_times_the_kubelet_gave_them_and_say_whose_they_are() -> None:
    api = KubernetesApi()
    api.put(pod())
    api.log("shop", "web-1", "web", [(NOW - minutes(2), "hello  world"), (NOW - minutes(1), "")])
    evidence = await ask(api, QUERY)
    first, second = evidence.lines
    assert first.text == "hello  world"
    assert first.at is not None
    assert abs(first.at - (NOW - minutes(2))) < timedelta(milliseconds=1)
    assert first.labels == {"namespace": "shop", "pod": "web-1", "container": "web", "node": "n1"}
    assert second.text == ""
    assert evidence.outsider_writable
    assert evidence.manual == (
        "kubectl logs -n shop web-1 --all-containers --timestamps --tail=500 "
        "--since-time=2026-03-01T10:00:00Z"
    )


async def test_without_a_name_every_container_is_read_in_the_order_of_time() -> None:
    evidence = await ask(two_containers(), QUERY)
    assert [(line.labels["container"], line.text) for line in evidence.lines] == [
        ("setup", "migrating"),
        ("web", "starting"),
        ("proxy", "GET /cart 502"),
        ("web", "panic: no cart"),
    ]
    assert evidence.reason is None


async def test_one_container_is_read_alone() -> None:
    evidence = await ask(two_containers(), PodLogQuery(namespace="shop", pod="web-1", container="proxy"))
    assert [line.text for line in evidence.lines] == ["GET /cart 502"]


async def test_a_container_that_the_pod_does_not_have_is_a_gap_that_names_those_it_has() -> None:
    evidence = await ask(two_containers(), PodLogQuery(namespace="shop", pod="web-1", container="db"))
    assert evidence.status is EvidenceStatus.FAILED
    assert evidence.reason == "web-1 has no container db, only setup, web, proxy"


async def test_the_run_before_the_restart_is_read_also_where_it_ended_before_the_window() -> None:
    api = KubernetesApi()
    api.put(pod())
    api.log("shop", "web-1", "web", [(NOW, "fresh")])
    api.log("shop", "web-1", "web", [(NOW - minutes(400), "fatal: out of memory")], previous=True)
    evidence = await ask(api, PodLogQuery(namespace="shop", pod="web-1", previous=True))
    assert [line.text for line in evidence.lines] == ["fatal: out of memory"]
    assert (evidence.manual or "").endswith("--tail=500 --previous")
    assert "of the run before" in evidence.summary


@pytest.mark.parametrize("previous", [True, False])
async def test_a_container_that_never_ran_so_is_empty_in_the_words_of_the_server(previous: bool) -> None:
    api = KubernetesApi()
    api.put(pod())
    evidence = await ask(api, PodLogQuery(namespace="shop", pod="web-1", previous=previous))
    assert evidence.status is EvidenceStatus.EMPTY
    said = (
        "previous terminated container" if previous else 'container "web" in pod "web-1" is waiting to start'
    )
    assert (evidence.reason or "").startswith(said)


async def test_a_pod_that_is_gone_is_a_gap_because_nobody_knows_what_it_said() -> None:
    evidence = await ask(KubernetesApi(), QUERY)
    assert evidence.status is EvidenceStatus.FAILED
    assert evidence.reason == "there is no pod web-1 in shop (any more), so its log cannot be read"


@pytest.mark.parametrize(
    "said",
    [
        "unable to retrieve container logs for containerd://3f2a",
        'failed to try resolving symlinks in path "/var/log/pods/x.log": lstat x.log: no such file',
    ],
)
async def test_a_kubelet_that_answers_with_an_error_instead_of_the_log_is_a_gap(said: str) -> None:
    api = KubernetesApi()
    api.put(pod())
    api.log("shop", "web-1", "web", said)
    evidence = await ask(api, QUERY)
    assert evidence.status is EvidenceStatus.FAILED
    assert said[:40] in (evidence.reason or "")


async def test_one_container_that_cannot_be_read_leaves_the_others_and_a_reason() -> None:
    api = two_containers()
    api.log("shop", "web-1", "proxy", "unable to retrieve container logs for containerd://3f2a")
    evidence = await ask(api, QUERY)
    assert len(evidence.lines) == 3
    assert (evidence.reason or "").startswith("proxy: the kubelet answered: unable to retrieve")


async def test_only_the_last_lines_are_asked_for_and_only_those_in_the_window_kept() -> None:
    api = KubernetesApi()
    api.put(pod())
    api.log("shop", "web-1", "web", [(NOW - minutes(200 - index), f"line {index}") for index in range(200)])
    evidence = await ask(api, PodLogQuery(namespace="shop", pod="web-1", tail=150))
    assert [line.text for line in evidence.lines] == [f"line {index}" for index in range(80, 200)]
    earlier = Window(start=NOW - minutes(100), end=NOW - minutes(50))
    then = await ask(api, QUERY, earlier)
    assert [line.text for line in then.lines] == [f"line {index}" for index in range(100, 150)]


async def test_a_log_that_has_run_past_the_window_is_a_gap_and_not_silence() -> None:
    api = KubernetesApi()
    api.put(pod())
    api.log("shop", "web-1", "web", [(NOW - minutes(1), f"line {index}") for index in range(50)])
    earlier = Window(start=NOW - minutes(100), end=NOW - minutes(50))
    evidence = await ask(api, PodLogQuery(namespace="shop", pod="web-1", tail=50), earlier)
    assert evidence.status is EvidenceStatus.FAILED
    assert evidence.reason == "the last 50 lines are all from after the window"
    whole = await ask(api, QUERY, earlier)
    assert (whole.status, whole.reason) == (EvidenceStatus.EMPTY, "web-1 logged nothing in the window")


async def test_a_log_beyond_the_limit_of_bytes_says_that_it_was_cut() -> None:
    api = KubernetesApi()
    api.put(pod())
    api.log("shop", "web-1", "web", [(NOW - minutes(1), "x" * 1000)] * 100)
    evidence = await ask(api, QUERY, max_bytes=65_536)
    assert evidence.status is EvidenceStatus.OK
    assert evidence.reason == "web: cut at the limit of bytes"


async def test_secrets_are_taken_out_of_lines_also_where_they_span_several() -> None:
    api = KubernetesApi()
    api.put(pod())
    key = ["-----BEGIN PRIVATE KEY-----", CANARY, CANARY, "-----END PRIVATE KEY-----"]
    texts = ["before", f"login password={CANARY}", *key, "after", "\x1b[31mred\x1b[0m \u202etrick"]
    api.log("shop", "web-1", "web", [(NOW - minutes(10 - index), text) for index, text in enumerate(texts)])
    evidence = await ask(api, QUERY)
    assert CANARY not in str(evidence)
    assert len(evidence.lines) == len(texts)
    assert [evidence.lines[index].text for index in (0, 1, 6, 7)] == [
        "before",
        "login password=[redacted:secret]",
        "after",
        "red trick",
    ]
    after = evidence.lines[6].at
    assert after is not None
    assert after >= NOW - minutes(4)


async def test_the_window_of_the_question_is_that_of_the_answer() -> None:
    evidence = await ask(two_containers(), QUERY)
    assert evidence.window == WINDOW
