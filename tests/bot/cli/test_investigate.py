"""`assent investigate` beside a service: the same day's money and past, and nothing stored or posted."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from adapters.storage import SqlStore, open_store
from bot.cli.investigate import investigate
from bot.domain.clock import SystemClock
from bot.domain.errors import UserError
from tests.bot.app.conftest import World, alert, world  # noqa: F401 - a fixture
from tests.contracts.store_nouns import Woken
from tests.servers.messages_api import KEY, MessagesApi, says

DAY = Decimal(1)
NOTHING = says(
    json.dumps(
        {
            "status": "inconclusive",
            "summary": "Nothing is known.",
            "root_cause": None,
            "evidence": [],
            "ruled_out": [],
            "missing_info": [],
            "alternatives": [],
            "actions": [],
        }
    )
)


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqlStore]:
    async with open_store(path / "data" / "assent.db", clock=SystemClock(), wake=Woken()) as store:
        yield store


def configured(world: World, api: MessagesApi | None = None) -> Path:  # noqa: F811
    if api is not None:
        budget = f"{{day_usd: {DAY}, wall: 4s}}"
        world.extra = f"model:\n  base_url: {api.url}\n  api_key: {KEY}\n  budget: {budget}\n"
    return world.write_config()


def body(directory: Path) -> Path:
    path = directory / "alert.json"
    path.write_text(json.dumps({"alertname": "Slow", "severity": "critical", "service": "cart"}))
    return path


async def test_the_days_money_is_the_services_also_while_that_runs(
    world: World,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with MessagesApi(lambda request, number: NOTHING) as api, world.running() as app:
        config = configured(world, api)
        assert await investigate(config, body(tmp_path), as_json=False) == 0
        asked = len(api.requests)
        spent = await app.store.purse.spent_today()
        assert asked > 0
        assert spent > 0
        assert await app.store.purse.take(DAY - spent, DAY) is not None
        assert await investigate(config, body(tmp_path), as_json=False) == 0
        assert len(api.requests) == asked, "nothing is left of the day"
    said = capsys.readouterr()
    assert "USD a day is reached" in said.out
    assert said.err == ""


async def test_where_the_days_money_is_not_known_the_model_is_not_asked_and_one_line_says_so(
    world: World,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with MessagesApi(lambda request, number: NOTHING) as api:
        config = configured(world, api)
        (world.directory / "data").mkdir(exist_ok=True)
        (world.directory / "data" / "assent.db").write_bytes(b"this is no database " * 300)
        assert await investigate(config, body(tmp_path), as_json=False) == 0
        assert api.requests == []
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert "the model is not asked, as the day's money is not known" in line
    assert "Diagnosis of" in said.out


async def test_without_a_store_the_investigations_own_limits_hold_and_none_is_made(
    world: World,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with MessagesApi(lambda request, number: NOTHING) as api:
        assert await investigate(configured(world, api), body(tmp_path), as_json=False) == 0
        assert api.requests
    assert "of the model's limits only those of one investigation hold" in capsys.readouterr().err
    assert not (world.directory / "data" / "assent.db").exists()


async def _story(world: World) -> str:  # noqa: F811
    """One incident, played to its end; its short id."""
    async with world.running() as app:
        await world.send(alert())
        await world.card()
        await world.send(alert(status="resolved"), status="resolved")
        await world.root_says("✔ resolved")
        async with app.store.reading() as rows:
            return (await rows.incidents(live_only=False, limit=1))[0].short_id


def _rows(world: World) -> dict[str, list[tuple[object, ...]]]:  # noqa: F811
    with sqlite3.connect(world.directory / "data" / "assent.db") as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in names}


async def test_a_stored_incident_is_investigated_again_and_nothing_of_it_is_stored_or_posted(
    world: World,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    short_id = await _story(world)
    rows, posted = _rows(world), len(world.room.bot_messages())
    config = world.write_config()
    recording = tmp_path / "recording"
    assert await investigate(config, None, as_json=True, incident=short_id, record_to=recording) == 0
    said = capsys.readouterr()
    assert f"{short_id} is over: looked at as of" in said.err
    live = json.loads(said.out)
    assert live["diagnosis"]["run"] == 2
    assert await investigate(config, None, as_json=True, replay_from=recording) == 0
    assert json.loads(capsys.readouterr().out) == live
    (recording / "recorded" / "case.json").unlink()
    assert await investigate(config, None, as_json=False, replay_from=recording) == 0, "as alert.json alone"
    assert await investigate(config, None, as_json=False, incident=f"#{short_id.lower()}") == 0
    assert f"Diagnosis of {short_id}" in capsys.readouterr().out
    assert _rows(world) == rows
    assert len(world.room.bot_messages()) == posted


async def test_an_incident_that_is_not_stored_is_refused(world: World) -> None:  # noqa: F811
    config = world.write_config()
    with pytest.raises(UserError, match="there is no store at"):
        await investigate(config, None, as_json=False, incident="K7QX")
    (world.directory / "data").mkdir(exist_ok=True)
    async with opened(world.directory):
        """An empty one."""
    with pytest.raises(UserError, match="there is no incident K7QX in the store"):
        await investigate(config, None, as_json=False, incident="K7QX")
    with pytest.raises(UserError, match="leave out"):
        await investigate(config, Path("alert.json"), as_json=False, incident="K7QX")


async def test_recording_says_that_the_model_is_not_asked(
    world: World,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with MessagesApi(lambda request, number: NOTHING) as api:
        config, alert_path = configured(world, api), body(tmp_path)
        assert await investigate(config, alert_path, as_json=True, record_to=tmp_path / "r") == 0
        assert api.requests == []
    assert "the model is not asked while recording" in capsys.readouterr().err
