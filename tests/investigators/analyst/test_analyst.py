"""What comes of an investigation with a model: by tier, by turn, by what it quotes, and when it fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from bot.domain.alert import AlertStatus, Severity
from bot.domain.diagnosis import Band, DiagnosisVerdict, ModelState, Origin
from bot.domain.incident import ModelChoice
from investigators.analyst.ports import (
    FailureKind,
    Limits,
    ModelFailure,
    Reply,
    Spending,
    Stop,
    Tier,
    Usage,
)
from investigators.ports import Case, Investigation
from tests.fakes.evidence import NOW
from tests.fakes.model import ScriptedModel, Turn, asked, said
from tests.investigators.analyst.world import (
    LOG_LINE,
    Server,
    Shop,
    Told,
    Wallet,
    answer,
    critic,
    envelopes,
    incident,
    is_critic,
    restart,
    shop,
    shown,
    tool,
)

METRIC = 'process_resident_memory_bytes{instance="box:8000"'
QUIET_LINE = "ERROR upstream refused the certificate of demo"


def quoting(*, metric: bool = True, log: bool = True, **more: Any) -> Callable[[Turn], Reply]:
    """Reads its metric and its log, then quotes them; the critic agrees."""

    def script(turn: Turn) -> Reply:
        if is_critic(turn):
            return critic()
        if turn.turn == 1 and turn.opening.tools:
            return asked(
                tool("metrics_range", "a", promql="process_resident_memory_bytes"),
                tool("logs_search", "b", service="demo"),
            )
        quotes = [(shown(turn, "max"), METRIC)] if metric else []
        quotes += [(shown(turn, "evicted"), LOG_LINE)] if log else []
        return answer(quotes, **more)

    return script


def leak_only_the_model_sees(**settings: Any) -> Shop:
    """The rules have no metric source, so they find nothing; the model may ask one."""
    made = shop(**settings)
    found = shop(found=False)

    class Blind(Shop):
        @property
        def rules(self) -> Any:
            return found.rules

    fields = {name: getattr(made, name) for name in made.__dataclass_fields__}
    return Blind(**fields)


def the_rules_diagnosis_stands(result: Investigation, rules: Investigation) -> None:
    """All of it but what became of the model."""
    plain = replace(result.diagnosis, model=None, cost=rules.diagnosis.cost, at=rules.diagnosis.at)
    assert plain == rules.diagnosis
    assert result.evidence[: len(rules.evidence)] == rules.evidence


async def test_known_and_warning_is_one_call_of_the_fast_model_without_tools() -> None:
    made = shop()

    def script(turn: Turn) -> Reply:
        return answer([(shown(turn, "max"), METRIC)])

    result, model = await made.investigate(script, incident(Severity.WARNING))
    assert [turn.opening.tier for turn in model.turns] == [Tier.FAST]
    assert model.turns[0].opening.tools == ()
    assert not model.turns[0].may_use_tools
    note = result.diagnosis.model
    assert note is not None
    assert note.state is ModelState.AGREED
    assert note.model == "scripted-fast"
    assert result.diagnosis.origin is Origin.RULES


@pytest.mark.parametrize("severity", [Severity.CRITICAL, Severity.UNKNOWN])
async def test_critical_and_unclassified_go_to_the_deep_model_at_once(severity: Severity) -> None:
    _, model = await shop().investigate(quoting(), incident(severity))
    assert {turn.opening.tier for turn in model.turns} == {Tier.DEEP}
    assert model.turns[0].opening.tools


async def test_what_the_rules_cannot_explain_goes_to_the_deep_model() -> None:
    made = shop(found=False, told=Told(QUIET_LINE))
    _, model = await made.investigate(lambda turn: answer(status="inconclusive"), incident(Severity.WARNING))
    assert {turn.opening.tier for turn in model.turns} == {Tier.DEEP}


@pytest.mark.parametrize(
    "first",
    [answer([("ev_none", "words that nobody wrote")]), said("I cannot do that"), answer([]), said("")],
    ids=["unverified", "prose", "no quotes", "nothing"],
)
async def test_an_answer_of_the_fast_model_that_does_not_stand_is_forgotten_for_the_deep_one(
    first: Reply,
) -> None:
    then = quoting()

    def script(turn: Turn) -> Reply:
        return first if turn.opening.tier is Tier.FAST else then(turn)

    result, model = await shop().investigate(script, incident(Severity.WARNING))
    assert [turn.opening.tier for turn in model.turns] == [Tier.FAST, Tier.DEEP, Tier.DEEP]
    assert model.turns[1].turn == 1
    assert "does not stand" not in model.turns[1].text
    assert result.diagnosis.model is not None
    assert result.diagnosis.model.state is ModelState.AGREED
    assert result.diagnosis.model.turns == 3


def routed(severity: Severity, choice: ModelChoice) -> Case:
    made = incident(severity)
    route = replace(made.incident.route, model=choice)
    return replace(made, incident=replace(made.incident, route=route))


async def test_a_route_may_say_which_model_is_asked() -> None:
    made = shop()
    result, model = await made.investigate(quoting(), routed(Severity.CRITICAL, ModelChoice.OFF))
    assert model.turns == []
    assert result.diagnosis.model is not None
    assert result.diagnosis.model.state is ModelState.SKIPPED
    assert "its route wants no model" in result.diagnosis.model.reason
    _, model = await made.investigate(quoting(), routed(Severity.WARNING, ModelChoice.DEEP))
    assert model.turns[0].opening.tier is Tier.DEEP
    _, model = await made.investigate(
        lambda turn: answer([(shown(turn, "max"), METRIC)]), routed(Severity.CRITICAL, ModelChoice.FAST)
    )
    assert model.turns[0].opening.tier is Tier.FAST


async def test_nothing_is_paid_for_an_incident_that_is_over() -> None:
    made, about = shop(), incident()
    over = replace(about.alerts[0], status=AlertStatus.RESOLVED, ends_at=NOW)
    result, model = await made.investigate(quoting(), replace(about, alerts=(over,)))
    assert model.turns == []
    assert result.diagnosis.model is not None
    assert "fires any more" in result.diagnosis.model.reason


async def test_the_evidence_it_read_is_kept_and_cited_and_its_price_is_known() -> None:
    result, model = await shop().investigate(quoting())
    ids = {item.id for item in result.evidence}
    assert len(ids) == len(result.evidence)
    quoted = [one for one in result.diagnosis.citations if one.quote]
    assert [one.outsider_writable for one in quoted] == [False, True]
    assert {one.evidence_id for one in quoted} <= ids
    assert result.diagnosis.cost.usd == Decimal("0.03")
    note = result.diagnosis.model
    assert note is not None
    assert (note.turns, note.tool_calls, note.tokens) == (3, 2, 330)
    assert len(model.turns) == 3


async def test_two_runs_of_the_same_are_the_same_to_the_byte() -> None:
    first, one = await shop().investigate(quoting(actions=[restart()]))
    second, other = await shop().investigate(quoting(actions=[restart()]))
    assert [(turn.text, turn.results) for turn in one.turns] == [(t.text, t.results) for t in other.turns]
    assert repr(first.diagnosis) == repr(second.diagnosis)
    assert [item.id for item in first.evidence] == [item.id for item in second.evidence]


async def test_the_system_prompt_and_the_tools_are_the_same_for_every_incident() -> None:
    _, one = await shop().investigate(quoting())
    _, other = await shop().investigate(quoting(), incident(service="demo", team="x"))
    assert one.turns[0].opening == other.turns[0].opening
    assert "demo" not in one.turns[0].opening.system


async def test_a_wrong_quote_may_be_mended_once() -> None:
    right = quoting()

    def script(turn: Turn) -> Reply:
        if is_critic(turn) or turn.turn == 1:
            return right(turn)
        if turn.turn == 2:
            return answer([(shown(turn, "max"), "memory is at 99 percent"), ("ev_x", "another thing there")])
        ids = [one["evidence_id"] for one in envelopes(model.turns[1])]
        return answer([(ids[0], METRIC)])

    made = shop()
    model = ScriptedModel(script)
    result = await made.analyst(model).investigate(incident())
    mending = model.turns[2]
    assert not mending.may_use_tools
    assert "evidence number 1: its text does not hold this quote" in mending.text
    assert "evidence number 2: no evidence with this id was shown" in mending.text
    assert "99 percent" not in mending.text
    assert result.diagnosis.model is not None
    assert result.diagnosis.model.state is ModelState.AGREED


async def test_an_answer_that_stays_wrong_is_shown_as_unverified_and_offers_nothing() -> None:
    made = leak_only_the_model_sees()
    wrong = answer([("ev_x", "words that nobody wrote")], actions=[restart()])
    result, model = await made.investigate(lambda turn: wrong)
    rules = await made.rules.investigate(incident())
    the_rules_diagnosis_stands(result, rules)
    note = result.diagnosis.model
    assert note is not None
    assert note.state is ModelState.UNVERIFIED
    assert "1 of 1 quotes" in note.reason
    assert "its cache never evicts" in note.said
    assert result.diagnosis.suggestion is None
    assert len(model.turns) == 2


async def test_a_cause_that_only_the_model_saw_leads_with_its_quotes_and_its_action() -> None:
    made = leak_only_the_model_sees()
    result, _ = await made.investigate(quoting(actions=[restart()]))
    diagnosis = result.diagnosis
    assert diagnosis.origin is Origin.MODEL
    assert diagnosis.root_cause == "demo: memory keeps growing, as with a leak"
    assert diagnosis.band is Band.HIGH
    assert diagnosis.verdict is DiagnosisVerdict.ACTION_NEEDED
    assert diagnosis.model is not None
    assert diagnosis.model.state is ModelState.VERIFIED
    assert diagnosis.suggestion is not None
    assert diagnosis.suggestion.params == {"process": "demo"}
    assert set(diagnosis.suggestion.evidence_ids) == {c.evidence_id for c in diagnosis.citations if c.quote}
    assert "evicts" not in diagnosis.suggestion.why
    assert any("heap profile" in step for step in diagnosis.steps)


@pytest.mark.parametrize(
    ("reply", "band", "action"),
    [
        (critic("agrees"), Band.HIGH, True),
        (critic("unsure"), Band.MEDIUM, True),
        (critic("refutes", ("ev_x", "words that nobody wrote")), Band.MEDIUM, True),
        (critic("refutes"), Band.MEDIUM, True),
        (said("prose"), Band.MEDIUM, False),
        (said("", stop=Stop.REFUSED), Band.MEDIUM, False),
        (ModelFailure(FailureKind.OVERLOADED, "busy"), Band.MEDIUM, False),
    ],
)
async def test_only_a_critic_that_agrees_leaves_it_sure(
    reply: Reply | ModelFailure, band: Band, action: bool
) -> None:
    then = quoting(actions=[restart()])
    made = leak_only_the_model_sees()
    result, _ = await made.investigate(lambda turn: reply if is_critic(turn) else then(turn))
    assert result.diagnosis.band is band
    assert (result.diagnosis.suggestion is not None) is action
    assert result.diagnosis.model is not None
    assert bool(result.diagnosis.model.reason) is (band is not Band.HIGH)


async def test_a_critic_that_quotes_against_it_takes_it_down() -> None:
    then = quoting(actions=[restart()])

    def script(turn: Turn) -> Reply:
        if is_critic(turn):
            assert turn.turn == 1
            assert turn.opening.tools == ()
            assert "never evicts" in turn.text
            return critic("refutes", (shown(turn, "max"), METRIC))
        return then(turn)

    made = leak_only_the_model_sees()
    result, _ = await made.investigate(script)
    the_rules_diagnosis_stands(result, await made.rules.investigate(incident()))
    assert result.diagnosis.verdict is DiagnosisVerdict.INCONCLUSIVE
    assert result.diagnosis.model is not None
    assert result.diagnosis.model.state is ModelState.UNVERIFIED
    assert "a second look speaks against it" in result.diagnosis.model.reason


async def test_a_warning_without_an_action_needs_no_critic_and_one_with_an_action_does() -> None:
    def fast(*actions: Any) -> Callable[[Turn], Reply]:
        return lambda turn: (
            critic() if is_critic(turn) else answer([(shown(turn, "max"), METRIC)], actions=actions)
        )

    _, model = await shop().investigate(fast(), incident(Severity.WARNING))
    assert len(model.turns) == 1
    _, model = await shop().investigate(fast(restart()), incident(Severity.WARNING))
    assert [is_critic(turn) for turn in model.turns] == [False, True]


def rules_that_are_not_sure(made: Shop, result: Investigation) -> Shop:
    diagnosis = replace(result.diagnosis, band=Band.LOW, verdict=DiagnosisVerdict.ACTION_SUGGESTED)

    class Unsure(Shop):
        @property
        def rules(self) -> Any:
            return ScriptedRules(replace(result, diagnosis=diagnosis))

    return Unsure(**{name: getattr(made, name) for name in made.__dataclass_fields__})


class ScriptedRules:
    def __init__(self, result: Investigation) -> None:
        self.result = result

    async def investigate(self, case: Case) -> Investigation:
        return self.result


@pytest.mark.parametrize("severity", [Severity.WARNING, Severity.CRITICAL])
@pytest.mark.parametrize(
    ("reply", "band"),
    [
        (critic("agrees"), Band.MEDIUM),
        (critic("unsure"), Band.LOW),
        (critic("refutes"), Band.LOW),
        (said("prose"), Band.LOW),
        (ModelFailure(FailureKind.TIMEOUT, "late"), Band.LOW),
    ],
)
async def test_the_rules_own_action_is_only_put_to_people_for_a_model_where_a_critic_agrees(
    severity: Severity, reply: Reply | ModelFailure, band: Band
) -> None:
    made = shop()
    unsure = rules_that_are_not_sure(made, await made.rules.investigate(incident(severity)))

    def script(turn: Turn) -> Reply | ModelFailure:
        return reply if is_critic(turn) else answer([(shown(turn, "max"), METRIC)])

    result, model = await unsure.investigate(script, incident(severity))
    assert [is_critic(turn) for turn in model.turns] == [False, True]
    assert result.diagnosis.suggestion is not None
    assert result.diagnosis.band is band
    surer = band is Band.MEDIUM
    verdict = DiagnosisVerdict.ACTION_NEEDED if surer else DiagnosisVerdict.ACTION_SUGGESTED
    assert result.diagnosis.verdict is verdict


async def test_without_a_second_look_nothing_is_high() -> None:
    result, model = await leak_only_the_model_sees().investigate(quoting(), incident(Severity.WARNING))
    assert not any(is_critic(turn) for turn in model.turns)
    assert result.diagnosis.origin is Origin.MODEL
    assert result.diagnosis.band is Band.MEDIUM


async def test_one_source_asked_directly_and_through_another_server_is_one_witness() -> None:
    server = Server(said='process_resident_memory_bytes{instance="box:8000",job="demo"} 5.2e8')

    def script(turn: Turn) -> Reply:
        if is_critic(turn):
            return critic()
        if turn.turn == 1:
            return asked(
                tool("metrics_range", "a", promql="process_resident_memory_bytes"),
                tool("grafana__get_dashboard", "b", uid="x"),
            )
        return answer([(shown(turn, "max"), METRIC), (shown(turn, "5.2e8"), 'job="demo"} 5.2e8')])

    result, _ = await leak_only_the_model_sees(servers=[server]).investigate(script)
    assert len([one for one in result.diagnosis.citations if one.quote]) == 2
    assert result.diagnosis.band is Band.MEDIUM


async def test_all_four_sides_are_asked_for_where_it_is_critical_and_disagreement_is_kept() -> None:
    then = quoting()

    def script(turn: Turn) -> Reply:
        if is_critic(turn) or turn.turn == 1:
            return then(turn)
        log = shown(turn, "evicted")
        other = {"object": "redis", "object_kind": "datastore", "fault": "dependency_down", "statement": "s"}
        sides = [
            {"seen_from": "deps", **other, "evidence_id": log, "quote": LOG_LINE},
            {
                "seen_from": "infra",
                **other,
                "object": "node-1",
                "evidence_id": log,
                "quote": "nobody wrote it",
            },
        ]
        return answer([(shown(turn, "max"), METRIC), (log, LOG_LINE)], alternatives=sides)

    result, model = await leak_only_the_model_sees().investigate(script)
    assert all(side in model.turns[0].opening.system for side in ("`app`", "`infra`", "`deps`", "`runtime`"))
    names = [one.object for one in result.diagnosis.hypotheses]
    assert names[:2] == ["demo", "redis"]
    assert "node-1" not in names
    assert "from the side of deps" in result.diagnosis.hypotheses[1].lost_to
    _, model = await leak_only_the_model_sees().investigate(quoting(), incident(Severity.WARNING))
    assert "`runtime`" not in model.turns[0].opening.system


async def test_a_model_that_is_not_sure_says_what_is_missing() -> None:
    made = shop(found=False)
    reply = answer(status="additional_info_needed", missing_info=["the heap of demo"])
    result, _ = await made.investigate(lambda turn: reply)
    assert result.diagnosis.verdict is DiagnosisVerdict.INCONCLUSIVE
    assert [gap.what for gap in result.diagnosis.gaps][-1] == "the heap of demo"
    assert result.diagnosis.model is not None
    assert result.diagnosis.model.state is ModelState.AGREED


# What ends it


@pytest.mark.parametrize("kind", list(FailureKind))
@pytest.mark.parametrize("at", [1, 2])
async def test_every_failure_leaves_the_rules_diagnosis_and_says_why(kind: FailureKind, at: int) -> None:
    then = quoting()

    def script(turn: Turn) -> Reply | ModelFailure:
        return ModelFailure(kind, "what a person can do about it") if turn.number == at else then(turn)

    made = shop()
    result, model = await made.investigate(script)
    the_rules_diagnosis_stands(result, await made.rules.investigate(incident()))
    note = result.diagnosis.model
    assert note is not None
    assert (note.state, note.kind) == (ModelState.FAILED, kind.value)
    assert note.reason == "what a person can do about it"
    assert len(model.turns) == at
    assert result.diagnosis.suggestion is not None


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (said("", stop=Stop.REFUSED), FailureKind.REFUSED),
        (said('{"status": "diag', stop=Stop.CUT), FailureKind.CUT),
        (said("no json at all"), FailureKind.MALFORMED),
        (said('{"status": 7}'), FailureKind.MALFORMED),
    ],
)
async def test_an_answer_that_is_none_is_a_failure(reply: Reply, kind: FailureKind) -> None:
    result, _ = await shop().investigate(lambda turn: reply)
    assert result.diagnosis.model is not None
    assert result.diagnosis.model.kind == kind.value


async def test_a_bug_in_an_adapter_is_told_to_us_and_hides_nothing_from_people() -> None:
    def script(turn: Turn) -> Reply:
        raise RuntimeError("password=hunter2canary")

    made = shop()
    result, _ = await made.investigate(script)
    assert [type(error) for error in made.errors] == [RuntimeError]
    assert "hunter2canary" not in repr(result.diagnosis)
    assert result.diagnosis.model is not None
    assert result.diagnosis.model.reason == "internal error (RuntimeError), see the log"


class _Slow(ScriptedModel):
    """Answers never; ``deaf``: not even when it is told to stop."""

    deaf = False

    def open(self, opening: Any, spending: Spending, timeout: timedelta) -> Any:
        outer = self

        class Talk:
            async def say(self, text: str, *, may_use_tools: bool = True) -> Reply:
                held = await spending.reserve(Decimal("0.01"), 10)
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    if outer.deaf:
                        await asyncio.sleep(5)
                    raise
                finally:
                    await held.settle(Decimal("0.01"), Usage(input=1))
                raise AssertionError

        return Talk()


@pytest.mark.parametrize("deaf", [False, True])
async def test_a_model_that_does_not_answer_is_not_waited_for(deaf: bool) -> None:
    made = shop(limits=Limits(wall=timedelta(milliseconds=200)))
    model = _Slow(lambda turn: said(""))
    model.deaf = deaf
    loop = asyncio.get_running_loop()
    began = loop.time()
    result = await made.analyst(model).investigate(incident())
    assert loop.time() - began < 3
    assert result.diagnosis.model is not None
    assert result.diagnosis.model.kind == "timeout"
    assert result.diagnosis.cost.usd == (None if deaf else Decimal("0.01"))


async def test_cancelling_an_investigation_cancels_its_conversation() -> None:
    made = shop()
    task = asyncio.ensure_future(made.analyst(_Slow(lambda turn: said(""))).investigate(incident()))
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_model_that_only_reads_is_made_to_answer() -> None:
    def script(turn: Turn) -> Reply:
        if not turn.may_use_tools:
            return answer(status="inconclusive")
        return asked(*(tool("logs_search", f"c{n}", service=f"s{turn.number}-{n}") for n in range(3)))

    made = shop(limits=Limits(turns=6, tool_calls=100))
    result, model = await made.investigate(script)
    assert [turn.may_use_tools for turn in model.turns] == [True, True, True, False]
    assert "last reading" in model.turns[-1].text
    assert result.diagnosis.model is not None
    assert result.diagnosis.model.state is ModelState.AGREED
    made = shop(limits=Limits(tool_calls=4))
    _, model = await made.investigate(script)
    assert [turn.may_use_tools for turn in model.turns] == [True, True, False]
    assert len(made.told.asked) == 4


@pytest.mark.parametrize(
    ("limits", "turns"),
    [(Limits(usd=Decimal("0.06")), 4), (Limits(tokens=3_900), 3), (Limits(usd=None, tokens=3_900), 3)],
)
async def test_reading_ends_while_there_is_money_for_an_answer(limits: Limits, turns: int) -> None:
    def script(turn: Turn) -> Reply:
        if not turn.may_use_tools:
            return answer(status="inconclusive")
        return asked(tool("logs_search", "c", service=f"s{turn.number}"))

    result, model = await shop(limits=limits).investigate(script)
    assert [turn.may_use_tools for turn in model.turns] == [True] * (turns - 1) + [False]
    assert result.diagnosis.model is not None
    assert result.diagnosis.model.state is ModelState.AGREED


@pytest.mark.parametrize("turns", [1, 2, 3])
async def test_with_hardly_a_turn_no_tool_is_offered(turns: int) -> None:
    made = shop(limits=Limits(turns=turns))
    _, model = await made.investigate(lambda turn: answer([("ev_x", "words that nobody wrote")]))
    assert len(model.turns) == min(turns, 2)
    assert not any(turn.may_use_tools for turn in model.turns)


async def test_money_ends_it_before_it_is_spent() -> None:
    made = shop(limits=Limits(usd=Decimal("0.015")))
    result, model = await made.investigate(quoting())
    assert len(model.turns) == 1
    assert result.diagnosis.cost.usd == Decimal("0.01")
    assert result.diagnosis.model is not None
    assert result.diagnosis.model.kind == "budget"


async def test_with_the_days_money_gone_the_rules_go_on() -> None:
    wallet = Wallet("0.01")
    made = shop(purse=wallet)
    result, _ = await made.investigate(quoting())
    assert result.diagnosis.model is not None
    assert result.diagnosis.model.state is ModelState.FAILED
    assert result.diagnosis.model.kind == "daily_budget"
    assert result.diagnosis.suggestion is not None
    assert wallet.left == 0


async def test_money_that_is_gone_before_the_second_look_is_told_as_well() -> None:
    made = shop(purse=Wallet("0.02"))
    result, _ = await made.investigate(quoting())
    note = result.diagnosis.model
    assert note is not None
    assert (note.state, note.kind) == (ModelState.AGREED, "daily_budget")
    assert "no second look" in note.reason


async def test_another_server_speaks_for_itself_and_is_never_enough_alone() -> None:
    made = leak_only_the_model_sees(servers=[Server()])

    def script(turn: Turn) -> Reply:
        if is_critic(turn):
            return critic()
        if turn.turn == 1:
            return asked(tool("grafana__get_dashboard", uid="demo"))
        return answer([(shown(turn, "520 MiB"), "panel Memory shows 520 MiB")], actions=[restart()])

    result, _ = await made.investigate(script)
    assert result.diagnosis.band is Band.LOW
    assert result.diagnosis.suggestion is None
    assert "not sure enough" in " ".join(result.diagnosis.steps)


async def test_every_line_that_the_model_is_told_is_ours_or_an_envelope() -> None:
    _, model = await shop(servers=[Server()]).investigate(quoting())
    ours = ("The alerts:", "What the rules made of it:", "Evidence:", "Actions offered:", "The diagnosis:")
    for turn in model.turns:
        for line in turn.text.splitlines():
            assert line.startswith((*ours, "The evidence:")) or json.loads(line)["untrusted_data"] is not None
