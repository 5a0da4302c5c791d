"""What is left when everything has come to rest, and what must hold of it whatever was killed."""

from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from adapters.anchors import FileAnchors
from adapters.storage import open_ledger
from adapters.storage.codec import Codec
from bot.app.acting import load_keys
from bot.domain.chat import Delivery
from bot.workflow.proving import prove_ledger
from config.loader import loads
from tests.crash.world import World
from tests.fakes.room import RoomMessage, as_text

_LENGTHS = re.compile(r"\b\d+[dhms]\b")


class Aftermath:
    """Reads the rows, the room, the target and the ledger of a world in which nothing runs any more."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.messages: Sequence[RoomMessage] = world.room.bot_messages()
        self.private: Sequence[RoomMessage] = world.room.private()
        self.runs = world.target.runs()
        self._db = sqlite3.connect(world.database, isolation_level=None, timeout=0)
        self._db.row_factory = sqlite3.Row

    def close(self) -> None:
        self._db.close()

    def rows(self, table: str) -> list[sqlite3.Row]:
        return self._db.execute(f"SELECT * FROM {table} ORDER BY rowid").fetchall()

    def bodies(self, table: str) -> list[dict[str, Any]]:
        return [json.loads(row["body"]) for row in self.rows(table)]

    def states(self, table: str) -> list[str]:
        return [row["state"] for row in self.rows(table)]

    def count(self, table: str) -> int:
        return len(self.rows(table))

    @cached_property
    def tags(self) -> Counter[str]:
        """How often the ledger tells what."""
        return Counter(json.loads(row["body"])["tag"] for row in self.rows("ledger"))

    def told_at(self, tag: str) -> list[datetime]:
        """When the ledger recorded entries of a tag: what the clock said then, whatever the rows say."""
        entries = [json.loads(row["body"]) for row in self.rows("ledger")]
        return [datetime.fromisoformat(entry["at"]) for entry in entries if entry["tag"] == tag]

    def up_since(self, moment: datetime) -> datetime:
        """When a service first was ready for good at or after a moment: the start of the life that saw it,
        or the first start afterwards."""
        starts = [
            datetime.fromisoformat(str(ready["at"]))
            for life in self.world.lives
            if (ready := life.ready()) is not None
        ]
        later = [start for start in starts if start >= moment]
        return later[-1] if later else starts[-1]

    # -- what holds for every scenario --------------------------------------------------------------------

    async def check(self) -> None:
        self._database_is_sound()
        self._no_part_broke()
        self._accepted_alerts_are_there_once()
        self._nothing_is_said_twice()
        self._room_shows_what_the_rows_say()
        self._executions_match_the_target()
        self._unknown_is_told()
        self._ledger_tells_what_the_rows_say()
        await self._ledger_verifies()

    def _database_is_sound(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute("ROLLBACK")
        assert [row[0] for row in self._db.execute("PRAGMA integrity_check")] == ["ok"]
        assert self._db.execute("PRAGMA foreign_key_check").fetchall() == []

    def _no_part_broke(self) -> None:
        for life in self.world.lives:
            errors = life.order.file("errors")
            assert not errors.exists(), errors.read_text()
            ready = life.ready()
            problem = ready["ledger_problem"] if ready is not None else None
            assert problem is None, f"life {life.order.life} refused to execute: {problem}"

    def _accepted_alerts_are_there_once(self) -> None:
        stored = Counter((row["fingerprint"], row["status"]) for row in self.rows("alerts"))
        for alert in self.world.accepted:
            key = (alert["fingerprint"], alert["status"])
            assert stored[key] == 1, f"alert {key} is stored {stored[key]} times"
        for row in self.rows("alerts"):
            assert row["placed"] == 1
            assert row["incident_id"] is not None, f"alert {row['fingerprint']} is in no incident"

    def _nothing_is_said_twice(self) -> None:
        roots = [m for m in self.messages if m.thread is None]
        assert len(roots) == self.count("incidents"), [m.text for m in roots]
        said = Counter((m.thread, _purpose(m)) for m in self.messages)
        said.update((m.sender, f"{_purpose(m)} {m.key}") for m in self.private)
        twice = [purpose for purpose, times in said.items() if times > 1]
        assert not twice, f"said twice: {twice}"
        cards = [m for m in self.messages if "Action: " in m.text]
        assert len(cards) == self.count("requests")

    def _room_shows_what_the_rows_say(self) -> None:
        codec = Codec()
        shown = {m.id: m for m in self.messages}
        wanted = {}
        for row in self.rows("outbox"):
            wanted[(row["incident_id"], row["room"], row["slot"])] = row["body"]
        for slot in self.rows("slots"):
            body = wanted[(slot["incident_id"], slot["room"], slot["slot"])]
            delivery = codec.decode(Delivery, body)
            message = shown[slot["message_id"]]
            assert message.text == as_text(delivery.message), f"{slot['slot']} shows something old"
            if slot["slot"].startswith("card:"):
                assert message.bot_reactions == (), "a settled card still invites reactions"
        assert len(self.rows("slots")) == len({*wanted} - {k for k in wanted if k[0] is None})

    def _executions_match_the_target(self) -> None:
        keys = {row["idempotency_key"]: row["state"] for row in self.rows("executions")}
        ran = Counter(self.runs)
        assert all(times == 1 for times in ran.values()), f"run twice: {ran}"
        assert set(ran) <= set(keys), "something ran that was never claimed"
        for key, state in keys.items():
            if state == "succeeded":
                assert ran[key] == 1
            else:
                assert state == "unknown", f"execution {state}"
        if "unknown" in keys.values():
            assert self._killed_in_doubt(), "an execution is of unknown outcome though nothing interrupted it"

    def _killed_in_doubt(self) -> bool:
        """Whether some life ended between a claim and its result."""
        for life in self.world.lives:
            crossed = life.crossings()
            if "before store.claim" in crossed and "after store.finish" not in crossed:
                return True
        return False

    def _unknown_is_told(self) -> None:
        for execution in self.rows("executions"):
            if execution["state"] != "unknown":
                continue
            told = [m for m in self.messages if "⚠️ Approved, outcome unknown" in m.text]
            card = [m for m in told if "Action: " in m.text]
            reply = [m for m in told if "Action: " not in m.text]
            assert len(card) == len(reply) == 1
            for message in (*card, *reply):
                assert "It will not be run again" in message.text
                assert "Look: cat cart/runs" in message.text

    def _ledger_tells_what_the_rows_say(self) -> None:
        claimed, finished = self.tags["execution:claimed"], self.tags["execution:finished"]
        states = Counter(self.states("executions"))
        assert claimed == self.count("executions")
        assert finished == states["succeeded"]
        assert self.tags["execution:unknown"] == states["unknown"]
        assert self.tags["incident:opened"] == self.count("incidents")
        assert self.tags["investigation:finished"] == self.count("diagnoses")
        assert self.tags["proposal:created"] == self.count("proposals")
        assert self.tags["request:opened"] == self.count("requests")
        assert self.tags["review:recorded"] == self.count("reviews")
        assert self.tags["outcome:verified"] == self.count("outcomes")
        assert self.tags["question:asked"] == self.count("questions")
        assert self.tags["question:ended"] == self.states("questions").count("answered")
        assert self.tags["action:wished"] == self.tags["action:wish_ended"] == self.count("wishes")
        assert self.tags["notification:sent"] == self.count("outbox")

    async def _ledger_verifies(self) -> None:
        directory = self.world.directory
        config = loads((directory / "assent.yaml").read_text(), {}, base=directory)
        assert config.ledger.anchor_file is not None
        async with open_ledger(self.world.database) as rows:
            proof = await prove_ledger(
                rows, load_keys(config).verifier, FileAnchors(config.ledger.anchor_file)
            )
        assert proof.report.ok, proof.report.problem
        assert proof.report.entries == self.count("ledger")
        assert proof.anchors >= 1

    # -- for scenarios --------------------------------------------------------------------------------------

    def ran_once_or_is_unknown(self) -> None:
        """One approved execution: done and verified, or interrupted and never tried again."""
        assert self.states("requests") == ["approved"]
        [state] = self.states("executions")
        if state == "succeeded":
            assert len(self.runs) == 1
            assert [body["verdict"] for body in self.bodies("outcomes") if body["last"]] == ["verified"]
            assert any("✔ Approved, run, verified" in m.text for m in self.messages)
        assert len(self.runs) <= 1

    def nothing_ran(self) -> None:
        assert self.runs == []
        assert self.count("executions") == 0
        assert self.tags["execution:claimed"] == 0


def _purpose(message: RoomMessage) -> str:
    """What a message is for, whatever its key: its first line without the lengths of time in it."""
    return _LENGTHS.sub("", message.text.splitlines()[0])
