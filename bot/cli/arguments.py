"""What can be typed after `assent`."""

from __future__ import annotations

import argparse
from pathlib import Path

DEFAULT_CONFIG = Path("assent.yaml")


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="assent", description="An incident bot that acts only with your signed assent."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run the service until it is told to stop")
    _config(run)

    check = commands.add_parser("check", help="test a configuration and every connection in it")
    _config(check)
    _json(check)
    check.add_argument(
        "--dump", action="store_true", help="print the configuration as understood, secrets masked"
    )

    init = commands.add_parser("init", help="write a commented configuration that works, with fresh keys")
    init.add_argument("directory", nargs="?", type=Path, default=Path("."), help="where to (default: here)")
    init.add_argument("--matrix", action="store_true", help="prepare a Matrix room instead of the console")
    init.add_argument("--force", action="store_true", help="overwrite what is there")

    demo = commands.add_parser("demo", help="watch an incident from alert to verified fix, for real")
    demo.add_argument("--unattended", action="store_true", help="let the demo play the human")
    demo.add_argument(
        "--reject",
        action="store_true",
        help="the played human rejects: nothing may run (implies --unattended)",
    )
    demo.add_argument("--matrix", action="store_true", help="use a Matrix room on a Synapse of its own")
    demo.add_argument("--keep", type=Path, metavar="DIR", help="keep everything in DIR afterwards")

    investigate = commands.add_parser("investigate", help="investigate one alert now, print the diagnosis")
    _config(investigate)
    _json(investigate)
    investigate.add_argument(
        "alert",
        nargs="?",
        type=Path,
        metavar="ALERT.json",
        help="an Alertmanager, Grafana or generic body; - for stdin",
    )
    investigate.add_argument(
        "--incident",
        metavar="ID",
        help="the alerts of a stored incident (like K7QX) instead; changes nothing",
    )
    directory = investigate.add_mutually_exclusive_group()
    directory.add_argument(
        "--record", type=Path, metavar="DIR", help="write everything that is read to DIR, which must be empty"
    )
    directory.add_argument(
        "--replay",
        type=Path,
        metavar="DIR",
        help="investigate from DIR, alert included; no configuration",
    )

    evaluate = commands.add_parser("eval", help="investigate a suite of cases and score the answers")
    _json(evaluate)
    evaluate.add_argument("suite", type=Path, metavar="SUITE", help="a directory of case directories")
    evaluate.add_argument("--report", type=Path, metavar="FILE", help="write one JSON object per case")
    evaluate.add_argument(
        "--min", type=share, metavar="ACC", help="fail when less than this share (0 to 1) is right@1"
    )
    evaluate.add_argument("--jobs", type=count, metavar="N", help="cases at a time (default: one per core)")
    evaluate.add_argument("--only", metavar="GLOB", help="only cases whose name matches, such as 'pods/*'")
    evaluate.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="MODEL",
        help="ask a model after the rules: configured, an id, or two as fast,deep; off for the rules alone; "
        "may be given several times, and costs money",
    )
    evaluate.add_argument(
        "-c", "--config", type=Path, metavar="FILE", help="whose section model says provider, key and budget"
    )
    answers = evaluate.add_mutually_exclusive_group()
    answers.add_argument(
        "--record-model", type=Path, metavar="DIR", help="write the answers of --model to DIR"
    )
    answers.add_argument(
        "--replay-model",
        type=Path,
        metavar="DIR",
        help="take the answers from DIR, as recorded: no network, no cost",
    )

    ledger = commands.add_parser("ledger", help="prove, read or export what happened")
    actions = ledger.add_subparsers(dest="action", required=True, metavar="ACTION")
    verify = actions.add_parser("verify", help="check the chain, its checkpoints and anchors")
    show = actions.add_parser("show", help="print entries for reading")
    export = actions.add_parser("export", help="print entries as JSON lines, hashes included")
    for action in (verify, show, export):
        _config(action)
    _json(verify)
    for action in (show, export):
        action.add_argument("--incident", metavar="ID", help="only this incident (like K7QX)")
    show.add_argument("--last", type=int, metavar="N", help="only the newest N entries")

    mcp = commands.add_parser("mcp", help="look at the tools of MCP servers, and accept them")
    mcp_actions = mcp.add_subparsers(dest="action", required=True, metavar="ACTION")
    pin = mcp_actions.add_parser("pin", help="show every tool that is listed, then remember it as accepted")
    diff = mcp_actions.add_parser("diff", help="show what is not as it was accepted")
    for action in (pin, diff):
        _config(action)
        action.add_argument("server", nargs="?", metavar="SERVER", help="only this one (default: all)")
    pin.add_argument("--yes", action="store_true", help="accept without asking")
    _json(diff)

    keys = commands.add_parser("keys", help="make and look at signing keys")
    key_actions = keys.add_subparsers(dest="action", required=True, metavar="ACTION")
    generate = key_actions.add_parser("generate", help="make an Ed25519 signing key")
    generate.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="where to write it (mode 0600)"
    )
    show_key = key_actions.add_parser("show", help="print the key id and the public half")
    show_key.add_argument("key", type=Path, metavar="FILE")
    return parser


def _config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-c", "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help=f"default: {DEFAULT_CONFIG}"
    )


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value
