"""Every configured source of records is built and can be asked how it is."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from bot.app.evidence import probe_sources
from bot.app.records import record_sources
from bot.app.seams import Seams
from bot.domain.errors import Unavailable
from config.loader import load
from investigators.queries import ChangeQuery, RunbookQuery, SelectQuery, TableQuery, TicketQuery
from tests.fakes.evidence import FixedClock

CONFIG = Path(__file__).parents[2] / "config" / "good" / "everything.yaml"
TOKEN = "0123456789abcdef0123"


def environ() -> dict[str, str]:
    public = (CONFIG.parents[1] / "secrets" / "public-key.pem").read_text()
    return {"ASSENT_TOKEN": TOKEN, "ASSENT_PUBLIC_KEY": public}


async def test_every_section_becomes_a_source_that_answers_its_questions() -> None:
    config = load(CONFIG, environ())
    async with aiohttp.ClientSession() as session:
        sources = {one.name: one for one in record_sources(config, session, FixedClock())}
    assert {name: one.answers for name, one in sources.items()} == {
        "forge": {ChangeQuery},
        "gitlab": {ChangeQuery},
        "teamcity": {ChangeQuery},
        "fleet": {TableQuery, SelectQuery},
        "jira": {TicketQuery},
        "runbooks": {RunbookQuery},
    }
    assert sources["forge"].covers(ChangeQuery(services=("cart",)))
    assert not sources["forge"].covers(ChangeQuery(services=("shop",)))
    assert sources["gitlab"].covers(ChangeQuery(services=("payments",)))
    assert sources["fleet"].covers(TableQuery(host="10.0.0.7", table="processes"))
    assert sources["runbooks"].covers(RunbookQuery(url="https://wiki.internal:8443/x"))


async def test_a_source_that_does_not_answer_is_told_without_its_secrets() -> None:
    config = load(CONFIG, environ())
    text = CONFIG.read_text()
    assert "https://fleet.example.org" in text
    quiet = {
        name: getattr(config.evidence, name)[0].model_copy(update={"url": "http://127.0.0.1:1"})
        for name in ("github", "gitlab", "teamcity", "fleet", "jira")
    }
    others = dict.fromkeys(("prometheus", "loki", "seq", "traces", "kubernetes", "mcp"), ())
    evidence = config.evidence.model_copy(
        update={name: (section,) for name, section in quiet.items()} | others | {"host": None}
    )
    config = config.model_copy(update={"evidence": evidence})
    async with aiohttp.ClientSession() as session:
        probes = probe_sources(config, Seams(), session)
        names = ["forge", "gitlab", "teamcity", "fleet", "jira", "runbooks"]
        assert [name for name, _ in probes] == names
        for name, probe in probes:
            with pytest.raises(Unavailable) as caught:
                await probe()
            assert str(caught.value).startswith(f"{name}: ")
            assert TOKEN not in str(caught.value)
            if name != "runbooks":
                assert "cannot reach http://127.0.0.1:1" in str(caught.value)
