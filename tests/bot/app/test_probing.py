"""What ``assent check`` asks of each source, against stand-ins that answer and that do not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from bot.app.evidence import probe_sources
from bot.app.seams import Seams
from bot.domain.errors import Unavailable
from config.schema import Config, Evidence
from tests.fakes.evidence import NOW, FixedClock
from tests.servers.api import Api, saying
from tests.servers.jaeger import Jaeger
from tests.servers.loki import Loki
from tests.servers.seq import Seq
from tests.servers.spans import Span
from tests.servers.tempo import Tempo

RECENT = NOW - timedelta(minutes=1)


@pytest_asyncio.fixture
async def servers() -> AsyncIterator[dict[str, Api]]:
    loki, seq, tempo, jaeger = Loki(), Seq(), Tempo(), Jaeger()
    for n in range(5):
        loki.push(RECENT, f"line {n}", app="cart")
        seq.add(RECENT, f"event {n}")
        span = Span(f"{n + 1:032x}", f"{n + 1:016x}", "cart", "GET /", RECENT, 5)
        tempo.spans.append(span)
        jaeger.spans.append(span)
    async with loki, seq, tempo, jaeger:
        yield {"loki": loki, "seq": seq, "tempo": tempo, "jaeger": jaeger}


def config_of(servers: dict[str, Api]) -> Config:
    evidence: dict[str, Any] = {
        "loki": [{"url": servers["loki"].url}],
        "seq": [{"url": servers["seq"].url}],
        "traces": [
            {"name": "tempo", "kind": "tempo", "url": servers["tempo"].url},
            {"name": "jaeger", "kind": "jaeger", "url": servers["jaeger"].url},
        ],
    }
    return Config(version=1, data_dir=Path("data"), evidence=Evidence.model_validate(evidence))


async def test_every_source_is_asked_a_small_question(servers: dict[str, Api]) -> None:
    async with aiohttp.ClientSession() as session:
        probes = dict(probe_sources(config_of(servers), Seams(clock=FixedClock()), session))
        said = {name: await probe() for name, probe in probes.items()}
    assert said == {
        "loki": "1 lines: 1 unknown",
        "seq": "1 lines: 1 information",
        "tempo": "1 spans of 1 traces through 1 services, 0 with errors",
        "jaeger": "1 spans of 1 traces through 1 services, 0 with errors",
    }
    assert [len(server.asked) for server in servers.values()] == [1, 1, 2, 2]


@pytest.mark.parametrize("name", ["loki", "seq", "tempo", "jaeger"])
async def test_a_source_that_does_not_answer_is_named_with_its_reason(
    servers: dict[str, Api], name: str
) -> None:
    servers[name].fault = saying(502, "no upstream")
    async with aiohttp.ClientSession() as session:
        probes = dict(probe_sources(config_of(servers), Seams(clock=FixedClock()), session))
        with pytest.raises(Unavailable, match="answered 502: no upstream"):
            await probes[name]()
