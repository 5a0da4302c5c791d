"""What is asked about the world around an incident, how widely, and how much at most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest

from bot.domain.evidence import Window
from bot.domain.incident import Route
from investigators.entities import entities_of
from investigators.ports import MatchOp
from investigators.queries import (
    ChangeQuery,
    GraphQuery,
    LogQuery,
    ObjectQuery,
    PastQuery,
    PodLogQuery,
    Query,
    RunbookQuery,
    SpanQuery,
    SurveyQuery,
    TableQuery,
    TicketQuery,
)
from investigators.wide import WideAsk, first_asks, namespaces_of, second_asks
from investigators.world.cluster import Cluster
from tests.fakes.evidence import NOW
from tests.investigators.signals.build import evidence
from tests.investigators.world import alert, case

WINDOW = Window(start=NOW - timedelta(hours=1), end=NOW)
IN_SHOP = {"namespace": "shop", "service": "cart"}


def asks(
    *labels: Mapping[str, str], subjects: Sequence[str] = ("cart",), route: Route | None = None
) -> list[WideAsk]:
    alerts = [alert(labels=one, fingerprint=f"f{n}") for n, one in enumerate(labels)]
    one = case(*alerts, route=route)
    entities, _ = entities_of(one, ())
    return list(first_asks(one, entities, subjects, WINDOW))


def choices(
    found: Sequence[WideAsk], kind: type[Query], *, healthy: bool | None = None
) -> list[tuple[Any, ...]]:
    return [
        ask.choices
        for ask in found
        if type(ask.choices[0]) is kind
        and (healthy is None or getattr(ask.choices[0], "healthy", False) is healthy)
    ]


@pytest.mark.parametrize("kind", [SurveyQuery, LogQuery, SpanQuery])
def test_what_can_be_compared_is_asked_for_the_incident_and_for_a_healthy_time(kind: type[Query]) -> None:
    found = asks(IN_SHOP)
    assert len(choices(found, kind, healthy=False)) == len(choices(found, kind, healthy=True)) == 1


def test_a_healthy_time_is_the_same_window_a_day_before() -> None:
    surveys = [ask for ask in asks(IN_SHOP) if isinstance(ask.choices[0], SurveyQuery)]
    now, healthy = (ask.window for ask in surveys)
    assert now == WINDOW
    assert (now.start - healthy.start, now.length) == (timedelta(days=1), healthy.length)


@pytest.mark.parametrize("kind", [SurveyQuery, LogQuery])
def test_each_width_selects_by_something_else(kind: type[Query]) -> None:
    (widths,) = choices(asks(IN_SHOP), kind, healthy=False)
    selected = [tuple((m.label, m.op, m.value) for m in query.matchers) for query in widths]
    assert selected == [
        (),
        (("namespace", MatchOp.EQUAL, "shop"),),
        (("service", MatchOp.EQUAL, "cart"),),
    ]


def test_widths_that_nothing_selects_are_not_asked() -> None:
    (widths,) = choices(asks({"job": "demo"}, subjects=()), SurveyQuery, healthy=False)
    assert len(widths) == 1


def test_a_whole_namespace_is_asked_only_for_lines_that_look_like_trouble() -> None:
    (widths,) = choices(asks(IN_SHOP), LogQuery, healthy=False)
    assert [bool(query.contains) for query in widths] == [False, True, False]


def test_names_are_escaped_where_several_are_asked_at_once() -> None:
    (widths,) = choices(asks(IN_SHOP, subjects=("a.b", "c|d")), SurveyQuery, healthy=False)
    (matcher,) = widths[-1].matchers
    assert (matcher.op, matcher.value) == (MatchOp.REGEX, r"a\.b|c\|d")


def test_numbers_are_bounded() -> None:
    many = [{"namespace": f"ns-{n}", "service": f"svc-{n}"} for n in range(40)]
    found = asks(*many, subjects=[f"svc-{n}" for n in range(40)])
    (widths,) = choices(found, SurveyQuery, healthy=False)
    assert widths[1].matchers[0].value.count("|") == 2
    assert widths[2].matchers[0].value.count("|") == 19
    assert len(found) < 200
    assert all(
        query.limit <= 50_000 for (query, *_) in (*choices(found, SpanQuery), *choices(found, LogQuery))
    )


@pytest.mark.parametrize("hours", [0.01, 1, 24 * 30])
def test_the_step_grows_with_the_window(hours: float) -> None:
    one = case(alert(labels=IN_SHOP))
    entities, _ = entities_of(one, ())
    window = Window(start=NOW - timedelta(hours=hours), end=NOW)
    survey = next(
        ask.choices[0]
        for ask in first_asks(one, entities, (), window)
        if isinstance(ask.choices[0], SurveyQuery)
    )
    assert survey.step >= timedelta(seconds=1)
    assert window.length / survey.step <= 250


def test_objects_are_asked_in_the_alerts_namespace_and_of_the_cluster() -> None:
    kinds = {(q.object_kind, q.namespace) for (q,) in choices(asks(IN_SHOP), ObjectQuery)}
    assert {("Pod", "shop"), ("Node", None), ("Pod", "kube-system")} <= kinds
    assert ("Pod", None) not in kinds


def test_without_a_namespace_objects_are_asked_everywhere() -> None:
    kinds = {(q.object_kind, q.namespace) for (q,) in choices(asks({"service": "cart"}), ObjectQuery)}
    assert ("Pod", None) in kinds
    assert {namespace for _, namespace in kinds} == {None}


def test_the_system_is_not_asked_twice() -> None:
    found = [q for (q,) in choices(asks({"namespace": "kube-system"}), ObjectQuery)]
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"namespace": "shop"}, ("shop",)),
        ({"exported_namespace": "shop", "namespace": "monitoring"}, ("shop", "monitoring")),
        ({"kubernetes_namespace": "shop"}, ("shop",)),
        ({"destination_workload_namespace": "shop"}, ("shop",)),
        ({"namespace": ""}, ()),
        ({"job": "demo"}, ()),
    ],
)
def test_labels_name_the_namespaces(labels: Mapping[str, str], expected: tuple[str, ...]) -> None:
    entities, _ = entities_of(case(alert(labels=labels)), ())
    assert namespaces_of(entities) == expected


def test_changes_are_listed_for_longer_than_the_window_and_up_to_now() -> None:
    (ask,) = [one for one in asks(IN_SHOP) if isinstance(one.choices[0], ChangeQuery)]
    assert ask.window.end == NOW
    assert ask.window.start <= WINDOW.start - timedelta(hours=23)


def test_texts_are_asked_once_each() -> None:
    route = Route(name="r", runbook_url="https://runbooks.example/cart")
    found = asks(IN_SHOP, IN_SHOP, route=route)
    assert [q.url for (q,) in choices(found, RunbookQuery)] == ["https://runbooks.example/cart"]
    assert len(choices(found, PastQuery)) == len(choices(found, TicketQuery)) == 1
    assert len(choices(found, GraphQuery)) == 1


def test_tables_are_asked_of_the_machines_that_alerts_name() -> None:
    assert {q.host for (q,) in choices(asks({"instance": "box7:9100"}), TableQuery)} == {"box7"}
    assert choices(asks(IN_SHOP), TableQuery) == []


def pod(name: str, *, state: Any = None, last: Any = None, restarts: int = 0, **more: Any) -> dict[str, Any]:
    status = {"name": "main", "state": state, "lastState": last, "restartCount": restarts}
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop"},
        "status": {"containerStatuses": [status], **more},
    }


def second(*pods: Mapping[str, Any], labels: Mapping[str, str] = IN_SHOP) -> list[Query]:
    query = ObjectQuery(object_kind="Pod", namespace="shop")
    entities, _ = entities_of(case(alert(labels=labels)), ())
    cluster = Cluster.build([("Pod", evidence(query, objects=tuple(pods)))])
    return [ask.choices[0] for ask in second_asks(cluster, entities, WINDOW, "cart")]


RUNNING = {"running": {"startedAt": "2026-03-01T11:00:00Z"}}
FAILED = {"terminated": {"exitCode": 1}}
DONE = {"terminated": {"exitCode": 0}}
LOOP = {"waiting": {"reason": "CrashLoopBackOff"}}


@pytest.mark.parametrize(
    ("state", "last", "restarts", "asked"),
    [
        pytest.param(LOOP, FAILED, 4, True, id="a loop of crashes"),
        pytest.param(LOOP, DONE, 4, True, id="a loop of clean ends"),
        pytest.param(RUNNING, FAILED, 1, True, id="it runs again"),
        pytest.param(FAILED, None, 0, False, id="its only run failed"),
        pytest.param(RUNNING, None, 0, None, id="it runs"),
        pytest.param(DONE, None, 0, None, id="it is done"),
        pytest.param({"waiting": {"reason": "ImagePullBackOff"}}, None, 0, None, id="it never began"),
        pytest.param("lies", ["lies"], "many", None, id="what is no status"),
        pytest.param({"waiting": "lies"}, {"terminated": "lies"}, 1, None, id="what is no state"),
    ],
)
def test_pods_that_crashed_are_asked_for_their_last_words(
    state: Any, last: Any, restarts: Any, asked: bool | None
) -> None:
    """``asked``: of the run before, of this one, or None: not at all."""
    found = [
        q
        for q in second(pod("cart-1", state=state, last=last, restarts=restarts))
        if isinstance(q, PodLogQuery)
    ]
    assert [q.previous for q in found] == ([] if asked is None else [asked])


def test_init_containers_that_fail_are_asked_too() -> None:
    init = {"name": "migrate", "state": LOOP, "restartCount": 2}
    found = second(pod("cart-1", initContainerStatuses=[init]))
    assert [q.container for q in found if isinstance(q, PodLogQuery)] == ["migrate"]


def test_of_many_crashed_pods_only_so_many_are_asked() -> None:
    found = second(*(pod(f"cart-{n}", state=LOOP, restarts=1) for n in range(40)))
    assert len(found) == 12


def test_a_namespace_that_holds_nothing_widens_the_look_to_the_cluster() -> None:
    assert {q.namespace for q in second() if isinstance(q, ObjectQuery)} == {None}
    assert second(labels={"service": "cart"}) == []
    assert second(pod("cart-1", state=RUNNING)) == []
