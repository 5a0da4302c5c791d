"""What operators see of Assent itself: metrics in Prometheus' text format, and structured logs.

Both are redacted where they leave the process: no caller has to remember it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any, Literal, TextIO

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from structlog.typing import EventDict, Processor

from bot.domain.redaction import redact, redact_field, strip_invisible

_WEBHOOK_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_INVESTIGATION_BUCKETS = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 240.0)
_MODEL_BUCKETS = (0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0)
_WAIT_BUCKETS = (5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0)

_MAX_DEPTH = 6

_LIBRARIES = ("aiohttp", "aiosqlite", "alembic", "apscheduler", "asyncio", "nio", "peewee", "sqlalchemy")


class Metrics:
    """Every metric of one process, in a registry of its own.

    Label values must come from closed sets or from configuration, never from alerts or chat: each new
    value is a new time series.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, *, version: str) -> None:
        # A second series per counter with its time of creation helps nobody who scrapes text.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library left it without annotations
        registry = CollectorRegistry()
        self.registry = registry
        self.alerts_received = Counter(
            "assent_alerts_received_total", "Alerts stored, re-deliveries included.", registry=registry
        )
        self.alerts_coalesced = Counter(
            "assent_alerts_coalesced_total",
            "Alerts that opened no incident of their own: re-delivered, or joined to a live incident.",
            registry=registry,
        )
        self.incidents_open = Gauge(
            "assent_incidents_open", "Incidents that are not over.", registry=registry
        )
        self.investigations = Counter(
            "assent_investigations_total", "Investigations that ended.", ("result",), registry=registry
        )
        self.investigation_seconds = Histogram(
            "assent_investigation_seconds",
            "Duration of an investigation in seconds.",
            buckets=_INVESTIGATION_BUCKETS,
            registry=registry,
        )
        self.tool_calls = Counter(
            "assent_tool_calls_total",
            "Read-only queries of evidence sources.",
            ("tool", "result"),
            registry=registry,
        )
        self.approvals = Counter(
            "assent_approvals_total",
            "Reviews and endings of approval requests.",
            ("decision", "means"),
            registry=registry,
        )
        self.approval_wait_seconds = Histogram(
            "assent_approval_wait_seconds",
            "From the approval card to its decision, in seconds.",
            buckets=_WAIT_BUCKETS,
            registry=registry,
        )
        self.executions = Counter(
            "assent_executions_total", "Executions that ended.", ("executor", "result"), registry=registry
        )
        self.ledger_entries = Counter(
            "assent_ledger_entries_total", "Ledger entries written by this process.", registry=registry
        )
        self.ledger_ok = Gauge(
            "assent_ledger_ok",
            "1 while the ledger verifies, 0 while it does not or was not checked yet.",
            registry=registry,
        )
        self.outbox_pending = Gauge(
            "assent_outbox_pending", "Messages not delivered to chat yet.", registry=registry
        )
        self.webhook_seconds = Histogram(
            "assent_webhook_seconds",
            "From a webhook request's headers to its answer, in seconds.",
            ("source", "code"),
            buckets=_WEBHOOK_BUCKETS,
            registry=registry,
        )
        self.model_requests = Counter(
            "assent_model_requests_total",
            "Requests to a model's provider, retries included.",
            ("model", "result"),
            registry=registry,
        )
        self.model_tokens = Counter(
            "assent_model_tokens_total",
            "Tokens of models' answers: input, output, cache_read and cache_write.",
            ("model", "kind"),
            registry=registry,
        )
        self.model_usd = Counter(
            "assent_model_cost_usd_total",
            "What models' answers cost in USD, where the price is known.",
            ("model",),
            registry=registry,
        )
        self.model_seconds = Histogram(
            "assent_model_seconds",
            "Duration of one request to a model's provider in seconds.",
            ("model",),
            buckets=_MODEL_BUCKETS,
            registry=registry,
        )
        Gauge(
            "assent_build_info",
            "Always 1; the labels say what runs.",
            ("version", "python"),
            registry=registry,
        ).labels(version=version, python=".".join(str(part) for part in sys.version_info[:3])).set(1)

    def render(self) -> bytes:
        """The exposition text of every metric; its media type is :attr:`content_type`."""
        return generate_latest(self.registry)


def configure_logging(log_format: Literal["json", "console"], level: str, stream: TextIO) -> None:
    """Send structlog and the standard library's loggers through one redacting chain to ``stream``.

    Replaces the root logger's handlers. Libraries log from ``warning`` on, unless ``level`` is ``debug``.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *before,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.StackInfoRenderer(),
                structlog.processors.format_exc_info,
                redact_event,
                _renderer(log_format, stream),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(threshold)
    for library in _LIBRARIES:
        logging.getLogger(library).setLevel(
            threshold if threshold <= logging.DEBUG else max(threshold, logging.WARNING)
        )
    logging.captureWarnings(True)


def _renderer(log_format: Literal["json", "console"], stream: TextIO) -> Processor:
    if log_format == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
    )


def redact_event(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """A structlog processor: redact every text of the event, exceptions and stacks included, and strip
    what could steer a terminal. Runs after exceptions have become text."""
    return {name: _redact(name, value, _MAX_DEPTH) for name, value in event.items()}


def _redact(name: str, value: Any, depth: int) -> Any:
    match value:
        case bool() | int() | float() | None:
            return value
        case str():
            return redact_field(name, strip_invisible(value))
        case Mapping() if depth:
            return {redact(str(key)): _redact(f"{key}", item, depth - 1) for key, item in value.items()}
        case list() | tuple() | set() | frozenset() if depth:
            return [_redact(name, item, depth - 1) for item in value]
        case _:
            return redact_field(name, strip_invisible(repr(value)))
