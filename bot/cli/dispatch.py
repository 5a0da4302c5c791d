"""From parsed arguments to the command that serves them."""

from __future__ import annotations

import argparse
from collections.abc import Coroutine
from typing import Any


def dispatch(arguments: argparse.Namespace) -> Coroutine[Any, Any, int]:
    """The command, ready to be awaited; only its own module is imported."""
    match arguments.command:
        case "run":
            from bot.cli.service import run

            return run(arguments.config)
        case "check":
            from bot.cli.checking import check

            return check(arguments.config, as_json=arguments.json, dump=arguments.dump)
        case "init":
            from bot.cli.setup import init

            return init(arguments.directory, matrix=arguments.matrix, force=arguments.force)
        case "demo":
            from bot.cli.demo import demo

            return demo(
                unattended=arguments.unattended,
                reject=arguments.reject,
                matrix=arguments.matrix,
                keep=arguments.keep,
            )
        case "investigate":
            from bot.cli.investigate import investigate

            return investigate(
                arguments.config,
                arguments.alert,
                as_json=arguments.json,
                record_to=arguments.record,
                replay_from=arguments.replay,
                incident=arguments.incident,
            )
        case "eval":
            from bot.cli.evaluate import Models, evaluate

            return evaluate(
                arguments.suite,
                report=arguments.report,
                least=arguments.min,
                jobs=arguments.jobs,
                only=arguments.only,
                as_json_text=arguments.json,
                models=Models(
                    names=arguments.model,
                    config=arguments.config,
                    record=arguments.record_model,
                    replay=arguments.replay_model,
                ),
            )
        case "ledger":
            from bot.cli.ledger import ledger

            return ledger(arguments)
        case "mcp":
            from bot.cli.mcp import mcp

            return mcp(arguments)
        case _:
            from bot.cli.setup import keys

            return keys(arguments)
