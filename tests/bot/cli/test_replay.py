"""`assent investigate --record` and `--replay` as a person uses them."""

import asyncio
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.adapters.evidence.snapshot.writing import ago, meta, put, samples
from tests.bot.cli.test_commands import assent
from tests.servers.exporter import Exporter
from tests.servers.prometheus import Prometheus


@pytest.fixture
def installation(tmp_path: Path) -> Path:
    """What `assent init` writes, with one process of this machine declared."""
    assert assent("init", tmp_path / "here").returncode == 0
    return tmp_path / "here" / "assent.yaml"


def alert(**labels: str) -> str:
    starts = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    body = {
        "alertname": "Slow",
        "severity": "warning",
        "summary": "password=hunter2-canary",
        "startsAt": starts,
    }
    return json.dumps(body | labels)


def test_a_recording_of_this_machine_is_replayed_to_the_byte_without_a_configuration(
    installation: Path, tmp_path: Path
) -> None:
    body = alert(instance="127.0.0.1", node=os.uname().nodename)
    live = assent("investigate", "-c", installation, "--record", tmp_path / "r", "--json", "-", stdin=body)
    assert live.returncode == 0, live.stderr
    again = assent("investigate", "--replay", tmp_path / "r", "--json")
    assert again.returncode == 0, again.stderr
    assert again.stdout == live.stdout
    assert json.loads(again.stdout)["evidence"]
    for path in (tmp_path / "r").rglob("*"):
        assert path.is_dir() or b"hunter2-canary" not in path.read_bytes()


@pytest.mark.real
async def test_a_recording_of_a_real_prometheus_is_replayed_to_the_byte(
    installation: Path, tmp_path: Path
) -> None:
    rule = {"alert": "Slow", "expr": 'up{job="demo"} == 1', "labels": {"severity": "warning"}}
    (tmp_path / "demo").mkdir()
    async with Exporter(tmp_path / "demo") as demo:
        async with Prometheus(scrape={"demo": [demo.address]}, rules=[rule]) as prometheus:
            await prometheus.until('up{job="demo"} == 1')
            text = installation.read_text()
            config = f"evidence:\n  prometheus: [{{url: '{prometheus.url}'}}]\n"
            installation.write_text(text.replace("evidence:\n", config))
            body = alert(job="demo", instance=demo.address)
            record = ("investigate", "-c", installation, "--record", tmp_path / "r", "--json", "-")
            live = await asyncio.to_thread(assent, *record, stdin=body)
    assert live.returncode == 0, live.stderr
    again = await asyncio.to_thread(assent, "investigate", "--replay", tmp_path / "r", "--json")
    assert again.stdout == live.stdout
    answers = [item for item in json.loads(again.stdout)["evidence"] if item["source"] == "prometheus"]
    assert any(item["status"] == "ok" for item in answers)
    assert "promtool" in again.stdout


def test_a_case_written_by_hand_is_investigated_again_and_again_the_same(tmp_path: Path) -> None:
    meta(tmp_path)
    labels = {"job": "demo", "instance": "box:8000"}
    samples(tmp_path, "metrics/up.csv", [(ago(600 - 15 * i), "up", 0, labels) for i in range(40)])
    put(tmp_path, "alert.json", json.dumps({"alertname": "Down", "severity": "critical", **labels}))
    first = assent("investigate", "--replay", tmp_path, "--json")
    assert first.returncode == 0, first.stderr
    assert assent("investigate", "--replay", tmp_path, "--json").stdout == first.stdout
    hypotheses = json.loads(first.stdout)["diagnosis"]["hypotheses"]
    assert (hypotheses[0]["fault"], hypotheses[0]["object"]) == ("target_down", "box:8000")
    shown = assent("investigate", "--replay", tmp_path)
    assert "the target cannot be scraped" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--replay", "{dir}", "alert.json"], "leave out alert.json"),
        (["--replay", "{dir}/none"], "not a directory"),
        (["--replay", "{dir}"], "alert.json: No such file"),
        ([], "which alert?"),
        (["--record", "{dir}", "-"], "is not empty"),
        (["--record", "{dir}/x", "--replay", "{dir}"], "not allowed with"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_reason(
    installation: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    meta(tmp_path / "case")
    given = [part.replace("{dir}", str(tmp_path / "case")) for part in arguments]
    done = assent("investigate", "-c", installation, *given, stdin=alert())
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
