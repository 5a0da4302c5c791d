"""A secret planted in every part of a snapshot shows in no output."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bot.__main__ import main

SECRETS = {
    part: f"hunter2canary{part.replace('_', '')}"
    for part in (
        "annotation", "metric", "log", "span", "env", "event", "config_map", "secret", "osquery", "diff",
        "title", "runbook", "past", "pod_log",
    )
}  # fmt: skip


def plant(root: Path) -> None:
    """One case: a crashing pod, with a password in everything that describes it."""

    def write(name: str, text: str) -> None:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def password(part: str) -> str:
        return f"password={SECRETS[part]}"

    labels = {"service": "cart", "namespace": "shop", "instance": "box:1"}
    write(
        "alert.json",
        json.dumps(
            {
                "alertname": "CartDown",
                "summary": f"cart is down {password('annotation')}",
                "severity": "critical",
                "startsAt": "2026-03-01T12:00:00Z",
                "runbook_url": "https://wiki.example.org/cart",
                "labels": labels,
            }
        ),
    )
    write("meta.yaml", "now: 2026-03-01T12:05:00Z\n")
    write(
        "metrics/a.csv",
        "timestamp,metric,value,service,url\n"
        + "".join(
            f"2026-03-01T11:{m:02}:00Z,errors,{m},cart,http://u:{SECRETS['metric']}@db\n" for m in range(60)
        ),
    )
    write(
        "logs/a.jsonl",
        "".join(
            json.dumps(
                {
                    "ts": f"2026-03-01T12:0{m}:00Z",
                    "message": f"ERROR cannot log in to db with {password('log')}",
                    "service": "cart",
                    "level": "error",
                }
            )
            + "\n"
            for m in range(5)
        ),
    )
    write(
        "spans/a.jsonl",
        json.dumps(
            {
                "trace_id": "t", "span_id": "s", "service": "cart", "start": "2026-03-01T12:01:00Z",
                "duration_ms": 5, "status": "error", "operation": f"GET /?token={SECRETS['span']}",
            }
        ) + "\n",
    )  # fmt: skip
    write(
        "changes.jsonl",
        json.dumps(
            {
                "ts": "2026-03-01T11:50:00Z", "kind": "deploy", "id": "c1", "service": "cart",
                "title": f"log in with {password('title')}", "files": ["cart/db.go"],
                "diff": f'@@\n-conn("x")\n+conn("db", {password("diff")})\n',
            }
        ) + "\n",
    )  # fmt: skip
    pod = {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "cart-1", "namespace": "shop", "labels": {"app": "cart"}},
        "spec": {"containers": [
            {"name": "cart", "image": "cart:1", "env": [{"name": "DB_PASSWORD", "value": SECRETS["env"]}]}
        ]},
        "status": {"phase": "Running", "containerStatuses": [{
            "name": "cart", "restartCount": 3, "ready": False,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 1, "reason": "Error",
                                         "finishedAt": "2026-03-01T12:02:00Z"}},
        }]},
    }  # fmt: skip
    event = {
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "cart-1.1", "namespace": "shop"},
        "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "cart-1"}, "type": "Warning",
        "reason": "BackOff", "message": f"back-off {password('event')}",
        "lastTimestamp": "2026-03-01T12:03:00Z",
    }  # fmt: skip
    kept = {"apiVersion": "v1", "metadata": {"name": "cart", "namespace": "shop"}}
    secret = {**kept, "kind": "Secret", "data": {"key": SECRETS["secret"]}}
    config = {**kept, "kind": "ConfigMap", "data": {"key": SECRETS["config_map"]}}
    items = [pod, event, secret, config]
    write("kubernetes/all.json", json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    write("kubernetes/logs/shop/cart-1.previous.log", f"panic: bad {password('pod_log')}\n")
    write(
        "hosts/box/processes.json", json.dumps([{"pid": 1, "name": "cart", "cmdline": password("osquery")}])
    )
    write("runbooks/cart.md", f"# cart\n1. log in with {password('runbook')}\n")
    write(
        "incidents.jsonl",
        json.dumps({"id": "i1", "short_id": "ABCD", "service": "cart", "title": password("past")}) + "\n",
    )
    write("expected.yaml", "healthy: false\ncauses: [{object: cart, object_kind: service}]\n")


def test_no_secret_of_a_snapshot_reaches_a_diagnosis_a_report_or_a_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    plant(tmp_path / "suite" / "case")
    report = tmp_path / "report.jsonl"
    assert main(["eval", str(tmp_path / "suite"), "--report", str(report), "--jobs", "1"]) == 0
    assert main(["investigate", "--replay", str(tmp_path / "suite" / "case"), "--json"]) == 0
    assert main(["investigate", "--replay", str(tmp_path / "suite" / "case")]) == 0
    out, err = capfd.readouterr()
    assert "cart" in out
    told = "\n".join((out, err, caplog.text, report.read_text()))
    assert [part for part, secret in SECRETS.items() if secret in told] == []
