"""A secret planted in every kind of source shows nowhere: in no row, message, log, file or report."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from investigators.analyst.ports import Reply, ToolCall
from tests.bot.app.conftest import ANA, World
from tests.bot.app.surroundings import HOST, SECRETS, secret, surroundings
from tests.bot.cli.test_commands import assent
from tests.fakes.model import ScriptedModel, Turn, asked
from tests.investigators.analyst.world import answer, envelopes

ANSWERED = frozenset(
    {"metric.expression", "log.lines", "trace.spans", "kubernetes.objects", "kubernetes.log", "change.list"}
    | {"osquery.select", "ticket.list", "runbook.text", "topology.graph"}
)
KINDS = ("Pod", "Event", "Deployment", "ReplicaSet", "ConfigMap", "Secret", "Node")


def leaked(data: bytes | str) -> list[str]:
    """The parts whose secret is in it."""
    data = data.encode() if isinstance(data, str) else data
    return [part for part in SECRETS if secret(part).encode() in data]


def reading_everything(turn: Turn) -> Reply:
    """Looks at all there is, and then says that it is no wiser."""
    reads: list[dict[str, Any]] = [
        {"metrics_range": {"promql": "orders_failed_total"}},
        {"logs_search": {"service": "payments"}},
        {"logs_expression": {"expression": '{service=~".+"}'}},
        {"trace_spans": {"services": ["payments"]}},
        {"trace_spans": {"services": ["cart"]}},
        *({"kubernetes_objects": {"kind": kind, "namespace": "shop"}} for kind in KINDS),
        {"kubernetes_pod_log": {"namespace": "shop", "pod": "payments-5d9f8b6c5-x2x4z"}},
        {"change_list": {"minutes_before": 1_440}},
        {"osquery_select": {"host": HOST, "sql": "SELECT * FROM processes"}},
        {"ticket_list": {"service": "cart"}},
        {"past_incidents": {}},
        {"service_graph": {}},
    ]
    if not turn.opening.tools or not turn.may_use_tools or turn.turn > 1:
        return answer(status="inconclusive")
    runbook = next(word for word in turn.text.split('"') if word.startswith("https://localhost:"))
    reads.append({"runbook_read": {"url": runbook}})
    calls = [(name, arguments) for one in reads for name, arguments in one.items()]
    return asked(*(ToolCall(id=f"c{n}", name=name, arguments=a) for n, (name, a) in enumerate(calls)))


async def test_no_secret_of_any_source_leaves_the_running_service(
    world: World, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    caplog.set_level("DEBUG", logger="bot")
    caplog.set_level("DEBUG", logger="adapters")
    caplog.set_level("DEBUG", logger="investigators")
    world.really = True
    world.model = model = ScriptedModel(reading_everything)
    async with surroundings(tmp_path) as around:
        world.extra = around.evidence()
        async with world.running() as app:
            incidents = []
            for service, name in (("cart", "CartDown"), ("payments", "PaymentsFail")):
                await world.send(around.alert(service, name), group=service)
                said = await world.root_says(name)
                incidents.append(said.text.split()[1])
            await world.room.until(lambda ms: sum("Diagnosis of" in m.text for m in ms) == 2)
            for short_id in incidents:
                for command in ("why", "show"):
                    asked = world.room.command(f"{command} {short_id}", ANA)
                    await world.room.until(lambda ms, asked=asked: any(m.thread == asked for m in ms))
            metrics = app.metrics.render()
        shown = "\n".join(one.text for one in [*world.room.messages(), *world.room.private()])
        config = world.write_config()
        body = json.dumps({"version": "4", "status": "firing", "alerts": [around.alert("cart", "CartDown")]})
        outputs = [
            await asyncio.to_thread(assent, *arguments, stdin=body)
            for arguments in (
                ("ledger", "export", "-c", config),
                ("ledger", "show", "-c", config),
                ("investigate", "-c", config, "--json", "-"),
                ("investigate", "-c", config, "--record", tmp_path / "recording", "-"),
                ("investigate", "--replay", tmp_path / "recording", "--json"),
            )
        ]
    assert [done.stderr for done in outputs if done.returncode != 0] == []
    answered = [one for turn in model.turns for one in envelopes(turn) if one.get("status") == "ok"]
    wanted = ANSWERED if "prometheus" in around.sources() else ANSWERED - {"metric.expression"}
    assert wanted <= {one["kind"] for one in answered}
    told = "\n".join(
        part
        for turn in model.turns
        for part in (turn.opening.system, turn.text, *(result.text for result in turn.results))
    )
    assert "[redacted:" in told
    assert leaked(told) == []
    assert "cart-db does not exist" in shown
    assert "connection pool exhausted" in shown
    assert leaked(shown) == []
    assert leaked(metrics) == []
    assert leaked(caplog.text) == []
    assert leaked("".join(capfd.readouterr())) == []
    for done in outputs:
        assert leaked(done.stdout + done.stderr) == [], done.args
    ours = [tmp_path / "data", tmp_path / "recording"]
    files = [path for folder in ours for path in folder.rglob("*") if path.is_file()]
    files += [tmp_path / "room.db", tmp_path / "anchors.txt"]
    assert any(path.name == "assent.db" for path in files)
    # An alert is identified by its labels, so those alone are kept as they were sent: docs/webhooks.md.
    found = {path.name: set(leaked(path.read_bytes())) - {"label"} for path in files}
    assert {name: parts for name, parts in found.items() if parts} == {}
