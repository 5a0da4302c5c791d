"""What somebody with access to the database file, the chat server or an old key can do: nothing gets run."""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.keys import generate_signing_key, load_signer
from approvals.model import Identity, Means, RequestState, Review, ReviewVerdict
from approvals.ports import Signer
from approvals.statement import sign_approval, sign_review
from bot.domain.ids import PersonId, RequestId, ReviewId
from tests.bot.app.conftest import ANA, BEN, World, alert


async def tamper(world: World, *statements: tuple[str, Sequence[object]]) -> list[tuple[Any, ...]]:
    """Run statements on the database file beside the service; returns the rows of the last one.

    In a thread: the service lives on this event loop and may be in the middle of a transaction.
    """

    def work() -> list[tuple[Any, ...]]:
        db = sqlite3.connect(world.directory / "data" / "assent.db", isolation_level=None, timeout=10)
        try:
            found: list[tuple[Any, ...]] = []
            for sql, values in statements:
                found = db.execute(sql, values).fetchall()
            return found
        finally:
            db.close()

    return await asyncio.to_thread(work)


def database(world: World) -> sqlite3.Connection:
    """For attacks while the service does not run."""
    return sqlite3.connect(world.directory / "data" / "assent.db", isolation_level=None, timeout=10)


def without_triggers(db: sqlite3.Connection) -> None:
    """Whoever can write the file can drop the triggers that protect it."""
    for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        db.execute(f"DROP TRIGGER {name}")


async def settled(world: World) -> None:
    """Everything sent before this has been handled: the bot answers in order."""
    marker = world.room.command("status", BEN)
    await world.room.until(lambda ms: any(m.thread == marker for m in ms))


async def test_a_proposal_altered_in_the_database_is_not_approved(world: World) -> None:
    async with world.running():
        await world.send(alert())
        card = await world.card()
        ((stored,),) = await tamper(world, ("SELECT canonical_bytes FROM proposals", ()))
        altered = stored.replace(b"cart", b"bank")
        await tamper(world, ("UPDATE proposals SET canonical_bytes = ?", (altered,)))
        world.room.react(card.id, "✅", ANA)
        await settled(world)
        assert any("tampered" in message.text for message in world.room.private())
    assert world.target.runs() == []


async def test_a_request_altered_in_the_database_is_not_approved(world: World) -> None:
    async with world.running():
        await world.send(alert(severity="critical"))
        card = await world.card()
        ((body,),) = await tamper(world, ("SELECT body FROM requests", ()))
        document = json.loads(body)
        document["requirement"]["count"] = 1
        await tamper(world, ("UPDATE requests SET body = ?", (json.dumps(document),)))
        world.room.react(card.id, "✅", ANA)
        await settled(world)
    assert world.target.runs() == []


async def test_an_approval_row_inserted_by_hand_opens_nothing(world: World) -> None:
    async with world.running():
        await world.send(alert())
        await world.card()
        ((request_id, body),) = await tamper(world, ("SELECT id, body FROM requests", ()))
        approved = json.dumps({**json.loads(body), "state": "approved"})
        await tamper(
            world,
            ("UPDATE requests SET state = 'approved', body = ?", (approved,)),
            (
                "INSERT INTO approvals (request_id, added_at, envelope) VALUES (?, ?, ?)",
                (request_id, "2026-11-21T00:00:00.000000Z", b'{"payload": "", "signatures": []}'),
            ),
        )
        assert world.app is not None
        await world.app.gate.open(RequestId(request_id))
        await settled(world)
    assert world.target.runs() == []


async def test_an_approval_signed_by_another_key_opens_nothing(world: World) -> None:
    async with world.running() as app:
        await world.send(alert())
        await world.card()
        await forge(world, load_signer(generate_signing_key()))
        refusal = await app.gate.open(await only_request(world))
        assert getattr(refusal, "check", None) == 3
    assert world.target.runs() == []


async def test_a_review_signed_by_another_key_does_not_count_towards_the_quorum(world: World) -> None:
    """The approval itself is signed by the right key, as if the quorum had once been counted wrongly."""
    async with world.running() as app:
        await world.send(alert())
        await world.card()
        own = load_signer(world.key_file.read_text())
        await forge(world, own, review_signer=load_signer(generate_signing_key()))
        refusal = await app.gate.open(await only_request(world))
        assert getattr(refusal, "check", None) == 5
    assert world.target.runs() == []


async def only_request(world: World) -> RequestId:
    ((request_id,),) = await tamper(world, ("SELECT id FROM requests", ()))
    return RequestId(request_id)


