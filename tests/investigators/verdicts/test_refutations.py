"""Every refutation of a cause found in a world: when it speaks, and when it must be silent."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.domain.evidence import FactVerdict
from tests.investigators.platform.build import ONSET, world
from tests.investigators.verdicts.judging import (
    chain,
    entity,
    fact,
    judged,
    reasons,
    run,
    standing,
    traced,
)

LATER = ONSET + timedelta(minutes=6)
EARLIER = ONSET - timedelta(minutes=6)
LONG_AGO = ONSET - timedelta(hours=9)


def test_what_began_after_the_alert_is_a_consequence() -> None:
    verdict = judged(world(run("cart", restarts=1, code=139)), fact("process_crash", "cart", began=LATER))
    assert "6 min after the alert" in reasons(verdict)["cart", "process_crash"]


@pytest.mark.parametrize(
    ("began", "restarts", "age"),
    [(EARLIER, 1, 600.0), (LATER, 4, 600.0), (LATER, 1, 2.0)],
    ids=["it began before", "only the last of many is known", "the pod before it is not known"],
)
def test_what_may_have_begun_before_the_alert_stands(began: object, restarts: int, age: float) -> None:
    crashed = fact("process_crash", "cart", began=began, restarts=restarts)  # type: ignore[arg-type]
    verdict = judged(world(run("cart", restarts=restarts, code=139, age=age)), crashed)
    assert standing(verdict) == [("cart", "process_crash")]


def test_the_onset_of_the_effect_is_that_of_the_alert_it_can_explain() -> None:
    """The first alert is about something else and was much earlier."""
    late = entity("db", onset=LATER + timedelta(minutes=1))
    crashed = fact("process_crash", "db", began=LATER)
    verdict = judged(world(run("db", restarts=1, code=139)), crashed, entities=[entity(), late])
    assert standing(verdict) == [("db", "process_crash")]


def test_a_change_made_after_the_onset_is_not_to_blame() -> None:
    late = judged(world(), fact("bad_change", "cart", began=LATER))
    assert "made 6 min after" in reasons(late)["cart", "bad_change"]
    assert standing(judged(world(), fact("bad_change", "cart", began=EARLIER))) == [("cart", "bad_change")]


def test_a_surer_witness_that_saw_it_absent_refutes_it() -> None:
    against = fact("dns_failure", "cart", 0.9, verdict=FactVerdict.ABSENT, rule="other")
    assert reasons(judged(world(), fact("dns_failure", "cart", 0.5), against))
    assert standing(judged(world(), fact("dns_failure", "cart", 0.85), against))


def test_a_crash_is_refuted_where_no_container_ever_ended() -> None:
    verdict = judged(world(run("cart"), run("cart", 1)), fact("process_crash", "cart"))
    assert "none of the containers of its 2 pods ever ended" in reasons(verdict)["cart", "process_crash"]


@pytest.mark.parametrize(
    "pods",
    [
        [run("cart"), run("cart", 1, restarts=2, code=139)],
        [run("cart", ready=False)],
        [run("cart", age=3)],
        [],
    ],
    ids=["one of them restarted", "it is not ready", "the pod is newer than the alert", "no pod was read"],
)
def test_a_crash_stands_where_a_pod_may_have_ended(pods: list[dict[str, object]]) -> None:
    assert standing(judged(world(*pods), fact("process_crash", "cart"))) == [("cart", "process_crash")]


def test_a_crash_stands_where_the_list_of_pods_failed() -> None:
    assert standing(judged(world(run("db"), failed=("Pod",)), fact("process_crash", "cart")))


def test_an_oom_kill_with_another_exit_code_is_none() -> None:
    verdict = judged(world(run("cart", restarts=3, code=1)), fact("oom_killed", "cart"))
    assert "exit code 1, an OOM kill ends with 137" in reasons(verdict)["cart", "oom_killed"]


@pytest.mark.parametrize(("code", "reason"), [(137, "Error"), (1, "OOMKilled")])
def test_an_oom_kill_stands_by_its_code_or_where_the_kubelet_calls_it_one(code: int, reason: str) -> None:
    of = world(run("cart", restarts=3, code=code, reason=reason))
    assert standing(judged(of, fact("oom_killed", "cart"))) == [("cart", "oom_killed")]


@pytest.mark.parametrize("fault", ["dependency_down", "connection_refused", "dependency_slow", "cache_down"])
def test_what_serves_as_ever_is_neither_down_nor_slow(fault: str) -> None:
    verdict = judged(chain(spans=traced("cart", "db")), fact(fault, "db"))
    assert "it goes on serving: 30 calls" in reasons(verdict)["db", fault]


@pytest.mark.parametrize(
    "since",
    [{"failed": True}, {"ms": 90.0}, {"slow": 6}, {"count": 4}, {"count": 12}],
    ids=[
        "they fail",
        "it is slower",
        "a fifth is slower",
        "too few to tell",
        "it gets less than half of them",
    ],
)
def test_a_dependency_that_does_not_serve_as_ever_may_be_down(since: dict[str, float]) -> None:
    verdict = judged(chain(spans=traced("cart", "db", **since)), fact("dependency_down", "db"))  # type: ignore[arg-type]
    assert standing(verdict) == [("db", "dependency_down")]


def test_a_dependency_is_cleared_by_its_own_measures_unless_a_pod_of_it_is_not_ready() -> None:
    down = fact("dependency_down", "db")
    assert "traffic and errors" in reasons(judged(chain(), down, steady=["db"]))["db", "dependency_down"]
    assert standing(judged(chain(run("db", ready=False)), down, steady=["db"]))
    assert standing(judged(chain(), down, steady=["cart"]))


def test_a_cause_that_its_traced_callers_do_not_feel_is_refuted() -> None:
    verdict = judged(chain(spans=traced("cart", "db")), fact("lock_contention", "db"))
    assert "those that call it notice nothing: 30 calls" in reasons(verdict)["db", "lock_contention"]


def test_a_cause_stands_where_its_callers_suffer_or_it_is_what_the_alert_is_about() -> None:
    contended = fact("lock_contention", "db")
    assert standing(judged(chain(spans=traced("cart", "db", ms=80)), contended))
    assert standing(judged(chain(), contended))
    assert standing(judged(chain(spans=traced("cart", "db")), contended, entities=[entity("db")]))


def test_a_fault_that_no_call_would_feel_is_not_refuted_by_calls() -> None:
    lag = fact("consumer_lag", "db")
    assert standing(judged(chain(spans=traced("cart", "db")), lag)) == [("db", "consumer_lag")]


def test_time_lost_in_a_starved_process_is_not_lost_on_the_way() -> None:
    delay, short = fact("network_delay", "db", 0.8), fact("cpu_throttling", "db", 0.85)
    verdict = judged(chain(), delay, short)
    assert "short of CPU" in reasons(verdict)["db", "network_delay"]


def test_a_network_fault_stands_beside_a_vague_or_foreign_shortage() -> None:
    delay = fact("network_delay", "db", 0.9)
    assert ("db", "network_delay") in standing(judged(chain(), delay, fact("cpu_throttling", "db", 0.5)))
    assert ("db", "network_delay") in standing(judged(chain(), delay, fact("cpu_throttling", "cart", 0.95)))


def on_one_node(cart_ready: bool = False, others: int = 3, sick: int = 0) -> list[dict[str, object]]:
    rest = [run(f"other{index}", ready=index >= sick) for index in range(others)]
    return [run("cart", ready=cart_ready), *rest]  # type: ignore[list-item]


OWN = fact("secret_missing", "cart", 0.95)
PRESSED = fact("node_disk_pressure", "node-1", 0.8, of="node")


def test_a_node_is_cleared_where_only_one_workload_fails_and_has_its_own_fault() -> None:
    verdict = judged(world(*on_one_node()), PRESSED, OWN)
    reason = reasons(verdict)["node-1", "node_disk_pressure"]
    assert "3 other workloads on it are ready" in reason
    assert "cart has a fault of its own: secret_missing is seen" in reason


def test_a_node_stands_where_others_fail_too_or_the_pod_has_no_fault_of_its_own() -> None:
    key = ("node-1", "node_disk_pressure")
    assert key in standing(judged(world(*on_one_node(sick=1)), PRESSED, OWN))
    assert key in standing(judged(world(*on_one_node(others=2)), PRESSED, OWN))
    assert key in standing(judged(world(*on_one_node()), PRESSED))
    evicted = fact("evicted", "cart", 0.95)
    assert key in standing(judged(world(*on_one_node()), PRESSED, evicted)), "the node brings that about"


def test_an_oom_kill_clears_a_node_of_all_but_a_shortage_of_memory() -> None:
    killed = fact("oom_killed", "cart", 0.95)
    silent = fact("node_io_pressure", "node-1", 0.8, of="node")
    short = fact("node_memory_pressure", "node-1", 0.8, of="node")
    pods = world(*on_one_node())
    assert ("node-1", "node_io_pressure") in reasons(judged(pods, silent, killed))
    assert ("node-1", "node_memory_pressure") in standing(judged(pods, short, killed))


def test_what_was_so_for_hours_does_not_explain_what_is_new() -> None:
    old = fact("image_pull_auth", "cart", began=LONG_AGO)
    new = fact("secret_missing", "cart", began=EARLIER)
    verdict = judged(world(), old, new)
    assert "for 9.0 h before the alert" in reasons(verdict)["cart", "image_pull_auth"]
    assert standing(verdict) == [("cart", "secret_missing")]


def test_an_old_fault_stands_where_nothing_new_is_known_or_it_hurts_late() -> None:
    assert standing(judged(world(), fact("secret_missing", "cart", began=LONG_AGO)))
    both_old = [fact(kind, "cart", began=LONG_AGO) for kind in ("secret_missing", "image_pull_auth")]
    assert len(standing(judged(world(), *both_old))) == 2
    slow = fact("certificate_expiry", "cart", began=LONG_AGO)
    new = fact("secret_missing", "cart", began=EARLIER)
    assert ("cart", "certificate_expiry") in standing(judged(world(), slow, new))


def test_the_symptom_of_a_refuted_cause_ranks_by_itself_again() -> None:
    crashed, looping = fact("process_crash", "cart", began=LATER), fact("crashloop", "cart")
    of = world(run("cart", restarts=1, code=139, ready=False))
    (left,) = judged(of, crashed, looping).standing
    assert left.key == ("cart", "crashloop")
    assert left.symptom_of == ()
    (alone,) = judged(of, looping).standing
    assert left.hypothesis.score == alone.hypothesis.score
