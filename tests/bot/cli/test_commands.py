"""The command line as a person uses it: what it prints, and what its exit code promises."""

import asyncio
import json
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bot.app.conftest import ANA, World, alert, world  # noqa: F401 - a fixture


def assent(*arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bot", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        input=stdin,
        check=False,
    )


@pytest.fixture
def installation(tmp_path: Path) -> Path:
    """What `assent init` writes."""
    done = assent("init", tmp_path / "here")
    assert done.returncode == 0, done.stderr
    return tmp_path / "here" / "assent.yaml"


def test_init_writes_a_configuration_that_check_finds_working(installation: Path) -> None:
    done = assent("check", "-c", installation)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Everything works" in done.stdout
    assert "executes nothing" in done.stdout


def test_init_makes_secrets_only_their_owner_can_read(installation: Path) -> None:
    for name in ("webhook-token", "signing-key.pem"):
        mode = stat.S_IMODE((installation.parent / "data" / name).stat().st_mode)
        assert mode == 0o600, name


def test_init_never_overwrites_without_being_told_to(installation: Path) -> None:
    installation.write_text("version: 1\n")
    done = assent("init", installation.parent)
    assert done.returncode == 2
    assert installation.read_text() == "version: 1\n"


def test_check_names_what_does_not_answer_and_fails(installation: Path) -> None:
    text = installation.read_text().replace(
        "evidence:\n", "evidence:\n  prometheus: [{url: 'http://127.0.0.1:9'}]\n"
    )
    installation.write_text(text)
    done = assent("check", "-c", installation, "--json")
    assert done.returncode == 1
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["evidence prometheus"]["ok"] is False
    assert checks["policy"]["ok"] is True


def test_check_says_once_what_does_not_answer(installation: Path) -> None:
    section = "model: {base_url: 'http://127.0.0.1:9', fast: small, deep: large}\n"
    installation.write_text(installation.read_text() + section)
    done = assent("check", "-c", installation)
    assert done.returncode == 1
    assert "✘ model anthropic: the provider cannot be reached" in done.stdout


def test_a_reader_that_has_seen_enough_ends_the_command_quietly(installation: Path) -> None:
    command = [sys.executable, "-m", "bot", "check", "--dump", "-c", str(installation)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=60) == 141


def test_check_shows_the_configuration_without_its_secrets(installation: Path) -> None:
    done = assent("check", "-c", installation, "--dump")
    token = (installation.parent / "data" / "webhook-token").read_text().strip()
    assert done.returncode == 0
    assert token not in done.stdout
    assert "PRIVATE KEY" not in done.stdout
    assert "alertmanager" in done.stdout


def test_a_bad_configuration_is_refused_with_every_problem_and_its_line(installation: Path) -> None:
    installation.write_text("version: 1\ndata_dir: d\nlisten: {port: no}\nroutez: []\n")
    done = assent("run", "-c", installation)
    assert done.returncode == 2
    assert "assent.yaml:3" in done.stderr
    assert "assent.yaml:4" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_configuration_says_how_to_get_one(tmp_path: Path) -> None:
    done = assent("run", "-c", tmp_path / "none.yaml")
    assert done.returncode == 2
    assert "assent init" in done.stderr


