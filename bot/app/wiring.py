"""From configuration to the workflow's own nouns."""

from __future__ import annotations

import re

from approvals.model import Directory, Identity, Person
from bot.domain.alert import Severity
from bot.domain.ids import PersonId
from bot.domain.incident import Mode, Route
from bot.domain.proposal import Risk
from bot.workflow.intake import GroupingRules
from bot.workflow.remediation import ApprovalSettings
from bot.workflow.routing import Router, RoutingRule, word_pattern
from bot.workflow.verification import VerificationSchedule
from config.schema import Config, RouteRule

MATRIX = "matrix"
CONSOLE = "console"


def router(config: Config) -> Router:
    return Router(
        rules=tuple(_rule(rule) for rule in config.routes), default_rooms=tuple(config.chat.default_rooms)
    )


def _rule(rule: RouteRule) -> RoutingRule:
    return RoutingRule(
        route=Route(
            name=rule.name,
            mode=Mode(rule.mode),
            category=rule.category,
            emoji=rule.emoji,
            environment=rule.environment,
            team=rule.team,
            rooms=rule.rooms,
            runbook_url=str(rule.runbook_url) if rule.runbook_url else None,
            suggested_action=rule.suggest.action if rule.suggest else None,
            suggested_params={k: str(v) for k, v in rule.suggest.params.items()} if rule.suggest else {},
        ),
        match=rule.match,
        match_re={label: re.compile(pattern) for label, pattern in rule.match_re.items()},
        words=tuple(word_pattern(word) for word in rule.words),
        severities=frozenset(Severity(name) for name in rule.severity),
    )


def grouping(config: Config) -> GroupingRules:
    return GroupingRules(
        correlation_labels=config.grouping.correlation_labels,
        reopen_within=config.grouping.reopen_within,
        heartbeats={beat.alertname: beat.missing_after for beat in config.grouping.heartbeats},
    )


def directory(config: Config) -> Directory:
    """Everyone the configuration names; the bot's own accounts can never review."""
    bots = set()
    if config.chat.matrix is not None:
        bots.add(Identity(platform=MATRIX, user_id=config.chat.matrix.user_id))
    people = []
    for entry in config.people:
        identities = set()
        if entry.matrix is not None:
            identities.add(Identity(platform=MATRIX, user_id=entry.matrix))
        if entry.console is not None:
            identities.add(Identity(platform=CONSOLE, user_id=entry.console))
        people.append(
            Person(id=PersonId(entry.id), identities=frozenset(identities), roles=frozenset(entry.roles))
        )
    return Directory(people=tuple(people), bots=frozenset(bots))


def approval_settings(config: Config) -> ApprovalSettings:
    approval = config.approval
    return ApprovalSettings(
        timeouts={
            Risk.LOW: approval.timeout_low,
            Risk.MEDIUM: approval.timeout_medium,
            Risk.HIGH: approval.timeout_high,
        },
        reminders=tuple(sorted(approval.reminders)),
        per_person_per_hour=approval.per_person_per_hour,
        proposal_max_age=approval.proposal_max_age,
    )


def verification(config: Config) -> VerificationSchedule:
    return VerificationSchedule(after=tuple(sorted(config.execution.verify_after)))
