"""Silences in a real Alertmanager."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from aiohttp import web

from adapters.executors.alertmanager import AlertmanagerExecutor, AlertmanagerInspector
from adapters.executors.alertmanager.matchers import Matchers
from bot.domain.clock import SystemClock
from bot.domain.errors import InputError, Unavailable
from bot.domain.outcome import ExecutionResult
from bot.domain.proposal import Action, ParamValue
from config.schema import AlertmanagerTarget
from tests.servers.prometheus import Alertmanager, binary

pytestmark = pytest.mark.real

CHECKOUT = {"alertname": "HighErrorRate", "service": "checkout", "instance": "a"}
OTHERS = (
    {"alertname": "HighErrorRate", "service": "checkout", "instance": "b"},
    {"alertname": "DiskFull", "service": "search"},
)


class Room:
    """A real Alertmanager, possibly behind something that loses answers, and both halves of the executor."""

    def __init__(self, server: Alertmanager, session: aiohttp.ClientSession, url: str | None = None) -> None:
        self.server = server
        self.session = session
        target = AlertmanagerTarget.model_validate(
            {"url": url or server.url, "timeout": timedelta(seconds=2)}
        )
        self.inspector = AlertmanagerInspector(target, session=session, clock=SystemClock())
        self.executor = AlertmanagerExecutor(target, session=session, clock=SystemClock())

    async def fire(self, *labels: Mapping[str, str]) -> None:
        now = datetime.now(UTC)
        document = [
            {
                "labels": dict(one),
                "startsAt": now.isoformat(),
                "endsAt": (now + timedelta(hours=1)).isoformat(),
            }
            for one in labels
        ]
        async with self.session.post(f"{self.server.url}/api/v2/alerts", json=document) as response:
            assert response.status == 200
        async with asyncio.timeout(5):
            while len(await self.read("alerts")) < len(labels):
                await asyncio.sleep(0.02)

    async def read(self, what: str) -> list[dict[str, object]]:
        async with self.session.get(f"{self.server.url}/api/v2/{what}") as response:
            return await response.json()

    async def silence(self, action: Action, key: str = "key-1") -> ExecutionResult:
        return await self.executor.run(action, await self.inspector.locate(action), key)


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    binary("prometheus-alertmanager")
    async with Alertmanager(webhook="http://127.0.0.1:9/none") as server, aiohttp.ClientSession() as session:
        yield Room(server, session)


def silence(matchers: str = "service=checkout", **changes: ParamValue) -> Action:
    params: dict[str, ParamValue] = {
        "matchers": matchers,
        "duration_minutes": 30,
        "comment": "known, being mended",
    }
    return Action(name="alertmanager.silence", executor="alertmanager", params={**params, **changes})


def expire(silence_id: str) -> Action:
    return Action(
        name="alertmanager.expire_silence", executor="alertmanager", params={"silence_id": silence_id}
    )


def silence_id(result: ExecutionResult) -> str:
    assert result.new_uid is not None
    return result.new_uid.partition("@")[0]


async def test_the_target_counts_what_would_be_silent(room: Room) -> None:
    await room.fire(CHECKOUT, *OTHERS)
    target = await room.inspector.locate(silence("service=checkout,alertname=HighErrorRate"))
    assert (target.kind, target.name) == ("silence", "alertname=HighErrorRate,service=checkout")
    assert target.blast_radius == 2
    assert target.labels == {"alertname": "HighErrorRate", "service": "checkout"}
    again = await room.inspector.locate(silence("alertname=HighErrorRate,service=checkout"))
    assert again.uid == target.uid, "the order in which labels are named makes no difference"


async def test_a_silence_is_made_and_verified(room: Room) -> None:
    await room.fire(CHECKOUT, *OTHERS)
    action = silence()
    target = await room.inspector.locate(action)
    dry_run = await room.inspector.dry_run(action, target)
    assert dry_run.ok, dry_run
    assert "2 firing (HighErrorRate), 2 of them not suppressed yet" in dry_run.summary
    assert await room.read("silences") == [], "a dry run makes nothing"
    result = await room.executor.run(action, target, "key-1")
    assert result.ok, result
    (made,) = await room.read("silences")
    assert made["id"] == silence_id(result)
    assert made["createdBy"] == "assent"
    assert made["comment"] == "known, being mended [assent:key-1]"
    ends = datetime.fromisoformat(str(made["endsAt"]))
    assert abs(ends - datetime.now(UTC) - timedelta(minutes=30)) < timedelta(seconds=10)
    checks = await room.inspector.check(action, target, result)
    assert {check.name: check.ok for check in checks} == {"silence": True, "suppressed": True}
    assert "2 of 2" in checks[1].detail
    states = {a["labels"]["service"]: a["status"]["state"] for a in await room.read("alerts")}  # type: ignore[index]
    assert states["checkout"] == "suppressed"
    assert states["search"] != "suppressed"


async def test_one_key_makes_one_silence_even_after_it_ended(room: Room) -> None:
    await room.fire(CHECKOUT, *OTHERS)
    first = await room.silence(silence())
    second = await room.silence(silence())
    assert second.ok
    assert second.new_uid == first.new_uid
    assert "was made already" in second.summary
    ended = await room.silence(expire(silence_id(first)), "key-2")
    assert ended.ok
    third = await room.silence(silence())
    assert silence_id(third) == silence_id(first)
    assert len(await room.read("silences")) == 1


async def test_ending_a_silence_lets_alerts_speak_again(room: Room) -> None:
    await room.fire(CHECKOUT, *OTHERS)
    made = await room.silence(silence())
    action = expire(silence_id(made))
    target = await room.inspector.locate(action)
    assert (target.name, target.blast_radius) == ("service=checkout", 2)
    dry_run = await room.inspector.dry_run(action, target)
    assert dry_run.ok
    assert "2 alerts speak again" in dry_run.summary
    result = await room.executor.run(action, target, "key-2")
    assert result.ok, result
    (check,) = await room.inspector.check(action, target, result)
    assert check.ok, check
    assert all(alert["status"]["state"] != "suppressed" for alert in await room.read("alerts"))  # type: ignore[index]
    assert not (await room.inspector.dry_run(action, target)).ok
    again = await room.executor.run(action, target, "key-2")
    assert again.ok
    assert "ended already" in again.summary


async def test_a_silence_that_was_edited_since_is_not_ended(room: Room) -> None:
    await room.fire(CHECKOUT)
    made = await room.silence(silence())
    action = expire(silence_id(made))
    target = await room.inspector.locate(action)
    (stored,) = await room.read("silences")
    stored["comment"] = "edited by somebody"
    body = {k: v for k, v in stored.items() if k not in ("status", "updatedAt")}
    async with room.session.post(f"{room.server.url}/api/v2/silences", json=body) as response:
        assert response.status == 200
    assert not (await room.inspector.dry_run(action, target)).ok
    result = await room.executor.run(action, target, "key-2")
    assert not result.ok
    assert "target changed" in result.summary
    (stored,) = await room.read("silences")
    assert stored["status"] == {"state": "active"}


async def test_other_matchers_than_the_approved_ones_are_refused(room: Room) -> None:
    target = await room.inspector.locate(silence("service=checkout"))
    result = await room.executor.run(silence("service=bank"), target, "key-1")
    assert not result.ok
    assert await room.read("silences") == []
    assert not (await room.inspector.dry_run(silence("service=bank"), target)).ok


async def test_a_silence_of_everything_that_fires_is_too_broad(room: Room) -> None:
    await room.fire({**CHECKOUT, "cluster": "x"}, {"alertname": "DiskFull", "cluster": "x"})
    action = silence("cluster=x")
    dry_run = await room.inspector.dry_run(action, await room.inspector.locate(action))
    assert not dry_run.ok
    assert "too broad: all 2 firing alerts match" in dry_run.summary


async def test_a_silence_of_more_than_a_hundred_alerts_is_too_broad(room: Room) -> None:
    await room.fire(*({**CHECKOUT, "instance": str(number)} for number in range(101)), OTHERS[1])
    action = silence()
    dry_run = await room.inspector.dry_run(action, await room.inspector.locate(action))
    assert not dry_run.ok
    assert "too broad: 101 firing alerts match" in dry_run.summary


async def test_a_silence_that_matches_nothing_says_so(room: Room) -> None:
    action = silence("service=nowhere")
    target = await room.inspector.locate(action)
    assert target.blast_radius == 0
    assert "no firing alert matches now" in (await room.inspector.dry_run(action, target)).summary


async def test_verification_notices_a_silence_that_is_gone(room: Room) -> None:
    await room.fire(CHECKOUT, *OTHERS)
    action = silence()
    target = await room.inspector.locate(action)
    result = await room.executor.run(action, target, "key-1")
    await room.silence(expire(silence_id(result)), "key-2")
    checks = {check.name: check.ok for check in await room.inspector.check(action, target, result)}
    assert checks == {"silence": False, "suppressed": False}
    failed = replace(result, new_uid=None)
    assert [check.ok for check in await room.inspector.check(action, target, failed)] == [False]


async def test_an_unknown_silence_cannot_be_ended(room: Room) -> None:
    unknown = "00000000-0000-0000-0000-000000000000"
    with pytest.raises(InputError, match=f"knows no silence {unknown}"):
        await room.inspector.locate(expire(unknown))
    for text in ("../silences", "x"):
        with pytest.raises(InputError, match="a UUID"):
            await room.inspector.locate(expire(text))


async def test_the_hints_for_people_work(room: Room) -> None:
    await room.fire(CHECKOUT, *OTHERS)
    action = silence("service=checkout,alertname=HighErrorRate", comment="it's known; $(touch x)")
    tool = binary("amtool")
    command = room.inspector.human_command(action)
    made = await asyncio.to_thread(
        subprocess.run,
        ["/bin/sh", "-c", command.replace("amtool", tool, 1) + " --author=assent"],
        capture_output=True,
        text=True,
        check=True,
    )
    (stored,) = await room.read("silences")
    assert made.stdout.strip() == stored["id"]
    assert stored["comment"] == "it's known; $(touch x)"
    hint = room.inspector.inspect_hint(action, await room.inspector.locate(action)).partition(" (")[0]
    shown = await asyncio.to_thread(
        subprocess.run, ["/bin/sh", "-c", hint], capture_output=True, text=True, check=True
    )
    assert str(stored["id"])[:8] in shown.stdout


@pytest.mark.parametrize(
    "text",
    [
        "",
        "service",
        "service=",
        "=x",
        "service=~.*",
        "service!=x",
        "a=1,a=2",
        "a=1,,b=2",
        "ser vice=x",
        "a=1,",
    ],
)
def test_matchers_that_are_no_pairs_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="parameter matchers"):
        Matchers.parse(text)


# -- when Alertmanager is away, or its answer is ------------------------------------------------------------


async def test_an_alertmanager_that_is_down_is_told_and_nothing_is_done(room: Room) -> None:
    target = await room.inspector.locate(silence())
    await room.server.stop()
    with pytest.raises(Unavailable, match="alertmanager"):
        await room.inspector.locate(silence())
    result = await room.executor.run(silence(), target, "key-1")
    assert not result.ok
    assert "nothing was done" in result.summary
    unseen = replace(result, new_uid="00000000-0000-0000-0000-000000000000@t")
    assert [check.ok for check in await room.inspector.check(silence(), target, unseen)] == [None]


class Losing:
    """Passes requests on; loses what ``loses`` says, before or after Alertmanager has seen it."""

    def __init__(self, behind: str, session: aiohttp.ClientSession) -> None:
        self.behind, self._session = behind, session
        self.loses: Sequence[str] = ()
        self.passes_on_first = True
        self.authorization: list[str | None] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.authorization.append(request.headers.get("Authorization"))
        lost = request.method in self.loses
        if lost and not self.passes_on_first:
            raise web.HTTPBadGateway
        async with self._session.request(
            request.method,
            self.behind + request.path_qs,
            data=await request.read(),
            headers={"Content-Type": "application/json"},
        ) as response:
            body = await response.read()
            if lost:
                assert request.transport is not None
                request.transport.abort()
            return web.Response(status=response.status, body=body, content_type="application/json")


@pytest.fixture
async def losing(room: Room) -> AsyncIterator[tuple[Losing, Room]]:
    losing = Losing(room.server.url, room.session)
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", losing.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield losing, Room(room.server, room.session, f"http://127.0.0.1:{runner.addresses[0][1]}")
    await runner.cleanup()


async def test_a_lost_answer_is_cleared_up_by_looking(losing: tuple[Losing, Room]) -> None:
    way, room = losing
    target = await room.inspector.locate(silence())
    way.loses = ("POST",)
    result = await room.executor.run(silence(), target, "key-1")
    assert result.ok, result
    assert "though the answer was lost" in result.summary
    assert len(await room.read("silences")) == 1


async def test_a_request_of_which_nobody_knows_is_unknown_and_not_a_failure(
    losing: tuple[Losing, Room],
) -> None:
    way, room = losing
    target = await room.inspector.locate(silence())
    way.loses, way.passes_on_first = ("POST",), False
    with pytest.raises(Unavailable, match="HTTP 502"):
        await room.executor.run(silence(), target, "key-1")


async def test_credentials_are_sent_and_never_told(losing: tuple[Losing, Room]) -> None:
    way, room = losing
    for auth, sent in (
        ({"bearer": "canary-token"}, "Bearer canary-token"),
        ({"basic": {"username": "u", "password": "p"}}, "Basic dTpw"),
    ):
        target = AlertmanagerTarget.model_validate({"url": room.inspector._api.url, "auth": auth})
        inspector = AlertmanagerInspector(target, session=room.session, clock=SystemClock())
        await inspector.locate(silence())
        assert way.authorization[-1] == sent
        way.loses, way.passes_on_first = ("GET",), False
        with pytest.raises(Unavailable) as caught:
            await inspector.locate(silence())
        assert "canary" not in str(caught.value)
        way.loses = ()


async def test_a_refusal_by_alertmanager_is_a_failure_with_its_reason(room: Room) -> None:
    action = silence(duration_minutes=0)
    result = await room.silence(action)
    assert not result.ok
    assert "HTTP 400" in result.summary
    assert await room.read("silences") == []


async def test_a_persons_own_silence_of_any_kind_can_be_ended(room: Room) -> None:
    await room.fire(CHECKOUT, *OTHERS)
    now = datetime.now(UTC)
    body = {
        "matchers": [
            {"name": "service", "value": "check.*", "isRegex": True, "isEqual": True},
            {"name": "instance", "value": "b", "isRegex": False, "isEqual": False},
        ],
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(hours=1)).isoformat(),
        "createdBy": "ana",
        "comment": "by hand",
    }
    async with room.session.post(f"{room.server.url}/api/v2/silences", json=body) as response:
        made = (await response.json())["silenceID"]
    target = await room.inspector.locate(expire(made))
    assert (target.name, target.blast_radius) == ("instance!=b,service=~check.*", 1)
    assert target.labels == {}
    assert (await room.executor.run(expire(made), target, "key-1")).ok
