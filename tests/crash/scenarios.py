"""What people and senders do while the service is killed under them, and what must come of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

from tests.bot.app.conftest import ANA, BEN, EVE
from tests.crash.aftermath import Aftermath
from tests.crash.boundaries import Kill
from tests.crash.world import World, alert


class Scenario:
    """The plain path, which the others change: one alert, one card."""

    name = ""
    first_kill: Kill | None = None
    """Where the first life always ends; drawn kills come in the lives after it."""
    extra = ""
    suggests: str | None = "cart"

    async def play(self, world: World) -> None:
        """Do what people do, until there is nothing more to wait for."""
        raise AssertionError(f"{self.name} does nothing")

    def check(self, after: Aftermath) -> None:
        """What must have come of it, beyond what holds for every scenario."""


async def _run_and_resolve(world: World) -> None:
    """After the approval: see it done, or see that nobody knows; then the alert goes away."""
    told = await world.sees(lambda ms: any(_ran(m.text) for m in ms))
    if any("outcome unknown" in m.text for m in told):
        await world.root_says("⚠️ outcome unknown")
        await world.card_says("⚠️ Approved, outcome unknown")
    await world.deliver(alert(status="resolved"), status="resolved")
    await world.root_says("✔ resolved")


def _ran(text: str) -> bool:
    return text.startswith(("⚙️ Done", "⚠️ Approved, outcome unknown")) and "Action:" not in text


class Approved(Scenario):
    """Alert → card → ✅ → run → verified → resolved."""

    name = "approved"

    async def play(self, world: World) -> None:
        await world.deliver(alert())
        card = await world.card()
        world.room.react(card.id, "✅", ANA)
        await _run_and_resolve(world)

    def check(self, after: Aftermath) -> None:
        after.ran_once_or_is_unknown()
        assert after.states("incidents") == ["resolved"]
        assert after.count("reviews") == 1


class ApprovedWhileDead(Approved):
    """The bot is killed with its card in the room, and the reaction comes while it is dead."""

    name = "approved while dead"

    async def play(self, world: World) -> None:
        await world.deliver(alert())
        card = await world.card()
        await world.kill_and_keep_dead()
        world.room.react(card.id, "✅", ANA)
        world.revive()
        await _run_and_resolve(world)


class CardNotOnRecord(Approved):
    """Killed when the card is in the room and not yet on record; the reaction comes while it is dead."""

    name = "card not on record"
    first_kill = Kill(name="after chat.post_card", nth=1)

    async def play(self, world: World) -> None:
        await world.stay_dead_after_first_kill()
        await world.deliver(alert())
        card = await world.card()
        world.room.react(card.id, "✅", ANA)
        world.revive()
        await _run_and_resolve(world)


class Interrupted(Approved):
    """Killed when the action has run and nobody has written that down: it must never run again."""

    name = "interrupted"
    first_kill = Kill(name="after the effect", nth=1)

    def check(self, after: Aftermath) -> None:
        super().check(after)
        assert after.states("executions") == ["unknown"]
        assert len(after.runs) == 1


class WithdrawnWhileDead(Scenario):
    """Approved and taken back while the bot is dead, then rejected by somebody else."""

    name = "withdrawn while dead"

    async def play(self, world: World) -> None:
        await world.deliver(alert())
        card = await world.card()
        await world.kill_and_keep_dead()
        world.room.take_back(world.room.react(card.id, "✅", ANA), ANA)
        world.revive()
        await world.settled()
        world.room.react(card.id, "❌", BEN)
        await world.says("nothing was executed")

    def check(self, after: Aftermath) -> None:
        after.nothing_ran()
        assert after.states("requests") == ["rejected"]
        assert [row["reviewer"] for row in after.rows("reviews")] == ["ben"]


class Rejected(Scenario):
    """❌, and somebody's ✅ that comes too late."""

    name = "rejected"

    async def play(self, world: World) -> None:
        await world.deliver(alert())
        card = await world.card()
        world.room.react(card.id, "❌", BEN)
        await world.says("nothing was executed")
        world.room.react(card.id, "✅", ANA)
        await world.settled()
        await world.deliver(alert(status="resolved"), status="resolved")
        await world.root_says("✔ resolved")

    def check(self, after: Aftermath) -> None:
        after.nothing_ran()
        assert after.states("requests") == ["rejected"]
        assert len(after.private) == 1


class Expired(Scenario):
    """Nobody decides in time; a reminder on the way; a ✅ after the end."""

    name = "expired"
    timeout = timedelta(milliseconds=1200)
    extra = "approval: {timeout_low: 1200ms, timeout_medium: 1200ms, reminders: [50]}\n"

    async def play(self, world: World) -> None:
        await world.deliver(alert())
        card = await world.card()
        await world.says("nothing was executed")
        world.room.react(card.id, "✅", ANA)
        await world.settled()

    def check(self, after: Aftermath) -> None:
        after.nothing_ran()
        assert after.states("requests") == ["expired"]
        assert after.states("incidents") == ["expired"]
        [request] = after.bodies("requests")
        created, expires = (datetime.fromisoformat(request[name]) for name in ("created_at", "expires_at"))
        [ended] = after.told_at("request:ended")
        assert expires - created == self.timeout
        assert ended >= expires, f"expired {expires - ended} early"
        awake = max(expires, after.up_since(expires))
        assert ended - awake < timedelta(seconds=3), f"expired {ended - awake} late"
        assert len(after.private) == 1


