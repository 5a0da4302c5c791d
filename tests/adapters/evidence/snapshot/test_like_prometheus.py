"""The same series in a real Prometheus and in a snapshot: the same questions get the same answers."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from adapters.evidence.prometheus import PrometheusMetrics
from adapters.evidence.snapshot import SnapshotMetrics
from bot.domain.evidence import Evidence, EvidenceStatus, Window
from config.schema import PrometheusSource
from investigators.ports import Matcher, MatchOp, MetricQuery
from tests.adapters.evidence.snapshot.writing import NOW, ago, meta, samples
from tests.fakes.evidence import FixedClock
from tests.servers.prometheus import Prometheus, binary

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

Row = tuple[float, str, float, Mapping[str, str]]
WINDOW = Window(start=NOW - timedelta(minutes=20), end=NOW)
STEP = timedelta(seconds=30)


def rows() -> Iterator[Row]:
    """Counters that reset, start late, stop early and begin near zero; gauges with gaps and odd intervals."""
    for index in range(120):
        at = ago(1800) + 15 * index
        yield at, "requests_total", float(7 * index % 400), {"job": "api", "pod": "a", "code": "200"}
        yield at, "requests_total", 1000.0 + index * index, {"job": "api", "pod": "b", "code": "200"}
        if index > 60:
            yield at + 3.25, "requests_total", float(index - 61), {"job": "api", "pod": "c", "code": "500"}
        if index < 70:
            yield at, "requests_total", 3.0 * index, {"job": "web", "pod": "d"}
        if index % 9 < 5:
            yield at + index % 4, "temperature", 20.0 - index % 17, {"room": "x", "pod": "a"}
        yield at + 0.001 * index, "temperature", -1.5 * (index % 31), {"room": "y"}
    for index in range(30):
        yield ago(1800) + 60 * index, "up", float(index % 7 != 3), {"job": "api", "instance": "h:1"}


class Filled(Prometheus):
    """A Prometheus whose storage was written by promtool."""

    def command(self, directory: Path) -> list[str]:
        by_name = sorted(rows(), key=lambda row: (row[1], sorted(row[3].items()), row[0]))
        lines = []
        for name, group in itertools.groupby(by_name, key=lambda row: row[1]):
            lines.append(f"# TYPE {name} gauge")
            for at, _, value, labels in group:
                inside = ",".join(f'{key}="{text}"' for key, text in labels.items())
                lines.append(f"{name}{{{inside}}} {value!r} {at:.3f}")
        file = directory / "series.txt"
        file.write_text("\n".join([*lines, "# EOF", ""]))
        tool = [
            binary("promtool"),
            "tsdb",
            "create-blocks-from",
            "openmetrics",
            str(file),
            f"{directory}/data",
        ]
        subprocess.run(tool, check=True, capture_output=True)
        return [*super().command(directory), "--storage.tsdb.retention.time=30y"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def live() -> AsyncIterator[PrometheusMetrics]:
    async with Filled(scrape={}) as server, aiohttp.ClientSession() as session:
        yield PrometheusMetrics(PrometheusSource(url=server.url), session, FixedClock(NOW))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> SnapshotMetrics:
    root = tmp_path_factory.mktemp("snapshot")
    meta(root)
    samples(root, "metrics/all.csv", rows())
    return SnapshotMetrics(root)


def points(evidence: Evidence) -> dict[tuple[object, ...], dict[float, float]]:
    assert evidence.status is not EvidenceStatus.FAILED, evidence.reason
    return {
        (one.name, *sorted(one.labels.items())): {s.at.timestamp(): s.value for s in one.samples}
        for one in evidence.series
    }


def assert_same(recorded: Evidence, live: Evidence) -> None:
    ours, theirs = points(recorded), points(live)
    assert set(ours) == set(theirs)
    for key, values in theirs.items():
        assert ours[key] == pytest.approx(values, rel=1e-9, abs=1e-9), key


FUNCTIONS = ("rate", "increase", "delta", "avg_over_time", "max_over_time", "min_over_time", "last")


@pytest.mark.parametrize("metric", ["requests_total", "temperature", "up"])
@pytest.mark.parametrize("function", [None, *FUNCTIONS])
async def test_functions_over_a_window_are_those_of_prometheus(
    live: PrometheusMetrics, recorded: SnapshotMetrics, metric: str, function: str | None
) -> None:
    for seconds in (30, 60, 97, 300):
        over = None if function is None else timedelta(seconds=seconds)
        query = MetricQuery(metric=metric, function=function, over=over)
        assert_same(
            await recorded.range(query, WINDOW, STEP, "x"), await live.range(query, WINDOW, STEP, "x")
        )
        for back in (0, 7, 301, 1000):
            at = NOW - timedelta(seconds=back)
            assert_same(await recorded.instant(query, at, "x"), await live.instant(query, at, "x"))


@pytest.mark.parametrize("aggregate", ["sum", "avg", "max", "min", "count"])
@pytest.mark.parametrize("by", [(), ("job",), ("job", "code"), ("nothing",)])
async def test_aggregations_are_those_of_prometheus(
    live: PrometheusMetrics, recorded: SnapshotMetrics, aggregate: str, by: tuple[str, ...]
) -> None:
    for function in (None, "rate"):
        query = MetricQuery(
            metric="requests_total",
            function=function,
            over=timedelta(minutes=2) if function else None,
            aggregate=aggregate,
            by=by,
        )
        assert_same(
            await recorded.range(query, WINDOW, STEP, "x"), await live.range(query, WINDOW, STEP, "x")
        )


@pytest.mark.parametrize(
    ("op", "value"),
    [
        (MatchOp.EQUAL, "200"),
        (MatchOp.EQUAL, ""),
        (MatchOp.NOT_EQUAL, "200"),
        (MatchOp.REGEX, "2..|4.."),
        (MatchOp.REGEX, "20"),
        (MatchOp.REGEX, ".*"),
        (MatchOp.NOT_REGEX, "5.*"),
        (MatchOp.NOT_REGEX, ".+"),
    ],
)
async def test_selectors_are_those_of_prometheus(
    live: PrometheusMetrics, recorded: SnapshotMetrics, op: MatchOp, value: str
) -> None:
    query = MetricQuery(metric="requests_total", matchers=(Matcher(label="code", op=op, value=value),))
    assert_same(await recorded.range(query, WINDOW, STEP, "x"), await live.range(query, WINDOW, STEP, "x"))


@pytest.mark.parametrize(
    "promql",
    [
        "up == 0",
        "up",
        "requests_total > 100",
        "100 < requests_total",
        "requests_total >bool 100",
        "rate(requests_total[5m]) * 60 > 3",
        "sum by (job) (rate(requests_total{code!=''}[1m])) / 2 + 1",
        "avg(temperature) by (room)",
        "sum without (pod) (requests_total)",
        "max(temperature) - 3 * 2 ^ 2",
        "-temperature % 7",
        "count(up == 1)",
        "min_over_time(temperature{room=~'x|y'}[2m]) <= -10",
        'sum_over_time(temperature{room="x"}[10m])',
        "count_over_time(requests_total[3m])",
        "irate(requests_total[2m])",
        "last_over_time(temperature[1h])",
        "no_such_metric > 1",
        "(1 + 2) * temperature",
        "temperature / 0",
        "2 ^ 3 ^ 0.5 * up",
        '{__name__=~"temp.*"} != 1',
        "sum(rate(requests_total[1m])) by (__name__)",
        "3",
    ],
)
async def test_expressions_are_those_of_prometheus(
    live: PrometheusMetrics, recorded: SnapshotMetrics, promql: str
) -> None:
    assert_same(
        await recorded.expression(promql, WINDOW, STEP, "x"), await live.expression(promql, WINDOW, STEP, "x")
    )
