"""What people are told: verdict, cause, band, citations, gaps, steps, and the suggested action."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.domain.alert import AlertStatus
from bot.domain.diagnosis import Band, DiagnosisVerdict, Origin
from bot.domain.incident import Route
from investigators.facts.catalogue import Rule
from investigators.ports import Investigation
from investigators.queries import Sources
from investigators.registry import DeterministicInvestigator, Rules
from tests.fakes.evidence import NOW, FixedClock, WorldHost, WorldMetrics, series
from tests.investigators.test_rules import EXPR, MIB, OWN, QUIET, exit_record, line, record, rss, target
from tests.investigators.world import LABELS, alert, case, investigate

LEAK = rss([50 * MIB + i * MIB for i in range(120)])
LEAKING_HOST = WorldHost(
    process_records=[record(rss_bytes=170 * MIB)],
    process_series=[series("process_resident_memory_bytes", [(165 + i) * MIB for i in range(6)], step=0.25)],
    lines=[*QUIET, line(30, "ERROR MemoryError while caching key 1234")],
    resource_records=[
        {"memory_available_bytes": 900 * MIB, "memory_total_bytes": 1000 * MIB, "cpu_percent": 5.0}
    ],
    exit_records=[],
)
GONE = WorldHost(
    process_records=[record(status="not_running", started_at=None)],
    exit_records=[exit_record(139, ago=100)],
)
DOWN = WorldMetrics(
    target_records=[target("down", "connection refused")], series=[series("up", [1, 0, 0], **OWN)]
)


def cited_ids_exist(result: Investigation) -> None:
    ids = {item.id for item in result.evidence}
    diagnosis = result.diagnosis
    assert {c.evidence_id for c in diagnosis.citations} <= ids
    assert {i for h in diagnosis.hypotheses for i in h.evidence_ids} <= ids
    assert {i for f in diagnosis.facts for i in f.evidence_ids} <= ids
    if diagnosis.suggestion is not None:
        assert diagnosis.suggestion.evidence_ids
        assert set(diagnosis.suggestion.evidence_ids) <= ids


async def test_a_leak_seen_by_metrics_process_table_and_log_is_a_sure_diagnosis() -> None:
    result = await investigate(case(alert("MemoryHigh", expr=EXPR)), metrics=[LEAK], hosts=[LEAKING_HOST])
    diagnosis = result.diagnosis
    assert diagnosis.verdict is DiagnosisVerdict.ACTION_NEEDED
    assert diagnosis.band is Band.HIGH
    assert diagnosis.origin is Origin.RULES
    assert diagnosis.root_cause == "demo: memory keeps growing, as with a leak"
    assert diagnosis.suggestion is not None
    assert diagnosis.suggestion.action == "process.restart"
    assert diagnosis.suggestion.params == {"process": "demo"}
    assert diagnosis.suggestion.target == "demo"
    assert {c.source for c in diagnosis.citations} == {"world", "host:box"}
    assert any("MemoryError" in c.finding for c in diagnosis.citations)
    assert any("heap profile" in step for step in diagnosis.steps)
    cited_ids_exist(result)


async def test_a_leak_seen_from_inside_the_machine_alone_is_enough_to_act_on() -> None:
    diagnosis = (await investigate(case(alert("MemoryHigh", expr=EXPR)), hosts=[LEAKING_HOST])).diagnosis
    assert diagnosis.verdict is DiagnosisVerdict.ACTION_NEEDED
    assert diagnosis.band is Band.MEDIUM
    assert diagnosis.suggestion is not None
    assert any(gap.reason == "no metric source is configured" for gap in diagnosis.gaps)


async def test_a_crash_outranks_the_silence_it_causes() -> None:
    result = await investigate(case(alert("TargetDown", expr='up{job="demo"} == 0')), [DOWN], [GONE])
    faults = [h.fault for h in result.diagnosis.hypotheses]
    assert faults[0] == "process_crash"
    assert faults.index("process_crash") < faults.index("process_not_running") < faults.index("target_down")
    assert "crashed. demo ended at" in result.diagnosis.summary, "names keep their spelling"
    assert "SIGSEGV" in result.diagnosis.summary
    assert result.diagnosis.suggestion is not None
    assert result.diagnosis.band is Band.HIGH
    cited_ids_exist(result)


async def test_a_crashed_process_that_runs_again_is_not_restarted() -> None:
    host = WorldHost(
        process_records=[record(started_at=NOW.timestamp() - 50)], exit_records=[exit_record(139)]
    )
    metrics = WorldMetrics(target_records=[target("up")])
    diagnosis = (await investigate(metrics=[metrics], hosts=[host])).diagnosis
    assert diagnosis.hypotheses[0].fault == "process_crash"
    assert diagnosis.suggestion is None
    assert any("runs again" in step for step in diagnosis.steps)


async def test_nothing_is_suggested_for_a_process_that_no_evidence_names() -> None:
    diagnosis = (await investigate(case(alert("MemoryHigh")), metrics=[LEAK])).diagnosis
    assert diagnosis.hypotheses[0].fault == "memory_growth"
    assert diagnosis.suggestion is None


async def test_no_evidence_is_inconclusive_with_commands_to_run() -> None:
    result = await investigate(metrics=[WorldMetrics(failure="timeout")], hosts=[WorldHost()])
    diagnosis = result.diagnosis
    assert diagnosis.verdict is DiagnosisVerdict.INCONCLUSIVE
    assert diagnosis.band is Band.LOW
    assert diagnosis.root_cause is None
    assert diagnosis.suggestion is None
    assert "nconclusive" in diagnosis.summary
    assert any(step.startswith("Run: ") for step in diagnosis.steps)
    assert all(gap.reason for gap in diagnosis.gaps)


async def test_an_incident_without_alerts_is_inconclusive() -> None:
    assert (await investigate(case(), metrics=[LEAK])).diagnosis.verdict is DiagnosisVerdict.INCONCLUSIVE


async def test_a_condition_that_holds_no_more_needs_no_action() -> None:
    host = WorldHost(process_records=[record(rss_bytes=50)])
    diagnosis = (await investigate(case(alert(expr=EXPR)), [WorldMetrics()], [host])).diagnosis
    assert diagnosis.verdict is DiagnosisVerdict.NO_ACTION
    assert "does not hold" in diagnosis.summary


async def test_a_silent_prometheus_does_not_make_the_condition_over() -> None:
    diagnosis = (await investigate(case(alert(expr=EXPR)), [WorldMetrics(failure="timeout")])).diagnosis
    assert diagnosis.verdict is DiagnosisVerdict.INCONCLUSIVE


async def test_resolved_alerts_need_no_action_even_where_the_cause_is_known() -> None:
    over = alert("MemoryHigh", expr=EXPR, status=AlertStatus.RESOLVED)
    diagnosis = (await investigate(case(over), [LEAK], [LEAKING_HOST])).diagnosis
    assert diagnosis.verdict is DiagnosisVerdict.NO_ACTION
    assert diagnosis.root_cause is not None
    assert diagnosis.suggestion is None


async def test_witnesses_that_disagree_are_capped_and_both_shown() -> None:
    host = WorldHost(
        process_records=[record()],
        process_series=[series("process_resident_memory_bytes", [i * MIB for i in range(6)], step=0.25)],
    )
    level = rss([50 * MIB] * 120 + [50 * MIB + 1000 * i for i in range(10)])
    diagnosis = (await investigate(case(alert("MemoryHigh")), metrics=[level], hosts=[host])).diagnosis
    growth = [f for f in diagnosis.facts if f.kind == "memory_growth"]
    assert len(growth) == 2
    assert all(f.confidence <= 0.60 for f in growth)
    assert any("the evidence disagrees" in text for text in diagnosis.ruled_out)
    refuted = [h for h in diagnosis.hypotheses if h.fault == "memory_growth"]
    assert refuted[0].refuted_by is not None, "the surer witness says it is level"
    assert "level" in refuted[0].refuted_by


async def test_a_tie_between_witnesses_stays_open_at_sixty_percent() -> None:
    metrics = WorldMetrics(target_records=[target("down", "refused")], series=[series("up", [1, 1], **OWN)])
    diagnosis = (await investigate(case(alert("TargetDown")), metrics=[metrics])).diagnosis
    down = next(h for h in diagnosis.hypotheses if h.fault == "target_down")
    assert down.refuted_by is None
    assert down.score <= 0.60
    assert "disagrees" in diagnosis.summary
    assert diagnosis.band is Band.LOW
    assert diagnosis.verdict is DiagnosisVerdict.ACTION_SUGGESTED


async def test_a_new_error_that_began_long_after_the_alert_is_no_cause() -> None:
    host = WorldHost(lines=[*QUIET, line(20, "ERROR cannot reach the bank")])
    began = alert(started=timedelta(minutes=14))
    diagnosis = (await investigate(case(began), hosts=[host])).diagnosis
    new = next(h for h in diagnosis.hypotheses if h.fault == "log_template_new")
    assert new.refuted_by is not None
    assert "consequence" in new.refuted_by


async def test_a_disk_of_another_mount_is_not_the_cause_of_a_memory_alert() -> None:
    host = WorldHost(
        process_records=LEAKING_HOST.process_records,
        process_series=LEAKING_HOST.process_series,
        disk_records=[
            {
                "mount": "/boot",
                "total_bytes": 9,
                "free_bytes": 0,
                "used_percent": 99.0,
                "inodes_used_percent": 1.0,
            }
        ],
    )
    diagnosis = (
        await investigate(case(alert("MemoryHigh", expr=EXPR)), metrics=[LEAK], hosts=[host])
    ).diagnosis
    assert [h.fault for h in diagnosis.hypotheses][:2] == ["memory_growth", "disk_filling"]
    assert any("/boot" in c.finding for c in diagnosis.citations), "found, so it is shown all the same"


@pytest.mark.parametrize(("flaps", "reopened"), [(3, 0), (0, 1), (3, 2)])
async def test_recurrence_is_told(flaps: int, reopened: int) -> None:
    asked = case(alert("MemoryHigh", expr=EXPR), flaps=flaps, reopened=reopened)
    diagnosis = (await investigate(asked, metrics=[LEAK], hosts=[LEAKING_HOST])).diagnosis
    assert "keeps coming back" in diagnosis.summary
    if reopened:
        assert diagnosis.suggestion is None, "a restart has not held: it is not offered again"
        assert any("not suggested again" in step for step in diagnosis.steps)
    else:
        assert diagnosis.suggestion is not None
        assert any("3 times" in step for step in diagnosis.steps)


def _route(action: str, **params: str) -> Route:
    return Route(name="r", suggested_action=action, suggested_params=params)


async def test_the_routes_declared_action_is_used_when_the_evidence_agrees() -> None:
    asked = case(alert("MemoryHigh"), route=_route("alertmanager.silence", duration="1h"), reopened=2)
    diagnosis = (await investigate(asked, metrics=[LEAK], hosts=[LEAKING_HOST])).diagnosis
    assert diagnosis.suggestion is not None
    assert diagnosis.suggestion.action == "alertmanager.silence"
    assert diagnosis.suggestion.params == {"duration": "1h"}


@pytest.mark.parametrize(
    ("route", "hosts", "why"),
    [
        (_route("process.restart", process="other"), [LEAKING_HOST], "the evidence is about demo"),
        (_route("process.restart", process="demo"), [], "no evidence names the process"),
    ],
)
async def test_the_routes_declared_action_is_refused_when_the_evidence_disagrees(
    route: Route, hosts: list[WorldHost], why: str
) -> None:
    diagnosis = (await investigate(case(alert("MemoryHigh"), route=route), [LEAK], hosts)).diagnosis
    assert diagnosis.suggestion is None
    assert any(why in step for step in diagnosis.steps)


async def test_several_objects_are_looked_at_and_the_rest_counted() -> None:
    alerts = [
        alert(labels={**LABELS, "service": f"s{n}", "instance": f"h{n}:80"}, fingerprint=str(n))
        for n in range(8)
    ]
    diagnosis = (await investigate(case(*alerts), metrics=[WorldMetrics()])).diagnosis
    assert len({f.subject for f in diagnosis.facts if f.kind == "target_down"}) == 5
    assert any(gap.what.startswith("3 further objects") for gap in diagnosis.gaps)


async def test_a_hostile_host_label_never_reaches_a_command() -> None:
    evil = alert(labels={**LABELS, "service": "x", "instance": "$(reboot);a"})
    diagnosis = (await investigate(case(evil), metrics=[WorldMetrics()])).diagnosis
    assert not any("reboot" in (gap.manual or "") for gap in diagnosis.gaps)


async def test_a_broken_rule_is_a_gap_and_the_others_still_speak() -> None:
    def broken(*_: object) -> list[object]:
        raise ZeroDivisionError

    from investigators.facts import target_down

    rules = (Rule(name="odd", check=broken), Rule(name="down", check=target_down.check))  # type: ignore[arg-type]
    engine = DeterministicInvestigator(
        Sources(metrics=(DOWN,)), FixedClock(), timedelta(seconds=5), timedelta(hours=1), Rules(entity=rules)
    )
    diagnosis = (await engine.investigate(case(alert()))).diagnosis
    assert diagnosis.hypotheses[0].fault == "target_down"
    assert any(gap.what == "rule odd" and "ZeroDivisionError" in gap.reason for gap in diagnosis.gaps)
