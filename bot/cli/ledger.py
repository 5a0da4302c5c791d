"""`assent ledger verify | show | export`: works beside a running service, and changes nothing."""

from __future__ import annotations

import argparse
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

from adapters.anchors import FileAnchors
from adapters.storage import open_ledger
from approvals.ledger import Entry
from approvals.ports import LedgerRows
from bot.app.acting import load_keys
from bot.cli.loading import load_config
from bot.cli.output import complain, say, say_json
from bot.domain.redaction import strip_invisible
from bot.workflow.proving import prove_ledger


async def ledger(arguments: argparse.Namespace) -> int:
    config = load_config(arguments.config)
    async with open_ledger(config.data_dir / "assent.db") as rows:
        match arguments.action:
            case "verify":
                anchors = FileAnchors(config.ledger.anchor_file) if config.ledger.anchor_file else None
                proof = await prove_ledger(rows, load_keys(config).verifier, anchors)
                report = proof.report
                if arguments.json:
                    say_json(
                        {
                            "ok": report.ok,
                            "entries": report.entries,
                            "head": report.head.hash.hex(),
                            "checkpoints": proof.checkpoints,
                            "anchors": proof.anchors,
                            "first_bad": report.first_bad,
                            "problem": report.problem,
                        }
                    )
                elif report.ok:
                    say(
                        f"intact: {report.entries} entries, head {report.head.hash.hex()[:16]}, "
                        f"{proof.checkpoints} checkpoints, {proof.anchors} anchors"
                    )
                else:
                    where = f" at entry {report.first_bad}" if report.first_bad is not None else ""
                    complain(f"BROKEN{where}: {report.problem}")
                return 0 if report.ok else 1
            case "show":
                entries = [entry async for entry in _selected(rows, arguments.incident)]
                for entry in entries[-arguments.last :] if arguments.last else entries:
                    say(readable(entry))
            case _:
                async for entry in _selected(rows, arguments.incident):
                    say_json(exported(entry))
    return 0


async def _selected(rows: LedgerRows, short_id: str | None) -> AsyncIterator[Entry]:
    """All entries, or those of one incident. Its id is found in the entry that opened it."""
    wanted: str | None = None
    async for batch in rows.entries():
        for entry in batch:
            if short_id is None:
                yield entry
                continue
            body = json.loads(entry.body)
            if body["tag"] == "incident:opened" and body["data"]["short_id"] == short_id.upper():
                wanted = body["incident_id"]
            if wanted is not None and body["incident_id"] == wanted:
                yield entry


def exported(entry: Entry) -> dict[str, Any]:
    """An entry with everything needed to check it without Assent: ``entry_hash`` is the SHA-256 of the
    bytes of ``prev_hash`` followed by those of ``body``."""
    return {
        "seq": entry.seq,
        "prev_hash": entry.prev_hash.hex(),
        "entry_hash": entry.entry_hash.hex(),
        "body": base64.b64encode(entry.body).decode(),
        "event": json.loads(entry.body),
    }


def readable(entry: Entry) -> str:
    """One line: number, time, what happened, and the facts of it."""
    body = json.loads(entry.body)
    facts = ", ".join(f"{name}={_short(value)}" for name, value in sorted(body["data"].items()) if value)
    return strip_invisible(f"{entry.seq:>6}  {body['at']}  {body['tag']:<28} {facts}").replace("\n", " ")


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else f"{text[:117]}…"
