"""A directory answers typed questions as a live source would: what is there, what is not, what is broken."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters.evidence.snapshot import Snapshot, SnapshotMetrics, SnapshotSource
from bot.domain.errors import InputError
from bot.domain.evidence import Evidence, EvidenceStatus, Window, content_digest
from investigators.ports import Matcher, MatchOp, MetricQuery
from investigators.queries import (
    ChangeQuery,
    GraphQuery,
    LogQuery,
    ObjectQuery,
    PastQuery,
    PodLogQuery,
    Query,
    RunbookQuery,
    SelectQuery,
    SpanQuery,
    SurveyQuery,
    TableQuery,
    TicketQuery,
)
from tests.adapters.evidence.snapshot.writing import HOUR, NOW, ago, meta, pod, put, samples

OK, EMPTY, FAILED = EvidenceStatus.OK, EvidenceStatus.EMPTY, EvidenceStatus.FAILED
CANARY = "hunter2-canary-7f3a"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    meta(tmp_path)
    return tmp_path


async def ask(root: Path, query: Query, window: Window = HOUR) -> Evidence:
    """Whatever the answer: it says what it is, and explains itself."""
    evidence = await SnapshotSource(root).ask(query, window, "subject")
    assert (evidence.source, evidence.kind, evidence.subject) == ("snapshot", query.kind, "subject")
    assert evidence.taken_at == NOW
    assert evidence.query
    assert evidence.summary
    assert evidence.filled == (evidence.status is OK)
    assert (evidence.reason is not None) or evidence.status is OK
    if evidence.status is OK:
        assert evidence.excerpt
        assert evidence.content_digest == content_digest(evidence.excerpt)
    return evidence


def equal(label: str, value: str) -> Matcher:
    return Matcher(label=label, op=MatchOp.EQUAL, value=value)


def span(trace: str, number: int, service: str, at: float, **more: object) -> dict[str, object]:
    return {
        "trace_id": trace,
        "span_id": f"{trace}{number}",
        "service": service,
        "operation": "GET /",
        "start": at,
        "duration_ms": 12.5,
        **more,
    }


EVERY: tuple[Query, ...] = (
    SurveyQuery(),
    LogQuery(),
    PodLogQuery(namespace="shop", pod="a"),
    SpanQuery(),
    ChangeQuery(),
    GraphQuery(),
    TableQuery(host="db1", table="mounts"),
    SelectQuery(host="db1", sql="SELECT 1"),
    RunbookQuery(url="https://example.org/runbooks/x"),
    TicketQuery(service="cart"),
    PastQuery(),
)


def test_what_a_directory_has_no_part_for_is_not_asked(root: Path) -> None:
    source = SnapshotSource(root)
    assert [query.kind for query in EVERY if source.covers(query)] == []


def test_a_source_that_meta_calls_absent_is_not_asked_although_its_files_are_there(tmp_path: Path) -> None:
    meta(tmp_path, traces="absent", loki="absent")
    put(tmp_path, "spans/a.jsonl", [span("t", 1, "cart", ago(10))])
    put(tmp_path, "logs/a.jsonl", [{"ts": ago(5), "message": "x"}])
    source = SnapshotSource(tmp_path)
    assert not source.covers(SpanQuery())
    assert not source.covers(LogQuery())


async def test_a_source_that_failed_is_a_gap_with_its_reason_not_an_absence(tmp_path: Path) -> None:
    meta(tmp_path, loki="failed: timeout after 10s", prometheus="failed: 503")
    put(tmp_path, "logs/a.jsonl", [{"ts": ago(5), "message": "x"}])
    assert SnapshotSource(tmp_path).covers(LogQuery())
    evidence = await ask(tmp_path, LogQuery())
    assert (evidence.status, evidence.reason) == (FAILED, "loki: timeout after 10s")
    metric = await SnapshotMetrics(tmp_path).instant(MetricQuery(metric="up"), NOW, "x")
    assert (metric.status, metric.reason) == (FAILED, "prometheus: 503")


def test_a_state_that_is_no_state_is_refused_by_name(tmp_path: Path) -> None:
    meta(tmp_path, loki="broken")
    with pytest.raises(InputError, match="loki"):
        Snapshot(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "query", "where"),
    [
        ("logs/a.jsonl", '{"ts": 1, "message": "x"}\n{"ts": ', LogQuery(), "logs/a.jsonl:2"),
        ("logs/a.jsonl", '{"ts": "noon", "message": "x"}\n', LogQuery(), "logs/a.jsonl:1"),
        ("logs/a.jsonl", '{"ts": 5}\n', LogQuery(), "logs/a.jsonl:1: no message"),
        ("metrics/a.csv", "timestamp,metric,value\n1,up,1\n2,up\n", SurveyQuery(), "metrics/a.csv:3"),
        ("metrics/a.csv", "timestamp,metric,value\n1,up,one\n", SurveyQuery(), "metrics/a.csv:2"),
        ("metrics/a.csv", "timestamp,value\n1,1\n", SurveyQuery(), "no column metric"),
        ("spans/a.jsonl", '{"trace_id": "t"}\n', SpanQuery(), "spans/a.jsonl:1: no span_id"),
        ("changes.jsonl", '\n\n{"id": "a"}\n', ChangeQuery(), "changes.jsonl:3: no ts"),
        ("topology.json", '{"edges": [{"from": "a"}]}', GraphQuery(), "topology.json"),
        ("topology.json", "{", GraphQuery(), "topology.json:1"),
        ("incidents.jsonl", "[]\n", PastQuery(), "incidents.jsonl:1: not an object"),
        ("hosts/db1/mounts.json", "[1]", TableQuery(host="db1", table="mounts"), "row 1"),
        ("logs/a.jsonl.gz", b"no gzip", LogQuery(), "logs/a.jsonl.gz"),
        ("logs/a.jsonl", b'{"ts": 1, "message": "\xff"}\n', LogQuery(), "logs/a.jsonl:1"),
    ],
)
async def test_a_malformed_line_fails_its_source_with_file_and_line(
    root: Path, name: str, content: str | bytes, query: Query, where: str
) -> None:
    put(root, name, content)
    put(root, "runbooks/x.md", "Turn it off and on.")
    assert SnapshotSource(root).covers(query)
    evidence = await ask(root, query)
    assert evidence.status is FAILED
    assert where in (evidence.reason or "")
    other = await ask(root, RunbookQuery(url="https://example.org/x"))
    assert other.status is OK


async def test_every_part_may_be_packed(root: Path) -> None:
    for name, query in (
        ("logs/a.jsonl", LogQuery()),
        ("changes.jsonl", ChangeQuery()),
        ("metrics/a.csv", SurveyQuery()),
    ):
        texts = {
            "logs/a.jsonl": json.dumps({"ts": ago(9), "message": "hello"}),
            "changes.jsonl": json.dumps({"ts": ago(9), "kind": "deploy", "id": "c"}),
            "metrics/a.csv": f"timestamp,metric,value\n{ago(9)},up,1\n",
        }
        put(root, f"{name}.gz", gzip.compress(texts[name].encode()))
        assert (await ask(root, query)).status is OK


# Metrics


async def test_a_survey_gives_raw_samples_with_the_labels_that_are_there(root: Path) -> None:
    rows = [
        (ago(60 - 10 * i), "cpu", i, {"pod": "a"} if i % 2 else {"pod": "a", "node": "n"}) for i in range(4)
    ]
    samples(root, "metrics/a.csv", rows)
    found = (await ask(root, SurveyQuery(step=timedelta(seconds=1)))).series
    assert [(one.name, one.labels, [s.value for s in one.samples]) for one in found] == [
        ("cpu", {"node": "n", "pod": "a"}, [0, 2]),
        ("cpu", {"pod": "a"}, [1, 3]),
    ]


async def test_a_survey_is_thinned_to_the_last_sample_per_step_only_where_it_is_denser(root: Path) -> None:
    dense = [(ago(30 - i), "dense", i, {}) for i in range(30)]
    sparse = [(ago(61 - 15 * i), "sparse", i, {}) for i in range(4)]
    samples(root, "metrics/a.csv", [*dense, *sparse])
    series = (await ask(root, SurveyQuery(step=timedelta(seconds=15)))).series
    found = {one.name: [sample.value for sample in one.samples] for one in series}
    assert found == {"dense": [14, 29], "sparse": [0, 1, 2, 3]}


async def test_a_survey_selects_by_labels_and_by_name(root: Path) -> None:
    rows = [
        (ago(5), "cpu", 1, {"pod": "a"}),
        (ago(5), "mem", 2, {"pod": "a"}),
        (ago(5), "cpu", 3, {"pod": "b"}),
    ]
    samples(root, "metrics/a.csv", rows)
    query = SurveyQuery(
        matchers=(equal("pod", "a"), Matcher(label="__name__", op=MatchOp.REGEX, value="c.*"))
    )
    assert [one.samples[0].value for one in (await ask(root, query)).series] == [1]
    nothing = await ask(root, SurveyQuery(matchers=(equal("pod", "z"),)))
    assert nothing.status is EMPTY
    bad = await ask(root, SurveyQuery(matchers=(Matcher(label="pod", op=MatchOp.REGEX, value="("),)))
    assert bad.status is FAILED


async def test_healthy_questions_are_answered_from_the_baseline_with_its_own_window(root: Path) -> None:
    samples(root, "metrics/a.csv", [(ago(5), "cpu", 9, {})])
    samples(root, "baseline/metrics/a.csv", [(ago(90_000 + i), "cpu", 1, {}) for i in range(3)])
    put(root, "logs/a.jsonl", [{"ts": ago(9), "message": "now"}])
    put(root, "baseline/logs/a.jsonl", [{"ts": ago(90_000), "message": "then"}])
    healthy = await ask(root, SurveyQuery(healthy=True, step=timedelta(seconds=1)))
    assert [s.value for s in healthy.series[0].samples] == [1, 1, 1]
    assert healthy.window.end == datetime.fromtimestamp(ago(90_000), UTC)
    assert [s.value for s in (await ask(root, SurveyQuery())).series[0].samples] == [9]
    assert [line.text for line in (await ask(root, LogQuery(healthy=True))).lines] == ["then"]


async def test_healthy_questions_without_a_baseline_are_answered_for_the_window_asked(root: Path) -> None:
    samples(root, "metrics/a.csv", [(ago(5), "cpu", 9, {}), (ago(5400), "cpu", 1, {})])
    before = Window(start=NOW - timedelta(hours=2), end=NOW - timedelta(hours=1))
    evidence = await ask(root, SurveyQuery(healthy=True), before)
    assert [s.value for s in evidence.series[0].samples] == [1]
    assert evidence.window == before


async def test_values_that_are_no_numbers_are_left_out(root: Path) -> None:
    rows = [
        (ago(3), "cpu", "NaN", {}),
        (ago(2), "cpu", "", {}),
        (ago(1), "cpu", 4, {}),
        (ago(1), "x", "Inf", {}),
    ]
    samples(root, "metrics/a.csv", rows)
    series = (await ask(root, SurveyQuery())).series
    assert [(one.name, [s.value for s in one.samples]) for one in series] == [("cpu", [4])]


async def test_times_may_be_epoch_seconds_milliseconds_or_rfc_3339(root: Path) -> None:
    for index, text in enumerate(
        ("2026-03-01T11:59:00Z", "1772366340", "1772366340000", "2026-03-01T12:59:00+01:00")
    ):
        put(root, f"metrics/{index}.csv", f"timestamp,metric,value,n\n{text},cpu,1,{index}\n")
    series = (await ask(root, SurveyQuery())).series
    assert {s.at for one in series for s in one.samples} == {NOW - timedelta(minutes=1)}
    assert len(series) == 4


@pytest.mark.parametrize(
    "promql",
    [
        "a / b",
        "histogram_quantile(0.9, x)",
        "up offset 5m",
        "x[5m]",
        "topk(3, up)",
        "up and up",
        "sum(",
        "up{",
        "label_replace(up)",
        "(" * 500 + "1" + ")" * 500,
        "1 > 2",
        "",
    ],
)
async def test_promql_beyond_the_subset_fails_and_is_never_empty(root: Path, promql: str) -> None:
    samples(root, "metrics/a.csv", [(ago(5), "a", 1, {}), (ago(5), "b", 1, {})])
    evidence = await SnapshotMetrics(root).expression(promql, HOUR, timedelta(minutes=1), "x")
    assert evidence.status is FAILED
    assert "this PromQL cannot be answered from a recording" in (evidence.reason or "")


async def test_targets_come_from_up_and_are_unknown_without_it(root: Path) -> None:
    rows = [
        (ago(5), "up", 1, {"job": "a", "instance": "x:1"}),
        (ago(5), "up", 0, {"job": "b", "instance": "y:1"}),
    ]
    samples(root, "metrics/a.csv", rows)
    source = SnapshotMetrics(root)
    assert [r["health"] for r in (await source.targets((), NOW, "x")).records] == ["up", "down"]
    assert (await source.targets((equal("job", "z"),), NOW, "x")).status is EMPTY
    assert (await source.rules("Any", NOW)).status is FAILED
    samples(root, "metrics/a.csv", [(ago(5), "cpu", 1, {})])
    assert (await SnapshotMetrics(root).targets((), NOW, "x")).status is FAILED


# Logs


async def test_lines_are_those_of_the_window_by_time_with_their_labels(root: Path) -> None:
    put(
        root,
        "logs/a.jsonl",
        [
            {
                "ts": ago(10),
                "message": "second",
                "service": "cart",
                "level": "error",
                "labels": {"zone": "a"},
            },
            {"ts": ago(20), "message": "first", "service": "cart", "pod": "cart-1"},
            {"ts": ago(7200), "message": "long ago", "service": "cart"},
            {"ts": ago(5), "message": "other", "service": "web"},
        ],
    )
    evidence = await ask(root, LogQuery(matchers=(equal("service", "cart"),)))
    assert [line.text for line in evidence.lines] == ["first", "second"]
    assert evidence.lines[1].labels == {"zone": "a", "service": "cart", "level": "error"}
    assert evidence.outsider_writable
    found = await ask(root, LogQuery(contains=("SECOND", "nothing")))
    assert [line.text for line in found.lines] == ["second"]
    assert (await ask(root, LogQuery(contains=("absent",)))).status is EMPTY


async def test_a_cut_answer_says_so(root: Path) -> None:
    put(root, "logs/a.jsonl", [{"ts": ago(100 - i), "message": f"line {i}"} for i in range(20)])
    evidence = await ask(root, LogQuery(limit=5))
    assert [line.text for line in evidence.lines] == [f"line {i}" for i in range(15, 20)]
    assert evidence.reason == "only 5 of 20 lines, the last"


async def test_what_happened_at_the_very_moment_of_the_snapshot_belongs_to_it(root: Path) -> None:
    put(root, "logs/a.jsonl", [{"ts": ago(0), "message": "now"}, {"ts": ago(3600), "message": "start"}])
    assert [line.text for line in (await ask(root, LogQuery())).lines] == ["start", "now"]
    earlier = Window(start=NOW - timedelta(hours=2), end=NOW - timedelta(hours=1))
    assert (await ask(root, LogQuery(), earlier)).status is EMPTY


async def test_pod_logs_take_part_in_the_answer_by_their_pods_service(root: Path) -> None:
    put(root, "kubernetes/pods.yaml", {"apiVersion": "v1", "kind": "List", "items": [pod("x-1", app="cart")]})
    put(root, "kubernetes/logs/shop/x-1/main.log", "2026-03-01T11:59:00.123456789Z hello\n")
    put(root, "kubernetes/logs/shop/web-7d9f8b6c5-x2x4z.log", "2026-03-01T11:58:00Z hi\n  at stack\n")
    cart = await ask(root, LogQuery(matchers=(equal("service", "cart"),)))
    assert [(line.text, line.labels["pod"]) for line in cart.lines] == [("hello", "x-1")]
    web = await ask(root, LogQuery(matchers=(equal("service", "web"),)))
    assert [line.text for line in web.lines] == ["hi", "  at stack"]
    assert web.lines[1].at is None


async def test_a_container_log_is_found_by_pod_container_and_run(root: Path) -> None:
    put(root, "kubernetes/logs/shop/a/main.log", "2026-03-01T11:59:00Z one\ntwo\n")
    put(root, "kubernetes/logs/shop/a/side.log", "[2026-03-01 11:59:01,250] three\n")
    put(root, "kubernetes/logs/shop/a/main.previous.log", "dead\n")
    query = PodLogQuery(namespace="shop", pod="a")
    assert [line.text for line in (await ask(root, query)).lines] == [
        "one",
        "two",
        "[2026-03-01 11:59:01,250] three",
    ]
    main = await ask(root, PodLogQuery(namespace="shop", pod="a", container="main", tail=1))
    assert [line.text for line in main.lines] == ["two"]
    assert main.reason
    side = await ask(root, PodLogQuery(namespace="shop", pod="a", container="side"))
    assert side.lines[0].at == NOW - timedelta(seconds=58.75)
    before = await ask(root, PodLogQuery(namespace="shop", pod="a", previous=True))
    assert [(line.text, line.labels) for line in before.lines] == [
        ("dead", {"namespace": "shop", "pod": "a", "container": "main"})
    ]
    source = SnapshotSource(root)
    assert not source.covers(PodLogQuery(namespace="shop", pod="b"))
    assert not source.covers(PodLogQuery(namespace="shop", pod="a", container="side", previous=True))


# Traces, changes, graph, hosts, texts


async def test_spans_come_in_whole_traces_that_a_service_takes_part_in(root: Path) -> None:
    put(
        root,
        "spans/a.jsonl",
        [
            span("t1", 1, "web", ago(30), kind="client", peer="cart"),
            span("t1", 2, "cart", ago(29), parent_id="t11", status="error", kind="server"),
            span("t2", 1, "web", ago(20)),
            span("t0", 1, "cart", ago(7200)),
        ],
    )
    cart = (await ask(root, SpanQuery(services=("cart",)))).spans
    assert [(s.trace_id, s.service, s.error, s.parent_id, s.peer) for s in cart] == [
        ("t1", "web", False, None, "cart"),
        ("t1", "cart", True, "t11", ""),
    ]
    assert len((await ask(root, SpanQuery())).spans) == 3
    cut = await ask(root, SpanQuery(limit=2))
    assert {s.trace_id for s in cut.spans} == {"t2"}
    assert cut.reason == "only 1 of 2 traces, the last"


async def test_changes_come_oldest_first_and_those_of_no_service_may_be_of_any(root: Path) -> None:
    put(
        root,
        "changes.jsonl",
        [
            {
                "ts": ago(10),
                "kind": "deploy",
                "id": "b",
                "service": "cart",
                "version": "2",
                "from": "1",
                "to": "2",
            },
            {"ts": ago(20), "kind": "flag", "id": "a", "title": "dark mode"},
            {"ts": ago(5), "kind": "commit", "id": "c", "service": "web", "files": ["x.py"], "diff": "+ a"},
            {"ts": ago(9000), "kind": "commit", "id": "old"},
        ],
    )
    every = (await ask(root, ChangeQuery())).changes
    assert [change.id for change in every] == ["a", "b", "c"]
    assert (every[1].before, every[1].after, every[2].files) == ("1", "2", ("x.py",))
    assert [c.id for c in (await ask(root, ChangeQuery(services=("cart",)))).changes] == ["a", "b"]


async def test_the_graph_has_edges_with_kinds_and_nodes_without_edges(root: Path) -> None:
    nodes = [
        {"id": "web", "kind": "service"},
        {"id": "db", "kind": "datastore"},
        {"id": "lone", "kind": "queue"},
    ]
    edges = [{"from": "web", "to": "db", "kind": "uses"}, {"from": "web-1", "to": "n1", "kind": "runs_on"}]
    put(root, "topology.json", {"nodes": nodes, "edges": edges})
    records = (await ask(root, GraphQuery())).records
    assert [(r["from"], r["to"], r["kind"], r["from_kind"], r["to_kind"]) for r in records] == [
        ("web", "db", "uses", "service", "datastore"),
        ("web-1", "n1", "runs_on", "pod", "node"),
        ("lone", None, None, "queue", None),
    ]


async def test_a_table_is_covered_only_on_the_host_that_has_it(root: Path) -> None:
    put(root, "hosts/db1/mounts.json", [{"path": "/", "blocks": "10"}])
    put(root, "hosts/db1/empty.json", [])
    source = SnapshotSource(root)
    assert (await ask(root, TableQuery(host="db1", table="mounts"))).records == (
        {"path": "/", "blocks": "10"},
    )
    assert (await ask(root, TableQuery(host="db1", table="empty"))).status is EMPTY
    for host, table in (("db2", "mounts"), ("db1", "other"), ("..", "meta"), ("db1", "../db1/mounts")):
        assert not source.covers(TableQuery(host=host, table=table))


async def test_a_runbook_is_found_by_its_own_address_or_the_name_in_the_url(root: Path) -> None:
    put(root, "runbooks/disk-full.md", "# Disk full\nDelete logs.\n")
    put(root, "runbooks/a.md", "<!-- https://example.org/wiki?id=7 -->\nCall somebody.\n")
    named = await ask(root, RunbookQuery(url="https://example.org/runbooks/Disk-Full.html"))
    assert [line.text for line in named.lines][:2] == ["# Disk full", "Delete logs."]
    own = await ask(root, RunbookQuery(url="https://example.org/wiki?id=7"))
    assert own.lines[0].text == "Call somebody."
    assert not SnapshotSource(root).covers(RunbookQuery(url="https://example.org/else"))


async def test_past_incidents_come_newest_first(root: Path) -> None:
    put(root, "incidents.jsonl", [{"id": str(i), "opened_at": f"2026-02-0{i}T00:00:00Z"} for i in (1, 3, 2)])
    assert [one["id"] for one in (await ask(root, PastQuery(limit=2))).objects] == ["3", "2"]


# Clock, secrets


def test_without_meta_the_clock_is_the_newest_time_in_any_part(tmp_path: Path) -> None:
    samples(tmp_path, "metrics/a.csv", [(ago(50), "cpu", 1, {})])
    put(tmp_path, "logs/a.jsonl", [{"ts": ago(20), "message": "x"}])
    assert Snapshot(tmp_path).now == NOW - timedelta(seconds=20)


def test_a_directory_without_any_time_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no time"):
        _ = Snapshot(tmp_path).now
    with pytest.raises(InputError, match="not a directory"):
        Snapshot(tmp_path / "none")


async def test_a_secret_in_any_part_never_leaves_it(root: Path) -> None:
    secret = f"password={CANARY}"
    samples(root, "metrics/a.csv", [(ago(5), "cpu", 1, {"cmd": secret, "api_key": CANARY})])
    put(
        root, "logs/a.jsonl", [{"ts": ago(5), "message": secret, "service": "s", "labels": {"token": CANARY}}]
    )
    put(
        root,
        "kubernetes/logs/shop/a.log",
        f"-----BEGIN RSA PRIVATE KEY-----\n{CANARY}\n-----END RSA PRIVATE KEY-----\n",
    )
    put(root, "spans/a.jsonl", [span("t", 1, "s", ago(5), attributes={"db.password": CANARY}, peer=secret)])
    put(
        root,
        "changes.jsonl",
        [
            {
                "ts": ago(5),
                "id": "c",
                "kind": "config",
                "diff": f"+ {secret}",
                "title": "db_password",
                "from": CANARY,
                "to": CANARY,
            }
        ],
    )
    put(root, "topology.json", {"edges": [{"from": f"https://user:{CANARY}@db", "to": "b"}]})
    put(root, "hosts/db1/processes.json", [{"cmdline": f"psql --password {CANARY}", "api_token": CANARY}])
    put(root, "runbooks/x.md", secret)
    put(
        root,
        "incidents.jsonl",
        [{"id": "1", "opened_at": ago(9), "root_cause": secret, "deep": {"secret": CANARY}}],
    )
    queries = (*EVERY, PodLogQuery(namespace="shop", pod="a"), TableQuery(host="db1", table="processes"))
    asked = [query for query in queries if SnapshotSource(root).covers(query)]
    assert len(asked) >= 9
    for query in asked:
        evidence = await ask(root, query)
        assert evidence.status is OK, (query, evidence.reason)
        assert CANARY not in repr(evidence), query.kind


# Questions in SQL


async def select(root: Path, sql: str) -> Evidence:
    return await ask(root, SelectQuery(host="db1", sql=sql))


async def test_a_select_is_answered_from_the_tables_of_the_host(root: Path) -> None:
    rows = [{"name": "a", "pid": "1", "rss": 7}, {"name": "b", "pid": "2"}]
    put(root, "hosts/db1/processes.json", rows)
    put(root, "hosts/db1/listening_ports.json", [{"pid": "2", "port": "80"}])
    joined = "SELECT p.name, l.port FROM processes p JOIN listening_ports l USING (pid)"
    assert (await select(root, joined)).records == ({"name": "b", "port": "80"},)
    assert (await select(root, "SELECT rss FROM processes WHERE name = 'b'")).records == ({"rss": None},)
    assert (await select(root, "SELECT * FROM processes WHERE pid = '9'")).status is EMPTY


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM processes",
        "SELECT 1; SELECT 2",
        "ATTACH 'other.db' AS other",
        "PRAGMA user_version",
        "SELECT load_extension('x')",
        "SELECT * FROM mounts",
        "SELEKT",
        "",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
    ],
)
async def test_more_than_a_bounded_select_of_what_is_there_is_refused(root: Path, sql: str) -> None:
    put(root, "hosts/db1/processes.json", [{"name": "a"}])
    evidence = await select(root, sql)
    assert evidence.status is FAILED


async def test_what_is_nested_beyond_reason_fails_its_source(root: Path) -> None:
    deep = "[" * 900 + "]" * 900
    put(root, "incidents.jsonl", f'{{"id": "1", "opened_at": 1772366000, "x": {deep}}}')
    assert (await ask(root, PastQuery())).status is FAILED
    laughs = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 9):
        before = ", ".join([f"*a{level - 1}"] * 10)
        laughs.append(f"a{level}: &a{level} [{before}]")
    put(root, "kubernetes/a.yaml", "\n".join(["kind: Pod", "metadata: {name: x}", *laughs]))
    bomb = await ask(root, ObjectQuery(object_kind="Pod"))
    assert "stand for more than" in (bomb.reason or "")
    put(root, "kubernetes/a.yaml", "kind: Pod\nmetadata: {name: x}\nspec: &s {again: *s}\n")
    assert (await ask(root, ObjectQuery(object_kind="Pod"))).status is FAILED