async def forge(world: World, signer: Signer, review_signer: Signer | None = None) -> None:
    """Approve the open request in the rows, with envelopes by ``signer``."""
    assert world.app is not None
    request_id = await only_request(world)
    async with world.app.store.transaction() as tx:
        request = await tx.request(request_id)
        assert request is not None
        proposal = await tx.proposal(request.proposal_id)
        assert proposal is not None
        now = datetime.now(UTC)
        review = Review(
            id=ReviewId("rev_forged"),
            request_id=request.id,
            reviewer=PersonId("ana"),
            identity=Identity(platform="matrix", user_id=ANA),
            verdict=ReviewVerdict.APPROVE,
            means=Means.REACTION,
            platform_event_id="$forged",
            at=now,
        )
        signed = replace(review, envelope=sign_review(review_signer or signer, review, request))
        await tx.add_review(signed)
        await tx.save_request(replace(request, state=RequestState.APPROVED, ended_at=now))
        await tx.add_approval(request.id, sign_approval(signer, request, proposal, [signed], now))


async def test_an_approval_is_used_once_however_often_the_gate_is_asked(world: World) -> None:
    async with world.running() as app:
        await world.send(alert())
        card = await world.card()
        world.room.react(card.id, "✅", ANA)
        await world.says("Done")
        request = await only_request(world)
        for _ in range(3):
            answer = await app.gate.open(request)
            assert getattr(answer, "check", None) == 9
    assert len(world.target.runs()) == 1


async def test_two_approvals_racing_run_the_action_once(world: World) -> None:
    async with world.running():
        await world.send(alert())
        card = await world.card()
        world.room.react(card.id, "✅", ANA)
        world.room.react(card.id, "✅", BEN)
        world.room.command("approve", ANA, card.thread)
        await world.says("Done")
        await settled(world)
    assert len(world.target.runs()) == 1


def edited(db: sqlite3.Connection) -> None:
    ((body,),) = db.execute("SELECT body FROM ledger WHERE seq = 3").fetchall()
    changed = bytes(body).replace(b'"incident_id":"inc_', b'"incident_id":"inc-')
    assert changed != bytes(body)
    db.execute("UPDATE ledger SET body = ? WHERE seq = 3", (changed,))


def deleted(db: sqlite3.Connection) -> None:
    db.execute("DELETE FROM ledger WHERE seq = 3")


def reordered(db: sqlite3.Connection) -> None:
    db.execute("UPDATE ledger SET seq = -1 WHERE seq = 3")
    db.execute("UPDATE ledger SET seq = 3 WHERE seq = 4")
    db.execute("UPDATE ledger SET seq = 4 WHERE seq = -1")


def truncated(db: sqlite3.Connection) -> None:
    db.execute("DELETE FROM ledger WHERE seq > 2")
    db.execute("DELETE FROM checkpoints")


@pytest.mark.parametrize("attack", [edited, deleted, reordered, truncated])
async def test_with_a_tampered_ledger_the_service_shows_it_and_executes_nothing(
    world: World, attack: Callable[[sqlite3.Connection], None]
) -> None:
    async with world.running():
        await world.send(alert())
        card = await world.card()
    db = database(world)
    without_triggers(db)
    attack(db)
    db.close()
    async with world.running() as app:
        assert "assent_ledger_ok 0.0" in app.metrics.render().decode()
        world.room.react(card.id, "✅", ANA)
        await world.says("the ledger is not intact")
        world.room.command("status", ANA)
        await world.says("Ledger: BROKEN")
    assert world.target.runs() == []


async def test_a_ledger_cut_off_while_the_service_runs_stops_the_gate(world: World) -> None:
    async with world.running():
        await world.send(alert())
        card = await world.card()
        triggers = await tamper(world, ("SELECT name FROM sqlite_master WHERE type = 'trigger'", ()))
        await tamper(
            world,
            *((f"DROP TRIGGER {name}", ()) for (name,) in triggers),
            ("DELETE FROM ledger WHERE seq = (SELECT max(seq) FROM ledger)", ()),
        )
        world.room.react(card.id, "✅", ANA)
        await settled(world)
    assert world.target.runs() == []


class SetBack:
    """The machine's clock, which somebody may set back."""

    def __init__(self) -> None:
        self.by = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) - self.by


async def test_setting_the_clock_back_gives_an_expired_request_no_more_time(world: World) -> None:
    clock = SetBack()
    world.clock = clock
    world.extra = "approval: {timeout_low: 1s, timeout_medium: 1s, timeout_high: 1s}\n"
    async with world.running():
        await world.send(alert())
        card = await world.card()
        await world.says("Expired")
    clock.by = timedelta(hours=2)
    async with world.running():
        world.room.react(card.id, "✅", ANA)
        await settled(world)
    assert world.target.runs() == []


async def test_an_approval_that_would_need_command_strength_is_refused_as_a_reaction(world: World) -> None:
    world.inspector.labels = {"criticality": "critical", "environment": "production"}
    world.extra = "policy: {writable_environments: [production]}\n"
    async with world.running():
        await world.send(alert())
        card = await world.card()
        assert "A reaction is not enough" in card.text
        world.room.react(card.id, "✅", ANA)
        await settled(world)
        assert any("Approve with the command" in message.text for message in world.room.private())
        assert world.target.runs() == []