class TwoApprovers(Scenario):
    """A critical incident: one voice is taken back, two others count."""

    name = "two approvers"

    async def play(self, world: World) -> None:
        await world.deliver(alert(severity="critical"))
        card = await world.card()
        first = world.room.react(card.id, "✅", ANA)
        await world.card_says("ana by reaction")
        world.room.take_back(first, ANA)
        await world.sees(lambda ms: not any("ana by reaction" in m.text for m in ms))
        world.room.react(card.id, "✅", BEN)
        await world.card_says("ben by reaction")
        world.room.react(card.id, "✅", ANA)
        await _run_and_resolve(world)

    def check(self, after: Aftermath) -> None:
        after.ran_once_or_is_unknown()
        assert [row["reviewer"] for row in after.rows("reviews")] == ["ana", "ben", "ana"]
        assert [row["withdrawn_at"] is not None for row in after.rows("reviews")] == [True, False, False]


class Paused(Scenario):
    """The kill switch is thrown under a posted card, and the card is approved all the same."""

    name = "paused"

    async def play(self, world: World) -> None:
        await world.deliver(alert())
        card = await world.card()
        world.room.command("pause upgrading", ANA)
        await world.says("Execution paused")
        world.room.react(card.id, "✅", BEN)
        await world.says("execution is paused by ana")
        world.room.command("resume", ANA)
        await world.says("Execution resumed")

    def check(self, after: Aftermath) -> None:
        after.nothing_ran()
        assert after.states("requests") == ["cancelled"]
        assert after.tags["switch:turned"] == 2
        assert after.tags["gate:refused"] == 1
        [switch] = after.rows("switches")
        assert switch["paused"] == 0


class AskedAndProposed(Scenario):
    """A question; then the proposal is rejected, and somebody asks for the action once more."""

    name = "asked and proposed"

    async def play(self, world: World) -> None:
        await world.deliver(alert())
        card = await world.card()
        world.room.command("ask why does it leak?", EVE, card.thread)
        await world.says("Answer to eve")
        world.room.react(card.id, "❌", BEN)
        await world.says("nothing was executed")
        world.room.command("propose process.restart process=cart", ANA, card.thread)
        again = await world.card(beside=card)
        world.room.react(again.id, "✅", BEN)
        await _run_and_resolve(world)

    def check(self, after: Aftermath) -> None:
        assert after.states("requests") == ["rejected", "approved"]
        assert after.states("questions") == ["answered"]
        assert after.states("wishes") == ["proposed"]
        assert [row["reviewer"] for row in after.rows("reviews")] == ["ben", "ben"]
        assert after.states("incidents") == ["resolved"]
        assert len(after.runs) <= 1


class Burst(Scenario):
    """Thirty alerts in six groups at once, from senders that repeat until they are heard."""

    name = "burst"
    suggests = None
    groups = 6
    each = 5

    async def play(self, world: World) -> None:
        await asyncio.gather(*(self._group(world, group) for group in range(self.groups)))
        await world.sees(lambda ms: sum("✔ resolved" in m.text for m in ms if m.thread is None) == 3)

    async def _group(self, world: World, group: int) -> None:
        await world.deliver(*self._alerts(group, "firing", range(2)), group=f"g{group}")
        await world.deliver(*self._alerts(group, "firing", range(2, self.each)), group=f"g{group}")
        if group % 2:
            await world.deliver(*self._alerts(group, "resolved", range(self.each)), group=f"g{group}")

    def _alerts(self, group: int, status: str, numbers: range) -> list[Mapping[str, object]]:
        return [
            alert(f"Alert{group}", status=status, fingerprint=f"f{group}-{n}", service=f"s{group}")
            for n in numbers
        ]

    def check(self, after: Aftermath) -> None:
        after.nothing_ran()
        assert after.count("incidents") == self.groups
        assert sorted(after.states("incidents")) == ["inconclusive"] * 3 + ["resolved"] * 3
        assert after.count("diagnoses") == self.groups
        members = [row["incident_id"] for row in after.rows("members")]
        assert sorted(members.count(incident) for incident in set(members)) == [self.each] * self.groups


SCENARIOS: Mapping[str, type[Scenario]] = {
    scenario.name: scenario
    for scenario in (
        Approved,
        ApprovedWhileDead,
        CardNotOnRecord,
        WithdrawnWhileDead,
        Interrupted,
        Rejected,
        Expired,
        TwoApprovers,
        Paused,
        AskedAndProposed,
        Burst,
    )
}
