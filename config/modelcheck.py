"""Parts of the model's section that need each other."""

from __future__ import annotations

import ipaddress

from config.model import ModelSection
from config.report import Report
from config.schema import Config


def check_model(config: Config, report: Report) -> None:
    section = config.model
    if section is None:
        for number, route in enumerate(config.routes):
            if route.model in ("fast", "deep"):
                report.problem(
                    ("routes", number, "model"),
                    f"asks for the {route.model} model, but there is none",
                    "add a section model, or leave it away",
                )
        if config.evidence.mcp:
            report.warn(
                ("evidence", "mcp"),
                "is for a model only, and there is none, so that no server is ever asked",
                "add a section model, or remove this one",
            )
        return
    if section.provider == "claude-cli":
        _command_line(section, report)
    else:
        _messages_api(section, report)
    if section.budget.investigation_usd > section.budget.day_usd:
        report.problem(
            ("model", "budget", "investigation_usd"),
            "is more than budget.day_usd, so the day's limit is the only one",
            "make it smaller, or give the day more",
        )


def _messages_api(section: ModelSection, report: Report) -> None:
    if section.base_url is None:
        if section.api_key is None:
            report.problem(
                ("model",),
                "has no key, so the provider would refuse every question",
                "add api_key: ${ANTHROPIC_API_KEY}, or base_url: of a server that needs none",
            )
        return
    if section.base_url.path is not None and section.base_url.path.rstrip("/").endswith("/v1"):
        report.problem(
            ("model", "base_url"),
            "ends in /v1, which is added to it",
            "leave /v1 away",
        )
    if section.base_url.query or section.base_url.fragment:
        report.problem(
            ("model", "base_url"), "has a query, which would be lost", "leave everything from the ? away"
        )
    if section.api_key is not None and section.base_url.scheme == "http" and not _is_near(section):
        report.warn(
            ("model", "base_url"),
            "is http, so that the key and all evidence travel unencrypted",
            "use https, or a server on this machine",
        )


def _is_near(section: ModelSection) -> bool:
    host = (section.base_url.host if section.base_url else None) or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _command_line(section: ModelSection, report: Report) -> None:
    if section.base_url is not None:
        report.problem(
            ("model", "base_url"),
            "has no use with provider: claude-cli",
            "remove it, or use provider: anthropic",
        )
    if section.capabilities.model_fields_set:
        report.problem(
            ("model", "capabilities"),
            "has no use with provider: claude-cli",
            "remove it, or use provider: anthropic",
        )
