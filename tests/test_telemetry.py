"""What operators see of Assent never holds a secret, and always says which incident it is about."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from bot.telemetry import Metrics, configure_logging

CANARY = "Zx9qCanary7Kd"


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    """Where logs go; logging is put back as it was."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    stream = io.StringIO()
    yield stream
    root.handlers[:], level = before
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def lines(output: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.getvalue().splitlines()]


def test_a_log_line_is_one_json_object_with_time_level_and_logger(output: io.StringIO) -> None:
    configure_logging("json", "info", output)
    structlog.get_logger("assent.webhook").warning("alerts_rejected", count=2, first=["a\nb"])
    (line,) = lines(output)
    assert line["at"].endswith("Z")
    assert {key: line[key] for key in ("event", "level", "logger", "count", "first")} == {
        "event": "alerts_rejected",
        "level": "warning",
        "logger": "assent.webhook",
        "count": 2,
        "first": ["a\nb"],
    }


def test_library_logs_take_the_same_way(output: io.StringIO) -> None:
    configure_logging("json", "info", output)
    logging.getLogger("nio.client").warning("sync failed for %s", f"token={CANARY}")
    (line,) = lines(output)
    assert (line["event"], line["logger"]) == ("sync failed for token=[redacted:secret]", "nio.client")


def test_warnings_are_logged(output: io.StringIO) -> None:
    configure_logging("json", "info", output)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"odd password={CANARY}", UserWarning, stacklevel=1)
    assert "odd password=[redacted:secret]" in lines(output)[0]["event"]


@pytest.mark.parametrize(
    ("level", "library_level", "seen"),
    [
        ("info", logging.INFO, False),
        ("info", logging.WARNING, True),
        ("debug", logging.DEBUG, True),
        ("error", logging.WARNING, False),
    ],
)
def test_libraries_are_quiet_unless_debugging(
    output: io.StringIO, level: str, library_level: int, seen: bool
) -> None:
    configure_logging("json", level, output)
    logging.getLogger("sqlalchemy.engine").log(library_level, "BEGIN (implicit)")
    assert bool(output.getvalue()) is seen


def test_lines_below_the_level_are_left_out(output: io.StringIO) -> None:
    configure_logging("json", "warning", output)
    structlog.get_logger("assent").info("chatter")
    structlog.get_logger("assent").error("trouble")
    assert [line["event"] for line in lines(output)] == ["trouble"]


def test_the_incident_is_on_every_line_of_its_context(output: io.StringIO) -> None:
    configure_logging("json", "info", output)
    log = structlog.get_logger("assent")
    with structlog.contextvars.bound_contextvars(incident_id="inc_1", short_id="K7QX"):
        log.info("inside")
        logging.getLogger("aiohttp.server").error("inside a library")
    log.info("outside")
    assert [line.get("incident_id") for line in lines(output)] == ["inc_1", "inc_1", None]


class Holder:
    def __repr__(self) -> str:
        return f"Holder(api_key='{CANARY}')"


def log_exception(log: Any) -> None:
    try:
        try:
            raise ValueError(f"cannot connect to postgres://shop:{CANARY}@db/shop")
        except ValueError as cause:
            cause.add_note(f"with Authorization: Bearer {CANARY}")
            raise ExceptionGroup("both", [RuntimeError(f"token={CANARY}")]) from cause
    except ExceptionGroup:
        log.exception("failed")


LEAKS: dict[str, Callable[[Any], None]] = {
    "event": lambda log: log.error(f"got password={CANARY}"),
    "arguments": lambda log: log.error("got %s", f"password={CANARY}"),
    "value": lambda log: log.error("got", header=f"Authorization: Bearer {CANARY}"),
    "named": lambda log: log.error("got", password=CANARY),
    "nested": lambda log: log.error("got", data={"list": [{"client_secret": CANARY}, f"secret={CANARY}"]}),
    "deep": lambda log: log.error("got", data=[[[[[[[[{"password": CANARY}]]]]]]]]),
    "key": lambda log: log.error("got", data={f"token={CANARY}": 1}),
    "object": lambda log: log.error("got", holder=Holder()),
    "bytes": lambda log: log.error("got", body=f'{{"token": "{CANARY}"}}'.encode()),
    "hidden": lambda log: log.error(f"pass\u200bword={CANARY}"),
    "exception": log_exception,
    "stack": lambda log: log.error("got", stack_info=True, url=f"https://bot:{CANARY}@chat.test"),
    "context": lambda log: structlog.contextvars.bind_contextvars(api_key=CANARY) and log.error("got"),
}


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("leak", sorted(LEAKS))
def test_a_secret_never_reaches_the_log(output: io.StringIO, log_format: Any, leak: str) -> None:
    configure_logging(log_format, "info", output)
    LEAKS[leak](structlog.get_logger("assent"))
    assert "[redacted:" in output.getvalue()
    assert CANARY not in output.getvalue()


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_secret_in_a_librarys_exception_never_reaches_the_log(output: io.StringIO, log_format: Any) -> None:
    configure_logging(log_format, "info", output)
    log_exception(logging.getLogger("aiohttp.server"))
    assert "Traceback" in output.getvalue()
    assert CANARY not in output.getvalue()


def test_the_console_cannot_be_steered_by_what_is_logged(output: io.StringIO) -> None:
    configure_logging("console", "info", output)
    structlog.get_logger("assent").error("name \x1b[2J\x1b]0;owned\x07", label="\u202etxt.exe")
    assert "\x1b" not in output.getvalue()
    assert "\u202e" not in output.getvalue()


def test_exactly_the_documented_metrics_are_exposed() -> None:
    names = {family.name for family in text_string_to_metric_families(Metrics(version="1").render().decode())}
    assert names == {
        "assent_model_requests",
        "assent_model_seconds",
        "assent_model_tokens",
        "assent_model_cost_usd",
        "assent_alerts_received",
        "assent_alerts_coalesced",
        "assent_incidents_open",
        "assent_investigations",
        "assent_investigation_seconds",
        "assent_tool_calls",
        "assent_approvals",
        "assent_approval_wait_seconds",
        "assent_executions",
        "assent_ledger_entries",
        "assent_ledger_ok",
        "assent_outbox_pending",
        "assent_webhook_seconds",
        "assent_build_info",
    }


def test_counters_are_rendered_with_their_labels() -> None:
    metrics = Metrics(version="1.2.3")
    metrics.approvals.labels(decision="approve", means="reaction").inc()
    metrics.executions.labels(executor="process", result="succeeded").inc()
    metrics.investigations.labels(result="action_needed").inc()
    metrics.tool_calls.labels(tool="prometheus", result="ok").inc()
    metrics.ledger_ok.set(1)
    text = metrics.render().decode()
    for line in (
        'assent_approvals_total{decision="approve",means="reaction"} 1.0',
        'assent_executions_total{executor="process",result="succeeded"} 1.0',
        'assent_investigations_total{result="action_needed"} 1.0',
        'assent_tool_calls_total{result="ok",tool="prometheus"} 1.0',
        "assent_ledger_ok 1.0",
    ):
        assert line in text.splitlines()
    assert 'version="1.2.3"' in text


def test_a_ledger_that_was_not_checked_yet_is_not_called_intact() -> None:
    assert "assent_ledger_ok 0.0" in Metrics(version="1").render().decode().splitlines()


def test_two_processes_in_one_do_not_share_metrics() -> None:
    one, other = Metrics(version="1"), Metrics(version="1")
    one.alerts_received.inc()
    assert "assent_alerts_received_total 0.0" in other.render().decode().splitlines()
