"""The demo's service really leaks and is really cured; its alerts are Alertmanager's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import psutil
import pytest
from aiohttp import web

from adapters.executors.process import ProcessExecutor, ProcessInspector
from bot.demo.alert import DemoAlert, body, fingerprint, leak_alert, post_alert, post_resolved
from bot.demo.service import CAP_MB, MEBIBYTE, parse_options
from bot.demo.world import ServiceHandle, start_service, wait_until_healthy, wait_until_leaking
from bot.domain.clock import SystemClock
from bot.domain.errors import Unavailable
from bot.domain.proposal import Action
from config.schema import ManagedProcess

FAST = 60.0


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[ServiceHandle]:
    handle = await start_service(
        tmp_path / "shop", leak_mb_per_second=FAST, leak_after=timedelta(0), memory_limit_mb=80
    )
    yield handle
    await handle.stop()


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


def samples(text: str) -> dict[str, float]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.split(" ") for line in lines)}


async def test_the_service_leaks_for_real_and_says_so_everywhere(service: ServiceHandle) -> None:
    seen = await wait_until_leaking(service, above_mb=90)
    assert seen > 90 * MEBIBYTE
    assert psutil.Process(service.pid).memory_info().rss >= seen
    status, text = await get(service.metrics_url)
    assert status == 200
    metrics = samples(text)
    assert metrics["process_resident_memory_bytes"] >= seen
    assert metrics["up"] == 1
    assert abs(metrics["process_start_time_seconds"] - psutil.Process(service.pid).create_time()) < 1
    assert {"process_cpu_seconds_total", "requests_total"} <= metrics.keys()
    assert (await get(service.health_url))[0] == 503
    assert " ERROR cache eviction failed: entry " in service.log.read_text()


async def test_a_restarted_instance_is_healthy(service: ServiceHandle) -> None:
    await wait_until_leaking(service, above_mb=90)
    os.kill(service.pid, signal.SIGTERM)
    psutil.Process(service.pid).wait(5)
    again = subprocess.Popen(service.argv, start_new_session=True)
    assert await wait_until_healthy(service, other_than=service.pid) == again.pid
    assert psutil.Process(again.pid).memory_info().rss < 60 * MEBIBYTE
    ended = json.loads(service.exit_file.read_text())
    assert (ended["name"], ended["pid"], ended["exit_code"], ended["signal"]) == ("shop", service.pid, 0, 15)
    assert service.current_pid() == again.pid
    await service.stop()
    assert again.wait(5) == 0


async def test_the_leak_stops_before_it_can_hurt_the_machine(tmp_path: Path) -> None:
    handle = await start_service(
        tmp_path / "shop", leak_mb_per_second=CAP_MB, leak_after=timedelta(0), memory_limit_mb=50
    )
    try:
        await wait_until_leaking(handle, above_mb=CAP_MB * 0.8)
        with pytest.raises(Unavailable, match="no leak to show"):
            await wait_until_leaking(handle, above_mb=CAP_MB * 1.1, timeout=timedelta(seconds=1))
    finally:
        await handle.stop()


async def test_a_service_that_cannot_start_is_reported(tmp_path: Path) -> None:
    (tmp_path / "shop.log").mkdir()
    with pytest.raises(Unavailable, match="demo service: ended at once with exit code 1"):
        await start_service(tmp_path, timeout=timedelta(seconds=5))


async def test_stopping_leaves_no_process_behind(tmp_path: Path) -> None:
    handle = await start_service(tmp_path / "shop")
    await handle.stop()
    assert handle.current_pid() is None
    assert not psutil.pid_exists(handle.pid)


def test_a_leak_that_could_eat_the_machine_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_options(["--port", "0", "--log", "l", "--pid-file", "p", "--leak-mb-per-second", "1000"])
    assert "at most 300" in capsys.readouterr().err


def test_importing_the_service_does_nothing() -> None:
    code = "import threading, bot.demo.service, bot.demo.alert; print(threading.active_count())"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown == "1\n"


# -- alerts ---------------------------------------------------------------------------------------------

CAPTURED = Path(__file__).parent.parent / "data" / "payloads" / "alertmanager-0.28_firing_single.json"


def test_the_fingerprint_is_the_one_alertmanager_computes() -> None:
    (alert,) = json.loads(CAPTURED.read_text())["alerts"]
    assert fingerprint(alert["labels"]) == alert["fingerprint"]


def demo_alert() -> DemoAlert:
    service = ServiceHandle(port=8123, pid=1, directory=Path("nowhere"), argv=())
    return leak_alert(service, limit_mb=60, starts_at=datetime(2026, 11, 21, 1, 16, 7, 879_123, tzinfo=UTC))


def test_a_firing_body_has_the_shape_of_a_captured_one() -> None:
    captured = json.loads(CAPTURED.read_text())
    sent = body(demo_alert())
    assert sent.keys() == captured.keys()
    (alert,) = sent["alerts"]
    assert alert.keys() == captured["alerts"][0].keys()
    assert (sent["status"], alert["status"]) == ("firing", "firing")
    assert (alert["startsAt"], alert["endsAt"]) == ("2026-11-21T01:16:07.879Z", "0001-01-01T00:00:00Z")
    assert sent["groupKey"] == '{}:{alertname="MemoryLeak", service="shop"}'


def test_a_resolved_body_is_the_same_alert_with_an_end() -> None:
    firing = body(demo_alert())["alerts"][0]
    over = body(demo_alert().resolved(datetime(2026, 11, 21, 1, 20, tzinfo=UTC)))
    assert over["status"] == "resolved"
    assert over["alerts"][0]["endsAt"] == "2026-11-21T01:20:00.000Z"
    for same in ("fingerprint", "startsAt", "labels"):
        assert over["alerts"][0][same] == firing[same]


@dataclass
class Delivered:
    headers: dict[str, str]
    body: dict[str, object]


@pytest.fixture
async def listener() -> AsyncIterator[tuple[str, list[Delivered]]]:
    received: list[Delivered] = []

    async def hook(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != "Bearer right":
            return web.Response(status=401, text="wrong token")
        received.append(Delivered(headers=dict(request.headers), body=await request.json()))
        return web.Response(status=202)

    app = web.Application()
    app.router.add_post("/webhook/alertmanager", hook)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    yield f"http://127.0.0.1:{port}/webhook/alertmanager", received
    await runner.cleanup()


async def test_alert_and_resolve_are_posted_like_alertmanager_does(
    listener: tuple[str, list[Delivered]],
) -> None:
    url, received = listener
    assert await post_alert(url, "right", demo_alert()) == 202
    assert await post_resolved(url, "right", demo_alert()) == 202
    firing, resolved = received
    assert firing.headers["Content-Type"] == "application/json"
    assert firing.headers["User-Agent"].startswith("Alertmanager/")
    assert (firing.body["status"], resolved.body["status"]) == ("firing", "resolved")


async def test_a_refused_or_undeliverable_alert_is_an_error(listener: tuple[str, list[Delivered]]) -> None:
    url, _ = listener
    with pytest.raises(Unavailable, match="HTTP 401"):
        await post_alert(url, "wrong", demo_alert())
    with pytest.raises(Unavailable, match="listener"):
        await post_alert("http://127.0.0.1:1/webhook", "right", demo_alert())


async def test_a_restart_by_the_executor_cures_the_leak(service: ServiceHandle, tmp_path: Path) -> None:
    await wait_until_leaking(service, above_mb=90)
    entry = ManagedProcess(
        name="shop",
        pid_file=service.pid_file,
        start=service.argv,
        log_file=service.log,
        stop_timeout=timedelta(seconds=5),
        health_url=service.health_url,
    )
    action = Action(name="process.restart", executor="process", params={"process": "shop"})
    inspector = ProcessInspector([entry], clock=SystemClock(), environment=os.environ)
    before = await inspector.locate(action)
    assert (await inspector.dry_run(action, before)).ok
    executor = ProcessExecutor(
        [entry],
        clock=SystemClock(),
        environment=os.environ,
        state_dir=tmp_path / "executions",
        timeout=timedelta(seconds=20),
    )
    result = await executor.run(action, before, "key")
    assert result.ok, result
    checks = await inspector.check(action, before, result)
    assert {check.name: check.ok for check in checks} == {
        "running": True,
        "identity": True,
        "stable": True,
        "health": True,
    }
    assert service.current_pid() != service.pid
    assert psutil.Process(service.current_pid()).memory_info().rss < 60 * MEBIBYTE
