"""Every rule: a table of worlds in which the fault is there, is not there, and cannot be known."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.domain.evidence import FactVerdict, LogLine
from investigators.facts.process import ending_of
from tests.fakes.evidence import NOW, WorldHost, WorldMetrics, series
from tests.investigators.world import alert, case, investigate, the_fact, verdicts

FOUND, ABSENT, UNKNOWN = FactVerdict.FOUND, FactVerdict.ABSENT, FactVerdict.UNKNOWN
OWN = {"job": "demo", "instance": "box:8000"}
MIB = 2**20
START = (NOW - timedelta(hours=5)).timestamp()


def target(health: str, error: str = "", instance: str = "box:8000") -> dict[str, str]:
    return {"job": "demo", "instance": instance, "health": health, "last_error": error, "last_scrape": ""}


def record(**changes: object) -> dict[str, object]:
    base = {
        "name": "demo", "pid": 7, "started_at": START, "rss_bytes": 50 * MIB, "cpu_percent": 2.0,
        "threads": 1, "open_files": 9, "status": "sleeping",
    }  # fmt: skip
    return {**base, **changes}


def exit_record(code: int | None, signal: int | None = None, ago: float = 60) -> dict[str, object]:
    return {"name": "demo", "pid": 7, "exit_code": code, "signal": signal, "at": NOW.timestamp() - ago}


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        pytest.param(
            WorldMetrics(target_records=[target("down", "connection refused")]), [FOUND], id="refused"
        ),
        pytest.param(WorldMetrics(series=[series("up", [1, 1, 0], **OWN)]), [FOUND], id="up is 0"),
        pytest.param(WorldMetrics(target_records=[target("up")]), [ABSENT], id="scraped"),
        pytest.param(WorldMetrics(series=[series("up", [0, 1, 1], **OWN)]), [ABSENT], id="up again"),
        pytest.param(WorldMetrics(target_records=[target("unknown")]), [UNKNOWN], id="not scraped yet"),
        pytest.param(WorldMetrics(), [UNKNOWN], id="no such target"),
        pytest.param(WorldMetrics(failure="connection refused"), [UNKNOWN], id="prometheus is down"),
        pytest.param(
            WorldMetrics(target_records=[target("up")], incomplete="partial"), [UNKNOWN], id="partial answer"
        ),
    ],
)
async def test_target_down(metrics: WorldMetrics, expected: list[FactVerdict]) -> None:
    result = await investigate(metrics=[metrics])
    assert verdicts(result, "target_down") == expected


async def test_target_down_tells_the_scrape_error_and_since_when() -> None:
    metrics = WorldMetrics(
        target_records=[target("down", "dial tcp: connection refused")],
        series=[series("up", [1, 1, 0, 0], step=15, **OWN)],
    )
    result = await investigate(metrics=[metrics])
    facts = [f for f in result.diagnosis.facts if f.kind == "target_down"]
    assert "connection refused" in facts[0].detail
    assert facts[1].values["onset"] == (NOW - timedelta(seconds=15)).timestamp()


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        pytest.param(
            WorldHost(process_records=[record(status="not_running", started_at=None)]), [FOUND], id="gone"
        ),
        pytest.param(WorldHost(process_records=[record()]), [ABSENT], id="runs"),
        pytest.param(WorldHost(process_records=[record(status="running")]), [ABSENT], id="on cpu"),
        pytest.param(WorldHost(process_records=[]), [UNKNOWN], id="no pid file"),
        pytest.param(WorldHost(), [UNKNOWN], id="cannot look"),
    ],
)
async def test_process_not_running(host: WorldHost, expected: list[FactVerdict]) -> None:
    assert verdicts(await investigate(hosts=[host]), "process_not_running") == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        pytest.param(WorldHost(exit_records=[exit_record(139)]), [FOUND], id="exit code 139"),
        pytest.param(WorldHost(exit_records=[exit_record(None, 6)]), [FOUND], id="signal 6"),
        pytest.param(WorldHost(exit_records=[exit_record(1)]), [FOUND], id="exit code 1"),
        pytest.param(WorldHost(exit_records=[exit_record(0)]), [ABSENT], id="clean exit"),
        pytest.param(WorldHost(exit_records=[exit_record(143)]), [ABSENT], id="asked to stop"),
        pytest.param(WorldHost(exit_records=[], process_records=[record()]), [ABSENT], id="old and alive"),
        pytest.param(
            WorldHost(exit_records=[], process_records=[record(started_at=NOW.timestamp() - 60)]),
            [UNKNOWN],
            id="young, and nobody says why",
        ),
        pytest.param(
            WorldHost(process_records=[record(status="not_running", started_at=None)]),
            [UNKNOWN],
            id="gone, no exits",
        ),
        pytest.param(
            WorldHost(exit_records=[exit_record(0)], incomplete="cut"), [UNKNOWN], id="cut exit file"
        ),
    ],
)
async def test_process_crash_from_exits(host: WorldHost, expected: list[FactVerdict]) -> None:
    assert verdicts(await investigate(hosts=[host]), "process_crash") == expected


@pytest.mark.parametrize(
    ("code", "signal", "crash", "words"),
    [
        (132, None, True, "SIGILL"),
        (133, None, True, "SIGTRAP"),
        (134, None, True, "SIGABRT"),
        (135, None, True, "SIGBUS"),
        (136, None, True, "SIGFPE"),
        (137, None, True, "SIGKILL"),
        (139, None, True, "SIGSEGV"),
        (-11, None, True, "SIGSEGV (exit code 139)"),
        (None, 9, True, "SIGKILL"),
        (-64, None, True, "signal 64"),
        (143, None, False, "SIGTERM"),
        (130, None, False, "SIGINT"),
        (0, None, False, "exit code 0"),
        (126, None, True, "cannot be executed"),
        (127, None, True, "not found"),
        (2, None, True, "error of its own"),
        (200, None, True, "exit code 200"),
    ],
)
def test_exit_codes_and_signals_are_read_as_shells_and_python_write_them(
    code: int | None, signal: int | None, crash: bool, words: str
) -> None:
    ending = ending_of(code, signal)
    assert ending.crash is crash
    assert words in ending.words


async def test_a_process_that_was_asked_to_stop_is_stopped_and_not_crashed() -> None:
    host = WorldHost(
        exit_records=[exit_record(143)], process_records=[record(status="not_running", started_at=None)]
    )
    result = await investigate(hosts=[host])
    assert result.diagnosis.hypotheses[0].fault == "process_stopped"
    assert result.diagnosis.suggestion is None


@pytest.mark.parametrize(
    ("starts", "restarted", "crashed"),
    [
        pytest.param([START] * 240, [ABSENT], [UNKNOWN], id="never"),
        pytest.param([START] * 200 + [START + 9000] * 40, [FOUND], [UNKNOWN], id="once"),
        pytest.param(
            [START] * 60 + [START + 9000] * 60 + [START + 10000] * 60 + [START + 11000] * 60,
            [FOUND],
            [FOUND, UNKNOWN],
            id="three times",
        ),
    ],
)
async def test_restarts_seen_from_the_start_time(
    starts: list[float], restarted: list[FactVerdict], crashed: list[FactVerdict]
) -> None:
    metrics = WorldMetrics(series=[series("process_start_time_seconds", starts, step=15, **OWN)])
    result = await investigate(metrics=[metrics], hosts=[WorldHost()])
    assert verdicts(result, "process_restarted") == restarted
    assert verdicts(result, "process_crash") == crashed


DEADLINE = "context deadline exceeded"


SCRAPES_WAIT = series("scrape_duration_seconds", [0.01] * 20 + [10.0] * 5, **OWN)


@pytest.mark.parametrize(
    ("metrics", "host", "expected"),
    [
        pytest.param(
            WorldMetrics(target_records=[target("down", DEADLINE)]),
            WorldHost(process_records=[record()]),
            [FOUND],
            id="alive but silent",
        ),
        pytest.param(
            WorldMetrics(target_records=[target("down", "connection refused")]),
            WorldHost(process_records=[record()], port_records=[{"port": 9, "address": "::", "pid": 7}]),
            [FOUND],
            id="alive but not listening",
        ),
        pytest.param(
            WorldMetrics(), WorldHost(process_records=[record(status="stopped")]), [FOUND], id="suspended"
        ),
        pytest.param(
            WorldMetrics(target_records=[target("down")], series=[SCRAPES_WAIT]),
            WorldHost(process_records=[record()]),
            [FOUND],
            id="scrapes of it wait",
        ),
        pytest.param(
            WorldMetrics(target_records=[target("down")], series=[SCRAPES_WAIT]),
            WorldHost(process_records=[record(status="not_running")]),
            [UNKNOWN],
            id="scrapes wait, and it is gone",
        ),
        pytest.param(
            WorldMetrics(
                target_records=[target("down")],
                series=[series("scrape_duration_seconds", [0.01] * 20 + [0.001] * 5, **OWN)],
            ),
            WorldHost(process_records=[record()]),
            [UNKNOWN],
            id="scrapes fail at once",
        ),
        pytest.param(
            WorldMetrics(
                target_records=[target("down")],
                series=[series("scrape_duration_seconds", [2.0] * 25, **OWN)],
            ),
            WorldHost(process_records=[record()]),
            [UNKNOWN],
            id="scrapes always take that long",
        ),
        pytest.param(
            WorldMetrics(
                target_records=[target("down")],
                series=[series("scrape_duration_seconds", [10.0] * 4, **OWN)],
            ),
            WorldHost(process_records=[record()]),
            [UNKNOWN],
            id="too few scrapes to compare",
        ),
        pytest.param(
            WorldMetrics(target_records=[target("up")]),
            WorldHost(process_records=[record()]),
            [ABSENT],
            id="answers",
        ),
        pytest.param(
            WorldMetrics(target_records=[target("down", DEADLINE)]),
            WorldHost(process_records=[record(status="not_running")]),
            [UNKNOWN],
            id="not running at all",
        ),
        pytest.param(
            WorldMetrics(target_records=[target("down", DEADLINE)]),
            WorldHost(),
            [UNKNOWN],
            id="cannot see the process",
        ),
        pytest.param(
            WorldMetrics(target_records=[target("down", "connection refused")]),
            WorldHost(
                process_records=[record()],
                port_records=[{"port": 9, "address": "::", "pid": 7}],
                incomplete="cut",
            ),
            [UNKNOWN],
            id="ports only partly visible",
        ),
    ],
)
async def test_process_hang(metrics: WorldMetrics, host: WorldHost, expected: list[FactVerdict]) -> None:
    assert verdicts(await investigate(metrics=[metrics], hosts=[host]), "process_hang") == expected


def rss(values: list[float], step: float = 2) -> WorldMetrics:
    return WorldMetrics(series=[series("process_resident_memory_bytes", values, step=step, **OWN)])


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        pytest.param(rss([50 * MIB + i * MIB for i in range(100)]), [FOUND], id="a steady leak"),
        pytest.param(
            rss([50 * MIB] * 80 + [50 * MIB + i * 4 * MIB for i in range(20)]), [FOUND], id="40 s old"
        ),
        pytest.param(
            rss([200 * MIB - i * 0.1 for i in range(100)] + [50 * MIB + i * MIB for i in range(50)]),
            [FOUND],
            id="again after a restart",
        ),
        pytest.param(
            rss([50 * MIB + i * 0.4 * MIB for i in range(240)], step=15), [FOUND], id="an hour of slow leak"
        ),
        pytest.param(rss([50 * MIB + (i % 3) * 1000 for i in range(100)]), [ABSENT], id="level"),
        pytest.param(rss([50 * MIB] * 50 + [90 * MIB] * 60), [ABSENT], id="a step, as of a warm cache"),
        pytest.param(rss([50 * MIB + i * MIB for i in range(5)]), [UNKNOWN], id="too young"),
        pytest.param(
            rss([50 * MIB] * 8 + [60 * MIB] * 8 + [70 * MIB] * 8),
            [UNKNOWN],
            id="three slow scrapes are no trend",
        ),
        pytest.param(rss([50 * MIB + (i * 37 % 100) * MIB for i in range(100)]), [UNKNOWN], id="up and down"),
        pytest.param(WorldMetrics(failure="timeout"), [UNKNOWN], id="no answer"),
        pytest.param(WorldMetrics(), [UNKNOWN], id="not exported"),
        pytest.param(
            WorldMetrics(
                series=[
                    series(
                        "process_resident_memory_bytes",
                        [50 * MIB] * 100,
                        end=NOW - timedelta(minutes=1),
                        **OWN,
                    )
                ]
            ),
            [UNKNOWN],
            id="level until it ended a minute ago",
        ),
    ],
)
async def test_memory_growth(metrics: WorldMetrics, expected: list[FactVerdict]) -> None:
    assert verdicts(await investigate(metrics=[metrics]), "memory_growth") == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([50, 51, 52, 53, 54, 55], [FOUND], id="rises at each look"),
        pytest.param([50, 50, 50, 50, 50, 50], [UNKNOWN], id="a second of calm proves nothing"),
        pytest.param([50, 51, 50, 52, 51, 53], [UNKNOWN], id="wobbles"),
    ],
)
async def test_memory_growth_seen_in_a_glimpse(values: list[int], expected: list[FactVerdict]) -> None:
    host = WorldHost(
        process_records=[record()],
        process_series=[series("process_resident_memory_bytes", [v * MIB for v in values], step=0.25)],
    )
    assert verdicts(await investigate(hosts=[host]), "memory_growth") == expected


async def test_memory_growth_says_when_the_machine_runs_out() -> None:
    host = WorldHost(
        process_records=[record()],
        process_series=[series("process_resident_memory_bytes", [i * 10 * MIB for i in range(6)], step=1)],
        resource_records=[{"memory_available_bytes": 600 * MIB, "memory_total_bytes": 1000 * MIB}],
    )
    fact = the_fact(await investigate(hosts=[host]), "memory_growth")
    assert fact.values["seconds_to_limit"] == pytest.approx(60)
    assert "about 60 s more" in fact.detail


def cpu(counter: list[float], history: list[float] | None = None) -> WorldMetrics:
    found = [series("process_cpu_seconds_total", counter, step=2, **OWN)]
    if history is not None:
        found.append(series("rate:process_cpu_seconds_total", history, step=15, **OWN))
    return WorldMetrics(series=found)


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        pytest.param(
            cpu([i * 2.0 for i in range(100)], [0.1] * 230 + [1.0] * 10), [FOUND], id="a whole core"
        ),
        pytest.param(cpu([5.0] * 90 + [5 + i * 2.0 for i in range(7)]), [FOUND], id="for the last 12 s"),
        pytest.param(cpu([i * 0.02 for i in range(100)]), [ABSENT], id="idle"),
        pytest.param(cpu([7.0] * 100), [ABSENT], id="stands still"),
        pytest.param(cpu([i * 1.5 for i in range(100)]), [UNKNOWN], id="between"),
        pytest.param(cpu([3.0]), [UNKNOWN], id="one reading"),
        pytest.param(WorldMetrics(failure="timeout"), [UNKNOWN], id="no answer"),
    ],
)
async def test_cpu_saturation_of_a_process(metrics: WorldMetrics, expected: list[FactVerdict]) -> None:
    result = await investigate(metrics=[metrics])
    own = {f.verdict for f in result.diagnosis.facts if f.kind == "cpu_saturation" and f.subject == "demo"}
    assert own == set(expected)


async def test_a_process_that_always_uses_a_core_is_hardly_suspect() -> None:
    busy = await investigate(metrics=[cpu([i * 2.0 for i in range(100)], [1.0] * 240)])
    odd = await investigate(metrics=[cpu([i * 2.0 for i in range(100)], [0.1] * 235 + [1.0] * 5)])
    assert the_fact(busy, "cpu_saturation").confidence < the_fact(odd, "cpu_saturation").confidence
    assert "usual for it" in the_fact(busy, "cpu_saturation").detail


@pytest.mark.parametrize(
    ("idle", "expected"),
    [
        pytest.param([0.02] * 20, FOUND, id="saturated"),
        pytest.param([0.9] * 20, ABSENT, id="idle"),
        pytest.param([0.2] * 20, UNKNOWN, id="between"),
    ],
)
async def test_cpu_saturation_of_a_machine(idle: list[float], expected: FactVerdict) -> None:
    metrics = WorldMetrics(
        series=[series("rate:node_cpu_seconds_total", idle, step=15, instance="box:9100", mode="idle")]
    )
    fact = the_fact(await investigate(metrics=[metrics]), "cpu_saturation", expected)
    assert fact.subject in ("box", "demo")
    assert any(
        f.subject == "box" and f.verdict is expected
        for f in (await investigate(metrics=[metrics])).diagnosis.facts
    )


GIB = 2**30
DISK = {"instance": "box:9100", "mountpoint": "/data", "fstype": "ext4"}


def disk(avail: list[float], size: float | None = 100 * GIB, step: float = 2) -> WorldMetrics:
    found = [series("node_filesystem_avail_bytes", avail, step=step, **DISK)]
    if size is not None:
        found.append(series("node_filesystem_size_bytes", [size] * 5, **DISK))
    return WorldMetrics(series=found)


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        pytest.param(disk([20 * GIB - i * GIB / 10 for i in range(150)]), [FOUND], id="fills in minutes"),
        pytest.param(
            disk([20 * GIB - i * GIB / 100 for i in range(240)], step=15), [FOUND], id="fills within a day"
        ),
        pytest.param(disk([2 * GIB] * 150), [FOUND], id="full"),
        pytest.param(disk([50 * GIB] * 150), [ABSENT], id="half empty and level"),
        pytest.param(disk([50 * GIB - i * 1000 for i in range(150)]), [ABSENT], id="would take years"),
        pytest.param(disk([50 * GIB - i * GIB / 100 for i in range(8)]), [UNKNOWN], id="15 s prove nothing"),
        pytest.param(disk([50 * GIB] * 150, size=None), [UNKNOWN], id="size unknown"),
        pytest.param(WorldMetrics(failure="timeout"), [UNKNOWN], id="no answer"),
    ],
)
async def test_disk_filling(metrics: WorldMetrics, expected: list[FactVerdict]) -> None:
    asked = case(alert("DiskFull", labels={"instance": "box:9100", "job": "node", "mountpoint": "/data"}))
    assert verdicts(await investigate(asked, metrics=[metrics]), "disk_filling") == expected


async def test_disk_filling_gives_the_time_to_full() -> None:
    metrics = disk([30 * GIB - i * GIB / 10 for i in range(150)])
    asked = case(alert("DiskFull", labels={"instance": "box:9100", "job": "node", "mountpoint": "/data"}))
    fact = the_fact(await investigate(asked, metrics=[metrics]), "disk_filling")
    assert fact.subject == "box:/data"
    assert fact.values["seconds_to_full"] == pytest.approx(15.1 * GIB / (GIB / 20), rel=0.01)
    assert "full in about 5 min" in fact.detail


@pytest.mark.parametrize(
    ("used", "inodes", "expected"),
    [(97.0, 1.0, FOUND), (20.0, 99.0, FOUND), (20.0, 1.0, UNKNOWN)],
    ids=["full", "no inodes", "pace unknown"],
)
async def test_disk_filling_as_the_host_sees_it(used: float, inodes: float, expected: FactVerdict) -> None:
    host = WorldHost(
        disk_records=[
            {
                "mount": "/",
                "total_bytes": 100,
                "free_bytes": 1,
                "used_percent": used,
                "inodes_used_percent": inodes,
            }
        ]
    )
    assert verdicts(await investigate(hosts=[host]), "disk_filling") == [expected]


@pytest.mark.parametrize(
    ("available", "pressure", "expected"),
    [(50, 0.0, [FOUND]), (900, 25.0, [FOUND]), (900, 0.0, [ABSENT]), (100, 0.0, [UNKNOWN])],
    ids=["hardly any left", "tasks wait for memory", "plenty", "between"],
)
async def test_memory_pressure(available: int, pressure: float, expected: list[FactVerdict]) -> None:
    host = WorldHost(
        resource_records=[
            {
                "memory_available_bytes": available,
                "memory_total_bytes": 1000,
                "memory_pressure_avg10": pressure,
            }
        ]
    )
    assert verdicts(await investigate(hosts=[host]), "memory_pressure") == expected


async def test_memory_pressure_is_unknown_when_nobody_could_look() -> None:
    result = await investigate(metrics=[WorldMetrics(failure="timeout")], hosts=[WorldHost()])
    assert verdicts(result, "memory_pressure") == [UNKNOWN]


@pytest.mark.parametrize(
    ("used", "limit", "expected"),
    [(1000, 1024, [FOUND]), (100, 1024, [ABSENT]), (800, 1024, [UNKNOWN]), (100, None, [UNKNOWN])],
    ids=["nearly all", "few", "between", "limit not exported"],
)
async def test_fd_exhaustion(used: float, limit: float | None, expected: list[FactVerdict]) -> None:
    found = [series("process_open_fds", [used] * 5, **OWN)]
    if limit is not None:
        found.append(series("process_max_fds", [limit] * 5, **OWN))
    assert verdicts(await investigate(metrics=[WorldMetrics(series=found)]), "fd_exhaustion") == expected


def line(seconds_ago: float, text: str) -> LogLine:
    return LogLine(at=NOW - timedelta(seconds=seconds_ago), text=text)


QUIET = [line(1000 - i, f"INFO request {i} took {i * 3} ms") for i in range(20)]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param([*QUIET, line(60, "ERROR cannot allocate block 17")], [FOUND], id="new error"),
        pytest.param(
            [line(900, "ERROR timeout after 12 ms"), *QUIET, line(60, "ERROR timeout after 99 ms")],
            [ABSENT],
            id="the same error as always",
        ),
        pytest.param([*QUIET, line(60, "INFO brand new but harmless")], [ABSENT], id="new but no error"),
        pytest.param([line(60, "ERROR cannot allocate block 17")], [UNKNOWN], id="no baseline"),
        pytest.param([LogLine(at=None, text="ERROR no times at all")] * 30, [UNKNOWN], id="no times"),
        pytest.param(None, [UNKNOWN], id="unreadable"),
        pytest.param([], [UNKNOWN], id="empty"),
    ],
)
async def test_log_template_new(lines: list[LogLine] | None, expected: list[FactVerdict]) -> None:
    assert verdicts(await investigate(hosts=[WorldHost(lines=lines)]), "log_template_new") == expected


async def test_a_cut_log_never_proves_that_no_error_is_new() -> None:
    result = await investigate(hosts=[WorldHost(lines=[*QUIET, line(60, "INFO x")], incomplete="cut")])
    assert verdicts(result, "log_template_new") == [UNKNOWN]


async def test_errors_in_a_log_without_a_baseline_are_still_told() -> None:
    result = await investigate(hosts=[WorldHost(lines=[line(60, "ERROR out of cheese")])])
    assert "out of cheese" in the_fact(result, "log_errors").detail


def peers(*values: float) -> WorldMetrics:
    return WorldMetrics(
        series=[
            series("up", [value], job="demo", instance=f"box{'' if n == 0 else n}:8000")
            for n, value in enumerate(values)
        ]
    )


@pytest.mark.parametrize(
    ("metrics", "wide", "one"),
    [
        pytest.param(peers(0, 0, 0, 1), [FOUND], [], id="three of four"),
        pytest.param(peers(0, 1, 1, 1), [], [FOUND], id="one of four"),
        pytest.param(peers(0, 0, 1, 1), [], [UNKNOWN], id="half"),
        pytest.param(peers(0), [], [UNKNOWN], id="no peers"),
        pytest.param(WorldMetrics(failure="timeout"), [], [UNKNOWN], id="no answer"),
    ],
)
async def test_scope(metrics: WorldMetrics, wide: list[FactVerdict], one: list[FactVerdict]) -> None:
    result = await investigate(metrics=[metrics])
    assert verdicts(result, "scope_cluster_wide") == wide
    assert verdicts(result, "scope_one_instance") == one


async def test_scope_is_read_from_the_alerts_own_quantity_too() -> None:
    expr = "queue_depth > 10"
    metrics = WorldMetrics(
        expressions={
            expr: [series("queue_depth", [50], **OWN)],
            "queue_depth": [
                series("queue_depth", [50], **OWN),
                series("queue_depth", [1], job="demo", instance="b:8000"),
                series("queue_depth", [2], job="demo", instance="c:8000"),
                series("queue_depth", [99], job="other", instance="d:8000"),
            ],
        }
    )
    result = await investigate(case(alert(expr=expr)), metrics=[metrics])
    assert "1 of 3 instances" in the_fact(result, "scope_one_instance").detail


EXPR = 'process_resident_memory_bytes{job="demo"} > 100'


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        pytest.param(
            WorldMetrics(expressions={EXPR: [series("process_resident_memory_bytes", [120], **OWN)]}),
            [FOUND],
            id="still holds",
        ),
        pytest.param(WorldMetrics(), [ABSENT], id="holds no more"),
        pytest.param(
            WorldMetrics(expressions={EXPR: [series("x", [120], end=NOW - timedelta(minutes=2), **OWN)]}),
            [ABSENT],
            id="held two minutes ago",
        ),
        pytest.param(
            WorldMetrics(expressions={EXPR: [series("x", [120], job="demo", instance="other:1")]}),
            [ABSENT],
            id="holds only for somebody else",
        ),
        pytest.param(WorldMetrics(failure="timeout"), [UNKNOWN], id="no answer"),
    ],
)
async def test_alert_condition(metrics: WorldMetrics, expected: list[FactVerdict]) -> None:
    result = await investigate(case(alert(expr=EXPR)), metrics=[metrics])
    assert verdicts(result, "alert_condition") == expected


@pytest.mark.parametrize(("rss_bytes", "expected"), [(101, FOUND), (99, ABSENT)])
async def test_the_process_table_confirms_or_denies_a_memory_alert_by_itself(
    rss_bytes: int, expected: FactVerdict
) -> None:
    host = WorldHost(process_records=[record(rss_bytes=rss_bytes)])
    result = await investigate(case(alert(expr=EXPR)), hosts=[host])
    assert verdicts(result, "alert_condition") == [expected]