def test_a_key_is_made_once_and_shown_without_its_secret_half(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    made = assent("keys", "generate", "--out", key)
    assert made.returncode == 0
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    before = key.read_text()
    assert assent("keys", "generate", "--out", key).returncode == 2
    assert key.read_text() == before
    shown = assent("keys", "show", key)
    assert "BEGIN PUBLIC KEY" in shown.stdout
    assert "PRIVATE" not in shown.stdout


def test_investigate_prints_a_diagnosis_and_stores_nothing(installation: Path) -> None:
    body = {
        "alertname": "DiskFull",
        "instance": "127.0.0.1",
        "severity": "warning",
        "summary": "disk is full",
    }
    done = assent("investigate", "-c", installation, "-", stdin=json.dumps(body))
    assert done.returncode == 0, done.stderr
    assert "Diagnosis of" in done.stdout
    assert "Verdict" in done.stdout
    assert not (installation.parent / "data" / "assent.db").exists()


def test_in_calibration_the_command_line_offers_nothing_either(installation: Path) -> None:
    with installation.open("a") as file:
        file.write("investigation: {calibration: true}\n")
    checked = assent("check", "-c", installation)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "it diagnoses and offers nothing" in checked.stdout
    body = {
        "alertname": "DiskFull",
        "instance": "127.0.0.1",
        "severity": "warning",
        "summary": "disk is full",
    }
    done = assent("investigate", "-c", installation, "-", stdin=json.dumps(body))
    assert done.returncode == 0, done.stderr
    assert "calibration: nothing is offered" in done.stdout
    assert "Suggested steps" not in done.stdout


def test_investigate_says_what_is_wrong_with_a_body_that_is_no_alert(installation: Path) -> None:
    done = assent("investigate", "-c", installation, "-", stdin='{"foo": 1}')
    assert done.returncode == 2
    assert "as alertmanager" in done.stderr


def test_help_answers_quickly_and_without_a_configuration() -> None:
    done = assent("--help")
    assert done.returncode == 0
    for command in ("run", "check", "init", "demo", "investigate", "ledger", "keys"):
        assert command in done.stdout


async def told(world: World) -> Path:  # noqa: F811
    """Play one incident to its end; return the configuration file of its store."""
    async with world.running():
        await world.send(alert())
        card = await world.card()
        world.room.react(card.id, "✅", ANA)
        await world.says("Done")
        await world.send(alert(status="resolved"))
        await world.says("It helped: verified")
    return world.write_config()


async def test_ledger_verify_shows_an_intact_chain_and_names_the_entry_that_was_changed(
    world: World,  # noqa: F811
) -> None:
    config = await told(world)
    good = await asyncio.to_thread(assent, "ledger", "verify", "-c", config, "--json")
    assert good.returncode == 0, good.stderr
    report = json.loads(good.stdout)
    assert report["ok"] is True
    assert report["entries"] > 10
    assert report["anchors"] >= 1
    db = sqlite3.connect(world.directory / "data" / "assent.db")
    for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        db.execute(f"DROP TRIGGER {name}")
    ((sequence, body),) = db.execute(
        "SELECT seq, body FROM ledger WHERE CAST(body AS TEXT) LIKE '%review:recorded%'"
    ).fetchall()
    db.execute("UPDATE ledger SET body = ? WHERE seq = ?", (body.replace(b"ana", b"eve"), sequence))
    db.commit()
    db.close()
    bad = await asyncio.to_thread(assent, "ledger", "verify", "-c", config, "--json")
    assert bad.returncode == 1
    assert json.loads(bad.stdout)["first_bad"] == sequence


async def test_ledger_show_and_export_tell_one_incident_from_alert_to_outcome(
    world: World,  # noqa: F811
) -> None:
    config = await told(world)
    shown = await asyncio.to_thread(assent, "ledger", "show", "-c", config)
    (opened,) = [line for line in shown.stdout.splitlines() if "incident:opened" in line]
    short_id = opened.split("short_id=")[1].split(",")[0]
    exported = await asyncio.to_thread(assent, "ledger", "export", "-c", config, "--incident", short_id)
    entries = [json.loads(line) for line in exported.stdout.splitlines()]
    tags = [entry["event"]["tag"] for entry in entries]
    for tag in (
        "incident:opened",
        "review:recorded",
        "approval:signed",
        "execution:finished",
        "outcome:verified",
    ):
        assert tag in tags
    assert tags.index("review:recorded") < tags.index("execution:claimed")


async def test_the_service_stops_cleanly_when_told_to(installation: Path) -> None:
    text = installation.read_text().replace("port: 9780", "port: 0")
    installation.write_text(text)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bot",
        "run",
        "-c",
        str(installation),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stderr is not None
    async with asyncio.timeout(30):
        while b"started" not in await process.stderr.readline():
            pass
        process.terminate()
        assert await process.wait() == 0
