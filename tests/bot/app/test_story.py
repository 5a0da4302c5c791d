"""The whole path on the real service: alert, diagnosis, card, gesture, gate, effect, verification, ledger."""

from tests.bot.app.conftest import ANA, BEN, EVE, World, alert


async def test_an_approving_reaction_runs_the_action_exactly_once(world: World) -> None:
    async with world.running():
        await world.send(alert())
        card = await world.card()
        assert world.target.runs() == []
        assert sorted(card.bot_reactions) == ["✅", "❌"]
        world.room.react(card.id, "✅", ANA)
        await world.says("Done")
        await world.send(alert(status="resolved"))
        await world.root_says("resolved")
        assert len(world.target.runs()) == 1
        settled = await world.card()
        assert "ana" in settled.text
        assert settled.bot_reactions == ()
